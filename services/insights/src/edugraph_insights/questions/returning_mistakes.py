"""Question 5: which mistakes come back, and does practice help?"""

from collections import Counter
from typing import ClassVar, NamedTuple

import numpy as np

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
from edugraph_insights.facts import Facts
from edugraph_insights.mastery import Flags, Floats
from edugraph_insights.questions.question import Parameters, Question
from edugraph_insights.statistics import mean
from edugraph_insights.tries import PractisedPoint

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


class Returns(NamedTuple):
    """Flags of the students who tried a point: whether they have two right attempts, and what came after these.

    `has_returned` says that a later attempt was wrong. Students of the cohort have enough attempts for the curve.
    """

    has_two_rights: Flags
    has_practised_again: Flags
    has_returned: Flags
    is_in_cohort: Flags


def find(facts: Facts, asked: Parameters) -> Found[ReturningMistake]:
    first = facts.tries_in_order(asked.course)
    rows = []
    for point in first.practised_points():
        returns = _returns(point)
        with_two_rights = int(returns.has_two_rights.sum())
        with_mistake = int(returns.has_returned.sum())
        returned = None
        if with_two_rights:
            returned = with_mistake / with_two_rights
        practised_again = int(returns.has_practised_again.sum())
        cohort = int(returns.is_in_cohort.sum())
        curve: dict[str, float | None] = {}
        for name, outcomes in _curve(point, returns.is_in_cohort).items():
            curve[name] = mean(outcomes.tolist())
        row = ReturningMistake(
            point=point.id,
            name=point.name,
            returned=returned,
            students_with_two_rights=with_two_rights,
            practised_again=practised_again,
            cohort=cohort,
            evidence=asked.records(point=point.id),
            **curve,
        )
        measured = Measured(row)
        if facts.in_cells:
            measured = _in_cells(row, asked.course, point, returns)
        rows.append(measured)
    return Found(
        tuple(rows),
        of_how_many={
            "students": frozenset(facts.students),
            "first attempts": Counter(first.numbers),
        },
        left_out={"first attempts at items of no known point": first.without_point},
    )


def _returns(point: PractisedPoint) -> Returns:
    is_right = point.outcome >= HALF
    comes_after_two_rights = point.right_before(is_right) >= RIGHTS
    is_mistake_after_two_rights = comes_after_two_rights & ~is_right
    number_right = np.add.reduceat(is_right, point.starts, dtype=np.int64)
    has_two_rights = number_right >= RIGHTS
    has_practised_again = np.logical_or.reduceat(comes_after_two_rights, point.starts)
    has_returned = np.logical_or.reduceat(is_mistake_after_two_rights, point.starts)
    is_in_cohort = point.number >= CURVE
    return Returns(has_two_rights, has_practised_again, has_returned, is_in_cohort)


def _curve(point: PractisedPoint, is_in_cohort: Flags) -> dict[str, Floats]:
    """Return the outcomes of the students of the cohort, from 0 to 1, by the field of the learning curve."""
    starts = point.starts[is_in_cohort]
    curve = {}
    for step, name in enumerate(CURVE_FIELDS):
        curve[name] = point.outcome[starts + step] / 1000
    return curve


def _in_cells(
    row: ReturningMistake, course: str, point: PractisedPoint, returns: Returns
) -> Measured[ReturningMistake]:
    """Return the row with what each student adds to its figures."""
    about = (course, point.id)
    with_two_rights = point.students(returns.has_two_rights)
    cohort = point.students(returns.is_in_cohort)
    came_back = frozenset(point.students(returns.has_returned))
    figures: dict[str, Figure] = {}
    returned_name = statistic("returned", *about)
    figures["returned"] = share_of(returned_name, came_back, with_two_rights)
    for name, outcomes in _curve(point, returns.is_in_cohort).items():
        outcome_of = dict(zip(cohort, outcomes.tolist(), strict=True))
        curve_name = statistic(name, *about)
        figures[name] = mean_of(curve_name, outcome_of)
    numbers = {
        "students_with_two_rights": with_two_rights,
        "practised_again": point.students(returns.has_practised_again),
        "cohort": cohort,
    }
    for name, counted in numbers.items():
        number_name = statistic(name, *about)
        figures[name] = number_of(number_name, counted)
    students = point.students(point.number > 0)
    tries_of = dict(zip(students, point.number.tolist(), strict=True))
    return Measured(row, frozenset(students), figures, tries_of)


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
    from_columns=True,
)
