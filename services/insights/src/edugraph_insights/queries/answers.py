"""What the general queries are asked with, and what their answers look like."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.record_fields import Id, normal_id
from edugraph_insights.queries.links import LABELS, TYPES
from edugraph_insights.questions.question import Moment

MOST_NODES = 150  # of an answer, by default
MOST_DEPTH = 4
MOST_STEPS = 8  # of a path


def check_name(value: str) -> str:
    label, _, node_id = value.partition(":")
    if label not in LABELS or not normal_id(node_id):
        raise ValueError(f"a node is LABEL:ID, with a label of {', '.join(LABELS)}")
    return f"{label}:{normal_id(node_id)}"


NodeName = Annotated[
    str, Field(max_length=8_100, description="a node, such as `Student:s01`"), AfterValidator(check_name)
]
Label = Literal[LABELS]  # type: ignore[valid-type]
Type = Literal[TYPES]  # type: ignore[valid-type]


class Narrowed(ContractModel):
    """Whose records, of which courses, and of which time."""

    model_config = ConfigDict(populate_by_name=True)

    course: Id | None = Field(default=None, description="records of this course alone, and its students")
    group: Id | None = Field(default=None, description="students of today's members of this group alone")
    since: Moment | None = Field(default=None, alias="from", description="records from this moment on")
    until: Moment | None = Field(default=None, alias="to", description="records until this moment")


class Search(Narrowed):
    """Which nodes of a label?"""

    label: Label = Field(description="the label")
    begins: str = Field(default="", max_length=500, description="how an id or a name begins")
    limit: int = Field(default=MOST_NODES, ge=1, le=1_000, description="nodes shown, at most")


class Filtered(Narrowed):
    """Which relationships, and which nodes at their other end."""

    type: tuple[Type, ...] = Field(default=(), description="types of relationships; without it, all")
    label: tuple[Label, ...] = Field(default=(), description="labels of other nodes; without it, all")
    min_weight: float | None = Field(
        default=None, allow_inf_nan=False, description="no relationship with a smaller weight; one without any stays"
    )
    min_confidence: float | None = Field(
        default=None, ge=0, le=1, description="no relationship with a smaller confidence; one without any stays"
    )


class OfNode(Filtered):
    """What is beside a node?"""

    node: NodeName
    other: NodeName | None = Field(default=None, description="relationships with this node alone")
    limit: int = Field(default=MOST_NODES, ge=1, le=1_000, description="relationships shown, at most")


class OfSight(Narrowed):
    """How much is there?"""


class OneNode(Narrowed):
    """What is known of a node?"""

    node: NodeName


class OfRoot(Filtered):
    """What is around a node?"""

    node: NodeName
    depth: int = Field(default=1, ge=1, le=MOST_DEPTH, description="steps from the node, at most")
    limit: int = Field(default=MOST_NODES, ge=1, le=1_000, description="nodes shown, at most")


class OfPath(Filtered):
    """How do two nodes hang together?"""

    node: NodeName
    other: NodeName
    steps: int = Field(default=6, ge=1, le=MOST_STEPS, description="steps, at most")


class ShownNode(ContractModel):
    """`node` is `LABEL:ID`. `at` is the time of a record."""

    node: str
    label: str
    name: str
    at: datetime | str | None = None
    steps: int | None = Field(default=None, description="from the root")


class ShownRelationship(ContractModel):
    """All relationships of a type from one thing to another: `relationships` is how many.

    `weight` is how often (mistakes weighed by their severity), or how strongly; `confidence` is the highest.
    """

    source: str
    type: str
    target: str
    relationships: int
    weight: float | None = None
    confidence: float | None = None


class GraphAnswer(ContractModel):
    """Nodes and relationships. `left_out` says what is not shown, `of_how_many` how many there are."""

    computed_by: str
    of_how_many: dict[str, int]
    left_out: dict[str, int]
    nodes: tuple[ShownNode, ...]
    relationships: tuple[ShownRelationship, ...] = ()


class RelationshipCount(ContractModel):
    """How many other things a node has relationships of a type with."""

    type: str
    direction: Literal["out", "in"]
    label: str
    nodes: int


class Details(ContractModel):
    """A node with what stands in it, and how many others are beside it. Of a hub, nothing is counted."""

    computed_by: str
    node: ShownNode
    properties: dict[str, Any]
    counts: tuple[RelationshipCount, ...]
    left_out: dict[str, int]


class Statistics(ContractModel):
    """How many nodes of each label, and pairs of nodes with a relationship of each type. What is none is left out."""

    computed_by: str
    nodes: dict[str, int]
    relationships: dict[str, int]


class PathAnswer(GraphAnswer):
    """The nodes of a shortest path in their order, and its relationships; none where there is no path."""

    steps: int | None = None
