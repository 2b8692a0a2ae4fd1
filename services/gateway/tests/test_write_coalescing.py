"""Jobs that are created side by side, without any server."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest
from anyio import CapacityLimiter

from edugraph_common.contracts.errors import Retryable
from edugraph_common.platform.job_store import NewJob
from edugraph_gateway.submission import write_coalescing
from edugraph_gateway.submission.write_coalescing import WriteCoalescing


def _job(number: int) -> NewJob:
    return NewJob(str(number), "import", "inline", datetime(2026, 1, 1, tzinfo=UTC))


async def _all(create_all: Callable[[Sequence[NewJob]], object], number: int) -> list[BaseException | None]:
    """What became of so many jobs."""
    together = WriteCoalescing(create_all, CapacityLimiter(8))
    return await asyncio.gather(*(together.create(_job(n)) for n in range(number)), return_exceptions=True)


def test_jobs_of_one_moment_go_together_and_no_more_than_may() -> None:
    trips: list[int] = []
    assert asyncio.run(_all(lambda jobs: trips.append(len(jobs)), write_coalescing.MAX_JOBS + 3)) == [None] * (
        write_coalescing.MAX_JOBS + 3
    )
    assert trips == [write_coalescing.MAX_JOBS, 3]


def test_who_comes_while_others_are_on_their_way_goes_with_the_next() -> None:
    trips: list[list[str]] = []
    begun, go_on = threading.Event(), threading.Event()

    def create_all(jobs: Sequence[NewJob]) -> None:
        trips.append([job.job_id for job in jobs])
        begun.set()
        go_on.wait(5)

    async def come_later() -> None:
        together = WriteCoalescing(create_all, CapacityLimiter(8))
        first = asyncio.create_task(together.create(_job(0)))
        assert await asyncio.to_thread(begun.wait, 5)
        others = [asyncio.create_task(together.create(_job(n))) for n in (1, 2)]
        await asyncio.sleep(0.05)
        assert trips == [["0"]]
        go_on.set()
        await asyncio.gather(first, *others)

    asyncio.run(come_later())
    assert trips == [["0"], ["1", "2"]]


def test_a_failure_is_told_to_each_and_the_next_is_tried_again() -> None:
    answers = iter([Retryable("away"), None])

    def create_all(_jobs: Sequence[NewJob]) -> None:
        if answer := next(answers):
            raise answer

    async def twice() -> list[BaseException | None]:
        together = WriteCoalescing(create_all, CapacityLimiter(8))
        failed = await asyncio.gather(*(together.create(_job(n)) for n in (1, 2)), return_exceptions=True)
        await together.create(_job(3))
        return failed

    assert [str(error) for error in asyncio.run(twice())] == ["away", "away"]


def test_nobody_waits_longer_for_a_redis_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the time-out in `create` (the last of them waits for the time-outs of all trips before its own)."""
    monkeypatch.setattr(write_coalescing, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(write_coalescing, "MAX_JOBS", 1)
    go_on = threading.Event()

    async def hang() -> list[BaseException | None]:
        try:
            return await asyncio.wait_for(_all(lambda _jobs: go_on.wait(5), 60), 3)
        finally:
            go_on.set()

    assert all(isinstance(error, Retryable) for error in asyncio.run(hang()))


def test_a_job_that_nobody_waits_for_any_more_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the choice by `created.done()` in `_send`. Its submission was withdrawn, and was answered with 503."""
    monkeypatch.setattr(write_coalescing, "TIMEOUT_SECONDS", 0.1)
    trips: list[list[str]] = []
    go_on = threading.Event()

    def create_all(jobs: Sequence[NewJob]) -> None:
        trips.append([job.job_id for job in jobs])
        if len(trips) == 1:
            go_on.wait(5)

    async def give_up() -> None:
        together = WriteCoalescing(create_all, CapacityLimiter(8))
        first = asyncio.create_task(together.create(_job(0)))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(together.create(_job(1)))
        await asyncio.sleep(0.01)
        second.cancel()
        third = asyncio.create_task(together.create(_job(2)))
        results = await asyncio.gather(first, second, third, return_exceptions=True)
        go_on.set()
        assert isinstance(results[0], Retryable)
        assert isinstance(results[1], asyncio.CancelledError)

    asyncio.run(give_up())
    assert "1" not in {job_id for trip in trips for job_id in trip}


def test_a_bug_is_raised_to_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: what `_send` does with a failure (they would wait for two seconds and be told that Redis is slow)."""
    monkeypatch.setattr(write_coalescing, "TIMEOUT_SECONDS", 5.0)

    def create_all(_jobs: Sequence[NewJob]) -> None:
        raise ZeroDivisionError

    assert [type(error) for error in asyncio.run(_all(create_all, 3))] == [ZeroDivisionError] * 3
