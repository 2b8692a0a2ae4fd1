"""A graph that says what a test puts into it, and remembers what it was asked."""

from collections.abc import Callable, Sequence
from typing import Any

Rows = list[dict[str, Any]]


class SaidGraph:
    """For each statement of `cypher/`: its rows, or a function of its parameters that gives them.

    Of nobody it says since when they are in a course, unless a test does: they were always there.
    """

    def __init__(self, **rows: "Rows | Callable[..., Rows]") -> None:
        self.rows: dict[str, Rows | Callable[..., Rows]] = {"first_standing": [], "first_answers": [], **rows}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def read(self, statement: str, **parameters: Any) -> Rows:
        self.asked.append((statement, parameters))
        found = self.rows[statement]
        return found(**parameters) if callable(found) else found

    def read_by_student(self, statement: str, students: Sequence[str], **parameters: Any) -> Rows:
        return self.read(statement, students=list(students), **parameters)


def students(*ids: str) -> Rows:
    return [{"student": who} for who in ids]
