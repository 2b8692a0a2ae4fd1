"""How fast a queue may lose its messages to the dead letters.

After a bad deploy each task fails, and a queue of 10,000 good messages would be dead within a minute. So a worker
whose tasks die one after another stops reading their queue, says so, and tries a single one again after a while.

A child of the pool knows how its task ended; the main process reads the queue. Between them is a pipe, made before
the first fork: one byte for each end of a task.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import structlog
from celery import Celery, bootsteps

from edugraph_common.contracts.routes import QUEUES

DEATHS = 20  # in a row
PAUSE, LONGEST_PAUSE = 60.0, 600.0  # seconds
_writers: list[int] = []
log = structlog.get_logger()


@dataclass
class DeathRate:
    """Deaths of one queue since the last task that lived. After a pause one more death is enough for the next."""

    limit: int
    pause: float
    deaths: int = 0
    pauses: int = 0
    paused: bool = False

    def lived(self) -> None:
        self.deaths = self.pauses = 0

    def died(self) -> float:
        """Seconds to pause from now on; 0 to go on, or because it pauses already."""
        self.deaths += 1
        if self.paused or self.deaths < (1 if self.pauses else self.limit):
            return 0
        self.paused = True
        self.pauses += 1
        return float(min(self.pause * 2 ** (self.pauses - 1), LONGEST_PAUSE))

    def resume(self) -> None:
        self.paused, self.deaths = False, 0


class DeathWatch(bootsteps.StartStopStep):
    """Part of a worker's main process, whose loop calls it for each byte."""

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
            for byte in os.read(self.reader, 65_536):
                self.count(consumer, byte // 2, died=bool(byte % 2))

    def count(self, consumer: Any, number: int, *, died: bool) -> None:
        rate = self.rates[number]
        if not died:
            rate.lived()
        elif seconds := rate.died():
            log.error("queue_paused", queue=QUEUES[number], dead_letters=rate.deaths, seconds=seconds)
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


def tell(queue: str, *, died: bool) -> None:
    """A task of the queue ended. Where nobody watches it says nothing; it loses a byte rather than wait."""
    for writer in _writers:
        with suppress(BlockingIOError):
            os.write(writer, bytes([2 * QUEUES.index(queue) + died]))
