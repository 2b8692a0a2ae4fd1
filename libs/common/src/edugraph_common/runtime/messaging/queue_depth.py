"""The number of messages that wait in a queue."""

from collections.abc import Callable
from typing import Any

from amqp.exceptions import ChannelError
from celery import Celery

from edugraph_common.runtime.messaging.publisher import broker_errors


def queue_depth(app: Celery) -> Callable[[str], int]:
    """Return a function that returns the number of ready messages of a queue. It raises Retryable.

    The function uses a passive declaration, whose answer is current. The figures of the management API are some
    seconds old.
    """

    def look(queue: str) -> int:
        with broker_errors(), app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=0)
            channel: Any = connection.default_channel
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except ChannelError:
                if connection.transport.driver_type != "redis":
                    raise
                return 0  # the broker of the demo, a Valkey, has no queue without messages

    return look
