"""A graph that says what a test puts into it, and remembers what it was asked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

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
