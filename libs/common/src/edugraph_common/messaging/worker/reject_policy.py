"""How a worker's main process ends a task that cannot end itself: it rejects the message into the dead letters.

Celery would acknowledge it. The message would be lost, and the job would wait for it for ever. The dead-letter
listener records the end of the task afterwards.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import redis
import structlog
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import BackendError, InvalidTaskError
from celery.utils.log import get_logger
from celery.worker import state as worker_state
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.exceptions import OperationalError
from kombu.utils.imports import symbol_by_name
from redis.exceptions import OutOfMemoryError

from edugraph_common.contracts.routes import ROUTES, queue_of
from edugraph_common.contracts.worker_reports import ServerAnswer
from edugraph_common.messaging.publisher import job_of
from edugraph_common.messaging.result_store import ResultStore
from edugraph_common.messaging.worker.circuit_breaker import report_failure
from edugraph_common.platform.redis_errors import LOGIN_ERRORS

# A child of the pool that ends in one of these ways did not end because of its message: Celery puts the message back.
ENDED_FROM_OUTSIDE = (Terminated, WorkerLostError, SystemExit, KeyboardInterrupt, MemoryError)
# These come from around the task: its state could not be read or stored, or its chord could not be told.
AWAY = (redis.RedisError, OperationalError, BackendError, OSError)
LONGEST_REQUEUE_DELAY_SECONDS = 60
# How often a worker that holds a message asks whether Redis has room, or takes the login, again.
FULL_RECHECK_SECONDS = 5
log = structlog.get_logger()


def requeue_delay_seconds(deliveries: int) -> int:
    """Return after how many seconds a message goes back to its queue when a server was away: 5, 20, 60, 60, 60.

    All deliveries that a message has together then last longer than an outage of minutes.
    """
    return int(min(5 * 4**deliveries, LONGEST_REQUEUE_DELAY_SECONDS))


class RejectingRequest(Request):
    """The request of a task that its child of the pool could not end. It lives in the worker's main process."""

    timer: Any = None
    """The timer of the worker, set when the policy is installed."""
    consumer: Any = None
    """The consumer of the worker, set with the timer."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        # `return_ok` is false when it was not the task itself that answered.
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, WorkerLostError) and not worker_state.should_terminate:
            report_failure(ROUTES[self.name].queue, job_of(self.args))
        if return_ok or isinstance(error, ENDED_FROM_OUTSIDE) or worker_state.should_terminate:
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            return
        task_ready(self)
        if isinstance(error, AWAY):
            # Until it goes back the message keeps its place in the prefetch, so that not the whole queue runs into
            # the outage.
            seconds = requeue_delay_seconds(int(self.message.headers.get("x-delivery-count") or 0))
            kind = type(error).__name__
            if isinstance(error, LOGIN_ERRORS):
                reason = f"Redis refuses the login ({kind})"
                self.consumer.server_watch.record_away(ServerAnswer(server="redis", cause="refused", reason=reason))
                log.error("task_put_back", task=self.name, task_id=self.id, server="redis", reason=reason)
                self.timer.call_after(seconds, self._put_back_unless_held)
                return
            server = "redis" if isinstance(error, redis.RedisError) else "unknown"
            log.warning("task_put_back", task=self.name, task_id=self.id, server=server, error=kind, seconds=seconds)
            if isinstance(error, OutOfMemoryError):
                self.timer.call_after(seconds, self._put_back_unless_full)
            else:
                self.timer.call_after(seconds, self.reject, (), {"requeue": True})
        else:
            self._dead_letter(error)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        if soft or worker_state.should_terminate:
            super().on_timeout(soft, timeout)
        else:
            task_ready(self)
            self._dead_letter(TimeLimitExceeded(timeout))

    def _success_was_stored(self) -> bool:
        # Celery asks this when a child died. The chord may not have counted what the child stored, so the answer is
        # no, and the task runs once more.
        return False

    def _put_back_unless_held(self) -> None:
        # As long as the worker takes no messages, a second delivery would meet the same refusal.
        if self.consumer.server_watch.is_holding:
            self.timer.call_after(FULL_RECHECK_SECONDS, self._put_back_unless_held)
        else:
            self.reject(requeue=True)

    def _put_back_unless_full(self) -> None:
        # A delivery that meets a full Redis again is a delivery for nothing, and the queue's limit would end in the
        # dead letters. The broker takes a message back by itself when it was held for half an hour.
        results: ResultStore = self.task.backend  # type: ignore[assignment]  # what make_app gives each app
        if results.is_full():
            self.timer.call_after(FULL_RECHECK_SECONDS, self._put_back_unless_full)
        else:
            self.reject(requeue=True)

    def _dead_letter(self, error: BaseException) -> None:
        if self.acknowledged:
            return
        log.error("task_refused", task=self.name, task_id=self.id, error=type(error).__name__)
        self.reject(requeue=False)
        report_failure(ROUTES[self.name].queue, job_of(self.args))


def refuse_what_is_no_task(message: Any) -> None:
    """Raise InvalidTaskError for a message that is not in the form in which Celery sends a task.

    Celery takes that form for granted in its event loop: whatever else somebody put into a queue, and be it a dead
    letter that was sent again without its content type, would end the worker, and each that starts after it.
    """
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    try:
        payload = message.payload  # Celery decodes it next, and it is kept
    except Exception as error:  # noqa: BLE001 - whatever the decoders raise for what somebody sent
        raise InvalidTaskError(type(error).__name__) from None
    match payload:
        case [list(), dict(), dict() | None]:
            pass
        case _:
            raise InvalidTaskError("the body is not arguments, named arguments and what is to follow")
    match headers.get("timelimit"):
        case None | [None | int() | float(), None | int() | float()]:
            pass
        case _:
            raise InvalidTaskError("the time limit is no pair of seconds")
    for name in ("eta", "expires"):
        if (moment := headers.get(name)) is not None:
            try:
                datetime.fromisoformat(moment)
            except (TypeError, ValueError):
                raise InvalidTaskError(f"{name} is no time") from None
    if not all(isinstance(headers.get(name), str) for name in ("id", "task")) or headers.get("shadow"):
        raise InvalidTaskError("the headers do not name a task")


def install_reject_policy(consumer: Any) -> None:
    """Make a worker's consumer reject what cannot end itself. It must be called before the consumer starts."""
    for task in consumer.app.tasks.values():
        if task.name in ROUTES:
            request = symbol_by_name(task.Request)
            # Request classes of others, such as that of the metrics, come first, so that they see what happens.
            bases = (RejectingRequest,) if request is Request else (request, RejectingRequest)
            task.Request = type("Rejecting", bases, {"timer": consumer.timer, "consumer": consumer})

    def reject(message: Any, error: BaseException) -> None:
        # The message is no task's, or of a task that this worker does not know. Celery would log its body.
        headers = message.headers or {}
        log.error("message_refused", task=headers.get("task"), task_id=headers.get("id"), error=type(error).__name__)
        message.reject_log_error(get_logger(__name__), consumer.connection_errors)
        queue = queue_of(message.delivery_info.get("routing_key", ""))
        if queue:
            # The body is not read. Most messages of a job come from the one task that the job began with.
            report_failure(queue, str(headers.get("root_id") or ""))

    create_task_handler = consumer.create_task_handler

    def create_careful_handler(*args: Any, **kwargs: Any) -> Callable[[Any], None]:
        take = create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                refuse_what_is_no_task(message)
            except InvalidTaskError as error:
                reject(message, error)
            else:
                take(message)

        return on_task_received

    consumer.create_task_handler = create_careful_handler
    consumer.on_decode_error = reject
    consumer.on_unknown_message = lambda _, message: reject(message, TypeError())
    consumer.on_unknown_task = consumer.on_invalid_task = lambda _, message, error: reject(message, error)
