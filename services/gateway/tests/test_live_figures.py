"""The metrics of sources that send live."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from pydantic import ValidationError

from edugraph_common.contracts.data_sources import DataSource, LiveDay
from edugraph_common.contracts.errors import Retryable
from edugraph_gateway.operations.live_sources import (
    LiveDays,
    LiveFigures,
    RecentSource,
    is_silent,
    lag_seconds,
)

NOW = datetime(2026, 9, 22, 0, 10, tzinfo=UTC)
TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)


def day(of: date = TODAY, **more: Any) -> LiveDay:
    return LiveDay(source="lms", day=of, job_id="j", **more)


@pytest.mark.parametrize(
    ("oldest_waiting", "seconds"),
    [
        (None, 0),
        (NOW - timedelta(minutes=9), 540),
        # The clocks of two machines differ.
        (NOW + timedelta(seconds=5), 0),
    ],
)
def test_the_lag_is_the_age_of_the_oldest_row_that_waits(
    oldest_waiting: datetime | None, seconds: float
) -> None:
    assert lag_seconds(oldest_waiting, NOW) == seconds


def source(name: str = "lms", **more: Any) -> DataSource:
    return DataSource(name=name, kind="records", created=NOW, **more)


SHANGHAI = {"silent_after_minutes": 30, "school_hours": "08:00-16:00", "time_zone": "Asia/Shanghai"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("last_accepted", "now", "settings", "silent"),
    [
        # A Tuesday. The school begins at 08:00, which is midnight in UTC.
        (None, "2026-09-22T08:29:00+08:00", SHANGHAI, False),
        (None, "2026-09-22T08:31:00+08:00", SHANGHAI, True),
        ("2026-09-21T15:59:00+08:00", "2026-09-22T08:29:00+08:00", SHANGHAI, False),
        ("2026-09-22T07:00:00+08:00", "2026-09-22T08:31:00+08:00", SHANGHAI, True),
        ("2026-09-22T08:05:00+08:00", "2026-09-22T08:31:00+08:00", SHANGHAI, False),
        ("2026-09-22T15:00:00+08:00", "2026-09-22T15:59:00+08:00", SHANGHAI, True),
        ("2026-09-22T15:00:00+08:00", "2026-09-22T16:00:00+08:00", SHANGHAI, False),
        ("2026-09-22T15:00:00+08:00", "2026-09-22T23:00:00+08:00", SHANGHAI, False),
        # Saturday in Shanghai, and still Friday in UTC.
        (None, "2026-09-26T08:31:00+08:00", SHANGHAI, False),
        (None, "2026-09-28T08:31:00+08:00", SHANGHAI, True),
        (None, "2026-09-22T08:31:00+08:00", {**SHANGHAI, "live": "paused"}, False),
        (None, "2026-09-22T08:31:00+08:00", {**SHANGHAI, "live": "observe"}, False),
        (None, "2026-09-22T08:31:00+08:00", {}, False),
        # Without a zone the hours are in UTC.
        (None, "2026-09-22T08:31:00+00:00", {"silent_after_minutes": 30}, True),
        # The clocks have gone back in the night before.
        (
            None,
            "2026-10-26T08:31:00+01:00",
            {"silent_after_minutes": 30, "time_zone": "Europe/Berlin"},
            True,
        ),
    ],
)
def test_a_source_is_silent_in_its_school_hours_alone(
    last_accepted: str | None, now: str, settings: dict[str, Any], silent: bool
) -> None:
    """Out: the hours, the days, the zone, the beginning of the hours, or the state `live`."""
    last = at(last_accepted) if last_accepted else None
    assert is_silent(source(**settings), last, at(now)) == silent


@pytest.mark.parametrize("hours", ["16:00-08:00", "08:00-08:00", "8:00-16:00", "08:00-24:00", "x"])
def test_other_hours_are_refused(hours: str) -> None:
    with pytest.raises(ValidationError, match="school_hours"):
        source(school_hours=hours)


@pytest.mark.parametrize("minutes", [480, 1_440])
def test_a_silence_that_is_longer_than_the_school_hours_is_refused(minutes: int) -> None:
    """Out: the comparison. Then the alert could never fire."""
    assert source(silent_after_minutes=479).silent_after_minutes == 479
    with pytest.raises(ValidationError, match="480 minutes"):
        source(silent_after_minutes=minutes)


@dataclass
class Days:
    sources: list[RecentSource] = field(default_factory=list)
    is_away: bool = False

    def now(self) -> datetime:
        return NOW

    def recent(self) -> list[RecentSource]:
        if self.is_away:
            raise Retryable("Redis is away")
        return self.sources


def figures_of(days: Days) -> dict[tuple[str, ...], float]:
    """Return the value of each figure, by its name and labels."""
    found = {}
    for family in LiveFigures(cast("LiveDays", days), clock=lambda: 0.0).collect():
        for sample in family.samples:
            found[(sample.name, *sample.labels.values())] = sample.value
    return found


def test_what_came_before_midnight_and_waits_is_counted_after_it() -> None:
    """Out: the sum of both days; the lag of a source without recent days."""
    before = NOW - timedelta(minutes=15)
    yesterday = day(
        YESTERDAY, accepted=40, waiting=7, rejected=2, first_accepted=before, last_accepted=before
    )
    today = day(accepted=3, first_accepted=NOW, last_accepted=NOW, written_until=NOW)
    expected = source("silent", silent_after_minutes=5, school_hours="00:00-23:59")
    sources = [
        # Something was written a second ago, and a row of yesterday waits still.
        RecentSource(source(), [yesterday, today], before),
        RecentSource(expected, []),
        # Nothing came for two days, and the server has been away for longer.
        RecentSource(source("older"), [], NOW - timedelta(days=3)),
        RecentSource(source("done"), [day(accepted=1, last_accepted=before)]),
    ]
    assert figures_of(Days(sources)) == {
        ("edugraph_live_rows", "lms", "accepted"): 43,
        ("edugraph_live_rows", "lms", "waiting"): 7,
        ("edugraph_live_rows", "lms", "rejected"): 2,
        ("edugraph_live_lag_seconds", "lms"): 900,
        ("edugraph_live_last_accepted_seconds", "lms"): NOW.timestamp(),
        ("edugraph_live_source_silent", "silent"): 1,
        ("edugraph_live_lag_seconds", "older"): 259_200,
        ("edugraph_live_rows", "done", "accepted"): 1,
        ("edugraph_live_rows", "done", "waiting"): 0,
        ("edugraph_live_rows", "done", "rejected"): 0,
        ("edugraph_live_lag_seconds", "done"): 0,
        ("edugraph_live_last_accepted_seconds", "done"): before.timestamp(),
    }


def test_the_figures_are_missing_while_redis_is_away() -> None:
    assert figures_of(Days(is_away=True)) == {}


def test_the_texts_over_the_budget_are_those_of_both_days() -> None:
    """Out: the condition on `live_texts_a_day`, or the sums."""
    days = []
    for of in (YESTERDAY, TODAY):
        days.append(day(of, accepted=9, last_accepted=NOW, texts=4, over_budget=3))
    sources = [
        RecentSource(source("with", live_texts_a_day=4), days),
        RecentSource(source("without"), days),
    ]
    found = figures_of(Days(sources))
    texts = {name: value for name, value in found.items() if name[0] == "edugraph_live_texts"}
    assert texts == {
        ("edugraph_live_texts", "with", "analysed"): 8,
        ("edugraph_live_texts", "with", "over_budget"): 6,
    }
