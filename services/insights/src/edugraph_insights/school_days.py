"""Days with lessons and weeks of terms.

Days are days in UTC. A day belongs to a term or to a break if its noon does. So an interval of whole days covers the
days that it names, at whatever hour a source begins its days.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
LONGEST_LOOK_BACK_DAYS = 366
_SATURDAY = 5


class Term(NamedTuple):
    """A term. A side that is None is open. `ends` is not part of the term; `breaks` are intervals without lessons."""

    starts: datetime | None = None
    ends: datetime | None = None
    breaks: tuple[tuple[datetime, datetime], ...] = ()

    def teaches_on(self, day: date) -> bool:
        """Return whether a day lies in the term and not in a break."""
        noon = datetime.combine(day, time(12), UTC)
        is_before = self.starts is not None and noon < self.starts
        is_after = self.ends is not None and self.ends <= noon
        if is_before or is_after:
            return False
        return not any(first <= noon < after for first, after in self.breaks)

    def week_of(self, moment: datetime) -> int | None:
        """Return the number of the week, from 1, or None if the term has no beginning. Weeks begin on Mondays."""
        if self.starts is None:
            return None
        return (monday(moment) - monday(self.starts)) // WEEK + 1


class SchoolDays:
    """The days with lessons in the year before a day: Mondays to Fridays that lie in a term and not in its breaks.

    If there are no terms, each Monday to Friday counts.
    """

    def __init__(self, terms: Sequence[Term], before: date) -> None:
        self._days: list[date] = []
        for days_back in range(LONGEST_LOOK_BACK_DAYS, 0, -1):
            day = before - DAY * days_back
            is_in_term = not terms or any(term.teaches_on(day) for term in terms)
            if day.weekday() < _SATURDAY and is_in_term:
                self._days.append(day)
        self._before = before

    def since(self, day: date) -> int:
        """Return the number of days with lessons between the two days. Neither of them is counted."""
        return bisect_left(self._days, self._before) - bisect_right(self._days, day)

    def first_of_last(self, number: int) -> date:
        """Return the first of the last `number` days with lessons, or a day a year ago if there are fewer."""
        if number > len(self._days):
            return self._before - DAY * LONGEST_LOOK_BACK_DAYS
        return self._days[-number]


def monday(moment: datetime) -> date:
    """Return the Monday of the week in which a moment lies."""
    day = moment.astimezone(UTC).date()
    return day - DAY * day.weekday()


def breaks_of(intervals: Iterable[str]) -> tuple[tuple[datetime, datetime], ...]:
    """Return the ends of intervals. The graph keeps them as 2026-05-01T00:00:00+00:00/2026-05-06T00:00:00+00:00."""
    breaks = []
    for interval in intervals:
        first, after = interval.split("/")
        breaks.append((datetime.fromisoformat(first), datetime.fromisoformat(after)))
    return tuple(breaks)
