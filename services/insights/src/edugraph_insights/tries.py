"""The work of students in a stretch of time: first attempts, added up for each student as columns, and mistakes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, NamedTuple, Self

import numpy as np

from edugraph_insights.mastery import Floats, Integers


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
    if len(values) == 0:
        return
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    ends = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    starts = [0, *ends.tolist()]
    for start, rows in zip(starts, np.split(order, ends), strict=True):
        tries = Tries(
            ids, columns["student"][rows], columns["number"][rows], columns["outcomes"][rows]
        )
        yield ordered[start].item(), tries
