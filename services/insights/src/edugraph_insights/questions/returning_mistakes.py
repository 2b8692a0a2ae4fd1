"""Question 5: which mistakes come back, and does practice help?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import ClassVar

from edugraph_common.contracts.records import HALF
from edugraph_insights.answers import (
    Count,
    Evidence,
    Figure,
    Found,
    Measured,
    Name,
    Noise,
    Row,
    Share,
    mean_of,
    number_of,
    share_of,
    statistic,
)
from edugraph_insights.facts import Attempt, Facts, by_point
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import mean

# A mistake after this many right attempts counts as one that came back.
RIGHTS = 2
# The learning curve has this many first attempts of each student of the cohort.
CURVE = 3
CURVE_FIELDS = ("right_first", "right_second", "right_third")


class ReturningMistake(Row):
    """One point. `right_first`, `…_second` and `…_third` are the learning curve of the students in `cohort`."""

    identity: ClassVar[tuple[str, ...]] = ("point",)

    point: Name
    name: Name
    returned: Share
    students_with_two_rights: Count
    practised_again: Count
    right_first: Share
    right_second: Share
    right_third: Share
    cohort: Count
    evidence: Evidence = None
    noise: Noise = None


def find(facts: Facts, asked: Parameters) -> Found[ReturningMistake]:
    first = facts.first_attempts(asked.course)
    points = facts.tested_points(attempt.item for attempt in first)
    rows = []
    for point, tries_by_student in by_point(first, points).items():
        after_two_rights: dict[str, list[Attempt]] = {}
        for student, tries in tries_by_student.items():
            later = _after_two_rights(tries)
            if later is not None:
                after_two_rights[student] = later
        practised_again = frozenset(student for student, later in after_two_rights.items() if later)
        returned = [student for student, later in after_two_rights.items() if _has_mistake(later)]
        cohort = {
            student: tries for student, tries in tries_by_student.items() if len(tries) >= CURVE
        }
        curve = []
        for step in range(CURVE):
            curve.append(mean([tries[step].outcome / 1000 for tries in cohort.values()]))
        row = ReturningMistake(
            point=point.id,
            name=point.name,
            returned=len(returned) / len(after_two_rights) if after_two_rights else None,
            students_with_two_rights=len(after_two_rights),
            practised_again=len(practised_again),
            right_first=curve[0],
            right_second=curve[1],
            right_third=curve[2],
            cohort=len(cohort),
            evidence=asked.records(point=point.id),
        )
        about = (asked.course, point.id)
        figures = _curve(about, cohort)
        returned_name = statistic("returned", *about)
        came_back = frozenset(returned)
        figures["returned"] = share_of(returned_name, came_back, sorted(after_two_rights))
        numbers: dict[str, Iterable[str]] = {
            "students_with_two_rights": after_two_rights,
            "practised_again": practised_again,
            "cohort": cohort,
        }
        for name, counted in numbers.items():
            number_name = statistic(name, *about)
            figures[name] = number_of(number_name, counted)
        students = frozenset(tries_by_student)
        tries_of: dict[str, int] = {}
        for student, tries in tries_by_student.items():
            tries_of[student] = len(tries)
        rows.append(Measured(row, students, figures, tries_of))
    first_of = Counter(each.student for each in first)
    return Found(
        tuple(rows),
        of_how_many={"students": frozenset(facts.students), "first attempts": first_of},
        left_out={
            "first attempts at items of no known point": sum(
                each.item not in points for each in first
            )
        },
    )


def _curve(about: tuple[str, str], cohort: Mapping[str, list[Attempt]]) -> dict[str, Figure]:
    """Return the figures of the learning curve."""
    figures: dict[str, Figure] = {}
    for step, name in enumerate(CURVE_FIELDS):
        outcomes: dict[str, float] = {}
        for student, tries in cohort.items():
            outcomes[student] = tries[step].outcome / 1000
        curve_name = statistic(name, *about)
        figures[name] = mean_of(curve_name, outcomes)
    return figures


def _has_mistake(attempts: list[Attempt]) -> bool:
    return any(attempt.outcome < HALF for attempt in attempts)


def _after_two_rights(tries: list[Attempt]) -> list[Attempt] | None:
    """Return the attempts after the second right one, or None if there are not two right ones."""
    right = 0
    for index, attempt in enumerate(tries):
        if attempt.outcome >= HALF:
            right += 1
        if right == RIGHTS:
            return tries[index + 1 :]
    return None


QUESTION = Question(
    name="returning-mistakes",
    title="Which mistakes come back, and does practice help?",
    computed_by="Over first attempts at the items of a point, in their order: students with a wrong one after "
    "two right ones ÷ students with two right ones. The curve is the mean outcome of the first, "
    "second and third of them, over those students alone who have three.",
    parameters=Parameters,
    row=ReturningMistake,
    find=find,
    order=lambda row: (-(row.returned or 0.0), -(row.students_with_two_rights or 0), row.point),
)
