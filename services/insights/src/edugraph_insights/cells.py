"""The answer to a question for a caller who sees only cells: exact answers at ends of weeks, shown with noise."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Generic

from edugraph_insights.answers import Amount, Contrast, Figure, Found, Measured, R, size_of
from edugraph_insights.cell_noise import CellNoise
from edugraph_insights.closed_weeks import (
    MOST_WEEKS_BACK,
    Data,
    NoState,
    RememberedReader,
    end_of_earlier_week,
    state_of,
    weeks_between,
)
from edugraph_insights.facts import Facts
from edugraph_insights.questions.question import P, Question
from edugraph_insights.small_groups import amounts_of, is_small, published_row, published_total

# Names of the counts in `left_out`, by why a row or a total is hidden.
HIDDEN_ROWS = {
    NoState.SMALL: "rows of small groups",
    NoState.TOO_LONG_AGO: f"rows without ten students with new records in one week, for {MOST_WEEKS_BACK} weeks",
    NoState.FEW_DIFFER: "rows of two courses whose students differed by few",
}
HIDDEN_TOTALS = {
    NoState.SMALL: "totals of small groups",
    NoState.TOO_LONG_AGO: f"totals without ten students with new records in one week, for {MOST_WEEKS_BACK} weeks",
    NoState.FEW_DIFFER: "totals of two courses whose students differed by few",
}
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
    # Whether the students of two courses differed by few.
    has_few_apart: bool

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


def differ_by_few(joins: Sequence[Mapping[str, datetime]], until: datetime) -> bool:
    """Return whether the students of the first course and of another differ by one to nine on one side.

    Then a number about the students of both courses, beside one about a whole course, would show these few. `joins`
    say for each course when its students joined it. Students who joined after `until` do not count.
    """
    rosters = []
    for joined in joins:
        rosters.append({student for student, at in joined.items() if at <= until})
    first = rosters[0]
    for other in rosters[1:]:
        if is_small(len(first - other)) or is_small(len(other - first)):
            return True
    return False


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

    `joined` says when each student of the course joined it, `others` the same of the other courses of the question.
    `facts` end with the last closed week.
    """

    question: Question[P, R]
    asked: P
    facts: Facts
    joined: Mapping[str, datetime]
    others: tuple[Mapping[str, datetime], ...] = ()
    _weeks: dict[int, _Week[R]] = field(default_factory=dict)

    def published(self, noise: CellNoise) -> Published[R]:
        """Return what may be published of the exact answers. Raises what `question.find` raises."""
        latest = self._week(0)
        rows = []
        hidden: Counter[str] = Counter()
        for name in latest.rows:
            row = self._row(name, noise)
            if isinstance(row, NoState):
                hidden[HIDDEN_ROWS[row]] += 1
            else:
                rows.append(row)
        totals = {}
        for total_of in latest.found.of_how_many:
            total = self._total(total_of, noise)
            if isinstance(total, NoState):
                hidden[HIDDEN_TOTALS[total]] += 1
            else:
                totals[total_of] = total
        return Published(tuple(rows), totals, dict(hidden))

    def _row(self, name: CellName, noise: CellNoise) -> R | NoState:
        """Return a row as it was at its state, or why it is hidden.

        A row about no student says what is known today.
        """
        measured = self._week(0).rows[name]
        if not measured.students:
            shown = published_row(measured, (), noise, self.question.derived)
            return shown or NoState.SMALL
        weeks_back = self._state(name)
        if isinstance(weeks_back, NoState):
            return weeks_back
        week = self._week(weeks_back)
        if week.has_few_apart:
            return NoState.FEW_DIFFER
        if name not in week.rows:  # All its students had left it, and some came back since.
            return NoState.SMALL
        shown = published_row(week.rows[name], week.roster, noise, self.question.derived)
        return shown or NoState.SMALL

    def _total(self, name: str, noise: CellNoise) -> int | NoState:
        week = self._week(0)
        total = week.found.of_how_many[name]
        if not isinstance(total, int) and size_of(total):
            weeks_back = self._state(total_name(name))
            if isinstance(weeks_back, NoState):
                return weeks_back
            week = self._week(weeks_back)
        if week.has_few_apart:
            return NoState.FEW_DIFFER
        if name not in week.found.of_how_many:
            return NoState.SMALL
        named = (self.asked.course, name)
        shown = published_total(named, week.found.of_how_many[name], week.roster, noise)
        return NoState.SMALL if shown is None else shown

    def _state(self, name: CellName) -> int | NoState:
        """Return how many weeks before the last closed one a cell has its state, or why it has none."""
        number = self._number_of_weeks
        quiet = self._quiet_weeks

        def data_at(week: int) -> Data:
            if week < 0:
                return {}
            return self._week(number - 1 - week).data.get(name, {})

        week = state_of(data_at, number - quiet, can_shrink=self.question.can_shrink)
        if isinstance(week, NoState):
            return week
        return number - 1 - week

    @cached_property
    def _number_of_weeks(self) -> int:
        """The number of weeks since the first record, once the last week was computed."""
        first = min([self._reader.earliest, *self._known_joins()])
        return weeks_between(first, self.facts.until, self.facts.zone)

    @cached_property
    def _quiet_weeks(self) -> int:
        """The number of weeks without a record at the end. A course that is over is not looked at in these weeks."""
        times = self._known_joins()
        if self._reader.latest is not None:
            times.append(self._reader.latest)
        last = max(times, default=self.facts.until)
        return weeks_between(last, self.facts.until, self.facts.zone) - 1

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
            has_few_apart = differ_by_few((self.joined, *self.others), until)
            found = self.question.find(facts, self.asked)
            self._weeks[weeks_back] = _Week(found, roster, has_few_apart)
        return self._weeks[weeks_back]
