"""The claim of erasures: its process renews it, and it ends soon after that process was killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from edugraph_common.contracts.errors import Retryable, Wait
from edugraph_common.runtime.shared_state import job_store
from edugraph_common.runtime.shared_state.job_store import ERASING, ERASING_SECONDS, Jobs, connect

SHORT_SECONDS = 1.5
HOLDER = f"""
import sys, time
from edugraph_common.runtime.shared_state import job_store
job_store.ERASING_SECONDS = {SHORT_SECONDS}
with job_store.Jobs(job_store.connect(sys.argv[1])).erasing():
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def jobs(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setattr(job_store, "ERASING_BLOCKS_SECONDS", 0.05)
    monkeypatch.setattr(job_store, "ERASING_SECONDS", SHORT_SECONDS)
    client = connect(redis_url)
    client.delete(ERASING)
    yield Jobs(client)
    client.close()


def test_a_killed_erasure_holds_up_others_for_a_minute_at_most(jobs: Jobs, redis_url: str) -> None:
    """Out: the thread that renews the claim, so that a long step loses it; or a claim that lives for 15 minutes."""
    assert ERASING_SECONDS <= 60
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, redis_url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        # The holder calls nothing meanwhile, as in a long transaction of the graph.
        end = time.monotonic() + 3 * SHORT_SECONDS
        while time.monotonic() < end:
            with pytest.raises(Wait, match="another person is being erased"), jobs.erasing():
                pass
        holder.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        while True:
            try:
                with jobs.erasing():
                    break
            except Wait:
                assert time.monotonic() - killed < SHORT_SECONDS + 2
    finally:
        holder.kill()
        holder.wait()


def test_an_erasure_that_lost_its_claim_stops(jobs: Jobs, redis_url: str) -> None:
    """Out: the look at the claim in `go_on`. Redis may lose its data, and another erasure begin."""
    client = connect(redis_url)
    with jobs.erasing() as go_on:
        go_on()
        client.delete(ERASING)
        with pytest.raises(Retryable):
            go_on()
        with Jobs(client).erasing() as other_goes_on:
            other_goes_on()
            with pytest.raises(Retryable):
                go_on()
    client.close()


def test_the_claim_ends_with_the_block(jobs: Jobs) -> None:
    with jobs.erasing():
        pass
    with jobs.erasing():
        pass
