"""First attempts of students at the items of a course, as columns of numpy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

from edugraph_insights.columns.marks import NO_ANSWER
from edugraph_insights.mastery import Flags, Floats, Integers
from edugraph_insights.tries import rows_of_values


class TriedItem(NamedTuple):
    """The first attempts at an item, one of each student. `outcomes` are in thousandths."""

    id: str
    rows: Integers
    students: Integers
    outcomes: Integers

    @property
    def right(self) -> float:
        """The mean outcome."""
        mean = self.outcomes.mean()
        return float(mean) / 1000


@dataclass(frozen=True)
class ItemTries:
    """First attempts in the period, one row each. Students and items are places in `students` and `items`.

    `answers` are the marks of the answers (columns/marks.py).
    """

    students: Sequence[str]
    items: Sequence[str]
    student: Integers
    item: Integers
    outcome: Integers
    answers: Integers

    def tried_items(self) -> Iterator[TriedItem]:
        """Yield the items in the order of their numbers."""
        for rows in rows_of_values(self.item):
            first = rows[0]
            item = self.items[self.item[first]]
            students = self.student[rows]
            outcomes = self.outcome[rows]
            yield TriedItem(item, rows, students, outcomes)

    def numbers(self) -> dict[str, int]:
        """Return the number of first attempts of each student."""
        students, numbers = np.unique(self.student, return_counts=True)
        ids = self.ids(students)
        return dict(zip(ids, numbers.tolist(), strict=True))

    def outcomes_of(self, item: TriedItem) -> dict[str, float]:
        """Return the outcome of each student at an item, from 0 to 1."""
        ids = self.ids(item.students)
        outcomes = item.outcomes / 1000
        return dict(zip(ids, outcomes.tolist(), strict=True))

    def ids(self, students: Integers) -> list[str]:
        """Return the ids of these students."""
        return [self.students[number] for number in students.tolist()]

    def where(self, is_wanted: Flags) -> "ItemTries":
        """Return some of the attempts."""
        student = self.student[is_wanted]
        item = self.item[is_wanted]
        outcome = self.outcome[is_wanted]
        answers = self.answers[is_wanted]
        return ItemTries(self.students, self.items, student, item, outcome, answers)

    def at_items(self, items: Sequence[int]) -> "ItemTries":
        """Return the attempts at these items, which are given by their numbers."""
        is_there = np.isin(self.item, items)
        return self.where(is_there)

    def rest(self) -> "RestOfStudents":
        """Return, for each row, what else the student tried first."""
        size = max(len(self.students), 1)
        number = np.bincount(self.student, minlength=size)
        outcomes = np.bincount(self.student, weights=self.outcome, minlength=size)
        others = number[self.student] - 1
        has_others = others > 0
        rest = np.zeros(len(self.student))
        # Sums of thousandths are exact in floats.
        sums = outcomes[self.student] - self.outcome
        np.divide(sums, others, out=rest, where=has_others)
        return RestOfStudents(has_others, rest)


class RestOfStudents(NamedTuple):
    """For each first attempt, whether its student has others, and the mean outcome of those."""

    has_others: Flags
    mean: Floats


def item_rest(item: TriedItem, rest: RestOfStudents, least: int) -> float | None:
    """Return the correlation of the outcome at an item with the mean of the student's other first attempts.

    Students without other first attempts do not count. None if fewer than `least` are left, or nothing varies.
    """
    counts = rest.has_others[item.rows]
    if np.count_nonzero(counts) < least:
        return None
    rows = item.rows[counts]
    on_item = item.outcomes[counts]
    on_rest = rest.mean[rows]
    from_mean = on_item - on_item.mean()
    rest_from_mean = on_rest - on_rest.mean()
    covariance = float(np.dot(from_mean, rest_from_mean))
    variance = float(np.dot(from_mean, from_mean))
    rest_variance = float(np.dot(rest_from_mean, rest_from_mean))
    variances = variance * rest_variance
    if variances > 1e-12:
        correlation = covariance / sqrt(variances)
        return max(min(correlation, 1.0), -1.0)
    return None


class GivenAnswer(NamedTuple):
    """The first attempts of those who gave one answer to an item. `outcomes` are in thousandths."""

    item: str
    mark: int
    students: Integers
    outcomes: Integers


def answers_given(tries: ItemTries) -> Iterator[GivenAnswer]:
    """Yield the answers with their students, in the order of their ids. Attempts without an answer are left out."""
    known = tries.where(tries.answers != NO_ANSWER)
    if not known.item.size:
        return
    places = places_of(known.students)
    students = places[known.student]
    order = np.lexsort((students, known.answers, known.item))
    items = known.item[order]
    answers = known.answers[order]
    is_new_item = np.diff(items) != 0
    is_new_answer = np.diff(answers) != 0
    ends = np.flatnonzero(is_new_item | is_new_answer) + 1
    for rows in np.split(order, ends):
        first = rows[0]
        item = known.items[known.item[first]]
        mark = int(known.answers[first])
        yield GivenAnswer(item, mark, known.student[rows], known.outcome[rows])


def places_of(ids: Sequence[str]) -> Integers:
    """Return the place of each of these ids in their order."""
    order = sorted(range(len(ids)), key=ids.__getitem__)
    places = np.empty(len(ids), dtype=np.int64)
    places[order] = np.arange(len(ids))
    return places


@dataclass(frozen=True)
class FirstAnswers:
    """First attempts with the marks of their answers, and the texts of some marks."""

    tries: ItemTries
    texts: Mapping[int, str]
