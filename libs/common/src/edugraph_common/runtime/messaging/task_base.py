"""The base class of all tasks. It decides what happens after each kind of failure (see docs/architecture.md).

- Retryable: the task is tried up to 3 more times, after 1, 2 and 4 s plus a jitter of whole seconds.
- Wait: the task is tried again after the given time, until the job's deadline. No try is used up. If a server is
  away, the worker takes no more messages until the server answers.
- Rejected, no tries left, or a bug: the message becomes a dead letter with the reason, and the task shows FAILURE. A
  member of a chord returns a failed outcome instead, since a failed member would keep the chord's body from running.
"""

import logging
import math
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, TypeVar

import redis
import structlog
from celery import Task, states
from celery.app.task import Context
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.exceptions import Retry as RetryRequested
from pydantic import ValidationError
from redis.exceptions import OutOfMemoryError

from edugraph_common.contracts.errors import (
    Failure,
    RedisFull,
    Rejected,
    Retryable,
    ServerAway,
    Wait,
)
from edugraph_common.contracts.messages import Message
from edugraph_common.contracts.outcomes import FailedOutcome, given_up_state
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.runtime.messaging.dead_letters import WAITED_FOR, publish_dead_letter
from edugraph_common.runtime.messaging.publisher import (
    broker_errors,
    describe,
    identifying_fields,
    job_of,
)
from edugraph_common.runtime.messaging.worker.circuit_breaker import (
    report_away,
    report_failure,
    report_success,
)
from edugraph_common.runtime.messaging.worker.reject_policy import requeue_delay_seconds
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.redis_errors import LoginRefused, redis_errors

# These tries come after the first one.
RETRIES = 3
LONGEST_BACKOFF_SECONDS = 600
M = TypeVar("M", bound=Message)
log = structlog.get_logger()


def _ending_process(error: BaseException) -> SystemExit | None:
    """Return the SystemExit that caused this error, or None.

    When the connection to the broker is lost, a signal ends the running tasks. If it interrupts a driver in the
    middle of a read, the driver may raise another error while it closes. The task runs again after its message is
    delivered again.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, SystemExit):
        cause = cause.__context__
    return cause


def put_back_reason(request: Context) -> str | None:
    """Return why the message of a task that has just ended went back to its queue, or None."""
    reason: str | None = request.get("put_back_reason")
    return reason


def backoff(retries: int, randint: Callable[[int, int], int] = random.randint) -> int:
    """Return the whole seconds before try `retries` + 2: 1, 2, 4 … plus jitter of up to as much again, at most 600.

    The seconds are whole because the broker's delays are: a fraction would be refused and the retry lost.
    """
    base: int = min(2**retries, LONGEST_BACKOFF_SECONDS)
    return min(base + randint(0, base), LONGEST_BACKOFF_SECONDS)


class EduGraphTask(Task):  # type: ignore[type-arg]
    """A task whose last argument is the JSON of `contract`.

    The body of a chord gets the outcomes as first argument.
    """

    abstract = True
    max_retries = RETRIES
    # Results hold findings about texts, so events, which Flower shows, must not hold results.
    resultrepr_maxsize = 1
    contract: ClassVar[type[Message]]

    def failed_outcome(self, message: Message, reason: str) -> dict[str, Any]:
        """Return the answer of a chord's member that gave up. It replaces an exception."""
        batch = getattr(message, "batch", None)
        return FailedOutcome(job_id=message.job_id, batch=batch, error=reason).model_dump(
            mode="json"
        )

    def on_given_up(self, message: Message, reason: str) -> None:
        """Record in the job that this step failed permanently. The method must be idempotent."""

    def on_waiting(self, message: Message, reason: str, until: float) -> None:
        """Record in the job why it waits. `until` is in seconds since 1970."""

    def parse(self, contract: type[M], body: Any) -> M:
        """Return the message in a body. Raises Rejected for a body of another form or version."""
        try:
            return contract.model_validate(body)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            kind = error.errors()[0]["type"]
            raise Rejected(
                f"malformed message for {self.name}: {where or 'body'} ({kind})"
            ) from None

    def mark_given_up(self, request: Context, args: tuple[Any, ...], reason: str) -> None:
        """Record the end of a task that could not give up by itself, since its worker died or rejected the message.

        Repeating the call is safe.
        """
        message = self._message(args)
        if message is not None:
            self.on_given_up(message, reason)
        if message is not None and request.chord:
            outcome = self.failed_outcome(message, reason)
            self.backend.mark_as_done(str(request.id), outcome, request=request)
        else:
            failure = Rejected(reason)
            self.backend.mark_as_failure(
                str(request.id), failure, request=request, call_errbacks=False
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        body = args[-1] if args else None
        structlog.contextvars.bind_contextvars(
            tries=self.request.retries + 1, **identifying_fields(body)
        )
        try:
            answer = self._answered_before() or super().__call__(*args, **kwargs)
            report_success(ROUTES[self.name].queue)
            return answer  # noqa: TRY300 - the report is part of the attempt
        except (RetryRequested, Ignore, Reject):
            raise
        except Wait as wait:
            return self._wait(wait, args)
        except OutOfMemoryError:  # Celery itself raises it when it sends a chord
            return self._wait(RedisFull(), args)
        except LoginRefused as refused:
            return self._wait(ServerAway(refused.reason, "redis", "refused"), args)
        except Retryable as error:
            return self._retry_or_give_up(error, args)
        except SoftTimeLimitExceeded:
            return self._give_up(Rejected("took longer than the soft time limit"), args)
        except Failure as error:
            return self._give_up(error, args, data_is_bad=isinstance(error, Rejected))
        except Exception as error:  # noqa: BLE001
            # This is the outermost loop. The error is a bug, which another try would repeat. The exception's text may
            # hold the text of a record, so only its type and place are logged.
            if (ending := _ending_process(error)) is not None:
                raise ending from None
            place = "".join(traceback.format_tb(error.__traceback__))
            log.error("task_bug", error=type(error).__name__, place=place)  # noqa: TRY400
            return self._give_up(Rejected(f"unexpected {type(error).__name__}"), args)

    def apply_async(  # type: ignore[override]  # Celery passes more than its stubs name
        self, args: Any = None, kwargs: Any = None, **options: Any
    ) -> Any:
        """Send a task. Its rows are hidden from logs and events, and the broker must have a queue for the message.

        Retries and chords are sent through this method too. Raises Retryable.
        """
        options.setdefault("argsrepr", describe(args[-1]) if args else "")
        options.setdefault("kwargsrepr", "{}")
        options.setdefault("mandatory", True)
        with broker_errors():
            return super().apply_async(args, kwargs, **options)

    def _answered_before(self) -> Any:
        """Return the stored answer if the task is done already and its message was delivered again, else None.

        A message is delivered again if its acknowledgement was lost. Celery's own setting for this case is not used:
        it also skips a member of a chord, whose answer may not have been counted yet, and the chord would wait for
        ever.
        """
        if self.request.chord or not (self.request.delivery_info or {}).get("redelivered"):
            return None
        with redis_errors():
            meta = self.backend.get_task_meta(str(self.request.id))
        if meta["status"] != states.SUCCESS:
            return None
        answer = meta["result"]
        # A chord's member that gave up also has the state SUCCESS. Its message comes again only as a replay.
        if given_up_state(answer):
            return None
        return answer

    def _retry_or_give_up(self, error: Retryable, args: tuple[Any, ...]) -> Any:
        if self.request.retries >= RETRIES:
            return self._give_up(
                Retryable(f"{error.reason}; gave up after {RETRIES + 1} tries"), args
            )
        delay = backoff(self.request.retries)
        log.warning("task_retried", reason=error.reason, seconds=delay, exc_info=error)
        with _or_put_back(self.request):
            raise self.retry(exc=error, countdown=delay, max_retries=RETRIES)

    def _wait(self, wait: Wait, args: tuple[Any, ...]) -> Any:
        seconds = max(1, min(int(wait.seconds) + 1, LONGEST_BACKOFF_SECONDS))
        body: dict[str, Any] = {}
        if args and isinstance(args[-1], dict):
            body = args[-1]
        if float(body.get("deadline") or math.inf) < time.time() + seconds:
            return self._give_up(
                Rejected(f"{wait.reason}; the job's deadline has passed"), args, data_is_bad=True
            )
        level = logging.INFO
        if isinstance(wait, ServerAway):
            level = logging.WARNING
        log.log(level, "task_waits", reason=wait.reason, seconds=seconds)
        if isinstance(wait, ServerAway):
            self.request.update(put_back_reason=wait.reason)
            report_away(ROUTES[self.name].queue, wait.server, wait.cause)
        metrics.TASKS_WAITING.add(queue=ROUTES[self.name].queue, reason=wait.awaited)
        message = self._message(args)
        with _or_put_back(self.request):
            # The task also waits if Redis is full or refuses the login. Then the job just does not show why.
            with suppress(Wait, LoginRefused):
                if message is not None:
                    self.on_waiting(message, wait.reason, time.time() + seconds)
            self.update_state(state="WAITING", meta={"reason": wait.reason, "seconds": seconds})
            self.signature_from_request(
                self.request, args, {}, countdown=seconds, retries=self.request.retries
            ).apply_async(headers={WAITED_FOR: wait.reason})
        raise Ignore

    def _give_up(self, error: Failure, args: tuple[Any, ...], *, data_is_bad: bool = False) -> Any:
        # `data_is_bad`: the data caused the failure, and not the worker. A message that this version cannot read
        # always counts as the worker's failure.
        # The current exception has a traceback. `error` may be a new exception without one.
        log.error("task_failed", reason=error.reason, exc_info=sys.exception() or error)
        message = self._message(args)
        with _or_put_back(self.request):
            # The job is updated first, because that can be repeated. A second dead letter must not be sent.
            if message is not None:
                try:
                    self.on_given_up(message, error.reason)
                except (Retryable, Wait, redis.RedisError, Reject):
                    raise
                except Exception as bug:  # noqa: BLE001 - the outermost loop still
                    # A process that cannot open its service cannot update the job. The message must not be lost: the
                    # dead letter says what happened.
                    log.error("job_not_told", error=type(bug).__name__, reason=error.reason)  # noqa: TRY400
            publish_dead_letter(self, args, error.reason)
        if message is None or not data_is_bad:
            report_failure(ROUTES[self.name].queue, job_of(args))
        if message is not None and self.request.chord:
            return self.failed_outcome(message, error.reason)
        # The job is updated already. Errbacks are for the body of a chord that never ran.
        self.request.errbacks = None
        raise error from None

    def _message(self, args: tuple[Any, ...]) -> Message | None:
        try:
            return self.contract.model_validate(args[-1])
        except (ValidationError, IndexError):
            return None


@contextmanager
def _or_put_back(request: Context) -> Iterator[None]:
    """Put the message back into its queue if the broker or Redis is away, at most as often as the delivery limit."""
    try:
        yield
    except (Retryable, Wait, redis.RedisError, Reject) as away:
        reason = f"Redis does not answer ({type(away).__name__})"
        if isinstance(away, Failure):
            reason = away.reason
        request.update(put_back_reason=reason)
        log.warning("task_put_back", reason=reason)
        time.sleep(requeue_delay_seconds(int(request.get("x-delivery-count") or 0)))
        raise Reject(reason, requeue=True) from None
