"""Celery's consumer without the step that declares the queues of delayed messages.

`edugraph topology apply` declares them, because the permission to declare a queue also allows deleting it. Besides,
Celery would declare them on each node of the broker, and try a node that is away four times. The worker would not
consume in the meantime.
"""

from celery.worker.consumer import Consumer


class QuickConsumer(Consumer):
    class Blueprint(Consumer.Blueprint):  # type: ignore[misc, valid-type]  # a variable in the stubs
        default_steps = tuple(
            step
            for step in Consumer.Blueprint.default_steps
            if not step.endswith(":DelayedDelivery")
        )
