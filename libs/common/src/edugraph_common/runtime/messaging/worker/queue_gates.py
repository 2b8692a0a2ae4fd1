"""Gates that decide from which queues a worker takes messages. A queue is open unless there is a reason to close it.

A queue may be closed for several reasons at once. It opens when the last reason has gone.
"""

from typing import Any, Literal

from celery import bootsteps

Reason = Literal["failures", "servers"]


class Gates:
    """The gates of a worker, in its main process."""

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
    """The step that sets `gates` on the consumer for other steps."""

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        consumer.gates = Gates(consumer)
