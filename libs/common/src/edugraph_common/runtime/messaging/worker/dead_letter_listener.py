"""Stores dead letters, and records the end of a task that could not record it itself.

Workers of the queue NAME consume NAME.dead and store each letter. If the task's workers died or rejected its message,
they also record its end in the task's result and in its job, as the task does when it gives up. A child of the pool
does this work, because the main process must not wait, and must not open connections that its children would inherit.
The ends of tasks whose letters another process stored are recorded here too, since only a worker of the queue knows
the tasks.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, NamedTuple

import redis
import structlog
from celery import Celery, bootsteps, current_app, states
from celery.app.task import Context
from celery.utils.log import get_logger
from kombu import Consumer, Queue
from kombu.exceptions import KombuError
from kombu.serialization import loads

from edugraph_common.contracts.errors import Rejected, Retryable, Wait
from edugraph_common.contracts.events import Event
from edugraph_common.contracts.routes import QUEUES, dead_queue_name
from edugraph_common.runtime.messaging.dead_letter_store import (
    DIED,
    REASON,
    DeadLetterStore,
    StoredLetter,
    Unreadable,
    made_letter,
    open_dead_letters,
    task_of,
)
from edugraph_common.runtime.messaging.dead_letters import WAITED_FOR
from edugraph_common.runtime.messaging.publisher import emit, identifying_fields, task_id_for
from edugraph_common.runtime.messaging.worker.reject_policy import install_reject_policy
from edugraph_common.runtime.messaging.worker.server_watch import send_to_pool
from edugraph_common.runtime.service.settings import Settings

# The time that a child waits before it puts a letter back that could not be stored or recorded.
RETRY_AFTER_SECONDS = 5.0
# The interval at which a worker looks for letters of its queues that another process stored.
RECORD_ENDS_SECONDS = 60.0
# The reason of a task whose dead letter is gone.
LOST = "the task was given up, and its stored message is gone or damaged: send what it was about once more"
log = structlog.get_logger()


class Delivered(NamedTuple):
    """A dead letter on its way to a child of the pool."""

    queue: str
    properties: dict[str, Any]
    headers: dict[str, Any]
    body: bytes


def add_dead_letter_listener(app: Any, settings: Settings) -> None:
    """Make the workers of this app store the dead letters of their queues. This needs RabbitMQ."""
    # Each child of the pool opens its own store at its first letter.
    app.open_dead_letters = cache(partial(open_dead_letters, settings))
    app.steps["consumer"].add(DeadLetterListener)


class DeadLetterListener(bootsteps.ConsumerStep):
    """Consumes the dead letters of the queues that this worker consumes."""

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        # The names are read now, because a paused queue is missing in `consume_from` later.
        self.queues = tuple(
            name for name in consumer.app.amqp.queues.consume_from if name in QUEUES
        )
        self._timer: Any = None
        self._is_recording = False
        install_reject_policy(consumer)

    def start(self, consumer: Any) -> None:
        self.worker = consumer
        super().start(consumer)
        self._timer = consumer.timer.call_repeatedly(RECORD_ENDS_SECONDS, self._record_ends)
        # The pool accepts work only after the event loop has begun to run.
        consumer.timer.call_after(0, self._record_ends)

    def stop(self, consumer: Any) -> None:
        self._cancel_timer()
        super().stop(consumer)

    def shutdown(self, consumer: Any) -> None:
        self._cancel_timer()
        super().shutdown(consumer)

    def get_consumers(self, channel: Any) -> list[Consumer]:
        consumers = []
        for queue in self.queues:
            dead_queue = Queue(dead_queue_name(queue), no_declare=True)
            on_message = partial(self.hand_to_child, queue)
            consumers.append(
                Consumer(channel, [dead_queue], on_message=on_message, prefetch_count=1)
            )
        return consumers

    def hand_to_child(self, queue: str, message: Any) -> None:
        properties = {
            **message.properties,
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
        }
        body = message.body
        if isinstance(body, str):
            # The transport has decoded the body.
            body = body.encode(message.content_encoding or "utf-8")
        delivered = Delivered(queue, properties, dict(message.headers), bytes(body))
        done = partial(message.ack_log_error, get_logger(__name__), self.worker.connection_errors)
        again = partial(
            message.reject_log_error,
            get_logger(__name__),
            self.worker.connection_errors,
            requeue=True,
        )
        send = partial(
            self.worker.pool.apply_async,
            handle_in_child,
            (delivered,),
            callback=lambda is_done: done() if is_done else again(),
            error_callback=lambda _: again(),
        )
        send_to_pool(self.worker, send)

    def _record_ends(self) -> None:
        if self._is_recording:
            return  # the last call still runs or waits for a free child
        self._is_recording = True

        def end(_: object) -> None:
            self._is_recording = False

        send = partial(
            self.worker.pool.apply_async,
            record_ends_in_child,
            (self.queues,),
            callback=end,
            error_callback=end,
        )
        send_to_pool(self.worker, send)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def handle_in_child(delivered: Delivered) -> bool:
    """Store a letter and record the end of its task. Return False if the letter must be delivered again.

    Repeating the call is safe.
    """
    app: Any = current_app

    def handle() -> None:
        store: DeadLetterStore = app.open_dead_letters()
        store.keep(made_letter(*delivered, now=store.now()))
        record_ends(app, store, delivered.queue)

    return _is_done(handle)


def record_ends_in_child(queues: tuple[str, ...]) -> None:
    """Record the ends of tasks whose letters another process has stored."""
    app: Any = current_app

    def record() -> None:
        for queue in queues:
            record_ends(app, app.open_dead_letters(), queue)

    _is_done(record)


def _is_done(do: Callable[[], None]) -> bool:
    try:
        do()
    except (Retryable, Wait, redis.RedisError) as away:
        log.warning("dead_letter_waits", error=type(away).__name__, seconds=RETRY_AFTER_SECONDS)
    except Exception as error:  # noqa: BLE001 - the outermost loop: a bug here must not lose the letter
        log.error("dead_letter_not_stored", error=type(error).__name__)  # noqa: TRY400
    else:
        return True
    time.sleep(RETRY_AFTER_SECONDS)
    return False


def record_ends(app: Any, store: DeadLetterStore, queue: str) -> None:
    """Record the ends of the queue's tasks that are not recorded yet. Raises Retryable or Wait."""
    for ref in store.without_recorded_end(queue):
        with store.claimed(ref):
            # Another worker may have recorded the end meanwhile.
            if store.lacks_recorded_end(ref):
                _record_one_end(app, store, ref)
                store.note_recorded_end(ref)


def _record_one_end(app: Any, store: DeadLetterStore, ref: str) -> None:
    try:
        letter = store.read(ref)
    except Unreadable:
        letter = None
    if letter is None:
        _record_lost(app, ref)
        return
    structlog.contextvars.bind_contextvars(
        task_id=letter.headers.get("id"), task=letter.headers.get("task")
    )
    try:
        _record(app, letter)
    except (Retryable, Wait, redis.RedisError):
        raise
    except Exception as error:  # noqa: BLE001 - the outermost loop: a bug here must not keep others from being told
        log.error("dead_letter_bug", error=type(error).__name__)  # noqa: TRY400
    finally:
        structlog.contextvars.clear_contextvars()


def _record_lost(app: Any, ref: str) -> None:
    """Record the failure of a task whose letter is gone or damaged, unless the task has ended.

    The arguments are lost, so neither its job nor its chord can be updated: the job ends at its deadline.
    """
    task_id = task_of(ref)
    log.error("dead_letter_lost", task_id=task_id)
    if task_id is None:
        return
    if app.backend.get_task_meta(task_id)["status"] not in states.READY_STATES:
        app.backend.mark_as_failure(task_id, Rejected(LOST))


def _record(app: Celery, letter: StoredLetter) -> None:
    args, embedded = _read(letter)
    request = Context({**letter.headers, **embedded, "args": args, "delivery_info": {}})
    reason = letter.headers.get(REASON)
    if reason is None:
        # The task did not give up by itself, so its end is not recorded yet.
        task: Any = app.tasks.get(str(letter.headers.get("task")))
        reason = _reason(letter, known=task is not None, readable=bool(args))
        meta = app.backend.get_task_meta(str(request.id))
        if meta["status"] == states.SUCCESS:
            # The worker died after the task was done. The broker never got the acknowledgement, and the chord may not
            # have counted the answer.
            app.backend.mark_as_done(str(request.id), meta["result"], request=request)
        elif hasattr(task, "mark_given_up"):
            task.mark_given_up(request, args, reason)
        else:
            app.backend.mark_as_failure(str(request.id), Rejected(reason), request=request)
    log.error("dead_letter", queue=letter.queue, reason=reason)
    _emit_event(app, letter, args, reason)


def _read(letter: StoredLetter) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the task's arguments and Celery's options beside them. Both are empty if the body is unreadable."""
    content_type = letter.properties.get("content_type") or ""
    encoding = letter.properties.get("content_encoding") or "utf-8"
    try:
        body = loads(letter.content, content_type, encoding, accept={"application/json"})
        args, _, embedded = body
        return tuple(args), dict(embedded)
    except (KombuError, ValueError, TypeError):
        return (), {}


def _reason(letter: StoredLetter, *, known: bool, readable: bool) -> str:
    """Return why a message without a reason header died."""
    cause = None
    for death in letter.headers.get("x-death") or []:
        if death.get("queue") == letter.queue:
            cause = death.get("reason")
            break
    if cause != "rejected":
        waited_for = letter.headers.get(WAITED_FOR)
        before = ""
        if waited_for:
            before = f"; before that it was put back, because {waited_for}"
        return (
            f"given up by the broker ({cause}): each time its worker died, lost the connection or could not store "
            f"the task's state in Redis; the worker's log says which{before}"
        )
    if not known:
        return "no worker of this queue knows the task"
    if not readable:
        return "the message cannot be read"
    return "took longer than the hard time limit"


def _emit_event(app: Celery, letter: StoredLetter, args: tuple[Any, ...], reason: str) -> None:
    task_id = str(letter.headers.get("id"))
    about = identifying_fields(args[-1] if args else None)
    # The id contains the time of death: two deaths of one task have different ids, a repeated event has the same id.
    deaths = letter.headers.get("x-death") or [{}]
    died = str(letter.headers.get(DIED) or deaths[0].get("time"))
    data = {
        "queue": letter.queue,
        "task": letter.headers.get("task"),
        "task_id": task_id,
        "reason": reason,
        **about,
    }
    event = Event(
        id=task_id_for(task_id, f"dead:{died}"),
        source=f"/edugraph/queues/{letter.queue}",
        type="io.edugraph.dead_letter",
        subject=str(about.get("job_id", task_id)),
        time=datetime.now(UTC),
        data=data,
    )
    emit(app, event)
