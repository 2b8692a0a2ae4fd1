"""How messages leave the gateway: pipelined on RabbitMQ, by Celery in threads on the embedded broker."""

from typing import Protocol

from anyio import CapacityLimiter
from celery import Celery

from edugraph_common.contracts.messages import Message
from edugraph_common.messaging.publisher import send
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.submission.async_publisher import PipelinedPublisher


class Sender(Protocol):
    async def send(self, task: str, message: Message, *, task_id: str) -> None:
        """Returns when the message is in a queue. Raises Retryable or Rejected."""

    def close(self) -> None: ...


class ThreadedSender:
    """Celery's transport for Redis blocks, and has no confirms."""

    def __init__(self, app: Celery, *, timeout: float, threads: int) -> None:
        self._app, self._timeout = app, timeout
        self._limiter = CapacityLimiter(threads)

    async def send(self, task: str, message: Message, *, task_id: str) -> None:
        await in_time(lambda: send(self._app, task, message, task_id=task_id), self._timeout, self._limiter)

    def close(self) -> None:
        self._app.close()


def sender_of(app: Celery, settings: GatewaySettings) -> Sender:
    if settings.on_rabbitmq:
        return PipelinedPublisher(app, settings, timeout=settings.publish_timeout)
    return ThreadedSender(app, timeout=settings.publish_timeout, threads=settings.publishers)
