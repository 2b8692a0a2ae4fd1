"""Traps in ending a worker: what runs is lost or doubled, what was not begun stays away, the end never comes."""

import time

import pytest
from traps import Bench, Worker, both_slow, slow
from waiting import until

pytestmark = pytest.mark.real


def begun(bench: Bench, **fields: object) -> tuple[str, str]:
    """One task that runs, and one that waits behind it."""
    running = bench.send(**fields)
    until(lambda: bench.noted("begun", running))
    return running, bench.send()


def ended(worker: Worker, seconds: float) -> float:
    began = time.monotonic()
    until(lambda: not worker.alive(), seconds)
    return time.monotonic() - began


def test_shutdown_finishes_what_runs_and_gives_back_what_was_not_begun(bench: Bench) -> None:
    """As a batch in the middle of its transaction. It ends when the work is done, not when the grace is over."""
    worker = bench.start()
    running, waiting = begun(bench, seconds=3)
    worker.terminate()
    assert ended(worker, 15) < 8
    assert worker.process.returncode == 0
    assert (bench.state(running), len(bench.noted("done", running))) == ("SUCCESS", 1)
    assert bench.noted("begun", waiting) == []
    until(lambda: bench.depth("data_import") == 1)
    bench.start()
    until(lambda: bench.state(waiting) == "SUCCESS")
    assert len(bench.noted("begun", running)) == 1


@both_slow
def test_shutdown_after_the_grace_gives_back_what_runs(bench: Bench, guarded: bool) -> None:
    """Celery's warm shutdown waits without end. Out: limit_shutdown."""
    worker = bench.start(without="" if guarded else "shutdown", EDUGRAPH_SHUTDOWN_GRACE="2")
    running, _ = begun(bench, seconds=20 if guarded else 8)
    worker.terminate()
    if not guarded:
        assert ended(worker, 30) > 6
        return
    assert ended(worker, 15) < 8
    until(lambda: bench.depth("data_import") == 2)
    assert (bench.noted("done", running), bench.state(running)) == ([], "STARTED")


@slow
def test_soft_shutdown_sleeps_through_its_heartbeats(bench: Bench) -> None:
    """Why REMAP_SIGTERM with worker_soft_shutdown_timeout is no guard: for all of that time the main process sleeps,
    the broker misses its heartbeats, and the running task is given to another worker, which does it again.
    """
    conf = {"worker_soft_shutdown_timeout": 14, "broker_heartbeat": 2}
    worker = bench.start("soft", conf=conf, without="shutdown", REMAP_SIGTERM="SIGQUIT")
    running, _ = begun(bench, seconds=10)
    worker.terminate()
    bench.start("other")
    until(lambda: len(bench.noted("begun", running)) == 2, 20)


def test_heartbeats_go_on_in_our_shutdown(bench: Bench) -> None:
    """The same with the project's own: done once."""
    worker = bench.start("ours", conf={"broker_heartbeat": 2}, EDUGRAPH_SHUTDOWN_GRACE="30")
    running, waiting = begun(bench, seconds=8)
    worker.terminate()
    bench.start("other")
    until(lambda: bench.state(waiting) == "SUCCESS", 5)
    until(lambda: bench.state(running) == "SUCCESS", 20)
    assert ended(worker, 10) < 8
    assert (len(bench.noted("begun", running)), bench.depth("data_import")) == (1, 0)
