"""Question 13: which weakness travels to the next course?"""

from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import (
    Count,
    Difference,
    Evidence,
    Figure,
    Found,
    Measured,
    Name,
    Noise,
    Row,
    Share,
    number_of,
    share_of,
    statistic,
)
from edugraph_insights.facts import Facts
from edugraph_insights.mastery import Flags, Integers
from edugraph_insights.practice import PointTries, TriedPoint, shared
from edugraph_insights.questions.question import Parameters, Question

# A student with a larger share of wrong first attempts at a point counts as wrong at it.
MOSTLY_WRONG = 0.5


class ToNextCourse(Parameters):
    """Parameters of a question about the students who took both courses."""

    next_course: Id = Field(description="the course that comes after this one")

    @property
    def courses(self) -> tuple[str, ...]:
        return (self.course, self.next_course)


class TravellingWeakness(Row):
    """One point. `difference` is the share wrong in the next course: those wrong in this one − those right in it."""

    identity: ClassVar[tuple[str, ...]] = ("point",)

    point: Name
    name: Name
    difference: Difference
    wrong_after_wrong: Share
    wrong_after_right: Share
    students_wrong: Count
    students_right: Count
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: ToNextCourse) -> Found[TravellingWeakness]:
    tries = facts.point_tries(asked.course)
    later_tries = facts.point_tries(asked.next_course)
    later = {point.id: point for point in later_tries.tried_points()}
    numbers = tries.numbers_of(later_tries.students)
    rows = []
    not_before = 0
    for point in tries.tried_points():
        if point.id not in later:
            continue
        in_order = _InOrder.of(point, later[point.id], numbers)
        not_before += in_order.others
        if not in_order.students.size:
            continue
        is_wrong = in_order.is_wrong
        wrong_after_wrong = _share(in_order.is_wrong_later[is_wrong])
        wrong_after_right = _share(in_order.is_wrong_later[~is_wrong])
        difference = None
        if wrong_after_wrong is not None and wrong_after_right is not None:
            difference = wrong_after_wrong - wrong_after_right
        wrong = int(is_wrong.sum())
        row = TravellingWeakness(
            point=point.id,
            name=point.name,
            difference=difference,
            wrong_after_wrong=wrong_after_wrong,
            wrong_after_right=wrong_after_right,
            students_wrong=wrong,
            students_right=len(in_order.students) - wrong,
            evidence=asked.records(point=point.id),
        )
        measured = Measured(row)
        if facts.in_cells:
            measured = _in_cells(row, asked, tries, in_order)
        rows.append(measured)
    in_this = frozenset(tries.numbers)
    in_next = frozenset(later_tries.numbers)
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts in both": in_this & in_next,
        },
        left_out={"students and points that did not end before the next course began": not_before},
    )


class _InOrder(NamedTuple):
    """The students who ended with a point in this course before they began with it in the next one, as columns.

    `students` are their numbers in this course. `others` is the number of students with another order.
    """

    students: Integers
    number: Integers
    number_later: Integers
    is_wrong: Flags
    is_wrong_later: Flags
    others: int

    @classmethod
    def of(cls, point: TriedPoint, later: TriedPoint, numbers: Integers) -> "_InOrder":
        """Return them. `numbers` maps the numbers of students in the next course to those in this one."""
        students_later = numbers[later.students]
        rows_later = np.flatnonzero(students_later >= 0)
        students, rows, places = shared(point.students, students_later[rows_later])
        rows_later = rows_later[places]
        is_in_order = point.last[rows] < later.first[rows_later]
        rows = rows[is_in_order]
        rows_later = rows_later[is_in_order]
        is_wrong = point.wrong > MOSTLY_WRONG
        is_wrong_later = later.wrong > MOSTLY_WRONG
        return cls(
            students[is_in_order],
            point.number[rows],
            later.number[rows_later],
            is_wrong[rows],
            is_wrong_later[rows_later],
            others=len(students) - len(rows),
        )


def _share(is_wrong: Flags) -> float | None:
    """Return the share of students who are wrong, or None if there are no students."""
    if not is_wrong.size:
        return None
    return int(is_wrong.sum()) / len(is_wrong)


def _in_cells(
    row: TravellingWeakness, asked: ToNextCourse, tries: PointTries, in_order: _InOrder
) -> Measured[TravellingWeakness]:
    """Return the row with what each student adds to its figures."""
    students = tries.ids(in_order.students)
    wrong = tries.ids(in_order.students[in_order.is_wrong])
    right = tries.ids(in_order.students[~in_order.is_wrong])
    wrong_later = set(tries.ids(in_order.students[in_order.is_wrong_later]))
    about = (asked.course, asked.next_course, row.point)
    figures: dict[str, Figure] = {}
    name = statistic("wrong after wrong", *about)
    figures["wrong_after_wrong"] = share_of(name, wrong_later, wrong)
    name = statistic("wrong after right", *about)
    figures["wrong_after_right"] = share_of(name, wrong_later, right)
    name = statistic("wrong before", *about)
    figures["students_wrong"] = number_of(name, wrong)
    name = statistic("right before", *about)
    figures["students_right"] = number_of(name, right)
    number = in_order.number.tolist()
    number_later = in_order.number_later.tolist()
    tries_of: dict[str, tuple[int, int]] = {}
    for index, student in enumerate(students):
        tries_of[student] = (number[index], number_later[index])
    return Measured(row, frozenset(students), figures, tries_of)


def derived(row: TravellingWeakness) -> TravellingWeakness:
    if row.wrong_after_wrong is None or row.wrong_after_right is None:
        return row
    difference = row.wrong_after_wrong - row.wrong_after_right
    return row.model_copy(update={"difference": difference})


QUESTION = Question(
    name="travelling-weaknesses",
    title="Which weakness travels to the next course?",
    computed_by="Of points that items of both courses test, over students whose last first attempt at the point"
    " in this course came before their first one in the next: share wrong in the next of those who "
    "were wrong here, minus that of those who were right here. Wrong: over half of a student's "
    "first attempts at the point.",
    parameters=ToNextCourse,
    row=TravellingWeakness,
    find=find,
    order=lambda row: (row.difference is None, -(row.difference or 0.0), row.point),
    derived=derived,
    # A student who tries the point in this course again after the next one began leaves the row.
    can_shrink=True,
    from_columns=True,
)
