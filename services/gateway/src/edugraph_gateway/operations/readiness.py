"""Whether the gateway could take work now: asked of the servers themselves, at most once a second."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
import redis

from edugraph_common.contracts.errors import Retryable
from edugraph_common.messaging.celery_app import make_publisher
from edugraph_common.messaging.publisher import broker_errors
from edugraph_common.platform.object_store import Blobs
from edugraph_common.platform.redis_errors import redis_errors
from edugraph_common.platform.settings import Settings

TIMEOUT_SECONDS = 2.5
ANSWER_LIFETIME_SECONDS = 1.0


class Probe:
    """One server. A question that is not answered in time is left alone, and no second one is asked beside it.

    `ask` blocks, and raises Retryable when the server does not answer.
    """

    def __init__(self, ask: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._asking = False
        self._answer = (-ANSWER_LIFETIME_SECONDS, False)

    async def answers(self) -> bool:
        answered_at, good = self._answer
        if self._clock() - answered_at < ANSWER_LIFETIME_SECONDS:
            return good
        if self._asking:
            return False

        def ask() -> bool:
            self._asking = True
            try:
                self._ask()
            except Retryable:
                return False
            finally:
                self._asking = False
            return True

        good = False
        with anyio.move_on_after(TIMEOUT_SECONDS):
            good = await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
        self._answer = (self._clock(), good)
        return good


class Probes:
    """The servers without which nothing can be accepted: broker, redis, blobs."""

    def __init__(self, asks: Mapping[str, Callable[[], None]]) -> None:
        self._probes = {name: Probe(ask) for name, ask in asks.items()}

    async def missing(self) -> list[str]:
        """Return the names of those that do not answer. They are asked side by side."""
        found: list[str] = []

        async def ask(name: str, probe: Probe) -> None:
            if not await probe.answers():
                found.append(name)

        async with anyio.create_task_group() as group:
            for name, probe in self._probes.items():
                group.start_soon(ask, name, probe)
        return sorted(found)

    async def broker_answers(self) -> bool:
        return await self._probes["broker"].answers()


def make_probes(settings: Settings, client: "redis.Redis", blobs: Blobs) -> Probes:
    app = make_publisher("edugraph-probe", settings, timeout=TIMEOUT_SECONDS)

    def broker() -> None:
        """An open connection proves little, because RabbitMQ's memory alarm blocks publishing only.

        So a message goes into a queue of this connection alone, which vanishes with it, and is confirmed.
        """
        with broker_errors(), app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0)
            if settings.on_rabbitmq:
                channel: Any = connection.channel()  # py-amqp's own, which kombu's types do not describe
                queue = channel.queue_declare(exclusive=True, auto_delete=True).queue
                message = channel.prepare_message(b"probe")
                channel.basic_publish_confirm(
                    message, exchange="", routing_key=queue, confirm_timeout=TIMEOUT_SECONDS
                )
                with suppress(OSError):
                    channel.queue_delete(queue)

    def redis_answers() -> None:
        with redis_errors():
            client.ping()

    def blob_store() -> None:
        blobs.exists("jobs")

    return Probes({"broker": broker, "redis": redis_answers, "blobs": blob_store})
