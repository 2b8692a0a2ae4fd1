"""Readiness: whether the gateway can take work now. Each server is asked, at most once a second."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
import redis

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.messaging.publisher import broker_errors
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.object_store import Blobs

TIMEOUT_SECONDS = 2.5
ANSWER_LIFETIME_SECONDS = 1.0


class Probe:
    """The probe of one server. It belongs to one event loop.

    Callers that come at the same time share one question. A question without an answer in time is left alone, and no
    second question is asked beside it. `ask` blocks, and raises Retryable if the server does not answer.
    """

    def __init__(
        self, ask: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._question: asyncio.Task[bool] | None = None
        self._asked_at = 0.0
        self._answered_at = -ANSWER_LIFETIME_SECONDS

    async def answers(self) -> bool:
        """Return whether the server answered within the last second, or answers within 2.5 s."""
        question = self._question
        is_old = self._clock() - self._answered_at >= ANSWER_LIFETIME_SECONDS
        if question is None or (question.done() and is_old):
            self._asked_at = self._clock()
            question = asyncio.create_task(self._put_question())
            self._question = question
        left_seconds = TIMEOUT_SECONDS - (self._clock() - self._asked_at)
        if not question.done() and left_seconds > 0:
            await asyncio.wait([question], timeout=left_seconds)
        return question.done() and question.result()

    async def _put_question(self) -> bool:
        def ask() -> bool:
            try:
                self._ask()
            except Retryable:
                return False
            return True

        try:
            return await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
        finally:
            self._answered_at = self._clock()


class Probes:
    """The probes of the servers that the gateway needs to accept work: broker, redis, blobs."""

    def __init__(self, asks: Mapping[str, Callable[[], None]]) -> None:
        self._probes = {name: Probe(ask) for name, ask in asks.items()}

    async def missing(self) -> list[str]:
        """Return the names of the servers that do not answer. They are asked at the same time."""
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
        """Publish a confirmed message into a queue of this connection, which ends with the connection.

        An open connection is not enough, because RabbitMQ's memory alarm blocks only publishing.
        """
        with broker_errors(), app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=0)
            if settings.on_rabbitmq:
                # The channel is that of py-amqp, which kombu's types do not describe.
                channel: Any = connection.channel()
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
