"""Question 9: this group against another, such as the group of last year."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from statistics import fmean
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from edugraph_common.contracts.record_fields import Id
from edugraph_insights.answers import Count, Difference, Found, Mark, Measured, Name, Row, Share
from edugraph_insights.bootstrap import Resamples, difference_interval
from edugraph_insights.facts import Facts, Point, TryOfDay
from edugraph_insights.questions import needs_help
from edugraph_insights.questions.question import OfSeveral, Parameters, Question
from edugraph_insights.school_days import Term, beginning_of
from edugraph_insights.statistics import mean

ENOUGH_FOR_INTERVAL = 10  # students of each group
RIGHT, WRONG, NEEDS_HELP = "right", "wrong at a point", "needs help"
NO_POINT = Point("", "")


class OfTwoGroups(needs_help.OfHelp, OfSeveral):
    """Parameters of a question about two groups in a course, each in its own period."""

    group: Id = Field(description="the group")
    other_group: Id = Field(description="the group to compare it with")
    other_term: Id | None = Field(
        default=None, description="the term of the other group; the same term by default"
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=2**32 - 1,
        description="seed of the bootstrap; the same seed gives the same interval",
    )

    @property
    def beside(self) -> Parameters:
        times: dict[str, str | None] = {}
        if self.other_term:
            times = {"term": self.other_term, "since": None, "until": None}
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


class Side(NamedTuple):
    """One of the two groups, with its first attempts in the course and the week of each day with some."""

    facts: Facts
    first_attempts: list[TryOfDay]
    weeks: Mapping[date, int | None]

    def until_week(self, last_week: int | None) -> list[TryOfDay]:
        """Return the first attempts that were made until the end of a week, or all of them for None."""
        if last_week is None:
            return self.first_attempts
        return [each for each in self.first_attempts if (self.weeks[each.day] or 0) <= last_week]


def find(facts: Facts, asked: OfTwoGroups) -> Found[GroupDifference]:
    sides = [_side(facts, asked), _side(facts.beside or facts, asked)]
    last_week = _last_shared_week(sides)
    in_time = [side.until_week(last_week) for side in sides]
    items = {each.item for each in in_time[0]}
    other_items = {each.item for each in in_time[1]}
    shared_items = items & other_items
    points = facts.tested_points(shared_items)

    values: list[Values] = []
    resamples: list[Resamples] = []
    at_shared_items = 0
    for number, (side, attempts) in enumerate(zip(sides, in_time, strict=True)):
        compared = [each for each in attempts if each.item in shared_items]
        at_shared_items += len(compared)
        of_items = _values(side, compared, points)
        values.append({**of_items, Cell(NEEDS_HELP, NO_POINT, None): _in_need(side, asked)})
        resamples.append(
            Resamples(side.facts.students, np.random.default_rng((asked.seed, number)))
        )

    found = []
    for cell in values[0].keys() & values[1].keys():
        one = values[0][cell]
        other = values[1][cell]
        if one and other:
            found.append(_compared(cell, (one, other), (resamples[0], resamples[1])))

    first_attempts = sum(len(side.first_attempts) for side in sides)
    attempts_in_time = sum(map(len, in_time))
    return Found(
        tuple(found),
        of_how_many={
            "students": frozenset(sides[0].facts.students),
            "students of the other group": frozenset(sides[1].facts.students),
            "shared items": len(shared_items),
        },
        left_out={
            "first attempts in weeks that one group has not reached": first_attempts
            - attempts_in_time,
            "first attempts at items of one group alone": attempts_in_time - at_shared_items,
        },
    )


def _side(facts: Facts, asked: OfTwoGroups) -> Side:
    first_attempts = facts.first_tries_by_day(asked.course)
    weeks: dict[date, int | None] = {}
    for day in {each.day for each in first_attempts}:
        weeks[day] = _week(facts, beginning_of(day, facts.zone))
    return Side(facts, first_attempts, weeks)


def _last_shared_week(sides: list[Side]) -> int | None:
    """Return the last week that both groups have reached, or None if the weeks of a group have no number."""
    reached = []
    for side in sides:
        week = _week(side.facts, side.facts.until)
        if week is None:
            return None
        reached.append(week)
    return min(reached)


def _in_need(side: Side, asked: OfTwoGroups) -> dict[str, float]:
    """Return student -> 1 if they need help, else 0."""
    found = needs_help.find(side.facts, asked)
    return {each.row.student: float(bool(each.row.reasons)) for each in found.rows}


def _week(facts: Facts, at: datetime) -> int | None:
    """Return the number of the week in the term or, without a term, since `since`. None if there is neither."""
    begins = facts.since
    if facts.term is not None and facts.term.starts is not None:
        begins = facts.term.starts
    return Term(begins).week_of(at, facts.zone)


def _values(
    side: Side, attempts: list[TryOfDay], points: Mapping[str, list[Point]]
) -> dict[Cell, dict[str, float]]:
    """Return each student's share right, and share wrong at each point, by week and over the whole period."""
    made: dict[Cell, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for attempt in attempts:
        # The week None is the whole period. It is the only one if weeks have no number.
        for week in {None, side.weeks[attempt.day]}:
            made[Cell(RIGHT, NO_POINT, week)][attempt.student].append(attempt.outcome)
            for point in points.get(attempt.item, ()):
                made[Cell(WRONG, point, week)][attempt.student].append(attempt.outcome)

    values: dict[Cell, dict[str, float]] = defaultdict(dict)
    for cell, of_students in made.items():
        for student, outcomes in of_students.items():
            share = fmean(outcomes) / 1000
            if cell.measure == WRONG:
                share = 1 - share
            values[cell][student] = share
    return values


def _compared(
    cell: Cell,
    values: tuple[Mapping[str, float], Mapping[str, float]],
    drawn: tuple[Resamples, Resamples],
) -> Measured[GroupDifference]:
    one, other = (mean(list(each.values())) or 0.0 for each in values)
    low = None
    high = None
    if min(map(len, values)) >= ENOUGH_FOR_INTERVAL:
        interval = difference_interval(drawn[0].means(values[0]), drawn[1].means(values[1]))
        if interval is not None:
            low, high = interval
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
    return Measured(row, groups[0] | groups[1])


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
