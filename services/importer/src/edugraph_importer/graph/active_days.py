"""The minutes in which students were active, stored by student, course and day (UTC).

A day is a set of minutes, and records only add minutes. So repeated records change nothing, in whatever order they
arrive, and no activity can be taken back (docs/adr/0038).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import neo4j

from edugraph_common.contracts.school_records import ActivityRecord
from edugraph_importer.graph.queries import CYPHER, Row

LONGEST_MINUTES = 240  # a record counts for this number of minutes at most
FILLED_MINUTES = 5  # a gap of at most this length between two active minutes counts as active

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_MINUTE = timedelta(minutes=1)
_LAST_MINUTE = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _ONE_MINUTE
_MINUTES = 24 * 60  # in a day
_HOUR = (1 << 60) - 1


class Day(NamedTuple):
    """A day of a student in a course. `date` is an ISO date in UTC."""

    student_id: str
    course_id: str
    date: str

    @property
    def id(self) -> str:
        return json.dumps(self, ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Activity:
    """The activity of one day. Bit n of `minutes` stands for minute n of the day."""

    minutes: int = 0
    kinds: set[str] = field(default_factory=set)

    def add(self, other: "Activity") -> None:
        self.minutes |= other.minutes
        self.kinds |= other.kinds

    @classmethod
    def read(cls, row: neo4j.Record) -> "Activity":
        minutes = 0
        for hour, minutes_of_hour in enumerate(row["hours"]):
            minutes += minutes_of_hour << 60 * hour
        return cls(minutes, set(row["kinds"] or ()))

    def row(self) -> Row:
        """Return the stored form: an integer for each hour, whose bit n stands for minute n of the hour."""
        hours = [self.minutes >> 60 * hour & _HOUR for hour in range(24)]
        return {
            "hours": hours,
            "minutes": active_minutes(self.minutes),
            "kinds": sorted(self.kinds) or None,
        }


def active_minutes(minutes: int) -> int:
    """Return the number of minutes in which a student was active. Short gaps between active minutes count, too."""
    if minutes == 0:
        return 0
    first = (minutes & -minutes).bit_length() - 1
    active = [minute for minute in range(first, minutes.bit_length()) if minutes >> minute & 1]
    number = len(active)
    for minute, next_minute in pairwise(active):
        gap = next_minute - minute - 1
        if gap <= FILLED_MINUTES:
            number += gap
    return number


def days_of(data: ActivityRecord, begins: datetime) -> Iterator[tuple[Day, Activity]]:
    """Yield the activity of a record on each of its days: at least one minute, and at most `LONGEST_MINUTES`."""
    duration_minutes = min(LONGEST_MINUTES, (data.duration_seconds or 0) / 60)
    starts = begins - _EPOCH
    # The moment at which the activity ends does not belong to it.
    ends = starts + timedelta(minutes=duration_minutes) - timedelta(microseconds=1)
    # The first and the last minute, counted since 1970.
    first = starts // _ONE_MINUTE
    last = max(first, ends // _ONE_MINUTE)
    last = min(last, first + LONGEST_MINUTES - 1, _LAST_MINUTE)
    kinds: set[str] = {data.kind} if data.kind else set()
    while first <= last:
        day, minute_of_day = divmod(first, _MINUTES)
        number = min(last - first + 1, _MINUTES - minute_of_day)
        minutes = ((1 << number) - 1) << minute_of_day
        date = (_EPOCH + timedelta(days=day)).date().isoformat()
        yield Day(data.student_id, data.course_id, date), Activity(minutes, kinds)
        first += number


def add_days(days: dict[Day, Activity], more: Iterable[tuple[Day, Activity]]) -> None:
    for day, activity in more:
        days.setdefault(day, Activity()).add(activity)


def write_days(tx: neo4j.Transaction, days: Mapping[Day, Activity]) -> None:
    """Add activity to the days in the graph. The students must be locked, so that nobody else changes their days."""
    if not days:
        return
    by_id = {day.id: day for day in sorted(days)}
    stored = {row["id"]: row for row in tx.run(CYPHER["active_days"], ids=list(by_id))}
    new: list[Row] = []
    changed: list[Row] = []
    for day_id, day in by_id.items():
        row: Row = {
            "id": day_id,
            "student": day.student_id,
            "course": day.course_id,
            "date": day.date,
        }
        if day_id not in stored:
            new.append(row | days[day].row())
            continue
        before = Activity.read(stored[day_id])
        after = Activity(before.minutes, set(before.kinds))
        after.add(days[day])
        if after != before:
            changed.append(row | after.row())
    if new:
        tx.run(CYPHER["create_active_days"], rows=new).consume()
    if changed:
        tx.run(CYPHER["set_active_days"], rows=changed).consume()
