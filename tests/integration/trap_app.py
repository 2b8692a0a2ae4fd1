"""A small worker for the traps: the project's app, guards and base of all tasks, and tasks that misbehave on demand.

TRAP_CONF holds settings of Celery that take a guard out; TRAP_WITHOUT names guards of ours to leave out.
"""

import json
import os
import sys
import time
from functools import cache, partial
from typing import Any, Literal

import redis
from celery import shared_task
from celery.backends.redis import RedisBackend
from redis_memory import fill
from traps import BODY, TRAP, TRAP_ROUTES

from edugraph_common.contracts.errors import Rejected, Retryable, Wait
from edugraph_common.contracts.messages import Message
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.runtime.messaging.celery_app import App, confirm_in_children, make_app
from edugraph_common.runtime.messaging.result_store import ResultStore
from edugraph_common.runtime.messaging.task_base import EduGraphTask
from edugraph_common.runtime.messaging.worker.circuit_breaker import add_circuit_breaker
from edugraph_common.runtime.messaging.worker.consumer import QuickConsumer
from edugraph_common.runtime.messaging.worker.dead_letter_listener import add_dead_letter_listener
from edugraph_common.runtime.messaging.worker.remote_control import add_remote_control
from edugraph_common.runtime.messaging.worker.shutdown import limit_shutdown
from edugraph_common.runtime.messaging.worker.task_logs import log_tasks
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.job_store import connect

ROUTES.update(TRAP_ROUTES)


class Trap(Message):
    """What a task is to do. It notes in Redis when it begins and when it is done."""

    action: Literal[
        "work",
        "reject",
        "retry",
        "wait",
        "bug",
        "crash",
        "hang",
        "answer and crash",
        "count and crash",
        "count and end",
        "fill Redis",
    ] = "work"
    seconds: float = 0
    times: int = 99  # that a retry, a wait or a crash happens; then it works
    text: str = ""


class TrapTask(EduGraphTask):
    abstract = True

    def on_given_up(self, message: Message, reason: str) -> None:
        note(message, "given_up", reason)

    def failed_outcome(self, message: Message, reason: str) -> dict[str, Any]:
        return {"job_id": message.job_id, "state": "failed", "error": reason}


@shared_task(base=TrapTask, bind=True, name=TRAP, contract=Trap)
def trap_task(self: TrapTask, body: Any) -> dict[str, Any]:
    message = self.parse(Trap, body)
    begun = note(message, "begun", f"{time.time():.3f}")
    note(message, "process", str(os.getpid()))
    if message.action not in ("work", "fill Redis") and begun <= message.times:
        misbehave(self, message)
    time.sleep(message.seconds)
    note(message, "done", f"{time.time():.3f}")
    if message.action == "fill Redis" and begun <= message.times:
        fill(notes())
    return {"job_id": message.job_id, "state": "written"}


@shared_task(base=TrapTask, bind=True, name=BODY, contract=Trap)
def trap_body(self: TrapTask, outcomes: list[Any], body: Any) -> list[Any]:
    note(self.parse(Trap, body), "body", json.dumps(outcomes))
    return outcomes


def misbehave(task: TrapTask, message: Trap) -> None:
    if message.action == "reject":
        raise Rejected("refused on purpose")
    if message.action == "retry":
        raise Retryable("not now, on purpose")
    if message.action == "wait":
        raise Wait("the provider says so", 0.5)
    if message.action == "bug":
        raise ZeroDivisionError(message.text)
    if message.action == "answer and crash":
        # As a child that is killed after its result is stored, before its chord has counted it.
        task.backend.store_result(task.request.id, {"state": "written"}, "SUCCESS")
    if message.action.startswith("count"):
        # As a child that is killed, or ended by a signal, after it was counted as the last member of its chord and
        # before it has sent the body.
        ended = (
            partial(os.kill, os.getpid(), 9) if message.action == "count and crash" else sys.exit
        )
        task.app.amqp._retry_publish = lambda *_, **__: ended()  # type: ignore[attr-defined]
        return
    if "crash" in message.action:
        os.kill(os.getpid(), 9)
    # As C code that never looks up: the soft limit is not seen.
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            time.sleep(1)
        except BaseException:  # noqa: BLE001
            continue


@cache
def notes() -> "redis.Redis":
    return connect(os.environ["EDUGRAPH_REDIS_URL"])


def note(message: Message, what: str, text: str) -> int:
    """How often it was noted so far, this time included."""
    return int(notes().rpush(f"trap:{what}:{message.job_id}", text))


def make_trap_app() -> App:
    settings, without = Settings(), os.environ.get("TRAP_WITHOUT", "").split(",")
    if "bodies sent again" in without:
        ResultStore.on_chord_part_return = RedisBackend.on_chord_part_return  # type: ignore[method-assign]
    trap_app = make_app("trap", settings)
    trap_app.conf.update(json.loads(os.environ.get("TRAP_CONF", "{}")))
    log_tasks(settings)
    if "circuit breaker" not in without:
        add_circuit_breaker(
            trap_app, failures=settings.dead_letter_limit, seconds=settings.dead_letter_pause
        )
    if "shutdown" not in without:
        limit_shutdown(settings.shutdown_grace)
    if "confirms in children" not in without:
        confirm_in_children(trap_app)
    if "delays once" not in without:
        trap_app.conf.worker_consumer = QuickConsumer
    if "dead letters" not in without:
        add_dead_letter_listener(trap_app, settings)
    if "remote control" not in without:
        add_remote_control(trap_app, settings)
    return trap_app


app = make_trap_app()
