"""Celery's consumer with the steps that must not hold up a worker whose broker lost a node."""

from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.consumer.delayed_delivery import DelayedDelivery


class DelayedDeliveryOnce(DelayedDelivery):
    """Declares the delay queues when the worker starts, and not again with each connection.

    They are durable and on a majority of nodes. Celery declares them on each node in turn, and tries one that is
    away four times: so long a worker that has connected to another node would consume nothing.
    """

    declared = False

    def start(self, c: Any) -> None:
        if not self.declared:
            super().start(c)
            self.declared = True


class QuickConsumer(Consumer):
    class Blueprint(Consumer.Blueprint):  # type: ignore[misc, valid-type]  # the stubs have it as a variable
        default_steps = (
            *(step for step in Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")),
            f"{__name__}:{DelayedDeliveryOnce.__name__}",
        )
