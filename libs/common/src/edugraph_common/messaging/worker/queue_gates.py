"""Which queues a worker takes messages from. Each queue is open unless there is a reason to keep it closed.

A queue may be closed for several reasons at once, and opens when the last one has gone.
"""

from typing import Any, Literal

from celery import bootsteps

Reason = Literal["failures", "servers"]


class Gates:
    """The gates of one worker. They live in its main process."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._reasons: dict[str, set[Reason]] = {}

    def close(self, queue: str, reason: Reason) -> None:
        reasons = self._reasons.setdefault(queue, set())
        if not reasons:
            self._consumer.cancel_task_queue(queue)
        reasons.add(reason)

    def open(self, queue: str, reason: Reason) -> None:
        reasons = self._reasons.get(queue, set())
        if reason not in reasons:
            return
        reasons.remove(reason)
        if not reasons:
            self._consumer.add_task_queue(queue)


class QueueGates(bootsteps.Step):
    """Gives the consumer its `gates`. Other steps use them."""

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        consumer.gates = Gates(consumer)
