"""Publishing for a process that accepts a lot: one connection, many messages on their way, each one confirmed.

Celery waits a round trip for every message in a thread of its own. Here the event loop waits for all confirms at
once, and what is sent in one turn of the loop is one write. The messages are Celery's own, made by the same app, its
`task-sent` events included.
"""

import asyncio
import json
import os
import socket
import time
from collections import deque
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
from edugraph_common.messaging.celery_app import HEARTBEAT_SECONDS
from edugraph_common.messaging.provisioning import connection_parameters
from edugraph_common.messaging.publisher import check_bytes, describe
from edugraph_common.messaging.topology import TASKS
from edugraph_common.platform.settings import Settings

EVENTS_EXCHANGE = "celeryev"  # Celery's own, for `task-sent`
EVENTS_TOGETHER = 0.1  # seconds in which events are gathered
PERSISTENT = 2


class TaskMessage(NamedTuple):
    task: str
    key: str
    properties: pika.BasicProperties
    body: bytes


class PipelinedPublisher:
    """Belongs to one event loop. `timeout`: seconds for a connection, and for each confirm."""

    def __init__(self, app: Celery, settings: Settings, *, timeout: float) -> None:
        self._app, self._timeout = app, timeout
        self._nodes = deque(connection_parameters(settings, timeout=timeout))
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
        """Returns when the broker has the message in a queue.

        Raises Retryable, QueueFull, and Rejected for a large message.
        """
        made = task_message(self._app, task, message, task_id)
        try:
            async with asyncio.timeout(self._timeout):
                channel = self._channel or await self._open()
                await self._publish(channel, made, task_id)
        except TimeoutError:
            # The connection may be a hole that swallows everything: the next takes another, to another node.
            self._nodes.rotate(-1)
            self._give_up(Retryable(f"the broker did not confirm the message within {self._timeout:g} s"))
            raise Retryable(f"the broker did not confirm the message within {self._timeout:g} s") from None
        except pika.exceptions.AMQPError as error:
            self._give_up(Retryable(f"the broker closed the connection ({type(error).__name__})"))
            raise Retryable(f"the broker did not confirm the message ({type(error).__name__})") from error

    def close(self) -> None:
        self._send_events()
        self._give_up(Retryable("the gateway is being stopped"))

    async def _publish(self, channel: Channel, made: TaskMessage, task_id: str) -> None:
        confirmed = self._expect(task_id)
        channel.basic_publish(TASKS.name, made.key, made.body, made.properties, mandatory=True)
        self._announce(made, task_id)
        await confirmed

    def _announce(self, made: TaskMessage, task_id: str) -> None:
        """`task-sent`, from which monitors learn a task's queue. Several go together, as workers send theirs."""
        if not self._events:
            asyncio.get_running_loop().call_later(EVENTS_TOGETHER, self._send_events)
        self._events.append(_sent_event(made, task_id))

    def _send_events(self) -> None:
        """Nobody waits for their confirm. Without a connection they are lost."""
        events, self._events = self._events, []
        if self._channel is not None and events:
            self._tag += 1
            body = json.dumps(events).encode()
            self._channel.basic_publish(EVENTS_EXCHANGE, "task.multi", body, _EVENT_PROPERTIES)

    def _expect(self, task_id: str) -> "asyncio.Future[None]":
        self._tag += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[self._tag] = (task_id, future)
        return future

    async def _open(self) -> Channel:
        async with self._connecting:
            if self._channel is None:
                self._connection = await self._connect_to_any()
                self._channel = await self._prepare(self._connection)
            return self._channel

    async def _connect_to_any(self) -> AsyncioConnection:
        """The node that answered last time first. Raises what the last one said."""
        for _ in range(len(self._nodes) - 1):
            with suppress(Retryable):
                return await _connect(self._nodes[0], self._closed)
            self._nodes.rotate(-1)
        return await _connect(self._nodes[0], self._closed)

    async def _prepare(self, connection: AsyncioConnection) -> Channel:
        channel = await _called(lambda done: connection.channel(on_open_callback=done))
        channel.add_on_close_callback(self._closed)
        channel.add_on_return_callback(lambda _channel, _method, properties, _body: self._came_back(properties))
        await _called(lambda done: channel.exchange_declare(EVENTS_EXCHANGE, "topic", durable=True, callback=done))
        await _called(lambda done: channel.confirm_delivery(self._confirm, callback=done))
        self._tag = 0
        self._waiting.clear()
        return channel

    def _confirm(self, frame: Any) -> None:
        method = frame.method
        tags = (
            [tag for tag in self._waiting if tag <= method.delivery_tag] if method.multiple else [method.delivery_tag]
        )
        for tag in tags:
            task_id, future = self._waiting.pop(tag, ("", None))
            if future is None or future.done():
                continue
            if isinstance(method, pika.spec.Basic.Nack):
                future.set_exception(QueueFull())
            elif task_id in self._returned:
                future.set_exception(Retryable("no queue takes this message; run: edugraph topology apply"))
            else:
                future.set_result(None)
            self._returned.discard(task_id)

    def _came_back(self, properties: pika.BasicProperties) -> None:
        """A message that no queue took; its confirm follows."""
        self._returned.add(str(properties.correlation_id))

    def _closed(self, closed: Any, error: BaseException) -> None:
        if closed in (self._connection, self._channel):
            self._give_up(Retryable(f"the broker closed the connection ({type(error).__name__})"))

    def _give_up(self, reason: Retryable) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        waiting, self._waiting = self._waiting, {}
        self._returned.clear()
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(Retryable(reason.reason))
                future.exception()  # whoever waited may have gone
        if connection is not None and not (connection.is_closed or connection.is_closing):
            connection.close()


def task_message(app: Celery, task: str, message: Message, task_id: str) -> TaskMessage:
    """The message as Celery would send it. Raises Rejected for a message that is too large."""
    body = message.model_dump(mode="json")
    made = app.amqp.as_task_v2(task_id, task, args=(body,), argsrepr=describe(body), kwargsrepr="{}", origin=_NODE)
    headers = made.headers
    before_task_publish.send(sender=task, body=made.body, headers=headers, properties=made.properties)
    properties = pika.BasicProperties(
        content_type="application/json",
        content_encoding="utf-8",
        correlation_id=task_id,
        delivery_mode=PERSISTENT,
        priority=ROUTES[task].priority,
        headers={name: plain(value) for name, value in headers.items()},
    )
    written = json.dumps(made.body).encode()
    check_bytes(len(written))
    return TaskMessage(task, ROUTES[task].key, properties, written)


_NODE = f"gen{os.getpid()}@{socket.gethostname()}"
_EVENT_PROPERTIES = pika.BasicProperties(
    content_type="application/json", content_encoding="utf-8", delivery_mode=1, headers={"hostname": _NODE}
)


def plain(value: Any) -> Any:
    """What pika can put into a header: no tuple, no float."""
    if isinstance(value, float):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _sent_event(made: TaskMessage, task_id: str) -> dict[str, Any]:
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
    """Sends in one piece what was written in one turn of the event loop; pika's own writes each frame by itself."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self._unsent: list[bytes] = []
        super().__init__(*given, **named)

    def _adapter_emit_data(self, data: bytes) -> None:
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send_gathered)
        self._unsent.append(data)

    def _send_gathered(self) -> None:
        whole, self._unsent = b"".join(self._unsent), []
        if not self.is_closed:
            # A view: what the socket does not take at once is cut off, which would be a copy each time.
            super()._adapter_emit_data(memoryview(whole))


async def _connect(parameters: pika.URLParameters, closed: Any) -> AsyncioConnection:
    opened: asyncio.Future[AsyncioConnection] = asyncio.get_running_loop().create_future()

    def failed(_connection: Any, error: Any) -> None:
        if not opened.done():
            name = error if isinstance(error, str) else what(error)
            opened.set_exception(Retryable(f"the broker cannot be reached ({name})"))

    def open_(connection: AsyncioConnection) -> None:
        if opened.done():
            connection.close()
        else:
            opened.set_result(connection)

    GatheringConnection(parameters, on_open_callback=open_, on_open_error_callback=failed, on_close_callback=closed)
    return await opened


async def _called(call: Any) -> Any:
    """What a callback is called with."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(value: Any) -> None:
        if not answer.done():
            answer.set_result(value)

    call(done)
    return await answer
