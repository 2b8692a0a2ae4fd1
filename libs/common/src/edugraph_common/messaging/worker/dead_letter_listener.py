"""What becomes of a task that could not end itself: its workers died, or one refused it.

The broker puts its message into NAME.dead for the operator and a copy into NAME.notices. Workers of the queue NAME
read the copies and tell the task's result and its job, as the task would have done when it gave up. A child of the
pool does it: the main process must not wait for anybody, and it must open nothing that its children would inherit.
"""

import time
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import redis
import structlog
from celery import Celery, bootsteps, current_app, states
from celery.app.task import Context
from celery.utils.log import get_logger
from kombu import Consumer
from kombu.exceptions import KombuError
from kombu.serialization import loads

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.events import Event
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.messaging.dead_letters import DIED, REASON
from edugraph_common.messaging.publisher import emit, named_by, task_id_for
from edugraph_common.messaging.topology import notices_queue
from edugraph_common.messaging.worker.reject_policy import refuse_in_main

PATIENCE = 5.0  # seconds before a notice is tried again
log = structlog.get_logger()


class Notice(NamedTuple):
    """A dead letter on its way to a child of the pool."""

    queue: str
    headers: dict[str, Any]
    body: bytes | str
    content_type: str
    content_encoding: str


class DeadNotices(bootsteps.ConsumerStep):
    """For the importer's and the analyzer's worker on RabbitMQ."""

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        # Kept from the start: a queue that is paused is missing from the selection later on.
        self.queues = [name for name in consumer.app.amqp.queues.consume_from if name in QUEUES]
        refuse_in_main(consumer)

    def start(self, consumer: Any) -> None:
        self.worker = consumer
        super().start(consumer)

    def get_consumers(self, channel: Any) -> list[Consumer]:
        return [self._consumer(channel, queue) for queue in self.queues]

    def _consumer(self, channel: Any, queue: str) -> Consumer:
        on_message = partial(self._hand_over, queue)
        return Consumer(channel, [notices_queue(queue)], on_message=on_message, prefetch_count=1)

    def _hand_over(self, queue: str, message: Any) -> None:
        content_type, encoding = message.content_type or "", message.content_encoding or "utf-8"
        notice = Notice(queue, dict(message.headers), message.body, content_type, encoding)
        done = partial(message.ack_log_error, get_logger(__name__), self.worker.connection_errors)
        again = partial(message.reject_log_error, get_logger(__name__), self.worker.connection_errors, requeue=True)
        send = partial(
            self.worker.pool.apply_async,
            settle_in_child,
            (notice,),
            callback=lambda settled: done() if settled else again(),
            error_callback=lambda _: again(),
        )
        self.worker.controller.semaphore.acquire(send)


def settle_in_child(notice: Notice) -> bool:
    """False: not now, put the notice back. Safe to repeat."""
    structlog.contextvars.bind_contextvars(task_id=notice.headers.get("id"), task=notice.headers.get("task"))
    try:
        _settle(current_app, notice)
    except (Retryable, redis.RedisError) as away:
        log.warning("dead_letter_waits", error=type(away).__name__, seconds=PATIENCE)
        time.sleep(PATIENCE)
        return False
    except Exception as error:  # noqa: BLE001 - a bug; the dead letter itself stays with the operator
        log.error("dead_letter_bug", error=type(error).__name__)  # noqa: TRY400
    finally:
        structlog.contextvars.clear_contextvars()
    return True


def _settle(app: Celery, notice: Notice) -> None:
    args, embedded = _read(notice)
    request = Context({**notice.headers, **embedded, "args": args, "delivery_info": {}})
    reason = notice.headers.get(REASON)
    if reason is None:
        task = app.tasks.get(str(notice.headers.get("task")))
        reason = _reason(notice, known=task is not None, readable=bool(args))
        _mark(app, task, request, args, reason)
    log.error("dead_letter", queue=notice.queue, reason=reason)
    _announce(app, notice, args, reason)


def _mark(app: Celery, task: Any, request: Context, args: tuple[Any, ...], reason: str) -> None:
    meta = app.backend.get_task_meta(str(request.id))
    if meta["status"] == states.SUCCESS:
        # It died after its task was done: its acknowledgement never came through, nor perhaps its answer to a chord.
        app.backend.mark_as_done(str(request.id), meta["result"], request=request)
    elif hasattr(task, "settle_dead"):
        task.settle_dead(request, args, reason)
    else:
        app.backend.mark_as_failure(str(request.id), Rejected(reason), request=request)


def _read(notice: Notice) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The task's arguments and what Celery keeps beside them; nothing of a body that cannot be read."""
    try:
        body = loads(notice.body, notice.content_type, notice.content_encoding, accept={"application/json"})
        args, _, embedded = body
        return tuple(args), dict(embedded)
    except (KombuError, ValueError, TypeError):
        return (), {}


def _reason(notice: Notice, *, known: bool, readable: bool) -> str:
    """Why it died without a reason of its own. A worker refuses for one of three."""
    deaths = notice.headers.get("x-death") or [{}]
    cause = next((death.get("reason") for death in deaths if death.get("queue") == notice.queue), None)
    if cause != "rejected":
        return f"given up by the broker ({cause}): each time it ran its worker died or lost the connection"
    if not known:
        return "no worker of this queue knows the task"
    return "took longer than the hard time limit" if readable else "the message cannot be read"


def _announce(app: Celery, notice: Notice, args: tuple[Any, ...], reason: str) -> None:
    task_id = str(notice.headers.get("id"))
    about = named_by(args[-1] if args else None)
    data = {"queue": notice.queue, "task": notice.headers.get("task"), "task_id": task_id, "reason": reason, **about}
    event = Event(
        id=task_id_for(task_id, f"dead:{_died(notice)}"),
        source=f"/edugraph/queues/{notice.queue}",
        type="io.edugraph.dead_letter",
        subject=str(about.get("job_id", task_id)),
        time=datetime.now(UTC),
        data=data,
    )
    emit(app, event)


def _died(notice: Notice) -> str:
    """Tells two deaths of one task apart, and a repeated notice not."""
    deaths = notice.headers.get("x-death") or [{}]
    return str(notice.headers.get(DIED) or deaths[0].get("time"))
