"""Remote control (`celery inspect`, Flower) on a connection and a thread of its own: no consumer waits for it.

Celery declares a worker's control queue on the consumer's connection. That queue lives on one node of the broker and
has the worker's name, so when the node is lost, the worker waits for its queue and consumes nothing until the node is
back. Here a queue has a new name for each connection, so that none waits for a lost node, and a broker that refuses
it or does not answer costs the answers to commands and nothing else.
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

from edugraph_common.platform.settings import Settings

# Less than half of the broker's heartbeat of 15 s, whose arrival would begin the wait for an answer anew.
ANSWER_WITHIN_SECONDS = 5
RETRY_AFTER_SECONDS = 5.0
# A worker that is connecting again runs no event loop, and nobody waits longer for an answer to a command.
HANDLED_WITHIN_SECONDS = 10.0
log = structlog.get_logger()


def add_remote_control(app: Celery, settings: Settings) -> None:
    """Let the workers of this app answer commands, unless the setting says no."""
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
            self._thread = threading.Thread(target=self._keep_listening, args=(consumer,), daemon=True)
            self._thread.start()

    def shutdown(self, _consumer: Any) -> None:
        self._ending.set()

    def _keep_listening(self, consumer: Any) -> None:
        while not self._ending.is_set():
            # The urls of several nodes are tried in turn.
            connection = consumer.app.connection_for_read(
                transport_options={"read_timeout": ANSWER_WITHIN_SECONDS, "write_timeout": ANSWER_WITHIN_SECONDS}
            )
            try:
                self._listen(consumer, connection)
            except Exception as error:  # noqa: BLE001 - the outermost loop of this thread, which must go on
                log.warning("remote_control_away", error=type(error).__name__, seconds=RETRY_AFTER_SECONDS)
            finally:
                connection.collect(ANSWER_WITHIN_SECONDS)
            self._ending.wait(RETRY_AFTER_SECONDS)

    def _listen(self, consumer: Any, connection: Connection) -> None:
        connection.ensure_connection(max_retries=len(connection.alt))
        mailbox = make_mailbox(consumer.app)
        channel = connection.default_channel
        node = NodeInLoop(consumer, mailbox, channel)
        queue = mailbox.get_queue(f"{consumer.hostname}.{uuid4().hex}")
        with Consumer(channel, [queue], no_ack=True, callbacks=[node.handle_message], accept=mailbox.accept):
            while not self._ending.is_set():
                connection.heartbeat_check()
                with suppress(socket.timeout):
                    connection.drain_events(timeout=1)


class NodeInLoop(Node):
    """Handles each command in the consumer's own loop, since handlers read and change what tasks are being run."""

    def __init__(self, consumer: Any, mailbox: Mailbox, channel: Any) -> None:
        state = AttributeDict(app=consumer.app, hostname=consumer.hostname, consumer=consumer, tset=set)
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
    """Celery's own, but answers are published on the connection on which the command came."""
    return Mailbox(
        app.conf.control_exchange,
        type="fanout",
        clock=app.clock,
        accept=app.conf.accept_content,
        serializer=app.conf.task_serializer,
        queue_ttl=app.conf.control_queue_ttl,
        queue_expires=app.conf.control_queue_expires,
        # An exclusive queue is locked by a connection that is half open, and RabbitMQ 4.3 refuses others that are
        # not durable.
        queue_exclusive=False,
        queue_durable=True,
    )
