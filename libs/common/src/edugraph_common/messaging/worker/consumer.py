"""Celery's consumer without the step that declares the queues of delayed messages.

`edugraph topology apply` declares them: who may declare a queue may delete it. Besides, Celery would declare them on
each node of the broker in turn, and try one that is away four times; so long a worker would consume nothing.
"""

from celery.worker.consumer import Consumer


class QuickConsumer(Consumer):
    class Blueprint(Consumer.Blueprint):  # type: ignore[misc, valid-type]  # the stubs have it as a variable
        default_steps = tuple(
            step for step in Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")
        )
