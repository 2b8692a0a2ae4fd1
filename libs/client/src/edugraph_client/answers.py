"""What insights answers. `tests/test_answers.py` compares these with its OpenAPI document.

A field that a newer release added is left out rather than refused.
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


class Answer(AnswerModel):
    """`computed_by` says how the numbers are computed. Where `exact` is false, small groups are left out."""

    question: str
    computed_by: str
    as_of: datetime
    parameters: dict[str, str]
    exact: bool
    of_how_many: dict[str, int]
    left_out: dict[str, int]
    rows: tuple[dict[str, Any], ...]
    links: dict[str, str] = {}

    def to_pandas(self) -> "DataFrame":
        """Return the rows. Times are text, as in JSON; `Client.save_answer` writes a file with types."""
        return _frame(self.rows)


class Node(AnswerModel):
    """`node` is `LABEL:ID`; `at` is the time of a record, `steps` how far it is from the root."""

    node: str
    label: str
    name: str
    at: datetime | str | None = None
    steps: int | None = None


class Relationship(AnswerModel):
    """All relationships of a type from one thing to another: `relationships` is how many."""

    source: str
    type: str
    target: str
    relationships: int
    weight: float | None = None
    confidence: float | None = None


class GraphAnswer(AnswerModel):
    """Nodes and relationships. `left_out` says what is not shown, `of_how_many` how many there are."""

    computed_by: str
    of_how_many: dict[str, int]
    left_out: dict[str, int]
    nodes: tuple[Node, ...]
    relationships: tuple[Relationship, ...] = ()

    def to_pandas(self) -> "tuple[DataFrame, DataFrame]":
        """Return the nodes, and the relationships."""
        nodes, relationships = self.nodes, self.relationships
        return _frame([each.model_dump() for each in nodes]), _frame([each.model_dump() for each in relationships])


class PathAnswer(GraphAnswer):
    """The nodes of a shortest path in their order; none where there is no path."""

    steps: int | None = None


class RelationshipCount(AnswerModel):
    """How many other things a node has relationships of a type with."""

    type: str
    direction: Literal["out", "in"]
    label: str
    nodes: int


class Details(AnswerModel):
    """A node with what stands in it, and how many others are beside it."""

    computed_by: str
    node: Node
    properties: dict[str, Any]
    counts: tuple[RelationshipCount, ...]
    left_out: dict[str, int]


def _frame(rows: Any) -> "DataFrame":
    """Return a frame of these rows. Raises ImportError with what to install."""
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise ImportError("A table of pandas needs the extra: pip install 'edugraph-client[pandas]'.") from error
    frame: DataFrame = pandas.DataFrame.from_records(list(rows))
    return frame
