"""The answers of insights. `tests/test_answers.py` compares these models with the OpenAPI document of insights.

A field that only a newer release has is left out and not refused.
"""

from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pandas import DataFrame


class AnswerModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Question(AnswerModel):
    """A question that this caller may ask, with the names of its parameters and of the columns of its answer."""

    name: str
    title: str
    computed_by: str
    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    roles: tuple[str, ...]
    links: dict[str, str]


class Choice(AnswerModel):
    id: str
    name: str


class Choices(AnswerModel):
    """The courses that this caller may ask about, at most 2,000. `sees` is the kind of rows, such as `cells`."""

    sees: str
    courses: tuple[Choice, ...]


class Answer(AnswerModel):
    """An answer. `computed_by` says how the numbers are computed.

    If `exact` is false, `protection` says how the numbers are protected.
    """

    question: str
    computed_by: str
    as_of: datetime
    parameters: dict[str, str]
    exact: bool
    protection: str = ""
    of_how_many: dict[str, int]
    left_out: dict[str, int]
    rows: tuple[dict[str, Any], ...]
    links: dict[str, str] = {}

    def to_pandas(self) -> "DataFrame":
        """Return the rows as a table. Times are text, as in JSON. `Client.save_answer` writes a file with types."""
        return _frame(self.rows)


class Node(AnswerModel):
    """A node. `node` is `LABEL:ID`, `at` is the time of a record, `steps` is the number of steps from the root."""

    node: str
    label: str
    name: str
    at: datetime | str | None = None
    steps: int | None = None


class Relationship(AnswerModel):
    """All relationships of one type from one node to another; `relationships` is their number."""

    source: str
    type: str
    target: str
    relationships: int
    weight: float | None = None
    confidence: float | None = None


class GraphAnswer(AnswerModel):
    """Nodes and relationships. `of_how_many` has the numbers of those that exist, `left_out` of those not shown."""

    computed_by: str
    of_how_many: dict[str, int]
    left_out: dict[str, int]
    nodes: tuple[Node, ...]
    relationships: tuple[Relationship, ...] = ()

    def to_pandas(self) -> "tuple[DataFrame, DataFrame]":
        """Return a table of the nodes and a table of the relationships."""
        nodes = [each.model_dump() for each in self.nodes]
        relationships = [each.model_dump() for each in self.relationships]
        return _frame(nodes), _frame(relationships)


class PathAnswer(GraphAnswer):
    """The nodes of a shortest path in their order. If there is no path, there are no nodes."""

    steps: int | None = None


class RelationshipCount(AnswerModel):
    """The number of other nodes that a node has relationships of one type and direction with."""

    type: str
    direction: Literal["out", "in"]
    label: str
    nodes: int


class Details(AnswerModel):
    """A node with its properties and the number of its neighbours."""

    computed_by: str
    node: Node
    properties: dict[str, Any]
    counts: tuple[RelationshipCount, ...]
    left_out: dict[str, int]


def _frame(rows: Any) -> "DataFrame":
    """Return these rows as a table of pandas. Raises ImportError that says what to install."""
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise ImportError(
            "A table of pandas needs the extra: pip install 'edugraph-client[pandas]'."
        ) from error
    frame: DataFrame = pandas.DataFrame.from_records(list(rows))
    return frame
