"""Days and weeks in the time zone of the school, days with lessons, and weeks of terms.

A day belongs to a term or to a break if its noon does. So an interval of whole days covers the days that it names, at
whatever hour a source begins its days.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
LONGEST_LOOK_BACK_DAYS = 366
_SATURDAY = 5
_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


def in_utc(moment: datetime, zone: tzinfo) -> datetime:
    """Return a moment in UTC. A moment without a time zone is a time on the clocks of `zone`.

    If the clocks show the time twice, because they are put back, `fold` of the moment says which one is meant. A
    moment outside of the years 1 to 9999 becomes the first or the last moment of these years.
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _FIRST_MOMENT if moment.year == 1 else _LAST_MOMENT


def period_in_utc(
    since: datetime | None, until: datetime | None, zone: tzinfo
) -> dict[str, datetime | None]:
    """Return both ends of a period in UTC, as `since` and `until`. An end that is None is open."""
    return {
        "since": None if since is None else in_utc(since, zone),
        "until": None if until is None else in_utc(until, zone),
    }


def day_of(moment: datetime, zone: tzinfo) -> date:
    """Return the day on which a moment lies for the clocks of `zone`."""
    try:
        return moment.astimezone(zone).date()
    except OverflowError:
        return date.min if moment.year == 1 else date.max


def beginning_of(day: date, zone: tzinfo) -> datetime:
    """Return the first moment of a day, in UTC. If the clocks show midnight twice, the first one counts."""
    return in_utc(datetime.combine(day, time()), zone)


def end_of(day: date, zone: tzinfo) -> datetime:
    """Return the last moment of a day, in UTC. If the clocks show it twice, the second one counts."""
    return in_utc(datetime.combine(day, time.max).replace(fold=1), zone)


def monday(moment: datetime, zone: tzinfo) -> date:
    """Return the Monday of the week in which a moment lies."""
    day = day_of(moment, zone)
    return day - DAY * day.weekday()


class Term(NamedTuple):
    """A term. A side that is None is open. `ends` is not part of the term; `breaks` are intervals without lessons."""

    starts: datetime | None = None
    ends: datetime | None = None
    breaks: tuple[tuple[datetime, datetime], ...] = ()

    def teaches_on(self, day: date, zone: tzinfo) -> bool:
        """Return whether a day lies in the term and not in a break."""
        noon = in_utc(datetime.combine(day, time(12)), zone)
        is_before = self.starts is not None and noon < self.starts
        is_after = self.ends is not None and self.ends <= noon
        if is_before or is_after:
            return False
        return not any(first <= noon < after for first, after in self.breaks)

    def week_of(self, moment: datetime, zone: tzinfo) -> int | None:
        """Return the number of the week, from 1, or None if the term has no beginning. Weeks begin on Mondays."""
        if self.starts is None:
            return None
        return (monday(moment, zone) - monday(self.starts, zone)) // WEEK + 1


class SchoolDays:
    """The days with lessons in the year before a day: Mondays to Fridays that lie in a term and not in its breaks.

    If there are no terms, each Monday to Friday counts.
    """

    def __init__(self, terms: Sequence[Term], before: date, zone: tzinfo) -> None:
        self._days: list[date] = []
        for days_back in range(LONGEST_LOOK_BACK_DAYS, 0, -1):
            day = before - DAY * days_back
            is_in_term = not terms or any(term.teaches_on(day, zone) for term in terms)
            if day.weekday() < _SATURDAY and is_in_term:
                self._days.append(day)
        self._before = before
        self._zone = zone

    def since(self, day: date) -> int:
        """Return the number of days with lessons between the two days. Neither of them is counted."""
        return bisect_left(self._days, self._before) - bisect_right(self._days, day)

    def since_moment(self, moment: datetime) -> int:
        """Return the number of days with lessons after the day of a moment."""
        return self.since(day_of(moment, self._zone))

    def first_of_last(self, number: int) -> date:
        """Return the first of the last `number` days with lessons, or a day a year ago if there are fewer."""
        if number > len(self._days):
            return self._before - DAY * LONGEST_LOOK_BACK_DAYS
        return self._days[-number]


def breaks_of(intervals: Iterable[str]) -> tuple[tuple[datetime, datetime], ...]:
    """Return the ends of intervals. The graph keeps them as 2026-05-01T00:00:00+00:00/2026-05-06T00:00:00+00:00."""
    breaks = []
    for interval in intervals:
        first, after = interval.split("/")
        breaks.append((datetime.fromisoformat(first), datetime.fromisoformat(after)))
    return tuple(breaks)
