"""The state of a cell: the end of a closed school week at which ten or more of its students had other records.

The same set of students has the same noise in each week, so the difference of two looks at a cell is that of its
exact numbers. So a cell moves on only when ten or more of its students have other data than at its last state. Which
week that was is computed from the records each time. Nothing is remembered, and who is erased leaves at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from edugraph_insights.graph import Reader, Row
from edugraph_insights.school_days import DAY, WEEK, day_of, end_of, monday
from edugraph_insights.small_groups import SMALLEST_GROUP_STUDENTS

# student -> the data on which a cell stands
Data = Mapping[str, object]
# Data of a cell at the end of the week with this number, from 0. Number -1 is before all records.
DataOfWeek = Callable[[int], Data]


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


def state_of(data_of: DataOfWeek, weeks: int) -> int | None:
    """Return the number of the week whose end a cell shows, or None if it never had ten students.

    Args:
        data_of: The data of the cell at the end of a week. Records are added from week to week, so equal data at two
            weeks means that they were equal in between.
        weeks: The number of closed weeks.

    """
    # In a week in which ten students have other data the cell moves on, whatever its state before. So the walk
    # begins at the last of these weeks.
    latest_first: list[tuple[int, frozenset[str]]] = []
    for week, students in _changes(data_of, -1, weeks - 1):
        latest_first.append((week, students))
        if len(students) >= SMALLEST_GROUP_STUDENTS:
            break
    state = None
    changed: frozenset[str] = frozenset()
    for week, students in reversed(latest_first):
        changed |= students
        if len(changed) >= SMALLEST_GROUP_STUDENTS:
            state = week
            changed = frozenset()
    return state


def _changes(data_of: DataOfWeek, after: int, until: int) -> Iterator[tuple[int, frozenset[str]]]:
    """Yield the weeks with changed data in an interval, the latest first, with the students whose data changed.

    The last week is looked at first, then intervals that grow backwards: most cells of a running course moved lately.
    """
    length = 1
    while until > after:
        earlier = max(after, until - length)
        yield from _changes_between(data_of, earlier, until)
        until = earlier
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

    def read(self, statement: str, **parameters: Any) -> list[Row]:
        key = repr((statement, sorted(parameters.items())))
        if key not in self._read:
            self._read[key] = self._graph.read(statement, **parameters)
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
            self.earliest = min([self.earliest, *(row["at"] for row in rows)])
        wanted = set(students)
        found = []
        for row in self._read[key]:
            if row["at"] <= moment and row["student"] in wanted:
                found.append(row)
        return found
