"""The reject policy: a worker's main process makes the message of a task that cannot end itself a dead letter.

Celery would acknowledge the message. It would be lost, and the job would wait for it for ever. Later the dead-letter
listener records the end of the task.
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
from edugraph_common.runtime.messaging.publisher import job_of
from edugraph_common.runtime.messaging.result_store import ResultStore
from edugraph_common.runtime.messaging.worker.circuit_breaker import report_failure
from edugraph_common.runtime.service.redis_errors import LOGIN_ERRORS

# If a child of the pool ends with one of these, the message is not the cause, and Celery puts the message back.
ENDED_FROM_OUTSIDE = (Terminated, WorkerLostError, SystemExit, KeyboardInterrupt, MemoryError)
# Errors around the task: its state could not be read or stored, or its chord could not count it.
AWAY = (redis.RedisError, OperationalError, BackendError, OSError)
LONGEST_REQUEUE_DELAY_SECONDS = 60
# The interval at which a worker that holds a message checks Redis again, for room or for the login.
FULL_RECHECK_SECONDS = 5
log = structlog.get_logger()


def requeue_delay_seconds(deliveries: int) -> int:
    """Return the seconds until a message goes back to its queue after a server was away: 5, 20, 60, 60, 60.

    So the message survives an outage of minutes before its delivery limit is reached.
    """
    return int(min(5 * 4**deliveries, LONGEST_REQUEUE_DELAY_SECONDS))


class RejectingRequest(Request):
    """A request, in the main process, that handles a task which its child of the pool could not end."""

    timer: Any = None
    """The timer of the worker, set when the policy is installed."""
    consumer: Any = None
    """The consumer of the worker, set with the timer."""

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        # `return_ok` is false if the answer does not come from the task itself.
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, WorkerLostError) and not worker_state.should_terminate:
            report_failure(ROUTES[self.name].queue, job_of(self.args))
        if return_ok or isinstance(error, ENDED_FROM_OUTSIDE) or worker_state.should_terminate:
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            return
        task_ready(self)
        if isinstance(error, AWAY):
            # The message counts for the prefetch limit until it goes back. So the other messages of the queue do not
            # run into the outage.
            seconds = requeue_delay_seconds(int(self.message.headers.get("x-delivery-count") or 0))
            kind = type(error).__name__
            if isinstance(error, LOGIN_ERRORS):
                reason = f"Redis refuses the login ({kind})"
                self.consumer.server_watch.record_away(
                    ServerAnswer(server="redis", cause="refused", reason=reason)
                )
                log.error(
                    "task_put_back", task=self.name, task_id=self.id, server="redis", reason=reason
                )
                self.timer.call_after(seconds, self._put_back_unless_held)
                return
            server = "unknown"
            if isinstance(error, redis.RedisError):
                server = "redis"
            log.warning(
                "task_put_back",
                task=self.name,
                task_id=self.id,
                server=server,
                error=kind,
                seconds=seconds,
            )
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
        # Celery calls this when a child died. The chord may not have counted the result that the child stored, so the
        # answer is False, and the task runs again.
        return False

    def _put_back_unless_held(self) -> None:
        # While the worker takes no messages, another delivery would be refused in the same way.
        if self.consumer.server_watch.is_holding:
            self.timer.call_after(FULL_RECHECK_SECONDS, self._put_back_unless_held)
        else:
            self.reject(requeue=True)

    def _put_back_unless_full(self) -> None:
        # While Redis is full, another delivery would only use up the delivery limit and end as a dead letter. The
        # broker itself takes back a message that a worker has held for longer than the consumer time-out.
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
    """Raise InvalidTaskError for a message that does not have the form of Celery's task messages.

    Celery does not check the form in its event loop. Any other message, for example a dead letter that was sent again
    without its content type, would end the worker, and each worker that starts after it.
    """
    headers: Mapping[str, Any] = {}
    if isinstance(message.headers, Mapping):
        headers = message.headers
    try:
        payload = message.payload  # decoded once and cached, since Celery reads it next
    except Exception as error:  # noqa: BLE001 - decoders may raise anything for a strange message
        raise InvalidTaskError(type(error).__name__) from None
    match payload:
        case [list(), dict(), dict() | None]:
            pass
        case _:
            raise InvalidTaskError(
                "the body is not arguments, named arguments and what is to follow"
            )
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
    if not all(isinstance(headers.get(name), str) for name in ("id", "task")) or headers.get(
        "shadow"
    ):
        raise InvalidTaskError("the headers do not name a task")


def install_reject_policy(consumer: Any) -> None:
    """Install the policy in a worker's consumer. The function must be called before the consumer starts."""
    for task in consumer.app.tasks.values():
        if task.name in ROUTES:
            request = symbol_by_name(task.Request)
            # Other request classes, such as the one of the metrics, come first, so that they see each event.
            bases: tuple[type, ...] = (request, RejectingRequest)
            if request is Request:
                bases = (RejectingRequest,)
            task.Request = type("Rejecting", bases, {"timer": consumer.timer, "consumer": consumer})

    def reject(message: Any, error: BaseException) -> None:
        # The message is not a task, or the worker does not know the task. Celery would log the body.
        headers = message.headers or {}
        log.error(
            "message_refused",
            task=headers.get("task"),
            task_id=headers.get("id"),
            error=type(error).__name__,
        )
        message.reject_log_error(get_logger(__name__), consumer.connection_errors)
        queue = queue_of(message.delivery_info.get("routing_key", ""))
        if queue:
            # The body is not read, so the root task's id stands for the job: most messages of a job have the same
            # root task.
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
    consumer.on_unknown_task = consumer.on_invalid_task = lambda _, message, error: reject(
        message, error
    )
