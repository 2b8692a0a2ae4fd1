"""The answer to a question for a caller who sees only cells: exact answers at ends of weeks, shown with noise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Generic

from edugraph_insights.answers import Amount, Contrast, Figure, Found, Measured, R, size_of
from edugraph_insights.cell_noise import CellNoise
from edugraph_insights.closed_weeks import (
    Data,
    RememberedReader,
    end_of_earlier_week,
    state_of,
    weeks_between,
)
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import P, Question
from edugraph_insights.small_groups import amounts_of, published_row, published_total

HIDDEN_ROWS = "rows of small groups"
HIDDEN_TOTALS = "totals of small groups"
# Names a row, or a total by its name, within an answer.
CellName = tuple[object, ...]


@dataclass(frozen=True)
class Published(Generic[R]):
    """The parts of an answer that are shown."""

    rows: tuple[R, ...]
    of_how_many: dict[str, int]
    left_out: dict[str, int]


@dataclass
class _Week(Generic[R]):
    """The exact answer at the end of a week."""

    found: Found[R]
    roster: tuple[str, ...]

    @cached_property
    def rows(self) -> dict[CellName, Measured[R]]:
        return {name_of(each): each for each in self.found.rows}

    @cached_property
    def data(self) -> dict[CellName, Data]:
        """The data of each cell by student."""
        found: dict[CellName, Data] = {name: data_of(each) for name, each in self.rows.items()}
        for name, total in self.found.of_how_many.items():
            if not isinstance(total, int):
                found[total_name(name)] = dict(amounts_of(total))
        return found


def name_of(measured: Measured[Any]) -> CellName:
    row = measured.row
    return tuple(getattr(row, name) for name in type(row).identity)


def total_name(name: str) -> CellName:
    return "total", name


def data_of(measured: Measured[Any]) -> Data:
    """Return the data of a row by student."""
    if measured.data is not None:
        return measured.data
    found: dict[str, list[object]] = {student: [] for student in measured.students}
    for name, figure in sorted(measured.figures.items()):
        for student, amount in _amounts_of(figure):
            found.setdefault(student, []).append((name, amount))
    return found


def _amounts_of(figure: Figure) -> Iterator[tuple[str, object]]:
    """Yield what each student adds to a figure."""
    if isinstance(figure, Amount):
        yield from figure.by_student.items()
    elif isinstance(figure, Contrast):
        yield from _amounts_of(figure.of)
        yield from _amounts_of(figure.less)
    else:
        for student, whole in figure.wholes.items():
            yield student, (figure.parts[student], whole)


@dataclass
class CellsOfQuestion(Generic[P, R]):
    """The cells of one question about one course.

    `joined` says when each student of the course joined it. `facts` end with the last closed week.
    """

    question: Question[P, R]
    asked: P
    facts: Facts
    joined: Mapping[str, datetime]
    _weeks: dict[int, _Week[R]] = field(default_factory=dict)

    def published(self, noise: CellNoise) -> Published[R]:
        """Return what may be published of the exact answers. Raises what `question.find` raises."""
        latest = self._week(0)
        first = min([self._reader.earliest, *self._known_joins()])
        number = weeks_between(first, self.facts.until, self.facts.zone)
        rows = []
        hidden_rows = 0
        for name in latest.rows:
            row = self._row(name, number, noise)
            if row is None:
                hidden_rows += 1
            else:
                rows.append(row)
        totals = {}
        hidden_totals = 0
        for total_of in latest.found.of_how_many:
            total = self._total(total_of, number, noise)
            if total is None:
                hidden_totals += 1
            else:
                totals[total_of] = total
        left_out = {HIDDEN_ROWS: hidden_rows, HIDDEN_TOTALS: hidden_totals}
        return Published(tuple(rows), totals, left_out)

    def _row(self, name: CellName, number: int, noise: CellNoise) -> R | None:
        """Return a row as it was at its state. A row about no student says what is known today."""
        measured = self._week(0).rows[name]
        if not measured.students:
            return published_row(measured, (), noise, self.question.derived)
        weeks_back = self._state(name, number)
        if weeks_back is None:
            return None
        week = self._week(weeks_back)
        return published_row(week.rows[name], week.roster, noise, self.question.derived)

    def _total(self, name: str, number: int, noise: CellNoise) -> int | None:
        total = self._week(0).found.of_how_many[name]
        roster = self._week(0).roster
        named = (self.asked.course, name)
        if not isinstance(total, int) and size_of(total):
            weeks_back = self._state(total_name(name), number)
            if weeks_back is None:
                return None
            week = self._week(weeks_back)
            total = week.found.of_how_many[name]
            roster = week.roster
        return published_total(named, total, roster, noise)

    def _state(self, name: CellName, number: int) -> int | None:
        """Return how many weeks before the last closed one a cell has its state, or None if it has none."""

        def data_at(week: int) -> Data:
            if week < 0:
                return {}
            return self._week(number - 1 - week).data.get(name, {})

        week = state_of(data_at, number)
        if week is None:
            return None
        return number - 1 - week

    @cached_property
    def _reader(self) -> RememberedReader:
        return RememberedReader(self.facts.graph, tuple(sorted(self.joined)), self.facts.until)

    def _known_joins(self) -> list[datetime]:
        return [at for at in self.joined.values() if at.year > 1]

    def _week(self, weeks_back: int) -> _Week[R]:
        if weeks_back not in self._weeks:
            until = end_of_earlier_week(self.facts.until, weeks_back, self.facts.zone)
            roster = tuple(sorted(s for s, at in self.joined.items() if at <= until))
            facts = replace(self.facts, graph=self._reader, students=roster, until=until)
            self._weeks[weeks_back] = _Week(self.question.find(facts, self.asked), roster)
        return self._weeks[weeks_back]
