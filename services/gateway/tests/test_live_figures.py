"""The metrics of sources that send live."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest

from edugraph_common.contracts.data_sources import LiveDay
from edugraph_common.contracts.errors import Retryable
from edugraph_gateway.operations.live_sources import LiveDays, LiveFigures, lag_seconds

NOW = datetime(2026, 9, 22, 0, 10, tzinfo=UTC)
TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)


def day(of: date = TODAY, **more: Any) -> LiveDay:
    return LiveDay(source="lms", day=of, job_id="j", **more)


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        (day(), 0),
        (day(first_accepted=NOW - timedelta(minutes=9), waiting=0), 0),
        # Nothing of the day was written yet.
        (day(first_accepted=NOW - timedelta(minutes=9), waiting=3), 540),
        # Something was written, and since then nothing more.
        (
            day(
                first_accepted=NOW - timedelta(hours=9),
                written_until=NOW - timedelta(minutes=2),
                waiting=3,
            ),
            120,
        ),
        # The clocks of two machines differ.
        (day(written_until=NOW + timedelta(seconds=5), waiting=3), 0),
    ],
)
def test_the_lag_is_the_time_since_something_was_written(found: LiveDay, seconds: float) -> None:
    assert lag_seconds(found, NOW) == seconds


@dataclass
class Days:
    days: Mapping[str, list[LiveDay]] = field(default_factory=dict)
    is_away: bool = False

    def now(self) -> datetime:
        return NOW

    def recent(self) -> list[LiveDay]:
        if self.is_away:
            raise Retryable("Redis is away")
        return [
            each.model_copy(update={"source": name})
            for name, of in self.days.items()
            for each in of
        ]


def figures_of(days: Days) -> dict[tuple[str, ...], float]:
    """Return the value of each figure, by its name and labels."""
    found = {}
    for family in LiveFigures(cast("LiveDays", days), clock=lambda: 0.0).collect():
        for sample in family.samples:
            found[(sample.name, *sample.labels.values())] = sample.value
    return found


def test_what_came_before_midnight_and_waits_is_counted_after_it() -> None:
    """Out: yesterday in `recent`; the sum, or the largest lag, of both days."""
    before = NOW - timedelta(minutes=15)
    yesterday = day(
        YESTERDAY, accepted=40, waiting=7, rejected=2, first_accepted=before, last_accepted=before
    )
    today = day(accepted=3, first_accepted=NOW, last_accepted=NOW, written_until=NOW)
    figures = figures_of(Days({"lms": [yesterday, today], "silent": [day(YESTERDAY), day()]}))
    assert figures == {
        ("edugraph_live_rows", "lms", "accepted"): 43,
        ("edugraph_live_rows", "lms", "waiting"): 7,
        ("edugraph_live_rows", "lms", "rejected"): 2,
        ("edugraph_live_lag_seconds", "lms"): 900,
        ("edugraph_live_last_accepted_seconds", "lms"): NOW.timestamp(),
    }


def test_the_figures_are_missing_while_redis_is_away() -> None:
    assert figures_of(Days(is_away=True)) == {}
