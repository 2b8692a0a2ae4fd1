"""Publishing for a process that accepts a lot: one connection, many messages on their way, each one confirmed.

Celery waits a round trip for every message in a thread of its own. Here the event loop waits for all confirms at
once, and what is sent in one turn of the loop is one write. The messages are Celery's own, made by the same app, its
`task-sent` events included. docs/adr/0011-async-publisher.md has the figures and what was tried instead.
"""

import asyncio
import json
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pika
import pika.exceptions
from celery import Celery
from celery.signals import before_task_publish
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel

from edugraph_common.contracts.errors import QueueFull, Retryable, what
from edugraph_common.contracts.messages import Message
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.runtime.messaging.celery_app import HEARTBEAT_SECONDS
from edugraph_common.runtime.messaging.dead_letters import header_value
from edugraph_common.runtime.messaging.provisioning import connection_parameters
from edugraph_common.runtime.messaging.publisher import check_bytes, describe
from edugraph_common.runtime.messaging.topology import TASKS
from edugraph_common.runtime.service.settings import Settings

EVENTS_EXCHANGE = "celeryev"  # Celery's own exchange for `task-sent`
EVENTS_GATHERED_SECONDS = 0.1
PERSISTENT = 2
_NODE = f"gen{os.getpid()}@{socket.gethostname()}"
_EVENT_PROPERTIES = pika.BasicProperties(
    content_type="application/json",
    content_encoding="utf-8",
    delivery_mode=1,
    headers={"hostname": _NODE},
)


class TaskMessage(NamedTuple):
    task: str
    key: str
    properties: pika.BasicProperties
    body: bytes


class AsyncPublisher:
    """Belongs to one event loop. `timeout_seconds` is for a connection, and for each confirm."""

    def __init__(self, app: Celery, settings: Settings, *, timeout_seconds: float) -> None:
        self._app = app
        self._timeout_seconds = timeout_seconds
        self._nodes = deque(connection_parameters(settings, timeout=timeout_seconds))
        for parameters in self._nodes:
            parameters.heartbeat = HEARTBEAT_SECONDS
        self._connecting = asyncio.Lock()
        self._connection: AsyncioConnection | None = None
        self._channel: Channel | None = None
        self._tag = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[None]]] = {}
        self._returned: set[str] = set()
        self._events: list[dict[str, Any]] = []

    async def send(self, task: str, message: Message, *, task_id: str) -> None:
        """Return when the broker has the message in a queue.

        Raises Retryable, QueueFull, and Rejected for a large message.
        """
        made = task_message(self._app, task, message, task_id)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                channel = self._channel or await self._open()
                # The broker counts what is published on a channel: the confirm will name this number.
                self._tag += 1
                confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting[self._tag] = (task_id, confirmed)
                channel.basic_publish(
                    TASKS.name, made.key, made.body, made.properties, mandatory=True
                )
                # Monitors learn a task's queue from `task-sent`. Several events go together, as workers send theirs.
                if not self._events:
                    asyncio.get_running_loop().call_later(
                        EVENTS_GATHERED_SECONDS, self._send_events
                    )
                self._events.append(sent_event(made, task_id))
                await confirmed
        except TimeoutError:
            # The connection may be a hole that swallows everything: the next one goes to another node.
            self._nodes.rotate(-1)
            reason = f"the broker did not confirm the message within {self._timeout_seconds:g} s"
            self._give_up(reason)
            raise Retryable(reason) from None
        except pika.exceptions.AMQPError as error:
            self._give_up(f"the broker closed the connection ({type(error).__name__})")
            raise Retryable(
                f"the broker did not confirm the message ({type(error).__name__})"
            ) from error

    def close(self) -> None:
        self._send_events()
        self._give_up("the gateway is being stopped")

    def _send_events(self) -> None:
        """Publish the gathered events. Nobody waits for their confirm; without a connection they are lost."""
        events = self._events
        self._events = []
        if self._channel is not None and events:
            self._tag += 1
            body = json.dumps(events).encode()
            self._channel.basic_publish(EVENTS_EXCHANGE, "task.multi", body, _EVENT_PROPERTIES)

    async def _open(self) -> Channel:
        """Connect to the node that answered last time first. Raises what the last node said."""
        async with self._connecting:
            if self._channel is not None:
                return self._channel
            for _ in range(len(self._nodes) - 1):
                with suppress(Retryable):
                    self._connection = await connect(self._nodes[0], self._closed)
                    break
                self._nodes.rotate(-1)
            else:
                self._connection = await connect(self._nodes[0], self._closed)
            connection = self._connection
            channel: Channel = await callback_value(
                lambda done: connection.channel(on_open_callback=done)
            )
            channel.add_on_close_callback(self._closed)
            # A message that no queue took comes back, and then its confirm follows.
            channel.add_on_return_callback(
                lambda _channel, _method, properties, _body: self._returned.add(
                    str(properties.correlation_id)
                )
            )
            await callback_value(
                lambda done: channel.exchange_declare(
                    EVENTS_EXCHANGE, "topic", durable=True, callback=done
                )
            )
            await callback_value(
                lambda done: channel.confirm_delivery(self._confirmed, callback=done)
            )
            self._tag = 0
            self._waiting.clear()
            self._channel = channel
            return channel

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        tags = [method.delivery_tag]
        if method.multiple:
            tags = [tag for tag in self._waiting if tag <= method.delivery_tag]
        for tag in tags:
            task_id, future = self._waiting.pop(tag, ("", None))
            if future is None or future.done():
                continue
            if isinstance(method, pika.spec.Basic.Nack):
                future.set_exception(QueueFull())
            elif task_id in self._returned:
                future.set_exception(
                    Retryable("no queue takes this message; run: edugraph topology apply")
                )
            else:
                future.set_result(None)
            self._returned.discard(task_id)

    def _closed(self, closed: Any, error: BaseException) -> None:
        if closed in (self._connection, self._channel):
            self._give_up(f"the broker closed the connection ({type(error).__name__})")

    def _give_up(self, reason: str) -> None:
        """Forget the connection, and tell everybody who waits for a confirm."""
        connection = self._connection
        self._connection = None
        self._channel = None
        waiting = self._waiting
        self._waiting = {}
        self._returned.clear()
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(Retryable(reason))
                future.exception()  # the task that waited may be gone, and asyncio would warn of an unread error
        if connection is not None and not (connection.is_closed or connection.is_closing):
            connection.close()


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
    properties = pika.BasicProperties(
        content_type="application/json",
        content_encoding="utf-8",
        correlation_id=task_id,
        delivery_mode=PERSISTENT,
        priority=ROUTES[task].priority,
        headers={name: header_value(value) for name, value in headers.items()},
    )
    written = json.dumps(made.body).encode()
    check_bytes(len(written))
    return TaskMessage(task, ROUTES[task].key, properties, written)


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


class GatheringConnection(AsyncioConnection):  # type: ignore[misc]  # pika has no types
    """Sends in one piece what was written in one turn of the event loop; pika itself writes each frame alone.

    pika has no public hook for this, so its private `_adapter_emit_data` is overridden. That is why the version of
    pika is pinned, and why tests/test_async_publisher.py fails when a new version calls it otherwise.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._unsent: list[bytes] = []
        super().__init__(*arguments, **named)

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send_gathered)
        self._unsent.append(data)

    def _send_gathered(self) -> None:
        whole = b"".join(self._unsent)
        self._unsent = []
        if not self.is_closed:
            # The socket may not take all of it at once; of a view the rest is cut off without a copy.
            super()._adapter_emit_data(memoryview(whole))


async def connect(
    parameters: pika.URLParameters, closed: Callable[[Any, BaseException], None]
) -> AsyncioConnection:
    """Open a connection to one node. `closed` is called when it ends. Raises Retryable."""
    opened: asyncio.Future[AsyncioConnection] = asyncio.get_running_loop().create_future()

    def on_failure(_connection: Any, error: Any) -> None:
        if not opened.done():
            name = error
            if not isinstance(error, str):
                name = what(error)
            opened.set_exception(Retryable(f"the broker cannot be reached ({name})"))

    def on_open(connection: AsyncioConnection) -> None:
        if opened.done():  # nobody waits for it any more
            connection.close()
        else:
            opened.set_result(connection)

    GatheringConnection(
        parameters,
        on_open_callback=on_open,
        on_open_error_callback=on_failure,
        on_close_callback=closed,
    )
    return await opened


async def callback_value(call: Callable[[Callable[[Any], None]], Any]) -> Any:
    """Start an operation of pika that ends in a callback, and return the value that the callback gets."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(value: Any) -> None:
        if not answer.done():
            answer.set_result(value)

    call(done)
    return await answer
