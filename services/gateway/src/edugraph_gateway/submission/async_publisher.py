"""Publishing for a process that accepts a lot: one connection, many messages on their way, each one confirmed.

Celery waits a round trip for every message in a thread of its own. Here the event loop waits for all confirms at
once. The messages are Celery's own, made by the same app, its `task-sent` events included. ADR 137 says what was
tried instead.
"""

import asyncio
import json
import os
import socket
import time
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import (
    AMQPError,
    ChannelInvalidStateError,
    DeliveryError,
    PublishError,
)
from celery import Celery
from celery.signals import before_task_publish
from yarl import URL

from edugraph_common.contracts.errors import QueueFull, Retryable, what
from edugraph_common.contracts.messages import Message
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.runtime.messaging.celery_app import HEARTBEAT_SECONDS
from edugraph_common.runtime.messaging.dead_letters import header_value
from edugraph_common.runtime.messaging.provisioning import vhost
from edugraph_common.runtime.messaging.publisher import check_bytes, describe
from edugraph_common.runtime.messaging.topology import TASKS
from edugraph_common.runtime.service.settings import Settings

EVENTS_EXCHANGE = "celeryev"  # Celery's own exchange for `task-sent`
EVENTS_GATHERED_SECONDS = 0.1
# A broker that does not answer must not hold up the end of a gateway.
CLOSE_SECONDS = 2.0
_NODE = f"gen{os.getpid()}@{socket.gethostname()}"
# The errors of a connection that ended, whatever the operation was. The library raises StopAsyncIteration if a node
# closes the connection before it has greeted, and a TimeoutError is an OSError.
_LOST = (AMQPError, ChannelInvalidStateError, OSError, StopAsyncIteration)


class TaskMessage(NamedTuple):
    task: str
    key: str
    content: aio_pika.Message


class _Open(NamedTuple):
    """A connection with the channel and the exchanges that are published to."""

    connection: AbstractConnection
    channel: AbstractChannel
    tasks: AbstractExchange
    events: AbstractExchange


class AsyncPublisher:
    """Belongs to one event loop. `timeout_seconds` is for a connection, and for each confirm."""

    def __init__(self, app: Celery, settings: Settings, *, timeout_seconds: float) -> None:
        self._app = app
        self._timeout_seconds = timeout_seconds
        self._nodes = deque(node_addresses(settings))
        self._connecting = asyncio.Lock()
        self._open: _Open | None = None
        self._events: list[dict[str, Any]] = []
        # The event loop itself keeps only weak references to its tasks.
        self._background: set[asyncio.Task[None]] = set()

    async def send(self, task: str, message: Message, *, task_id: str) -> None:
        """Return when the broker has the message in a queue.

        Raises Retryable, QueueFull, and Rejected for a large message.
        """
        made = task_message(self._app, task, message, task_id)
        used: _Open | None = None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                used = await self._opened()
                self._note_sent(made, task_id)
                await used.tasks.publish(made.content, made.key, mandatory=True)
        except TimeoutError:
            # The connection may be a hole that swallows everything, so the next one goes to another node.
            self._give_up(used)
            reason = f"the broker did not confirm the message within {self._timeout_seconds:g} s"
            raise Retryable(reason) from None
        except PublishError:
            words = "no queue takes this message; run: edugraph topology apply"
            raise Retryable(words) from None
        except DeliveryError:
            raise QueueFull from None
        except _LOST as error:
            self._give_up(used)
            words = f"the broker did not confirm the message ({what(error)})"
            raise Retryable(words) from error

    async def close(self) -> None:
        """Send the events that wait, and close the connection."""
        await self._send_events()
        if self._open is not None:
            await _close(self._open.connection)
            self._open = None

    def _note_sent(self, made: TaskMessage, task_id: str) -> None:
        """Monitors learn the queue of a task from `task-sent`. Several events go together, as workers send theirs."""
        if not self._events:
            asyncio.get_running_loop().call_later(
                EVENTS_GATHERED_SECONDS, lambda: self._begin(self._send_events())
            )
        self._events.append(sent_event(made, task_id))

    async def _send_events(self) -> None:
        """Publish the gathered events. They are lost without a connection, as Celery's own are."""
        events = self._events
        self._events = []
        if self._open is None or not events:
            return
        content = aio_pika.Message(
            json.dumps(events).encode(),
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=aio_pika.DeliveryMode.NOT_PERSISTENT,
            headers={"hostname": _NODE},
        )
        with suppress(*_LOST):
            async with asyncio.timeout(self._timeout_seconds):
                await self._open.events.publish(content, "task.multi", mandatory=False)

    async def _opened(self) -> _Open:
        """Return the open connection, or connect to the first node that answers. Raises what the last one said."""
        async with self._connecting:
            if self._open is not None and not self._open.channel.is_closed:
                return self._open
            self._give_up(self._open)
            seconds_of_node = self._timeout_seconds / len(self._nodes)
            for _ in range(len(self._nodes) - 1):
                with suppress(*_LOST):
                    self._open = await connect(self._nodes[0], seconds_of_node)
                    return self._open
                self._nodes.rotate(-1)
            self._open = await connect(self._nodes[0], seconds_of_node)
            return self._open

    def _give_up(self, used: _Open | None) -> None:
        """Forget a connection, unless another request has opened a new one. The next one goes to another node."""
        if used is None or used is not self._open:
            return
        self._open = None
        self._nodes.rotate(-1)
        self._begin(_close(used.connection))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def node_addresses(settings: Settings) -> list[URL]:
    """Return the address of each node of the broker, all with the virtual host of the first."""
    addresses = []
    for address in settings.broker_urls:
        node = URL(address).with_path(f"/{unquote(vhost(settings))}")
        addresses.append(node.update_query(heartbeat=HEARTBEAT_SECONDS))
    return addresses


async def connect(node: URL, timeout_seconds: float) -> _Open:
    """Open a connection to one node, and a channel with confirms."""
    connection = aio_pika.Connection(node)
    try:
        await connection.connect(timeout=timeout_seconds)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        tasks = await channel.get_exchange(TASKS.name, ensure=False)
        events = await channel.declare_exchange(
            EVENTS_EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True
        )
    except BaseException:
        await _close(connection)
        raise
    return _Open(connection, channel, tasks, events)


async def _close(connection: AbstractConnection) -> None:
    with suppress(*_LOST):
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()


def task_message(app: Celery, task: str, message: Message, task_id: str) -> TaskMessage:
    """Return the message as Celery would send it. Raises Rejected for a message that is too large."""
    body = message.model_dump(mode="json")
    made = app.amqp.as_task_v2(
        task_id, task, args=(body,), argsrepr=describe(body), kwargsrepr="{}", origin=_NODE
    )
    headers = made.headers
    before_task_publish.send(
        sender=task, body=made.body, headers=headers, properties=made.properties
    )
    written = json.dumps(made.body).encode()
    check_bytes(len(written))
    content = aio_pika.Message(
        written,
        content_type="application/json",
        content_encoding="utf-8",
        correlation_id=task_id,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        priority=ROUTES[task].priority,
        headers={name: header_value(value) for name, value in headers.items()},
    )
    return TaskMessage(task, ROUTES[task].key, content)


def sent_event(made: TaskMessage, task_id: str) -> dict[str, Any]:
    """Return Celery's `task-sent` event of a message."""
    route = ROUTES[made.task]
    return {
        "type": "task-sent",
        "hostname": _NODE,
        "pid": os.getpid(),
        "utcoffset": 0,
        "clock": 0,
        "timestamp": time.time(),
        "uuid": task_id,
        "root_id": task_id,
        "parent_id": None,
        "name": made.task,
        "args": "",
        "kwargs": "{}",
        "retries": 0,
        "eta": None,
        "expires": None,
        "queue": route.queue,
        "exchange": TASKS.name,
        "routing_key": route.key,
    }
