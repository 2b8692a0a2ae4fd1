"""The state of a cell: the end of a closed school week at which ten or more of its students had other records.

The same set of students has the same noise in each week, so the difference of two looks at a cell is that of its
exact numbers. So a cell moves on only when ten or more of its students have other data than at its last state. Which
week that was is computed from the records each time. Nothing is remembered, and who is erased leaves at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from enum import Enum
from typing import Any

from edugraph_insights.graph import Reader, Row
from edugraph_insights.school_days import DAY, WEEK, day_of, end_of, monday
from edugraph_insights.small_groups import SMALLEST_GROUP_STUDENTS

# A cell whose state lies further back is hidden, since each week looked at is a whole computation of its question.
MOST_WEEKS_BACK = 26
# student -> the data on which a cell stands
Data = Mapping[str, object]
# Data of a cell at the end of the week with this number, from 0. Number -1 is before all records.
DataOfWeek = Callable[[int], Data]


class NoState(Enum):
    """Why a cell shows nothing."""

    SMALL = "small"
    TOO_LONG_AGO = "too long ago"
    FEW_DIFFER = "few differ"


def end_of_closed_week(now: datetime, zone: tzinfo) -> datetime:
    """Return the last moment of the last week that is over, for the clocks of `zone`."""
    return end_of(monday(now, zone) - DAY, zone)


def end_of_earlier_week(last_end: datetime, weeks_back: int, zone: tzinfo) -> datetime:
    """Return the last moment of the week that ended `weeks_back` weeks before the one that ends at `last_end`."""
    return end_of(day_of(last_end, zone) - WEEK * weeks_back, zone)


def weeks_between(first: datetime, last_end: datetime, zone: tzinfo) -> int:
    """Return the number of weeks from that of `first` to the one that ends at `last_end`, at least 1."""
    days = monday(last_end, zone) - monday(first, zone)
    return max(1, days // WEEK + 1)


def state_of(
    data_of: DataOfWeek,
    weeks: int,
    *,
    can_shrink: bool = False,
    most_weeks_back: int = MOST_WEEKS_BACK,
) -> int | NoState:
    """Return the number of the week whose end a cell shows, or why it shows nothing.

    Args:
        data_of: The data of the cell at the end of a week.
        weeks: The number of closed weeks.
        can_shrink: Whether data can go back to what they were. Then each week is looked at. Otherwise records are
            only added from week to week, so equal data at two weeks means that they were equal in between.
        most_weeks_back: The number of weeks that are looked at.

    """
    # In a week in which ten students have other data the cell moves on, whatever its state before. So the walk
    # begins at the last of these weeks. Another beginning after the first week would make other states each week.
    after = max(-1, weeks - 1 - most_weeks_back)
    has_beginning = after == -1
    latest_first: list[tuple[int, frozenset[str]]] = []
    for week, students in _changes(data_of, after, weeks - 1, can_shrink=can_shrink):
        latest_first.append((week, students))
        if len(students) >= SMALLEST_GROUP_STUDENTS:
            has_beginning = True
            break
    if not has_beginning:
        is_small_today = len(data_of(weeks - 1)) < SMALLEST_GROUP_STUDENTS
        return NoState.SMALL if is_small_today else NoState.TOO_LONG_AGO
    state: int | NoState = NoState.SMALL
    changed: frozenset[str] = frozenset()
    for week, students in reversed(latest_first):
        changed |= students
        if len(changed) >= SMALLEST_GROUP_STUDENTS:
            state = week
            changed = frozenset()
    return state


def _changes(
    data_of: DataOfWeek, after: int, until: int, *, can_shrink: bool
) -> Iterator[tuple[int, frozenset[str]]]:
    """Yield the weeks with changed data in an interval, the latest first, with the students whose data changed.

    The last week is looked at first, then intervals that grow backwards: most cells of a running course moved lately.
    If data can shrink, each interval is one week.
    """
    length = 1
    while until > after:
        earlier = max(after, until - length)
        yield from _changes_between(data_of, earlier, until)
        until = earlier
        if not can_shrink:
            length *= 2


def _changes_between(
    data_of: DataOfWeek, after: int, until: int
) -> Iterator[tuple[int, frozenset[str]]]:
    before = data_of(after)
    now = data_of(until)
    if before == now:
        return
    if until - after == 1:
        yield until, differing(before, now)
        return
    middle = (after + until) // 2
    yield from _changes_between(data_of, middle, until)
    yield from _changes_between(data_of, after, middle)


def differing(one: Data, other: Data) -> frozenset[str]:
    """Return the students who are in one of the two only, or with other data."""
    found = set()
    for student in one.keys() | other.keys():
        if one.get(student) != other.get(student):
            found.add(student)
    return frozenset(found)


class RememberedReader:
    """The rows of a graph for a question that is computed as of several moments.

    Each statement about students is read once, of all `students` until the last moment, and later only filtered.
    """

    def __init__(self, graph: Reader, students: tuple[str, ...], until: datetime) -> None:
        self._graph = graph
        self._students = students
        self._until = until
        self._read: dict[str, list[Row]] = {}
        self.earliest = until
        # The time of the last record, or None if no record was read.
        self.latest: datetime | None = None

    def read(self, statement: str, **parameters: Any) -> list[Row]:
        key = repr((statement, sorted(parameters.items())))
        if key not in self._read:
            self._read[key] = self._graph.read(statement, **parameters)
            self._note_times(self._read[key])
        return self._read[key]

    def read_by_student(
        self, statement: str, students: Sequence[str], **parameters: Any
    ) -> list[Row]:
        moment = datetime.fromisoformat(parameters.pop("until"))
        key = repr((statement, sorted(parameters.items())))
        if key not in self._read:
            rows = self._graph.read_by_student(
                statement, self._students, until=self._until.isoformat(), **parameters
            )
            self._read[key] = rows
            self._note_times(rows)
        wanted = set(students)
        found = []
        for row in self._read[key]:
            if row["at"] <= moment and row["student"] in wanted:
                found.append(row)
        return found

    def _note_times(self, rows: Sequence[Row]) -> None:
        """Note when the first and the last of these rows were, if they are records with a time."""
        for row in rows:
            at = row.get("at")
            if isinstance(at, datetime) and at <= self._until:
                self.earliest = min(self.earliest, at)
                self.latest = max(self.latest or at, at)
