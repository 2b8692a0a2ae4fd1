"""How messages leave the gateway: by the async publisher on RabbitMQ, by Celery in threads on the embedded broker."""

from typing import Protocol

from anyio import CapacityLimiter
from celery import Celery

from edugraph_common.contracts.messages import Message
from edugraph_common.runtime.messaging.publisher import send
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.submission.async_publisher import AsyncPublisher

THREADS = 8  # messages that the embedded broker takes side by side


class Publisher(Protocol):
    async def send(self, task: str, message: Message, *, task_id: str) -> None:
        """Return when the message is in a queue. Raises Retryable or Rejected."""

    async def close(self) -> None: ...


class ThreadedPublisher:
    """Publishes by Celery, whose transport for Redis blocks and has no confirms."""

    def __init__(self, app: Celery, *, timeout_seconds: float) -> None:
        self._app = app
        self._timeout_seconds = timeout_seconds
        self._threads = CapacityLimiter(THREADS)

    async def send(self, task: str, message: Message, *, task_id: str) -> None:
        await in_time(
            lambda: send(self._app, task, message, task_id=task_id),
            self._timeout_seconds,
            self._threads,
        )

    async def close(self) -> None:
        self._app.close()


def open_publisher(app: Celery, settings: GatewaySettings) -> Publisher:
    """Return a publisher that connects when it sends its first message."""
    if settings.on_rabbitmq:
        return AsyncPublisher(app, settings, timeout_seconds=settings.publish_timeout_seconds)
    return ThreadedPublisher(app, timeout_seconds=settings.publish_timeout_seconds)
