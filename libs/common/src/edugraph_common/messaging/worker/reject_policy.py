"""How a worker's main process ends a task that cannot end itself: it refuses the message, and the broker buries it.

Celery would acknowledge it. The message would be lost, and the job would wait for it for ever.
What happens to the task then is the business of dead_notices.
"""

from typing import Any

import redis
import structlog
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import BackendError
from celery.utils.log import get_logger
from celery.worker import state as worker_state
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.exceptions import OperationalError
from kombu.utils.imports import symbol_by_name

from edugraph_common.contracts.routes import ROUTES, queue_of
from edugraph_common.messaging.publisher import job_of
from edugraph_common.messaging.worker.circuit_breaker import tell_died

# How a child of the pool ends that is not the fault of its message: Celery puts the message back.
ENDED_FROM_OUTSIDE = (Terminated, WorkerLostError, SystemExit, KeyboardInterrupt, MemoryError)
# Around the task, not in it: its state could not be read or stored, or the chord could not be told of it.
AWAY = (redis.RedisError, OperationalError, BackendError, OSError)
LONGEST_PUT_BACK = 60
log = structlog.get_logger()


def put_back_after(deliveries: int) -> int:
    """Seconds until a message goes back whose server was away: 5, 20, 60, 60, 60.

    So that all deliveries that a message has together last longer than an outage of minutes.
    """
    return int(min(5 * 4**deliveries, LONGEST_PUT_BACK))


class RefusingRequest(Request):
    """Of a task that its child of the pool cannot end."""

    timer: Any = None  # the worker's own

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """`return_ok` is false when it was not the task itself that answered."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, WorkerLostError) and not worker_state.should_terminate:
            self._tell_died()
        if return_ok or isinstance(error, ENDED_FROM_OUTSIDE) or worker_state.should_terminate:
            super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)
            return
        task_ready(self)
        if isinstance(error, AWAY):
            self._put_back_later(error)
        else:
            self._refuse(error)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        if soft or worker_state.should_terminate:
            super().on_timeout(soft, timeout)
        else:
            task_ready(self)
            self._refuse(TimeLimitExceeded(timeout))

    def _success_was_stored(self) -> bool:
        """Asked when a child died. What it had stored may not have been counted by its chord yet: once more, then."""
        return False

    def _put_back_later(self, error: BaseException) -> None:
        """Until then it keeps its place in the prefetch: not all of the queue shall run into the outage."""
        seconds = put_back_after(int(self.message.headers.get("x-delivery-count") or 0))
        log.warning("task_put_back", task=self.name, task_id=self.id, error=type(error).__name__, seconds=seconds)
        self.timer.call_after(seconds, self.reject, (), {"requeue": True})

    def _refuse(self, error: BaseException) -> None:
        if self.acknowledged:
            return
        log.error("task_refused", task=self.name, task_id=self.id, error=type(error).__name__)
        self.reject(requeue=False)
        self._tell_died()

    def _tell_died(self) -> None:
        tell_died(ROUTES[self.name].queue, job_of(self.args))


def refuse_in_main(consumer: Any) -> None:
    """For a worker's consumer, before it begins."""
    for task in consumer.app.tasks.values():
        if task.name in ROUTES:
            task.Request = _refusing(symbol_by_name(task.Request), consumer.timer)
    consumer.on_decode_error = lambda message, error: _refuse(consumer, message, error)
    consumer.on_unknown_message = lambda _, message: _refuse(consumer, message, TypeError())
    consumer.on_unknown_task = consumer.on_invalid_task = lambda _, message, error: _refuse(consumer, message, error)


def _refusing(request: type[Request], timer: Any) -> type[Request]:
    """The same kind of request, which refuses. Others' own kinds come first, so that they see what happens."""
    bases = (RefusingRequest,) if request is Request else (request, RefusingRequest)
    return type("Refusing", bases, {"timer": timer})


def _refuse(consumer: Any, message: Any, error: BaseException) -> None:
    """A message that is no task's, or of no task that this worker knows. Celery would log its body, and lose some."""
    known = message.headers or {}
    log.error("message_refused", task=known.get("task"), task_id=known.get("id"), error=type(error).__name__)
    message.reject_log_error(get_logger(__name__), consumer.connection_errors)
    queue = queue_of(message.delivery_info.get("routing_key", ""))
    if queue:
        # Its body is not read; the messages of a job mostly come of the one task that it began with.
        tell_died(queue, str(known.get("root_id") or ""))
