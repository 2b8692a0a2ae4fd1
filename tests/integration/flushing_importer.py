"""The importer of poisoned_importer, but for one task that loses Redis' data right before one of its commands to Redis.

The file `FLUSH_ORDER` names the task and the command; the first run of such a task takes it. `FLUSH_REDIS_URL` is the
address of a user who may delete everything.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from celery.signals import task_postrun, task_prerun
from flush_order import OVER, FlushOrder, outcome_of
from poisoned_importer import app  # type: ignore[import-not-found]  # it is found in its process
from redis.connection import AbstractConnection

from edugraph_common.runtime.shared_state.job_store import keys_of_job

__all__ = ["app"]
CLAIM = "edugraph-test-run"  # as guard.py writes it: the server still belongs to this run of tests


@dataclass
class _Armed:
    commands_left: int = 0
    job_id: str = ""


_armed = _Armed()
_send_packed_command = AbstractConnection.send_packed_command


def _begin(task: Any, args: Any, **_: Any) -> None:
    path = Path(os.environ["FLUSH_ORDER"])
    try:
        order = FlushOrder(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return
    body = args[-1] if args and isinstance(args[-1], dict) else {}
    if not order.is_for(task.name, body):
        return
    try:
        path.rename(path.with_suffix(".taken"))
    except FileNotFoundError:
        return  # another process took it
    _armed.commands_left = order.command
    _armed.job_id = body["job_id"]


def _end(**_: Any) -> None:
    if _armed.commands_left:
        _armed.commands_left = 0
        _tell(OVER)


def _tell(outcome: str) -> None:
    outcome_of(Path(os.environ["FLUSH_ORDER"])).write_text(outcome, encoding="utf-8")


def _send(connection: Any, command: Any, **options: Any) -> Any:
    if _armed.commands_left:
        _armed.commands_left -= 1
        if not _armed.commands_left:
            _flush()
    return _send_packed_command(connection, command, **options)


def _flush() -> None:
    with redis.Redis.from_url(os.environ["FLUSH_REDIS_URL"]) as client:
        state = client.hget(keys_of_job(_armed.job_id)[0], "state") or b"unknown"
        claim = client.get(CLAIM)
        client.flushdb()
        if claim is not None:
            client.set(CLAIM, claim)
    _tell(state.decode())


AbstractConnection.send_packed_command = _send  # type: ignore[method-assign,assignment]
task_prerun.connect(_begin, weak=False)
task_postrun.connect(_end, weak=False)
