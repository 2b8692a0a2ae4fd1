"""How fast a queue may lose its messages to the dead letters.

After a bad deploy each task fails, and a queue of 10,000 good messages would be dead within a minute. So a worker
whose tasks die one after another stops reading their queue, says so, and tries again after a while.

Only deaths that speak of the worker or its surroundings are told here: a bug, retries used up, a lost process, a
message that this version cannot read. Rejected data is not: it is bad with every worker. And a bug may show in one
job's records alone, so the deaths of one job never pause a queue that all jobs share.

A child of the pool knows how its task ended; the main process reads the queue. Between them is a pipe, made before
the first fork: six bytes for each end of a task, which the kernel writes and reads whole.
"""

import os
import struct
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import structlog
from celery import Celery, bootsteps

from edugraph_common.contracts.routes import QUEUES

DEATHS = 20  # in a row
DEATHS_AFTER_PAUSE = 2
PAUSE, LONGEST_PAUSE = 60.0, 600.0  # seconds
_END = struct.Struct(">?BI")  # died, the number of the queue, a checksum of the job's id
_writers: list[int] = []
log = structlog.get_logger()


@dataclass
class DeathRate:
    """Deaths of one queue since the last task that lived, by job.

    A job counts for at most half of `limit`, so that it takes two jobs to pause the queue. After a pause one death of
    each of two jobs is enough for the next.
    """

    limit: int
    pause: float
    deaths: Counter[int] = field(default_factory=Counter)
    pauses: int = 0
    paused: bool = False

    def lived(self) -> None:
        self.deaths.clear()
        self.pauses = 0

    def died(self, job: int) -> float:
        """Seconds to pause from now on; 0 to go on, or because it pauses already."""
        self.deaths[job] += 1
        limit = DEATHS_AFTER_PAUSE if self.pauses else self.limit
        if self.paused or sum(min(number, limit // 2) for number in self.deaths.values()) < limit:
            return 0
        self.paused = True
        self.pauses += 1
        return float(min(self.pause * 2 ** (self.pauses - 1), LONGEST_PAUSE))

    def resume(self) -> None:
        self.paused = False
        self.deaths.clear()


class DeathWatch(bootsteps.StartStopStep):
    """Part of a worker's main process, whose loop calls it when a task has ended."""

    requires = ("celery.worker.consumer:Tasks",)
    reader: ClassVar[int]
    limit: ClassVar[int]
    pause: ClassVar[float]

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.rates = [DeathRate(self.limit, self.pause) for _ in QUEUES]

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        hub.add_reader(self.reader, self.read, consumer)

    def read(self, consumer: Any) -> None:
        with suppress(BlockingIOError):
            for died, queue, job in _END.iter_unpack(os.read(self.reader, 8_192 * _END.size)):
                self.count(consumer, queue, job if died else None)

    def count(self, consumer: Any, number: int, dead_job: int | None) -> None:
        rate = self.rates[number]
        if dead_job is None:
            rate.lived()
        elif seconds := rate.died(dead_job):
            deaths, jobs = rate.deaths.total(), len(rate.deaths)
            log.error("queue_paused", queue=QUEUES[number], deaths=deaths, jobs=jobs, seconds=seconds)
            consumer.cancel_task_queue(QUEUES[number])
            consumer.hub.call_later(seconds, self.resume, consumer, number)

    def resume(self, consumer: Any, number: int) -> None:
        log.warning("queue_resumed", queue=QUEUES[number])
        self.rates[number].resume()
        consumer.add_task_queue(QUEUES[number])


def watch_deaths(app: Celery, *, deaths: int = DEATHS, seconds: float = PAUSE) -> None:
    """For a worker's app, before its pool is started."""
    to_read, to_write = os.pipe()
    os.set_blocking(to_read, False)
    os.set_blocking(to_write, False)
    _writers[:] = [to_write]

    class ThisWatch(DeathWatch):
        reader, limit, pause = to_read, deaths, seconds

    app.steps["consumer"].add(ThisWatch)


def tell_lived(queue: str) -> None:
    """A task of the queue did its work."""
    _tell(False, queue, "")


def tell_died(queue: str, job_id: str) -> None:
    """A task of the queue died, and not of its data. Those whose job is unknown count as one job."""
    _tell(True, queue, job_id)


def _tell(died: bool, queue: str, job_id: str) -> None:
    """Where nobody watches it says nothing; it loses an end rather than wait."""
    for writer in _writers:
        with suppress(BlockingIOError):
            os.write(writer, _END.pack(died, QUEUES.index(queue), zlib.crc32(job_id.encode())))
