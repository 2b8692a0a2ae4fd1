"""Parameters and answers of the general queries."""

from datetime import datetime, tzinfo
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import Id, normal_id
from edugraph_insights.queries.links import LABELS, TYPES
from edugraph_insights.questions.question import From, To
from edugraph_insights.school_days import period_in_utc

MOST_NODES = 150  # in one answer, by default
MOST_DEPTH = 4
MOST_STEPS = 8  # in a path


def check_name(value: str) -> str:
    """Return `LABEL:ID` with the id in its normal form. Raises ValueError if the value does not name a node."""
    label, _, node_id = value.partition(":")
    if label not in LABELS or not normal_id(node_id):
        raise ValueError(f"a node is LABEL:ID, with a label of {', '.join(LABELS)}")
    return f"{label}:{normal_id(node_id)}"


NodeName = Annotated[
    str,
    Field(max_length=8_100, description="a node, such as `Student:s01`"),
    AfterValidator(check_name),
]
Label = Literal[LABELS]  # type: ignore[valid-type]
Type = Literal[TYPES]  # type: ignore[valid-type]


class Narrowed(ContractModel):
    """Limits of a query: a course, a group, and a period of time."""

    model_config = ConfigDict(populate_by_name=True)

    course: Id | None = Field(
        default=None, description="only records of this course, and only its students"
    )
    group: Id | None = Field(
        default=None, description="only students who are members of this group today"
    )
    since: From | None = Field(
        default=None,
        alias="from",
        description="only records from this moment on, or from the beginning of this day; in the time zone of "
        "the school by default",
    )
    until: To | None = Field(
        default=None,
        alias="to",
        description="only records until this moment, or until the end of this day",
    )

    def in_zone(self, zone: tzinfo) -> Self:
        """Return the same query with `since` and `until` in UTC. `zone` is the time zone of the school."""
        return self.model_copy(update=period_in_utc(self.since, self.until, zone))


class Search(Narrowed):
    """Parameters of a search for nodes of one label."""

    label: Label = Field(description="the label")
    begins: str = Field(
        default="", max_length=500, description="the beginning of the id or of the name"
    )
    limit: int = Field(
        default=MOST_NODES, ge=1, le=1_000, description="the largest number of nodes in the answer"
    )


class Filtered(Narrowed):
    """Filters of relationships and of the nodes at their other ends."""

    type: tuple[Type, ...] = Field(
        default=(), description="types of relationships; all types by default"
    )
    label: tuple[Label, ...] = Field(
        default=(), description="labels of other nodes; all labels by default"
    )
    min_weight: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="the smallest weight; a relationship without a weight is kept",
    )
    min_confidence: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="the smallest confidence; a relationship without one is kept",
    )


class OfNode(Filtered):
    """Parameters of a query for the neighbours of a node."""

    node: NodeName
    other: NodeName | None = Field(default=None, description="only relationships with this node")
    limit: int = Field(
        default=MOST_NODES,
        ge=1,
        le=1_000,
        description="the largest number of relationships in the answer",
    )


class OfStatistics(Narrowed):
    """Parameters of the statistics."""


class OneNode(Narrowed):
    """Parameters of a query for the details of a node."""

    node: NodeName


class OfRoot(Filtered):
    """Parameters of a query for the nodes around a node."""

    node: NodeName
    depth: int = Field(
        default=1, ge=1, le=MOST_DEPTH, description="the largest number of steps from the node"
    )
    limit: int = Field(
        default=MOST_NODES, ge=1, le=1_000, description="the largest number of nodes in the answer"
    )


class OfPath(Filtered):
    """Parameters of a search for a path between two nodes."""

    node: NodeName
    other: NodeName
    steps: int = Field(default=6, ge=1, le=MOST_STEPS, description="the largest number of steps")


class ShownNode(ContractModel):
    """A node in an answer. `node` is `LABEL:ID`; `at` is the time of a record and null for other nodes."""

    node: str
    label: str
    name: str
    at: datetime | str | None = None
    steps: int | None = Field(default=None, description="number of steps from the root")


class ShownRelationship(ContractModel):
    """All relationships of one type from one node to another; `relationships` is their number.

    `weight` says how often something happened (mistakes count by their severity) or how strong the relationship is.
    `confidence` is the highest confidence of these relationships.
    """

    source: str
    type: str
    target: str
    relationships: int
    weight: float | None = None
    confidence: float | None = None


class GraphAnswer(ContractModel):
    """Nodes and relationships. `of_how_many` has the numbers of those that exist, `left_out` of those not shown."""

    computed_by: str
    of_how_many: dict[str, int]
    left_out: dict[str, int]
    nodes: tuple[ShownNode, ...]
    relationships: tuple[ShownRelationship, ...] = ()


class RelationshipCount(ContractModel):
    """The number of other nodes that a node has relationships of one type and direction with."""

    type: str
    direction: Literal["out", "in"]
    label: str
    nodes: int


class Details(ContractModel):
    """A node with its properties and the number of its neighbours. Types with too many relationships are left out."""

    computed_by: str
    node: ShownNode
    properties: dict[str, Any]
    counts: tuple[RelationshipCount, ...]
    left_out: dict[str, int]


class Statistics(ContractModel):
    """The number of nodes by label, and of pairs of nodes by type of relationship. Zeros are left out."""

    computed_by: str
    nodes: dict[str, int]
    relationships: dict[str, int]


class PathAnswer(GraphAnswer):
    """The nodes and relationships of a shortest path in their order. If there is no path, both are empty."""

    steps: int | None = None
