"""Remote control (`celery inspect`, Flower) on a separate connection and thread, so that the consumer does not wait.

Celery declares a worker's control queue on the consumer's connection. The queue is on one node of the broker and has
the worker's name. If the node is lost, the worker waits for the queue, and consumes nothing until the node is back.
Here the queue has a new name for each connection, so it never waits for a lost node. If the broker refuses the queue
or does not answer, only commands are not answered.
"""

import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Any
from uuid import uuid4

import structlog
from celery import Celery, bootsteps
from celery.utils.collections import AttributeDict
from celery.worker.consumer.tasks import Tasks
from celery.worker.control import Panel
from kombu import Connection, Consumer
from kombu.pidbox import Mailbox, Node

from edugraph_common.runtime.service.settings import Settings

# Less than half of the broker's heartbeat of 15 s. Each arriving heartbeat restarts the wait for an answer.
ANSWER_WITHIN_SECONDS = 5
RETRY_AFTER_SECONDS = 5.0
# The event loop does not run while a worker connects again. Clients do not wait longer than this for an answer.
HANDLED_WITHIN_SECONDS = 10.0
log = structlog.get_logger()


def add_remote_control(app: Celery, settings: Settings) -> None:
    """Make the workers of this app answer commands, if the setting `remote_control` is on."""
    if settings.remote_control:
        app.steps["consumer"].add(RemoteControl)


class RemoteControl(bootsteps.StartStopStep):
    """Starts the thread once the worker has begun to consume. The thread outlives the consumer's reconnections."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def start(self, consumer: Any) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._keep_listening, args=(consumer,), daemon=True
            )
            self._thread.start()

    def shutdown(self, _consumer: Any) -> None:
        self._ending.set()

    def _keep_listening(self, consumer: Any) -> None:
        while not self._ending.is_set():
            # If there are several nodes, their addresses are tried one after another.
            connection = consumer.app.connection_for_read(
                transport_options={
                    "read_timeout": ANSWER_WITHIN_SECONDS,
                    "write_timeout": ANSWER_WITHIN_SECONDS,
                }
            )
            try:
                self._listen(consumer, connection)
            except Exception as error:  # noqa: BLE001 - the outermost loop of this thread, which must go on
                log.warning(
                    "remote_control_away", error=type(error).__name__, seconds=RETRY_AFTER_SECONDS
                )
            finally:
                connection.collect(ANSWER_WITHIN_SECONDS)
            self._ending.wait(RETRY_AFTER_SECONDS)

    def _listen(self, consumer: Any, connection: Connection) -> None:
        connection.ensure_connection(max_retries=len(connection.alt))
        mailbox = make_mailbox(consumer.app)
        channel = connection.default_channel
        node = NodeInLoop(consumer, mailbox, channel)
        queue = mailbox.get_queue(f"{consumer.hostname}.{uuid4().hex}")
        with Consumer(
            channel, [queue], no_ack=True, callbacks=[node.handle_message], accept=mailbox.accept
        ):
            while not self._ending.is_set():
                connection.heartbeat_check()
                with suppress(socket.timeout):
                    connection.drain_events(timeout=1)


class NodeInLoop(Node):
    """A node that handles commands in the consumer's event loop, since handlers read and change running tasks."""

    def __init__(self, consumer: Any, mailbox: Mailbox, channel: Any) -> None:
        state = AttributeDict(
            app=consumer.app, hostname=consumer.hostname, consumer=consumer, tset=set
        )
        super().__init__(consumer.hostname, state, channel, Panel.data, mailbox)
        self._consumer = consumer

    def handle(self, method: str, arguments: dict[str, Any] | None = None) -> Any:
        answer: Future[Any] = Future()

        def handle_in_loop() -> None:
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(super(NodeInLoop, self).handle(method, arguments))
                except Exception as error:  # noqa: BLE001 - the caller of the command is told, as Celery does
                    answer.set_exception(error)

        self._consumer.call_soon(handle_in_loop)
        try:
            return answer.result(HANDLED_WITHIN_SECONDS)
        finally:
            answer.cancel()


def make_mailbox(app: Any) -> Mailbox:
    """Return a mailbox like Celery's, except that answers use the connection on which the command came."""
    return Mailbox(
        app.conf.control_exchange,
        type="fanout",
        clock=app.clock,
        accept=app.conf.accept_content,
        serializer=app.conf.task_serializer,
        queue_ttl=app.conf.control_queue_ttl,
        queue_expires=app.conf.control_queue_expires,
        # A half-open connection would lock an exclusive queue. RabbitMQ 4.3 refuses queues that are neither exclusive
        # nor durable.
        queue_exclusive=False,
        queue_durable=True,
    )
