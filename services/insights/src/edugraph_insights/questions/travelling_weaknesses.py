"""Question 13: which weakness travels to the next course?"""

from collections.abc import Set as AbstractSet
from typing import ClassVar

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
from edugraph_insights.facts import Facts, by_point, wrong_share
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
    before = facts.first_attempts(asked.course)
    after = facts.first_attempts(asked.next_course)
    points = facts.tested_points(attempt.item for attempt in (*before, *after))
    in_this = by_point(before, points)
    in_next = by_point(after, points)
    rows = []
    not_before = 0
    for point in in_this.keys() & in_next.keys():
        tries_before = in_this[point]
        tries_after = in_next[point]
        in_order: set[str] = set()
        for student in tries_before.keys() & tries_after.keys():
            if tries_before[student][-1].at < tries_after[student][0].at:
                in_order.add(student)
            else:
                not_before += 1
        if not in_order:
            continue
        wrong = frozenset(
            student for student in in_order if wrong_share(tries_before[student]) > MOSTLY_WRONG
        )
        right = in_order - wrong
        wrong_later = {
            student for student in in_order if wrong_share(tries_after[student]) > MOSTLY_WRONG
        }
        wrong_after_wrong = _share(wrong, wrong_later)
        wrong_after_right = _share(right, wrong_later)
        difference = None
        if wrong_after_wrong is not None and wrong_after_right is not None:
            difference = wrong_after_wrong - wrong_after_right
        row = TravellingWeakness(
            point=point.id,
            name=point.name,
            difference=difference,
            wrong_after_wrong=wrong_after_wrong,
            wrong_after_right=wrong_after_right,
            students_wrong=len(wrong),
            students_right=len(right),
            evidence=asked.records(point=point.id),
        )
        about = (asked.course, asked.next_course, point.id)
        figures: dict[str, Figure] = {}
        name = statistic("wrong after wrong", *about)
        figures["wrong_after_wrong"] = share_of(name, wrong_later, sorted(wrong))
        name = statistic("wrong after right", *about)
        figures["wrong_after_right"] = share_of(name, wrong_later, sorted(right))
        name = statistic("wrong before", *about)
        figures["students_wrong"] = number_of(name, wrong)
        name = statistic("right before", *about)
        figures["students_right"] = number_of(name, right)
        tries: dict[str, tuple[int, int]] = {}
        for student in in_order:
            number_before = len(tries_before[student])
            number_after = len(tries_after[student])
            tries[student] = (number_before, number_after)
        rows.append(Measured(row, frozenset(in_order), figures, tries))
    in_both = frozenset(attempt.student for attempt in before) & frozenset(
        attempt.student for attempt in after
    )
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "students with attempts in both": in_both,
        },
        left_out={"students and points that did not end before the next course began": not_before},
    )


def _share(students: AbstractSet[str], wrong_later: AbstractSet[str]) -> float | None:
    """Return the share of the students who were wrong later, or None if there are no students."""
    if not students:
        return None
    return len(students & wrong_later) / len(students)


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
)
