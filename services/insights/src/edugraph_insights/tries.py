"""The work of students in a stretch of time: first attempts, added up for each student as columns, and mistakes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import fsum
from typing import Any, NamedTuple, Self

import numpy as np

from edugraph_insights.mastery import Flags, Floats, Integers

# The first attempts of a student are wrong on the whole if the share that was right is below this.
WRONG_BELOW = 0.5


class FirstTries(NamedTuple):
    """First attempts of one student: their number, and the sum of their outcomes in thousandths."""

    number: int
    outcomes: int

    @property
    def right(self) -> float:
        """The share that was right. A partly right attempt counts by its outcome."""
        return self.outcomes / self.number / 1000

    def with_one(self, outcome: int) -> "FirstTries":
        """Return these attempts and one more. Its outcome is in thousandths."""
        return FirstTries(self.number + 1, self.outcomes + outcome)


@dataclass(frozen=True)
class Tries:
    """First attempts with a row for each student who has some. `outcomes` are sums in thousandths.

    `students` are places in `ids`, which may have more students than there are rows.
    """

    ids: Sequence[str]
    students: Integers
    number: Integers
    outcomes: Integers

    @classmethod
    def of(cls, tries: Mapping[str, FirstTries]) -> Self:
        """Return the attempts of these students."""
        rows = list(tries.values())
        number = [each.number for each in rows]
        outcomes = [each.outcomes for each in rows]
        sums = np.array([number, outcomes], dtype=np.int64)
        return cls(list(tries), np.arange(len(rows)), sums[0], sums[1])

    @property
    def size(self) -> int:
        """The number of students."""
        return len(self.students)

    @property
    def total(self) -> int:
        """The number of attempts."""
        return int(self.number.sum())

    @property
    def mean_right(self) -> float | None:
        """The mean over students of their share right, or None without students."""
        if self.size == 0:
            return None
        # This sum does not depend on the order of the students.
        return fsum(self._right.tolist()) / self.size

    @property
    def right(self) -> dict[str, float]:
        """The share of each student that was right. A partly right attempt counts by its outcome."""
        return self._by_student(self._right)

    @property
    def wrong(self) -> dict[str, float]:
        """The share of each student that was wrong."""
        return self._by_student(1 - self._right)

    @property
    def numbers(self) -> dict[str, int]:
        """The number of attempts of each student."""
        return self._by_student(self.number)

    def by_student(self) -> dict[str, FirstTries]:
        """Return the attempts of each student."""
        sums = zip(self.number.tolist(), self.outcomes.tolist(), strict=True)
        tries = [FirstTries(*each) for each in sums]
        return dict(zip(self._students(), tries, strict=True))

    @property
    def _right(self) -> Floats:
        share: Floats = self.outcomes / self.number / 1000
        return share

    def _students(self) -> list[str]:
        return [self.ids[number] for number in self.students.tolist()]

    def _by_student(self, values: Any) -> dict[str, Any]:
        return dict(zip(self._students(), values.tolist(), strict=True))


NO_TRIES = Tries.of({})


class PractisedPoint(NamedTuple):
    """The first attempts at a point, by student and in their order. `student` and `outcome` are columns.

    A student is a place in `ids`, and outcomes are in thousandths. `starts` are the places of the first attempt of
    each student, and `number` is the number of attempts of each student.
    """

    id: str
    name: str
    ids: Sequence[str]
    student: Integers
    outcome: Integers
    starts: Integers
    number: Integers

    def students(self, is_wanted: Flags) -> list[str]:
        """Return the ids of some students. There is a flag for each student."""
        numbers = self.student[self.starts[is_wanted]]
        return [self.ids[number] for number in numbers.tolist()]

    def right_before(self, is_right: Flags) -> Integers:
        """Return, for each attempt, how many right ones of its student come before it."""
        before: Integers = np.cumsum(is_right) - is_right
        right_before: Integers = before - np.repeat(before[self.starts], self.number)
        return right_before


@dataclass(frozen=True)
class TriesInOrder:
    """First attempts with a row for each attempt and point, in the order of points, students and attempts.

    A student is a place in `students`. `points` has the id and the name of each point by its number.
    `numbers` are the first attempts by student, also those at items of no known point. These are `without_point`.
    """

    students: Sequence[str]
    points: Mapping[int, tuple[str, str]]
    student: Integers
    point: Integers
    outcome: Integers
    numbers: Mapping[str, int]
    without_point: int

    def practised_points(self) -> Iterator[PractisedPoint]:
        """Yield the points with attempts."""
        for rows in rows_of_values(self.point):
            point_id, name = self.points[int(self.point[rows[0]])]
            student = self.student[rows]
            is_first = np.diff(student, prepend=-1) != 0
            starts = np.flatnonzero(is_first)
            number = np.diff(starts, append=len(rows))
            outcome = self.outcome[rows]
            yield PractisedPoint(point_id, name, self.students, student, outcome, starts, number)


class TriedBy(NamedTuple):
    """The number of students with a first attempt at a point, and those who were wrong on the whole."""

    id: str
    name: str
    number: int
    wrong: list[str]


class TriesAtPoints(NamedTuple):
    """Attempts of the period with a row for each student and point, in the order of the ids of points and students.

    `student` and `point` are places in `students` and `points`, which have the id and the name of each point.
    `number` and `outcomes` are about the first attempts, and may be 0. Outcomes are sums in thousandths.
    """

    students: Sequence[str]
    points: Sequence[tuple[str, str]]
    student: Integers
    point: Integers
    number: Integers
    outcomes: Integers

    @property
    def right(self) -> Floats:
        """The share that was right. It has no meaning without a first attempt."""
        share: Floats = self.outcomes / np.maximum(self.number, 1) / 1000
        return share

    def by_point(self) -> Iterator[TriedBy]:
        """Yield the points in the order of their ids. The students of each come in the order of theirs."""
        has_tries = self.number > 0
        is_wrong = has_tries & (self.right < WRONG_BELOW)
        for rows in rows_of_values(self.point):
            point_id, name = self.points[self.point[rows[0]]]
            wrong = self.student[rows[is_wrong[rows]]]
            students = [self.students[number] for number in wrong.tolist()]
            number = int(np.count_nonzero(has_tries[rows]))
            yield TriedBy(point_id, name, number, students)


class TriesByDay(NamedTuple):
    """All attempts, one row each, in the order of their days, which are ordinals. Outcomes are in thousandths.

    `student` are places in `students`.
    """

    students: Sequence[str]
    student: Integers
    day: Integers
    is_first: Flags
    outcome: Integers

    def first(self) -> "TriesByDay":
        """Return the first attempts."""
        rows = np.flatnonzero(self.is_first)
        student = self.student[rows]
        day = self.day[rows]
        is_first = self.is_first[rows]
        outcome = self.outcome[rows]
        return TriesByDay(self.students, student, day, is_first, outcome)


class SumsOfStudents(NamedTuple):
    """The number of attempts of each student, and their outcomes from 0 to 1, added up."""

    number: Floats
    outcomes: Floats

    def without(self, earlier: "SumsOfStudents") -> "SumsOfStudents":
        """Return these sums without the attempts that an earlier day has, too."""
        number = self.number - earlier.number
        outcomes = self.outcomes - earlier.outcomes
        return SumsOfStudents(number, outcomes)

    def right(self, rows: Integers) -> Floats:
        """Return the mean outcome of some students. Each of them has an attempt."""
        mean: Floats = self.outcomes[rows] / self.number[rows]
        return mean


class SumsBeforeDay:
    """The sums of the attempts before a day. The day is moved on only, so that each attempt is added once."""

    def __init__(self, tries: TriesByDay) -> None:
        self._tries = tries
        self._place = 0
        nothing = np.zeros(len(tries.students))
        self._sums = SumsOfStudents(nothing, nothing)

    def at(self, day: int) -> SumsOfStudents:
        """Move on to a day, and return the sums of the attempts before it."""
        tries = self._tries
        end = int(np.searchsorted(tries.day, day))
        passed = slice(self._place, end)
        student = tries.student[passed]
        outcome = tries.outcome[passed] / 1000
        size = len(tries.students)
        number = np.bincount(student, minlength=size)
        outcomes = np.bincount(student, outcome, minlength=size)
        before = self._sums
        self._sums = SumsOfStudents(before.number + number, before.outcomes + outcomes)
        self._place = end
        return self._sums


class Cell(NamedTuple):
    """The attempts of one student at the items of one point. `tries` are all of them.

    `first_attempts` are the first ones at an item. `right` of these had an outcome of 0.5 or more, and `outcomes` is
    the sum of theirs. Outcomes are in thousandths. `last` and `last_outcome` are about the last of all attempts.
    """

    tries: int
    first_attempts: int
    right: int
    outcomes: int
    last: datetime
    last_outcome: int

    @property
    def share(self) -> float | None:
        """The mean outcome of the first attempts, from 0 to 1. None without one."""
        if not self.first_attempts:
            return None
        return self.outcomes / self.first_attempts / 1000

    @property
    def is_wrong(self) -> bool:
        """Whether the first attempts were wrong on the whole."""
        return self.share is not None and self.share < 0.5


_NEVER = datetime.min.replace(tzinfo=UTC)
NO_CELL = Cell(0, 0, 0, 0, _NEVER, 0)


class TriesMade(NamedTuple):
    """Attempts: their number, the number of their students, and how many are at items of no known point."""

    number: int
    students: int
    without_point: int


class Mistakes(NamedTuple):
    """Mistakes, and those of them that no record says are resolved. `by_student` is filled for cells only."""

    number: int
    unresolved: int
    by_student: Mapping[str, int]

    @classmethod
    def of(cls, made: Iterable[tuple[str, bool]]) -> Self:
        """Return mistakes, each given as its student and whether it is resolved."""
        by_student: Counter[str] = Counter()
        unresolved = 0
        for student, resolved in made:
            by_student[student] += 1
            unresolved += not resolved
        return cls(by_student.total(), unresolved, by_student)


NO_MISTAKES = Mistakes(0, 0, {})


def split(ids: Sequence[str], columns: Mapping[str, Any], name: str) -> Iterator[tuple[Any, Tries]]:
    """Yield each value of the column of this name, with the attempts of its rows. A student has one row for a value.

    The other columns are `student`, `number` and `outcomes`.
    """
    values = columns[name]
    for rows in rows_of_values(values):
        students = columns["student"][rows]
        number = columns["number"][rows]
        outcomes = columns["outcomes"][rows]
        tries = Tries(ids, students, number, outcomes)
        yield values[rows[0]].item(), tries


def rows_of_values(values: Any) -> Iterator[Integers]:
    """Yield the rows of each value of a column, in the order of the values."""
    if len(values) == 0:
        return
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    ends = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    yield from np.split(order, ends)
