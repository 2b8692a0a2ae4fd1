"""Records what became of a task that could not end itself because its workers died or one rejected it.

The broker puts the message into NAME.dead for the operator and a copy, a notice, into NAME.notices. Workers of the
queue NAME read the notices and record the end in the task's result and in its job, as the task would have done when
it gave up. A child of the pool does that, since the main process must not wait for anybody, and must open nothing
that its children would inherit.
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

from edugraph_common.contracts.errors import Rejected, Retryable, Wait
from edugraph_common.contracts.events import Event
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.messaging.dead_letters import DIED, REASON, WAITED_FOR
from edugraph_common.messaging.publisher import emit, named_by, task_id_for
from edugraph_common.messaging.topology import notices_queue
from edugraph_common.messaging.worker.reject_policy import install_reject_policy
from edugraph_common.messaging.worker.server_watch import send_to_pool

# So long a child waits before a notice that could not be recorded goes back to its queue.
RETRY_AFTER_SECONDS = 5.0
log = structlog.get_logger()


class Notice(NamedTuple):
    """A copy of a dead letter, on its way to a child of the pool."""

    queue: str
    headers: dict[str, Any]
    body: bytes | str
    content_type: str
    content_encoding: str


class DeadLetterListener(bootsteps.ConsumerStep):
    """Reads the notices of the queues that this worker consumes. It needs RabbitMQ."""

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        # The names are kept from the start, because a queue that is paused is missing from the selection later on.
        self.queues = [name for name in consumer.app.amqp.queues.consume_from if name in QUEUES]
        install_reject_policy(consumer)

    def start(self, consumer: Any) -> None:
        self.worker = consumer
        super().start(consumer)

    def get_consumers(self, channel: Any) -> list[Consumer]:
        return [
            Consumer(channel, [notices_queue(queue)], on_message=partial(self.hand_to_child, queue), prefetch_count=1)
            for queue in self.queues
        ]

    def hand_to_child(self, queue: str, message: Any) -> None:
        content_type, encoding = message.content_type or "", message.content_encoding or "utf-8"
        notice = Notice(queue, dict(message.headers), message.body, content_type, encoding)
        done = partial(message.ack_log_error, get_logger(__name__), self.worker.connection_errors)
        again = partial(message.reject_log_error, get_logger(__name__), self.worker.connection_errors, requeue=True)
        send = partial(
            self.worker.pool.apply_async,
            handle_in_child,
            (notice,),
            callback=lambda recorded: done() if recorded else again(),
            error_callback=lambda _: again(),
        )
        send_to_pool(self.worker, send)


def handle_in_child(notice: Notice) -> bool:
    """Record the end of one task. False means that the notice must come again. Repeating it is safe."""
    structlog.contextvars.bind_contextvars(task_id=notice.headers.get("id"), task=notice.headers.get("task"))
    try:
        _record(current_app, notice)
    except (Retryable, Wait, redis.RedisError) as away:
        log.warning("dead_letter_waits", error=type(away).__name__, seconds=RETRY_AFTER_SECONDS)
        time.sleep(RETRY_AFTER_SECONDS)
        return False
    except Exception as error:  # noqa: BLE001 - the outermost loop: a bug here must not lose the notice's task
        log.error("dead_letter_bug", error=type(error).__name__)  # noqa: TRY400
    finally:
        structlog.contextvars.clear_contextvars()
    return True


def _record(app: Celery, notice: Notice) -> None:
    args, embedded = _read(notice)
    request = Context({**notice.headers, **embedded, "args": args, "delivery_info": {}})
    reason = notice.headers.get(REASON)
    if reason is None:
        # The task did not give up by itself, so nobody has recorded its end yet.
        task: Any = app.tasks.get(str(notice.headers.get("task")))
        reason = _reason(notice, known=task is not None, readable=bool(args))
        meta = app.backend.get_task_meta(str(request.id))
        if meta["status"] == states.SUCCESS:
            # The worker died after the task was done: the acknowledgement never came through, nor perhaps the answer
            # to its chord.
            app.backend.mark_as_done(str(request.id), meta["result"], request=request)
        elif hasattr(task, "mark_given_up"):
            task.mark_given_up(request, args, reason)
        else:
            app.backend.mark_as_failure(str(request.id), Rejected(reason), request=request)
    log.error("dead_letter", queue=notice.queue, reason=reason)
    _emit_event(app, notice, args, reason)


def _read(notice: Notice) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the task's arguments and what Celery keeps beside them; both are empty for an unreadable body."""
    try:
        body = loads(notice.body, notice.content_type, notice.content_encoding, accept={"application/json"})
        args, _, embedded = body
        return tuple(args), dict(embedded)
    except (KombuError, ValueError, TypeError):
        return (), {}


def _reason(notice: Notice, *, known: bool, readable: bool) -> str:
    """Say why a message died that carries no reason. A worker rejects a message for one of three causes."""
    deaths = notice.headers.get("x-death") or [{}]
    cause = next((death.get("reason") for death in deaths if death.get("queue") == notice.queue), None)
    if cause != "rejected":
        waited_for = notice.headers.get(WAITED_FOR)
        before = f"; before that it was put back, because {waited_for}" if waited_for else ""
        return (
            f"given up by the broker ({cause}): each time its worker died, lost the connection or could not store "
            f"the task's state in Redis; the worker's log says which{before}"
        )
    if not known:
        return "no worker of this queue knows the task"
    return "took longer than the hard time limit" if readable else "the message cannot be read"


def _emit_event(app: Celery, notice: Notice, args: tuple[Any, ...], reason: str) -> None:
    task_id = str(notice.headers.get("id"))
    about = named_by(args[-1] if args else None)
    # The time of death tells two deaths of one task apart, and a repeated notice not.
    deaths = notice.headers.get("x-death") or [{}]
    died = str(notice.headers.get(DIED) or deaths[0].get("time"))
    data = {"queue": notice.queue, "task": notice.headers.get("task"), "task_id": task_id, "reason": reason, **about}
    event = Event(
        id=task_id_for(task_id, f"dead:{died}"),
        source=f"/edugraph/queues/{notice.queue}",
        type="io.edugraph.dead_letter",
        subject=str(about.get("job_id", task_id)),
        time=datetime.now(UTC),
        data=data,
    )
    emit(app, event)
