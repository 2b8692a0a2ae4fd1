"""Requests that are refused are counted at their source, with the name of the problem and without what was sent."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest
from anyio import CapacityLimiter

from edugraph_common.contracts.data_sources import DataSource
from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.problems import Problem
from edugraph_gateway.operations.live_sources import LiveDays
from edugraph_gateway.submission.record_receiver import RecordReceiver

NOW = datetime(2026, 9, 21, 10, tzinfo=UTC)
none: Any = None


class Counts:
    def __init__(self, *, is_away: bool = False) -> None:
        self.noted: list[tuple[str, str, datetime]] = []
        self.is_away = is_away

    def add_refusal(self, source: str, name: str, at: datetime) -> None:
        if self.is_away:
            raise Retryable("Redis is away")
        self.noted.append((source, name, at))

    def latest(self, sources: list[str], today: date) -> dict[str, tuple[date, dict[str, str]]]:
        assert today == NOW.date()
        stored = {"refused": "2", "last_refused": NOW.isoformat(), "last_refusal": "signature"}
        return {name: (date(2026, 9, 19), dict(stored)) for name in sources if name == "lms"}


def refuse(counts: Counts, problem: Exception) -> None:
    receiver = RecordReceiver(none, counts, lambda: NOW, CapacityLimiter(1))  # type: ignore[arg-type]

    async def run() -> None:
        async with receiver.noting_refusals("lms"):
            raise problem

    with pytest.raises(type(problem)):
        asyncio.run(run())


@pytest.mark.parametrize("status", [400, 401, 413, 415, 422])
def test_a_refused_request_is_counted_once(status: int) -> None:
    """Out: `add_refusal` in `noting_refusals`."""
    counts = Counts()
    refuse(counts, Problem(status, "signature", "words with a name"))
    assert counts.noted == [("lms", "signature", NOW)]


@pytest.mark.parametrize("status", [408, 429, 503])
def test_what_the_sender_sends_again_is_no_refusal(status: int) -> None:
    """Out: the look at the status."""
    counts = Counts()
    refuse(counts, Problem(status, "busy", "later"))
    refuse(counts, RuntimeError("a bug"))
    assert counts.noted == []


def test_a_request_is_refused_with_its_own_reason_while_redis_is_away() -> None:
    """Out: `suppress`."""
    refuse(Counts(is_away=True), Problem(401, "signature", "words"))


def test_the_latest_day_of_a_source_has_its_last_refusal() -> None:
    class Jobs:
        def report(self, job_id: str, _now: datetime) -> None:
            assert job_id == "live-lms-2026-09-19"

    class Waiting:
        def oldest_of_day(self, _source: str, _day: date) -> None:
            return None

    stubs: Any = (none, Counts(), Waiting(), Jobs(), lambda: NOW)
    sources = [DataSource(name=name, kind="records", created=NOW) for name in ("lms", "shelf")]
    [(name, day)] = LiveDays(*stubs).latest(sources).items()
    assert (name, day.day, day.refused) == ("lms", date(2026, 9, 19), 2)
    assert (day.last_refused, day.last_refusal) == (NOW, "signature")
