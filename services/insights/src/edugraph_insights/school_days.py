"""The days and weeks of a school: which days have lessons, and in which week of a term one lies.

Days are those of UTC. A day belongs to a term or to a break when its noon does, so that an interval of whole days
counts the days that it names, whatever the hour at which a source lets them begin.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

DAY, WEEK = timedelta(days=1), timedelta(days=7)
LONGEST_LOOK_BACK_DAYS = 366
_SATURDAY = 5


class Term(NamedTuple):
    """A term, open on a side that is None. `ends` is no part of it; `breaks` are intervals without lessons."""

    starts: datetime | None = None
    ends: datetime | None = None
    breaks: tuple[tuple[datetime, datetime], ...] = ()

    def teaches_on(self, day: date) -> bool:
        noon = datetime.combine(day, time(12), UTC)
        begun = self.starts is None or self.starts <= noon
        over = self.ends is not None and self.ends <= noon
        return begun and not over and not any(first <= noon < after for first, after in self.breaks)

    def week_of(self, moment: datetime) -> int | None:
        """Return the number of the week, from 1: weeks begin on Mondays. None where the term has no beginning."""
        return None if self.starts is None else (monday(moment) - monday(self.starts)) // WEEK + 1


class SchoolDays:
    """The days with lessons of the year before a day: Mondays to Fridays in a term and in none of its breaks.

    Without any term, each Monday to Friday counts.
    """

    def __init__(self, terms: Sequence[Term], before: date) -> None:
        days = [before - DAY * number for number in range(LONGEST_LOOK_BACK_DAYS, 0, -1)]
        self._days = [
            day
            for day in days
            if day.weekday() < _SATURDAY and (not terms or any(term.teaches_on(day) for term in terms))
        ]
        self._before = before

    def since(self, day: date) -> int:
        """Return how many lie between the two days, neither of them counted."""
        return bisect_left(self._days, self._before) - bisect_right(self._days, day)


def monday(moment: datetime) -> date:
    """Return the first day of the week in which a moment lies."""
    day = moment.astimezone(UTC).date()
    return day - DAY * day.weekday()


def breaks_of(intervals: Iterable[str]) -> tuple[tuple[datetime, datetime], ...]:
    """Return intervals such as 2026-05-01T00:00:00+00:00/2026-05-06T00:00:00+00:00, as the graph keeps them."""
    ends = (interval.split("/") for interval in intervals)
    return tuple((datetime.fromisoformat(first), datetime.fromisoformat(after)) for first, after in ends)
