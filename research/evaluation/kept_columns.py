"""Columns of insights over records that a bench holds in memory, in place of the graph."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from edugraph_common.runtime.shared_state.graph_changes import Position, Since
from edugraph_insights.columns.store import ColumnStore

Rows = list[dict[str, Any]]
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class TriedItem(NamedTuple):
    """An attempt at an item. `outcome` is in thousandths."""

    student: str
    item: str
    at: datetime
    number: int
    record: str
    outcome: int


class HeldRecords:
    """Answers the statements from which columns are filled. A bench adds those of its question."""

    def __init__(self, attempts: Iterable[TriedItem]) -> None:
        self.attempts = list(attempts)

    def read(self, statement: str, **asked: Any) -> Rows:
        if statement == "students_of_columns":
            students = asked["students"]
            number = len(students)
            return [{"students": students, "words": [""] * number, "attempts": [1] * number}]
        raise ValueError(f"the question reads {statement}, which this bench does not know")

    def read_columns(
        self, statement: str, portions: Iterable[Sequence[str]], **_asked: Any
    ) -> Iterator[tuple[Sequence[str], Rows]]:
        for portion in portions:
            rows: Rows = []
            if statement == "attempts_columns":
                wanted = set(portion)
                rows = [_in_lists(each) for each in self.attempts if each.student in wanted]
            yield portion, rows


def columns_of(graph: Any) -> ColumnStore:
    """Return the columns of records that never change."""
    return ColumnStore(graph, _unchanged, UTC)


def _unchanged(position: Position | None) -> Since:
    return Since((), Position("0", ""), is_known=position is not None)


def _in_lists(attempt: TriedItem) -> dict[str, Any]:
    moment = (attempt.at - _BEGINNING) // timedelta(microseconds=1)
    return {
        "student": attempt.student,
        "item": [attempt.item],
        "record": [attempt.record],
        "moment": [moment],
        "number": [attempt.number],
        "outcome": [attempt.outcome],
        "is_mistake": [False],
        "is_long": [False],
        "answer": [""],
    }
