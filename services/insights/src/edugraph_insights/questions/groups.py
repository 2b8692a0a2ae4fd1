"""Question 9: this group against another, such as the group of last year."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import Count, Difference, Found, Mark, Measured, Name, Row, Share
from edugraph_insights.bootstrap import Resamples, difference_interval
from edugraph_insights.facts import Attempt, Facts, Point, wrong_share
from edugraph_insights.questions import needs_help
from edugraph_insights.questions.question import OfSeveral, Parameters, Question
from edugraph_insights.school_days import Term
from edugraph_insights.statistics import mean

ENOUGH_FOR_INTERVAL = 10  # students of each group
RIGHT, WRONG, NEEDS_HELP = "right", "wrong at a point", "needs help"
NO_POINT = Point("", "")


class OfTwoGroups(needs_help.OfHelp, OfSeveral):
    """Parameters of a question about two groups in a course, each in its own period."""

    group: Id = Field(description="the group")
    other_group: Id = Field(description="the group to compare it with")
    other_term: Id | None = Field(default=None, description="the term of the other group; the same term by default")
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="seed of the bootstrap; the same seed gives the same interval"
    )

    @property
    def beside(self) -> Parameters:
        times = {"term": self.other_term, "since": None, "until": None} if self.other_term else {}
        return self.model_copy(update={"group": self.other_group, **times})


class GroupDifference(Row):
    """One number of both groups. `difference` is group − other.

    `low` and `high` are its 95 % interval, null if a group has fewer than ten students. `school_week` is null in rows
    about all weeks that both groups have reached.
    """

    measure: Name
    point: Name
    name: Name
    school_week: Annotated[int | None, Mark.NAME]
    group: Share
    other: Share
    difference: Difference
    low: Difference
    high: Difference
    students: Count
    other_students: Count


class Cell(NamedTuple):
    """The identity of a number: what it measures, at which point, and in which week of the term."""

    measure: str
    point: Point
    week: int | None


Values = Mapping[Cell, Mapping[str, float]]  # cell -> student -> value


def find(facts: Facts, asked: OfTwoGroups) -> Found[GroupDifference]:
    sides = (facts, facts.beside or facts)
    made = [side.attempts(asked.course) for side in sides]
    first = [side.first_of(attempts) for side, attempts in zip(sides, made, strict=True)]
    reached = [_week(side, side.until) for side in sides]
    # Weeks that only one of the groups has reached are left out.
    last = None if None in reached else min(week for week in reached if week is not None)
    counted = [
        [each for each in attempts if last is None or (_week(side, each.at) or 0) <= last]
        for side, attempts in zip(sides, first, strict=True)
    ]
    shared = frozenset.intersection(*(frozenset(each.item for each in attempts) for attempts in counted))
    points = facts.tested_points(shared)
    values: list[Values] = []
    for side, every_attempt, attempts in zip(sides, made, counted, strict=True):
        of_items = _values(side, [each for each in attempts if each.item in shared], points)
        rows = needs_help.found_from(every_attempt, side, asked).rows
        helped = {each.row.student: float(bool(each.row.reasons)) for each in rows}
        values.append({**of_items, Cell(NEEDS_HELP, NO_POINT, None): helped})
    drawn = [
        Resamples(side.students, np.random.default_rng((asked.seed, number))) for number, side in enumerate(sides)
    ]
    found = [
        _compared(cell, (values[0][cell], values[1][cell]), (drawn[0], drawn[1]))
        for cell in values[0].keys() & values[1].keys()
        if values[0][cell] and values[1][cell]
    ]
    return Found(
        tuple(found),
        of_how_many={
            "students": frozenset(sides[0].students),
            "students of the other group": frozenset(sides[1].students),
            "shared items": len(shared),
        },
        left_out={
            "first attempts in weeks that one group has not reached": sum(map(len, first)) - sum(map(len, counted)),
            "first attempts at items of one group alone": sum(
                each.item not in shared for attempts in counted for each in attempts
            ),
        },
    )


def _week(side: Facts, at: datetime) -> int | None:
    """Return the number of the week in the term or, without a term, since `since`. None if there is neither."""
    begins = (side.term and side.term.starts) or side.since
    return Term(begins).week_of(at)


def _values(side: Facts, attempts: list[Attempt], points: Mapping[str, list[Point]]) -> dict[Cell, dict[str, float]]:
    """Return each student's share right, and share wrong at each point, by week and over the whole period."""
    made: dict[Cell, dict[str, list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    for each in attempts:
        for week in {None, _week(side, each.at)}:
            made[Cell(RIGHT, NO_POINT, week)][each.student].append(each)
            for point in points.get(each.item, ()):
                made[Cell(WRONG, point, week)][each.student].append(each)
    return {
        cell: {
            student: 1 - wrong_share(mine) if cell.measure == RIGHT else wrong_share(mine)
            for student, mine in of_students.items()
        }
        for cell, of_students in made.items()
    }


def _compared(
    cell: Cell, values: tuple[Mapping[str, float], Mapping[str, float]], drawn: tuple[Resamples, Resamples]
) -> Measured[GroupDifference]:
    one, other = (mean(list(each.values())) or 0.0 for each in values)
    enough = min(map(len, values)) >= ENOUGH_FOR_INTERVAL
    interval = difference_interval(drawn[0].means(values[0]), drawn[1].means(values[1])) if enough else None
    low, high = interval or (None, None)
    row = GroupDifference(
        measure=cell.measure,
        point=cell.point.id,
        name=cell.point.name,
        school_week=cell.week,
        group=one,
        other=other,
        difference=one - other,
        low=low,
        high=high,
        students=len(values[0]),
        other_students=len(values[1]),
    )
    groups = [frozenset(each) for each in values]
    return Measured(row, groups[0] | groups[1], tuple(groups))


QUESTION = Question(
    name="groups",
    title="This group against another",
    computed_by="Over the first attempts at items that both groups tried, in the weeks of the term that both have "
    "reached: the mean over students of the share right, and at each point of the share wrong, by week "
    "and over the whole time; and the share of students who need help at its end (needs-help). The "
    "interval of a difference is a bootstrap over students (1,000 resamples, percentiles), from 10 "
    "students of each group on.",
    parameters=OfTwoGroups,
    row=GroupDifference,
    find=find,
    order=lambda row: (
        (RIGHT, NEEDS_HELP, WRONG).index(row.measure),
        row.point,
        row.school_week is not None,
        row.school_week or 0,
    ),
)
