"""A graph that says what a test puts into it, and remembers what it was asked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from edugraph_common.runtime.shared_state.graph_changes import Position, Since
from edugraph_insights.columns.store import ColumnStore

Rows = list[dict[str, Any]]


class SaidGraph:
    """For each statement of `cypher/`: its rows, or a function of its parameters that gives them.

    Unless a test says since when students are in a course, all were always there. All ids own themselves.
    """

    def __init__(self, **rows: "Rows | Callable[..., Rows]") -> None:
        always: dict[str, Rows | Callable[..., Rows]] = {
            "first_course_record": always_there,
            "first_answers": always_there,
            "owner_of": [],
            "students_of_columns": without_losses,
        }
        self.rows: dict[str, Rows | Callable[..., Rows]] = {**always, **rows}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def read(self, statement: str, **parameters: Any) -> Rows:
        self.asked.append((statement, parameters))
        found = self.rows[statement]
        return found(**parameters) if callable(found) else found

    def read_by_student(self, statement: str, students: Sequence[str], **parameters: Any) -> Rows:
        return self.read(statement, students=list(students), **parameters)

    def read_columns(
        self, statement: str, portions: Iterable[Sequence[str]], **parameters: Any
    ) -> Iterator[tuple[Sequence[str], Rows]]:
        for portion in portions:
            yield portion, self.read(statement, students=list(portion), **parameters)


def unchanged(position: Position | None) -> Since:
    """Return the changes of a graph that never changes."""
    return Since((), Position("0", ""), is_known=position is not None)


def kept(graph: Any, zone: tzinfo = UTC) -> ColumnStore:
    """Return the columns of a graph that never changes."""
    return ColumnStore(graph, unchanged, zone)


def attempts_in_lists(attempts: Rows) -> Rows:
    """Return attempts without answers in the form of `attempts_columns`."""
    found = []
    for row in attempts:
        values = {"student": row["student"], "moment": [microseconds(row["at"])]}
        for name in ("item", "record", "number", "outcome"):
            values[name] = [row[name]]
        found.append({**values, "is_mistake": [False], "is_long": [False], "answer": [""]})
    return found


def errors_in_lists(errors: Rows) -> Rows:
    """Return mistakes that are not attempts in the form of `errors_columns`."""
    found = []
    for row in errors:
        values = {"record": [row["record"]], "moment": [microseconds(row["at"])]}
        found.append({"student": row["student"], **values, "resolved": [int(row["resolved"])]})
    return found


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def without_losses(students: Sequence[str]) -> Rows:
    number = len(students)
    return [{"students": list(students), "words": [""] * number, "attempts": [1] * number}]


def always_there(students: Sequence[str], **_: Any) -> Rows:
    return [{"student": who, "at": None} for who in students]


def students(*ids: str) -> Rows:
    return [{"student": who} for who in ids]


def in_one_list(*ids: str) -> Rows:
    """Return students as the statements about whole courses do."""
    return [{"students": list(ids)}]
