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

LONGEST = 2.5  # seconds a server has to answer
KEPT = 1.0  # seconds an answer is good for


class Probe:
    """One server. A question that is not answered in time is left alone, and no second one is asked beside it."""

    def __init__(self, ask: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._asking = False
        self._answered = (-KEPT, False)

    async def answers(self) -> bool:
        when, good = self._answered
        if self._clock() - when < KEPT:
            return good
        if self._asking:
            return False
        good = False
        with anyio.move_on_after(LONGEST):
            good = await anyio.to_thread.run_sync(self._asked, abandon_on_cancel=True)
        self._answered = (self._clock(), good)
        return good

    def _asked(self) -> bool:
        self._asking = True
        try:
            self._ask()
        except Retryable:
            return False
        finally:
            self._asking = False
        return True


class Probes:
    """`missing()` names what does not answer: broker, redis, blobs."""

    def __init__(self, asks: Mapping[str, Callable[[], None]]) -> None:
        self._probes = {name: Probe(ask) for name, ask in asks.items()}

    async def missing(self) -> list[str]:
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


def probes_of(settings: Settings, client: "redis.Redis", blobs: Blobs) -> Probes:
    app = make_publisher("edugraph-probe", settings, timeout=LONGEST)

    def broker() -> None:
        """A connection that is open proves little: RabbitMQ's memory alarm blocks publishing only.

        So a message goes into a queue of this connection alone, which vanishes with it, and is confirmed.
        """
        with broker_errors(), app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0)
            if settings.on_rabbitmq:
                _publish_to_itself(connection.channel())

    def redis_answers() -> None:
        with redis_errors():
            client.ping()

    def store() -> None:
        blobs.exists("jobs")

    return Probes({"broker": broker, "redis": redis_answers, "blobs": store})


def _publish_to_itself(channel: Any) -> None:
    """`channel` is py-amqp's, which kombu's types do not know."""
    queue = channel.queue_declare(exclusive=True, auto_delete=True).queue
    message = channel.prepare_message(b"probe")
    channel.basic_publish_confirm(message, exchange="", routing_key=queue, confirm_timeout=LONGEST)
    with suppress(OSError):
        channel.queue_delete(queue)
