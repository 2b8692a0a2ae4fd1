"""Estimate how likely a student answers an item of a point right, with an interval.

The model is logit P = level of the point + ability of the student + strength of the student at the point. Ability and
strength are normally distributed around 0. Both are estimated from the numbers of right and wrong first attempts (the
maximum of the posterior distribution, Laplace's approximation). Constants that were fitted to public answers turn
this into the probability of the next answer, which also depends on the last answer at the point. The estimate is a
function of the set of attempts, so the order in which their records arrive does not change it. See docs/adr/0113.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter
from math import log, sqrt
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from edugraph_insights.statistics import NORMAL_95

MASTERED_PROBABILITY = 0.75
# An estimate is shown if half the width of its 95 % interval is at most this.
WIDEST_SHOWN = 0.25
LONG_AGO = timedelta(days=180)
State = Literal["mastered", "not mastered", "long ago", "too few for an estimate"]
STATES: tuple[State, ...] = get_args(State)
TOO_FEW: State = "too few for an estimate"
# Places in STATES.
MASTERED = 0
NOT_MASTERED = 1
UNSHOWN = STATES.index(TOO_FEW)

# Variances of the normal distributions of ability and strength, on the logit.
ABILITY_VARIANCE = 0.8**2
STRENGTH_VARIANCE = 0.7**2
# The level of a point is estimated as if this many more answers were as often right as those at all points.
LEVEL_PULL = 15
# The variance, on the logit, of the errors that the constants make in a school of another kind. Without it the
# intervals are too narrow in synthetic schools (docs/adr/0113).
MISFIT_VARIANCE = 0.12
# The number of steps is fixed, so that the same counts give the same bits. A step is at most MOST_STEP long.
NEWTON_STEPS = 7
MOST_STEP = 2.0

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Moments = np.ndarray[Any, np.dtype[np.datetime64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


class Constants(NamedTuple):
    """The constants that turn level, ability and strength into the probability of the next answer."""

    intercept: float
    level: float
    ability: float  # of ability + strength
    practice: float  # of ln(1 + first attempts at the point)
    last_right: float
    last_wrong: float


# Fitted to the ASSISTments 2015 answers of students who do not judge the estimate (research/evaluation/mastery.py).
CONSTANTS = Constants(-0.638, 1.082, 0.924, 0.165, 0.734, 0.391)


class Attempts(NamedTuple):
    """First attempts of a student at items of a point. Right is an outcome of 0.5 or more."""

    right: int
    wrong: int
    last: datetime | None = None  # time of the last of them
    last_was_right: bool = False

    @property
    def number(self) -> int:
        return self.right + self.wrong


class Answers(NamedTuple):
    """Numbers of first attempts at items of a point, by many students."""

    right: int
    number: int


class Mastery(NamedTuple):
    """The mastery of one point by one student: the probability of a right answer with its 95 % interval.

    All three are None if the student has no first attempt at the point.
    """

    probability: float | None
    low: float | None
    high: float | None
    state: State


UNKNOWN = Mastery(None, None, None, TOO_FEW)


class Ability(NamedTuple):
    """The ability of a student beside the levels of the points, on the logit, and its standard error."""

    value: float
    error: float


class Pairs(NamedTuple):
    """Counts as columns, with a row for each pair of a student and a point.

    `students` are numbers from 0. `levels` are those of the points, `level_variances` the variances of their errors.
    """

    students: Integers
    levels: Floats
    level_variances: Floats
    number: Floats
    right: Floats
    last_was_right: Floats  # 1 or 0; it has no meaning where `number` is 0


class Counts(NamedTuple):
    """First attempts as columns, with a row for each pair of a student and a point.

    Students and points are numbers from 0. `last` is the time of the last of the attempts in UTC, without a zone.
    """

    students: Integers
    points: Integers
    number: Integers
    right: Integers
    last: Moments
    last_was_right: Flags


class Estimates(NamedTuple):
    """The columns `value`, `low` and `high` have a row for each pair; the abilities have one for each student."""

    value: Floats
    low: Floats
    high: Floats
    abilities: Floats
    ability_errors: Floats


def estimated(pairs: Pairs, students: int, constants: Constants = CONSTANTS) -> Estimates:
    """Return the estimates for these pairs of `students` students."""
    ability = np.zeros(students)
    strength = np.zeros(len(pairs.number))
    for _ in range(NEWTON_STEPS):
        chance = _sigmoid(pairs.levels + ability[pairs.students] + strength)
        information = pairs.number * chance * (1 - chance)
        curvature = information + 1 / STRENGTH_VARIANCE
        misfit = pairs.right - pairs.number * chance
        slope = misfit - strength / STRENGTH_VARIANCE
        precision = _precision(pairs.students, information, curvature, students)
        # The strengths are eliminated, so that each student has one equation, in the ability.
        remainder = misfit - information * slope / curvature
        remainder_of_student = np.bincount(pairs.students, remainder, students)
        step = (remainder_of_student - ability / ABILITY_VARIANCE) / precision
        step = np.clip(step, -MOST_STEP, MOST_STEP)
        ability += step
        strength_step = (slope - information * step[pairs.students]) / curvature
        strength += np.clip(strength_step, -MOST_STEP, MOST_STEP)

    chance = _sigmoid(pairs.levels + ability[pairs.students] + strength)
    information = pairs.number * chance * (1 - chance)
    curvature = information + 1 / STRENGTH_VARIANCE
    precision = _precision(pairs.students, information, curvature, students)
    of_ability = (1 - information / curvature) ** 2
    variance = 1 / curvature + of_ability / precision[pairs.students]

    has_attempts = pairs.number > 0
    last_right = has_attempts * pairs.last_was_right
    last_wrong = has_attempts * (1 - pairs.last_was_right)
    shrinkage = 1 / np.sqrt(1 + np.pi * variance / 8)
    logit = constants.intercept + constants.level * pairs.levels
    logit += constants.ability * shrinkage * (ability[pairs.students] + strength)
    logit += constants.practice * np.log1p(pairs.number)
    logit += constants.last_right * last_right
    logit += constants.last_wrong * last_wrong
    of_student = constants.ability**2 * variance
    of_level = constants.level**2 * pairs.level_variances
    error = np.sqrt(of_student + of_level + MISFIT_VARIANCE)
    margin = NORMAL_95 * error
    return Estimates(
        value=_sigmoid(logit),
        low=_sigmoid(logit - margin),
        high=_sigmoid(logit + margin),
        abilities=ability,
        ability_errors=1 / np.sqrt(precision),
    )


def levels_of(
    answers: Mapping[str, Answers], points: Iterable[str]
) -> dict[str, tuple[float, float]]:
    """Return the level of each of these points on the logit, with its variance.

    A level is the share right of the answers at the point, pulled towards the share right at all points.
    """
    right_at_all = sum(each.right for each in answers.values())
    number_at_all = sum(each.number for each in answers.values())
    share_at_all = (right_at_all + 1) / (number_at_all + 2)
    levels = {}
    for point in points:
        of_point = answers.get(point, Answers(0, 0))
        number = of_point.number + LEVEL_PULL
        share = (of_point.right + LEVEL_PULL * share_at_all) / number
        level = log(share / (1 - share))
        levels[point] = (level, 1 / (number * share * (1 - share)))
    return levels


def estimates_of(
    counts: Counts, points: Sequence[str], students: int, answers: Mapping[str, Answers]
) -> Estimates:
    """Return the estimates for these counts. `points` are the ids of the points, by their numbers in `counts`.

    `answers` are the first attempts of a class by point. The levels of the points are estimated from them.
    """
    levels = []
    variances = []
    for level, variance in levels_of(answers, points).values():
        levels.append(level)
        variances.append(variance)
    pairs = Pairs(
        counts.students,
        np.array(levels)[counts.points],
        np.array(variances)[counts.points],
        counts.number.astype(np.float64),
        counts.right.astype(np.float64),
        counts.last_was_right.astype(np.float64),
    )
    return estimated(pairs, students)


def states_of(estimates: Estimates, last: Moments, as_of: datetime) -> Integers:
    """Return the state of each row as its place in STATES. `last` is the time of its last attempt."""
    states = np.full(len(last), NOT_MASTERED)
    is_mastered = estimates.value >= MASTERED_PROBABILITY
    states[is_mastered] = MASTERED

    now = np.datetime64(_plain(as_of), "us")
    is_long_ago = now - last > np.timedelta64(LONG_AGO)
    states[is_long_ago] = STATES.index("long ago")

    half_widths = (estimates.high - estimates.low) / 2
    is_wide = half_widths > WIDEST_SHOWN
    states[is_wide] = UNSHOWN
    return states


def mastery_in_row(estimates: Estimates, states: Integers, row: int) -> Mastery:
    """Return the mastery that stands in a row of these columns."""
    probability = float(estimates.value[row])
    low = float(estimates.low[row])
    high = float(estimates.high[row])
    state = STATES[states[row]]
    return Mastery(probability, low, high, state)


def abilities_of(estimates: Estimates, students: Iterable[str]) -> dict[str, Ability]:
    """Return the abilities by student. `students` are in the order of their numbers."""
    values = estimates.abilities.tolist()
    errors = estimates.ability_errors.tolist()
    found = {}
    for student, value, error in zip(students, values, errors, strict=True):
        found[student] = Ability(value, error)
    return found


def mastery_of_students(
    attempts: Mapping[str, Mapping[str, Attempts]], answers: Mapping[str, Answers], as_of: datetime
) -> tuple[dict[str, dict[str, Mastery]], dict[str, Ability]]:
    """Return student -> point -> mastery, and student -> ability.

    Args:
        attempts: student -> point -> the first attempts of the student, at least one.
        answers: point -> the first attempts of a class. The levels of the points are estimated from them.
        as_of: the time at which the last attempt may be long ago.

    """
    points = sorted({point for of_student in attempts.values() for point in of_student})
    number_of = {point: number for number, point in enumerate(points)}
    keys: list[tuple[str, str]] = []  # (student, point) of each row
    rows: list[tuple[int, int, Attempts]] = []
    for index, student in enumerate(attempts):
        for point in sorted(attempts[student]):
            keys.append((student, point))
            rows.append((index, number_of[point], attempts[student][point]))
    counts = counts_of(rows)
    found = estimates_of(counts, points, len(attempts), answers)
    states = states_of(found, counts.last, as_of)
    mastery: dict[str, dict[str, Mastery]] = defaultdict(dict)
    for row, (student, point) in enumerate(keys):
        mastery[student][point] = mastery_in_row(found, states, row)
    return dict(mastery), abilities_of(found, attempts)


def counts_of(rows: Sequence[tuple[int, int, Attempts]]) -> Counts:
    """Return these rows as columns. A row has the numbers of a student and a point, and the attempts."""
    numbers = np.zeros((4, len(rows)), dtype=np.int64)
    last = np.full(len(rows), np.datetime64("NaT", "us"))
    last_was_right = np.zeros(len(rows), dtype=np.bool_)
    for row, (student, point, attempts) in enumerate(rows):
        numbers[:, row] = (student, point, attempts.number, attempts.right)
        last_was_right[row] = attempts.last_was_right
        if attempts.last is not None:
            last[row] = np.datetime64(_plain(attempts.last), "us")
    students, points, number, right = numbers
    return Counts(students, points, number, right, last, last_was_right)


def _plain(moment: datetime) -> datetime:
    """Return a moment in UTC without a zone, as numpy has moments."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def is_shown(low: float, high: float) -> bool:
    """Return whether an interval is narrow enough for its estimate to be shown."""
    return (high - low) / 2 <= WIDEST_SHOWN


def mean_mastery(values: Floats, low: Floats, high: Floats) -> tuple[float, float, float]:
    """Return the mean of these probabilities, at least one, and the ends of its 95 % interval.

    `low` and `high` are the ends of their intervals. The errors of the estimates count as independent, with the
    widths of normal distributions.
    """
    middle = float(values.mean())
    half_widths = (high - low) / 2
    sum_of_squares = float((half_widths**2).sum())
    spread = sqrt(sum_of_squares) / len(values)
    return middle, max(middle - spread, 0.0), min(middle + spread, 1.0)


def _precision(
    student_of_pair: Integers, information: Floats, curvature: Floats, students: int
) -> Floats:
    """Return the precision of each ability when the strengths are unknown."""
    of_pair = information - information**2 / curvature
    of_student = np.bincount(student_of_pair, of_pair, students).astype(np.float64)
    return of_student + 1 / ABILITY_VARIANCE


def _sigmoid(logit: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-logit))
    return chance


def learning_path(
    goal: str, needs: Iterable[tuple[str, str]], states: Mapping[str, State]
) -> list[tuple[str, ...]]:
    """Return the points to learn for a goal, in steps: the goal and the points it needs that are not mastered.

    `needs` are pairs (point, point that it needs). A point with too little information counts as not mastered, since
    it has to be checked first. The points of one step may be learned in any order, so all points of the first step
    can be learned now. Synonyms may close a circle of points that need each other; none of them comes before another.
    """
    direct: dict[str, set[str]] = defaultdict(set)
    for point, needed in needs:
        direct[point].add(needed)
    before = {point: _reached(point, direct) for point in {goal, *_reached(goal, direct)}}
    to_learn = {point for point in before if states.get(point) != "mastered"}
    # An order without circles: a point comes after each point that it needs, directly or indirectly, unless that one
    # needs the point in turn.
    strictly_before = {}
    for point in to_learn:
        strictly_before[point] = {
            each for each in before[point] & to_learn if point not in before[each]
        }
    steps = []
    sorter = TopologicalSorter(strictly_before)
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        steps.append(tuple(sorted(ready)))
        sorter.done(*ready)
    return steps


def _reached(point: str, direct: Mapping[str, set[str]]) -> set[str]:
    """Return the points that a point needs, directly or indirectly."""
    reached: set[str] = set()
    ahead = [point]
    while ahead:
        fresh = direct.get(ahead.pop(), set()) - reached
        reached |= fresh
        ahead += fresh
    return reached
