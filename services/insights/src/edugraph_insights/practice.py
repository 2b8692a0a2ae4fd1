"""First attempts of students at the points of a course, and the mastery of these points, as columns of numpy."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from edugraph_insights.mastery import (
    MASTERED,
    NOT_MASTERED,
    UNSHOWN,
    Ability,
    Answers,
    Counts,
    Estimates,
    Flags,
    Floats,
    Integers,
    Mastery,
    Moments,
    abilities_of,
    estimates_of,
    mastery_in_row,
    mean_mastery,
    states_of,
)


class Sums(NamedTuple):
    """First attempts in the period as columns, with the same rows as the counts of all first attempts.

    The numbers may be 0. `outcomes` are sums in thousandths. `first` is the time of the first of the attempts in UTC,
    without a zone. It has no meaning where `number` is 0.
    """

    number: Integers
    right: Integers
    outcomes: Integers
    first: Moments


class TriedPoint(NamedTuple):
    """The students with a first attempt in the period at a point, in the order of their ids.

    `rows` are their rows in the columns, `students` are numbers in `PointTries.students`. `first` and `last` are the
    times of the first and of the last of these attempts.
    """

    id: str
    name: str
    rows: Integers
    students: Integers
    number: Integers
    outcomes: Integers
    first: Moments
    last: Moments

    @property
    def right(self) -> Floats:
        """The share of each student that was right. A partly right attempt counts by its outcome."""
        share: Floats = self.outcomes / self.number / 1000
        return share

    @property
    def wrong(self) -> Floats:
        """The share of each student that was wrong."""
        return 1 - self.right

    @property
    def is_wrong(self) -> Flags:
        """Whether the attempts of each student were wrong on the whole."""
        is_wrong: Flags = self.right < 0.5
        return is_wrong

    @property
    def last_of_all(self) -> datetime:
        """The time of the last of all these attempts."""
        last: datetime = self.last.max().item()
        return last.replace(tzinfo=UTC)

    def without_students(self) -> "TriedPoint":
        """Return this point as if nobody had tried it."""
        nobody = self.rows[:0]
        never = self.last[:0]
        return TriedPoint(self.id, self.name, nobody, nobody, nobody, nobody, never, never)


@dataclass(frozen=True)
class PointTries:
    """First attempts of students at the points of a course. An attempt at an item of two points stands at both.

    `counts` are about all first attempts until the end of the period, `in_period` about those in it. Both have a row
    for each student and point with an attempt, in the order of the ids of points and students. `numbers` are the
    first attempts in the period by student, also those at items of no known point. These are `without_point`.
    """

    students: Sequence[str]
    points: Sequence[str]
    names: Mapping[str, str]
    counts: Counts
    in_period: Sums
    numbers: Mapping[str, int]
    without_point: int
    # All attempts until the end of the period, also repeated ones, if they come from columns. `last` is not theirs.
    all_tries: Counts | None = None
    # The estimates from the last answers of a class, by these answers and whether repeated attempts count.
    _estimates: dict[bool, tuple[Mapping[str, Answers], Estimates]] = field(default_factory=dict)

    def estimates(
        self, answers: Mapping[str, Answers], *, from_all_tries: bool = False
    ) -> Estimates:
        """Return the estimates. The levels of the points are estimated from `answers`.

        Questions share these attempts, so the last estimates are kept.
        """
        known_answers, known = self._estimates.get(from_all_tries, ({}, None))
        if known is not None and known_answers == answers:
            return known
        counts = self.counts
        if from_all_tries and self.all_tries is not None:
            counts = self.all_tries
        found = estimates_of(counts, self.points, len(self.students), answers)
        self._estimates[from_all_tries] = (dict(answers), found)
        return found

    @property
    def number(self) -> int:
        """The number of first attempts in the period."""
        return sum(self.numbers.values())

    def rows_of_point(self, point: int) -> Integers:
        """Return the rows of a point, which is given by its number."""
        start, end = np.searchsorted(self.counts.points, [point, point + 1])
        return np.arange(start, end)

    def tried_points(self) -> Iterator[TriedPoint]:
        """Yield the points with a first attempt in the period, in the order of their ids."""
        for number, point in enumerate(self.points):
            rows = self.rows_of_point(number)
            is_tried = self.in_period.number[rows] > 0
            rows = rows[is_tried]
            if rows.size:
                yield TriedPoint(
                    point,
                    self.names[point],
                    rows,
                    self.counts.students[rows],
                    self.in_period.number[rows],
                    self.in_period.outcomes[rows],
                    self.in_period.first[rows],
                    self.counts.last[rows],
                )

    def right(self, point: TriedPoint) -> int:
        """Return how many first attempts in the period at a point were right, with an outcome of 0.5 or more."""
        right = self.in_period.right[point.rows]
        return int(right.sum())

    def numbers_of(self, students: Sequence[str]) -> Integers:
        """Return the number of each of these students here, or -1 without an attempt at a known point."""
        number_of = {student: number for number, student in enumerate(self.students)}
        numbers = [number_of.get(student, -1) for student in students]
        return np.array(numbers, dtype=np.int64)

    def ids(self, students: Integers) -> list[str]:
        """Return the ids of these students."""
        return [self.students[number] for number in students.tolist()]


@dataclass(frozen=True)
class Practice:
    """The first attempts of students at the points of a course, and their mastery at the end of the period.

    The mastery is estimated from all first attempts until then, and does not depend on the beginning of the period.
    `all_answers` are the attempts of the course by point, from which abilities are estimated.
    """

    tries: PointTries
    estimates: Estimates
    states: Integers  # places in STATES
    all_answers: Mapping[str, Answers]

    def abilities(self) -> dict[str, Ability]:
        """Return the ability of each student with an attempt at a known point, from all attempts in the course.

        Second and later attempts at an item count as the first ones do: they say more about the order of students
        than first attempts alone (docs/adr/0117).
        """
        estimates = self.tries.estimates(self.all_answers, from_all_tries=True)
        return abilities_of(estimates, self.tries.students)

    def mastered(self, rows: Integers) -> Integers:
        """Return those of these rows in which the student has mastered the point."""
        is_mastered: Flags = self.states[rows] == MASTERED
        mastered: Integers = rows[is_mastered]
        return mastered

    def mean(self, rows: Integers) -> tuple[float, float, float]:
        """Return the mean probability in these rows, at least one, and the ends of its 95 % interval."""
        estimates = self.estimates
        return mean_mastery(estimates.value[rows], estimates.low[rows], estimates.high[rows])

    def probabilities(self, rows: Integers) -> dict[str, float]:
        """Return the probability of a right answer by student. All rows are about one point."""
        values = self.estimates.value[rows].tolist()
        return dict(zip(self._students(rows), values, strict=True))

    def mastery_at(self, point: str) -> dict[str, Mastery]:
        """Return the mastery of a point by student. A student who never tried it is left out."""
        if point not in self.tries.names:
            return {}
        number = self.tries.points.index(point)
        rows = self.tries.rows_of_point(number)
        return dict(zip(self._students(rows), self._in_rows(rows), strict=True))

    def mastery_of(self, student: str) -> dict[str, Mastery]:
        """Return the mastery of a student by point. A point that the student never tried is left out."""
        if student not in self.tries.students:
            return {}
        counts = self.tries.counts
        number = self.tries.students.index(student)
        rows = np.flatnonzero(counts.students == number)
        found = {}
        for row, mastery in zip(rows, self._in_rows(rows), strict=True):
            point = self.tries.points[counts.points[row]]
            found[point] = mastery
        return found

    def not_mastered(self) -> dict[str, set[str]]:
        """Return, for each point that a student has tried and not mastered, these students."""
        found: dict[str, set[str]] = {}
        for number, point in enumerate(self.tries.points):
            rows = self.tries.rows_of_point(number)
            is_not_mastered = self.states[rows] == NOT_MASTERED
            students = self._students(rows[is_not_mastered])
            if students:
                found[point] = set(students)
        return found

    def below(self, probability: float) -> defaultdict[str, list[str]]:
        """Return, for each student, the names of the points whose mastery can be shown and is below this one."""
        is_shown = self.states != UNSHOWN
        is_below = self.estimates.value < probability
        found: defaultdict[str, list[str]] = defaultdict(list)
        for number, point in enumerate(self.tries.points):
            rows = self.tries.rows_of_point(number)
            here = rows[is_shown[rows] & is_below[rows]]
            for student in self._students(here):
                found[student].append(self.tries.names[point])
        return found

    def _students(self, rows: Integers) -> list[str]:
        return self.tries.ids(self.tries.counts.students[rows])

    def _in_rows(self, rows: Integers) -> list[Mastery]:
        found = []
        for row in rows.tolist():
            found.append(mastery_in_row(self.estimates, self.states, row))
        return found


def shared(one: Integers, other: Integers) -> tuple[Integers, Integers, Integers]:
    """Return the students of both columns, and their places in the one and in the other. A column has each once."""
    return np.intersect1d(one, other, assume_unique=True, return_indices=True)


def practice_of(
    tries: PointTries,
    answers: Mapping[str, Answers],
    all_answers: Mapping[str, Answers],
    as_of: datetime,
) -> Practice:
    """Return the practice of these students. The levels of the points are estimated from `answers`."""
    estimates = tries.estimates(answers)
    states = states_of(estimates, tries.counts.last, as_of)
    return Practice(tries, estimates, states, all_answers)
