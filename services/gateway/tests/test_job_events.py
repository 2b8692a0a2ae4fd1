"""The stream of a job's changes: when it looks again, and when it ends."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise

import anyio
import pytest

from edugraph_common.contracts.outcomes import JobState
from edugraph_gateway.api.answers import JobAnswer
from edugraph_gateway.api.routes.jobs import FIRST_PAUSE_SECONDS, LOOK_INTERVAL_SECONDS, changes

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(state: JobState, batches_done: int = 0) -> JobAnswer:
    return JobAnswer(
        job_id="j",
        kind="import",
        state=state,
        source="f",
        created=NOW,
        updated=NOW,
        batches_done=batches_done,
    )


def streamed(
    looks: list[JobAnswer], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[float]]:
    """Return the events of a job that looks so, one after the other, and the pauses between the looks."""
    left, pauses = iter(looks), list[float]()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def goes_on() -> bool:
        return True

    async def collected(events: AsyncIterator[str]) -> list[str]:
        return [event async for event in events]

    monkeypatch.setattr("edugraph_gateway.api.routes.jobs.asyncio.sleep", pause)
    return anyio.run(collected, changes(lambda: next(left), goes_on)), pauses


def test_a_stream_ends_with_the_job_and_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To take the guard out: sleep before the end is seen, and each who follows a job waits half a second longer."""
    events, pauses = streamed([job("succeeded")], monkeypatch)
    assert [event.splitlines()[0] for event in events] == ["id: 1"]
    assert pauses == []


def test_it_looks_again_soon_at_first_and_twice_a_second_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [
        job("queued"),
        *(job("running", batches_done=number) for number in range(5)),
        job("succeeded"),
    ]
    events, pauses = streamed(looks, monkeypatch)
    assert len(events) == len(looks) == len(pauses) + 1
    assert (pauses[0], pauses[-1]) == (FIRST_PAUSE_SECONDS, LOOK_INTERVAL_SECONDS)
    assert all(later == min(2 * pause, LOOK_INTERVAL_SECONDS) for pause, later in pairwise(pauses))
