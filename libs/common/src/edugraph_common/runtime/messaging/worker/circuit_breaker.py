"""A circuit breaker for each queue. It limits how fast the messages of a queue become dead letters.

After a bad deploy each task fails, and a queue of 10,000 good messages would be empty within a minute. So a worker
whose tasks fail permanently one after another stops reading their queue, logs it, and tries again after a while.

Only failures that the worker or its environment may have caused are counted: a bug, retries used up, a lost process,
a message that this version cannot read. Rejected data are not counted, since every worker rejects them. A bug may
also show only in the records of one job, so the failures of a single job never pause a queue.

A child of the pool knows how its task ended, and the main process reads the queue. A pipe connects them, which is
made before the first fork. Each end of a task takes six bytes, which the kernel writes and reads as a whole. A task
that could not use a server reports that in the same way, and the server watch handles it.
"""

import os
import struct
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar, get_args

import structlog
from celery import Celery, bootsteps

from edugraph_common.contracts.errors import Cause, Server
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.contracts.worker_reports import ServerAnswer
from edugraph_common.runtime.messaging.worker.queue_gates import QueueGates
from edugraph_common.runtime.messaging.worker.server_watch import ServerWatch

FAILURES_IN_A_ROW = 20
FAILURES_AFTER_A_PAUSE = 2
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60.0, 600.0
# (how the task ended, index of its queue, number). The number of a failure is a checksum of the job's id. The number
# of a server that is away is an index of `_TROUBLES`.
_TASK_END = struct.Struct(">BBI")
_SUCCEEDED, _FAILED, _SERVER_AWAY = range(3)
_TROUBLES: tuple[tuple[Server, Cause], ...] = tuple(product(get_args(Server), get_args(Cause)))
_writers: list[int] = []
log = structlog.get_logger()


@dataclass
class CircuitBreaker:
    """The failures of one queue since its last successful task: checksum of a job's id -> number of failures.

    A job counts for at most half of `limit`, so it takes two jobs to pause the queue. After a pause, one failure of
    each of two jobs is enough for the next pause.
    """

    limit: int
    first_pause_seconds: float
    failures: Counter[int] = field(default_factory=Counter)
    pauses: int = 0
    paused: bool = False

    def record_success(self) -> None:
        self.failures.clear()
        self.pauses = 0

    def record_failure(self, job: int) -> float:
        """Return for how many seconds to pause the queue, or 0 if it need not be paused or is paused already."""
        self.failures[job] += 1
        if self.paused:
            return 0
        limit = self.limit
        if self.pauses:
            limit = FAILURES_AFTER_A_PAUSE
        counted = sum(min(number, limit // 2) for number in self.failures.values())
        if counted < limit:
            return 0
        self.paused = True
        self.pauses += 1
        return float(min(self.first_pause_seconds * 2 ** (self.pauses - 1), LONGEST_PAUSE_SECONDS))

    def resume(self) -> None:
        self.paused = False
        self.failures.clear()


class CircuitBreakerStep(bootsteps.StartStopStep):
    """The circuit breakers of a worker. The event loop of its main process calls `read` when a task has ended."""

    requires = (QueueGates, ServerWatch)
    reader: ClassVar[int]
    limit: ClassVar[int]
    first_pause_seconds: ClassVar[float]

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.breakers = [CircuitBreaker(self.limit, self.first_pause_seconds) for _ in QUEUES]

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        hub.add_reader(self.reader, self.read, consumer)

    def read(self, consumer: Any) -> None:
        with suppress(BlockingIOError):
            for end, queue, number in _TASK_END.iter_unpack(
                os.read(self.reader, 8_192 * _TASK_END.size)
            ):
                if end == _SUCCEEDED:
                    self.breakers[queue].record_success()
                    consumer.server_watch.record_success()
                elif end == _SERVER_AWAY:
                    server, cause = _TROUBLES[number]
                    answer = ServerAnswer(
                        server=server, cause=cause, reason="a task could not use it"
                    )
                    consumer.server_watch.record_away(answer)
                else:
                    self._record_failure(consumer, queue, number)

    def _record_failure(self, consumer: Any, queue: int, job: int) -> None:
        breaker = self.breakers[queue]
        seconds = breaker.record_failure(job)
        if not seconds:
            return
        failures = breaker.failures.total()
        log.error(
            "queue_paused",
            queue=QUEUES[queue],
            failures=failures,
            jobs=len(breaker.failures),
            seconds=seconds,
        )
        consumer.gates.close(QUEUES[queue], "failures")
        consumer.hub.call_later(seconds, self.resume, consumer, queue)

    def resume(self, consumer: Any, number: int) -> None:
        log.warning("queue_resumed", queue=QUEUES[number])
        self.breakers[number].resume()
        consumer.gates.open(QUEUES[number], "failures")


def add_circuit_breaker(
    app: Celery, *, failures: int = FAILURES_IN_A_ROW, seconds: float = FIRST_PAUSE_SECONDS
) -> None:
    """Add circuit breakers to the app of a worker. The function must be called before the pool is started."""
    to_read, to_write = os.pipe()
    os.set_blocking(to_read, False)
    os.set_blocking(to_write, False)
    _writers[:] = [to_write]

    class Step(CircuitBreakerStep):
        reader = to_read
        limit = failures
        first_pause_seconds = seconds

    app.steps["consumer"].update((QueueGates, ServerWatch, Step))


def report_success(queue: str) -> None:
    """Report from a child of the pool that a task of the queue did its work."""
    _report(_SUCCEEDED, queue, 0)


def report_failure(queue: str, job_id: str) -> None:
    """Report that a task of the queue failed permanently, and not because of its data.

    All tasks without a known job count as one job.
    """
    _report(_FAILED, queue, zlib.crc32(job_id.encode()))


def report_away(queue: str, server: Server, cause: Cause) -> None:
    """Report that a task of the queue could not use a server."""
    _report(_SERVER_AWAY, queue, _TROUBLES.index((server, cause)))


def _report(end: int, queue: str, number: int) -> None:
    # Outside a worker there is no writer. If the pipe is full, the report is lost, since the task must not wait.
    for writer in _writers:
        with suppress(BlockingIOError):
            os.write(writer, _TASK_END.pack(end, QUEUES.index(queue), number))
