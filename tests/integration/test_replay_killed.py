"""A replay that is killed in the middle and started again: each dead letter is done once, none is left."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from traps import Bench
from waiting import until

from edugraph_common.runtime.messaging.dead_letter_store import KEYS

pytestmark = pytest.mark.real
LETTERS, MIDDLE, PER_SECOND = 200, 100, 100
# The worst moment: the letter is confirmed in its queue, and not yet deleted.
REPLAY = f"""
import os, sys
from traps import TRAP_ROUTES
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.runtime.messaging.dead_letter_store import DeadLetterStore, open_dead_letters
from edugraph_common.runtime.service.settings import Settings
from edugraph_gateway.operations.dead_letter_operator import DeadLetterOperator
from edugraph_gateway.operations.task_results import TaskResults
delete, left = DeadLetterStore.delete, [int(sys.argv[1])]
def die_before_deleting(*arguments, **options):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), 9)
    delete(*arguments, **options)
DeadLetterStore.delete = die_before_deleting
ROUTES.update(TRAP_ROUTES)
settings = Settings()
operator = DeadLetterOperator(settings, open_dead_letters(settings), TaskResults(settings, 5).is_done)
print(operator.replay_all("data_import", {LETTERS}, {PER_SECOND}).model_dump_json())
"""


def replay(bench: Bench, folder: Path, dies_at: int) -> "subprocess.CompletedProcess[str]":
    script = folder / "replay.py"
    script.write_text(REPLAY)
    command = [sys.executable, str(script), str(dies_at)]
    return subprocess.run(
        command, env=bench.environment(), capture_output=True, text=True, timeout=60, check=False
    )


def test_replay_killed_in_the_middle_and_started_again_does_each_once(
    bench: Bench, tmp_path: Path
) -> None:
    """Out: `is_done` in DeadLetterOperator (one is done twice), or deleting before the publish (one is lost)."""
    bench.start(without="circuit breaker", concurrency=2)
    tasks = [bench.send("reject", times=1) for _ in range(LETTERS)]
    until(lambda: bench.dead() == LETTERS, 60)
    assert replay(bench, tmp_path, MIDDLE).returncode == -signal.SIGKILL
    until(lambda: done(bench, tasks) == MIDDLE)
    until(lambda: bench.dead() == LETTERS - MIDDLE + 1)
    # The letter that the killed process had claimed is free again after a while.
    bench.redis.delete(*bench.redis.scan_iter(f"{KEYS}:claim:*", count=1_000))
    assert json.loads(replay(bench, tmp_path, 0).stdout) == {
        "replayed": MIDDLE,
        "skipped": 1,
        "left": 0,
    }
    until(lambda: done(bench, tasks) == LETTERS)
    until(lambda: bench.dead() == bench.depth("data_import") == 0)
    assert [len(bench.noted("done", task)) for task in tasks] == [1] * LETTERS


def done(bench: Bench, tasks: list[str]) -> int:
    return sum(bool(bench.noted("done", task)) for task in tasks)
