"""The cells of a table of students and points: how did each student do at each point?"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, NamedTuple

from edugraph_common.contracts.records import HALF
from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Attempt, Facts, Point, by_point
from edugraph_insights.questions.question import Parameters, Question

Text = Annotated[str, Mark.PERSONAL]
Number = Annotated[int, Mark.PERSONAL]
PersonalShare = Annotated[float | None, Mark.PERSONAL]


class GridCell(Row):
    """One student at one point. `share` is the mean outcome of the first attempts, and null without one.

    `tries` are all attempts in the period, also repeated ones. The last of them has the outcome `last_outcome`.
    """

    student: Text
    student_name: Annotated[str | None, Mark.PERSONAL]
    point: Text
    name: Text
    tries: Number
    first_attempts: Number
    right: Number
    share: PersonalShare
    last_outcome: Annotated[float, Mark.PERSONAL]
    last: Annotated[datetime, Mark.PERSONAL]
    evidence: Evidence = None


class Cell(NamedTuple):
    """The attempts of one student at the items of one point, in their order. `tries` has at least one."""

    tries: list[Attempt]
    first_attempts: list[Attempt]

    @property
    def right(self) -> int:
        return sum(each.outcome >= HALF for each in self.first_attempts)

    @property
    def share(self) -> float | None:
        """The mean outcome of the first attempts, from 0 to 1. None without one."""
        if not self.first_attempts:
            return None
        return sum(each.outcome for each in self.first_attempts) / len(self.first_attempts) / 1000

    @property
    def is_wrong(self) -> bool:
        """Whether the first attempts were wrong on the whole."""
        return self.share is not None and self.share < 0.5


class Tries(NamedTuple):
    """The attempts of the period, and their cells by point and student."""

    attempts: list[Attempt]
    cells: dict[Point, dict[str, Cell]]
    # Attempts at items that test no known point. They are in no cell.
    without_point: int


def tries_in_period(facts: Facts, course: str) -> Tries:
    """Return the attempts of the period by point and student."""
    return tries_of(facts, facts.attempts(course), facts.since)


def tries_of(facts: Facts, attempts: list[Attempt], since: datetime | None) -> Tries:
    """Return those of all attempts of a course that were made at or after `since`, by point and student.

    A repeated attempt is a try, but not a first attempt, even if the first one is not in the period.
    """
    in_period = _since(attempts, since)
    tested = facts.tested_points(each.item for each in in_period)
    first = by_point(_since(facts.first_of(attempts), since), tested)
    cells: dict[Point, dict[str, Cell]] = {}
    for point, of_students in by_point(in_period, tested).items():
        cells[point] = {}
        for student, tries in of_students.items():
            first_attempts = first.get(point, {}).get(student, [])
            cells[point][student] = Cell(tries, first_attempts)
    without_point = sum(each.item not in tested for each in in_period)
    return Tries(in_period, cells, without_point)


def _since(attempts: Iterable[Attempt], since: datetime | None) -> list[Attempt]:
    if since is None:
        return list(attempts)
    return [each for each in attempts if each.at >= since]


def find(facts: Facts, asked: Parameters) -> Found[GridCell]:
    names = facts.names()
    found = tries_in_period(facts, asked.course)
    rows = []
    for point, of_students in found.cells.items():
        for student, cell in of_students.items():
            last = cell.tries[-1]
            row = GridCell(
                student=student,
                student_name=names.get(student),
                point=point.id,
                name=point.name,
                tries=len(cell.tries),
                first_attempts=len(cell.first_attempts),
                right=cell.right,
                share=cell.share,
                last_outcome=last.outcome / 1000,
                last=last.at,
                evidence=asked.model_copy(update={"student": student}).records(point=point.id),
            )
            rows.append(Measured(row, frozenset({student})))
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts": frozenset(each.student for each in found.attempts),
            "tries": len(found.attempts),
        },
        left_out={"tries at items of no known point": found.without_point},
    )


QUESTION = Question(
    name="grid",
    title="How did each student do at each point?",
    computed_by="For each student and each point that an item of theirs tests: the attempts of the period with an "
    "outcome (tries), the first attempts among them, how many of these were right (an outcome of 0.5 or more), the "
    "mean of their outcomes, and the outcome of the last try. A student without a try at a point has no row there.",
    parameters=Parameters,
    row=GridCell,
    find=find,
    order=lambda row: (row.student, row.point),
    quotes=True,
)
