"""Asks a worker's servers whether they can be used, and keeps its queues closed while one cannot.

The worker asks once before it takes its first message, and again whenever a task meets a server that is away or
refuses the login. Until all of them answer, no message is taken: the messages wait in their queues and use no
delivery. The worker is not ready meanwhile (see health.py), and its log says which server and why.

A child of the pool asks, since the main process must not wait for anybody, and must open nothing that its children
would inherit.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import structlog
from celery import bootsteps, current_app

from edugraph_common.contracts.errors import Cause, Retryable, ServerAway
from edugraph_common.contracts.routes import QUEUES, WORKER_REPORT_KEY
from edugraph_common.contracts.worker_reports import ServerAnswer, WorkerReport
from edugraph_common.messaging.publisher import broker_errors
from edugraph_common.messaging.topology import TASKS
from edugraph_common.messaging.worker.queue_gates import QueueGates
from edugraph_common.platform import metrics

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 30.0
log = structlog.get_logger()


def ask_servers(app: Any) -> list[ServerAnswer]:
    """Ask each server that the app names, and return their answers."""
    answers = []
    for server, ask in app.servers.items():
        try:
            ask()
        except ServerAway as away:
            answers.append(ServerAnswer(server=server, cause=away.cause, reason=away.reason))
        else:
            answers.append(ServerAnswer(server=server))
    return answers


def ask_in_child(worker: str, queues: tuple[str, ...]) -> WorkerReport:
    """Ask the servers and report what they say to the gateway, for jobs that wait in these queues."""
    app: Any = current_app
    report = WorkerReport(worker=worker, queues=queues, answers=tuple(ask_servers(app)))
    # Only RabbitMQ has the queue for reports.
    if app.conf.task_queues[0].no_declare:
        try:
            publish_report(app, report)
        except Retryable as away:
            log.warning("report_not_sent", reason=away.reason)
    return report


def publish_report(app: Any, report: WorkerReport) -> None:
    """Publish a report. Raises Retryable."""
    with broker_errors(), app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            report.model_dump_json().encode(),
            exchange=TASKS,
            declare=[],
            routing_key=WORKER_REPORT_KEY,
            content_type="application/json",
            content_encoding="utf-8",
        )


def send_to_pool(consumer: Any, send: Callable[[], Any]) -> None:
    """Call `send`, which gives the pool something to do beside tasks, as soon as a child is free.

    A pool of threads has a queue of its own. It never gives a semaphore back.
    """
    if consumer.pool.uses_semaphore:
        consumer.controller.semaphore.acquire(send)
    else:
        send()


class ServerWatch(bootsteps.StartStopStep):
    """Lives in a worker's main process. Celery starts it again after each reconnection to the broker."""

    requires = (QueueGates,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        consumer.server_watch = self
        self._consumer = consumer
        # The names are kept from the start, because a queue that is closed is missing from the selection later on.
        self._queues = tuple(name for name in consumer.app.amqp.queues.consume_from if name in QUEUES)
        self._asked_before = False
        self._is_holding = False
        self._pauses = 0
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        # Without an event loop nothing could be asked beside the tasks.
        if not consumer.app.servers or consumer.hub is None:
            return
        if not self._asked_before:
            self._hold()
        if self._is_holding:
            # What was under way when the connection was lost may never be told.
            consumer.hub.call_soon(self._ask)

    def record_success(self) -> None:
        """Note that a task did its work, so the next outage begins with a short pause."""
        if not self._is_holding:
            self._pauses = 0

    @property
    def is_holding(self) -> bool:
        return self._is_holding

    def record_away(self, answer: ServerAnswer) -> None:
        """Note that a task could not use a server."""
        if self._is_holding or not self._consumer.app.servers:
            return
        self._hold()
        self._measure(answer)
        self._tell(answer, self._ask_later())

    def _ask(self) -> None:
        self._cancel_timer()
        send = partial(
            self._consumer.pool.apply_async,
            ask_in_child,
            (self._consumer.hostname, self._queues),
            # A pool of threads calls back from one of them.
            callback=partial(self._consumer.call_soon, self._take_report),
            error_callback=partial(self._consumer.call_soon, self._note_failed_asking),
        )
        send_to_pool(self._consumer, send)

    def _take_report(self, report: WorkerReport) -> None:
        self._asked_before = True
        for answer in report.answers:
            self._measure(answer)
        if report.unusable:
            self._hold()
            seconds = self._ask_later()
            for answer in report.unusable:
                self._tell(answer, seconds)
            return
        if self._is_holding:
            self._is_holding = False
            log.info("servers_answer", queues=self._queues)
            for queue in self._queues:
                self._consumer.gates.open(queue, "servers")

    def _note_failed_asking(self, failure: Any) -> None:
        """Ask again, since the child was killed or the question has a bug."""
        error = getattr(failure, "exception", failure)
        log.error("servers_not_asked", error=type(error).__name__, asked_again_in_seconds=self._ask_later())

    def _hold(self) -> None:
        self._is_holding = True
        for queue in self._queues:
            self._consumer.gates.close(queue, "servers")

    def _ask_later(self) -> float:
        seconds = float(min(FIRST_PAUSE_SECONDS * 2**self._pauses, LONGEST_PAUSE_SECONDS))
        self._pauses = min(self._pauses + 1, 10)
        self._cancel_timer()
        self._timer = self._consumer.timer.call_after(seconds, self._ask)
        return seconds

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self, answer: ServerAnswer) -> None:
        # Only the main process sets them: a child would leave its last value behind.
        service = self._consumer.app.main.removeprefix("edugraph-")
        for cause in get_args(Cause):
            metrics.DEPENDENCY_UP.set(answer.cause != cause, service=service, dependency=answer.server, reason=cause)

    def _tell(self, answer: ServerAnswer, seconds: float) -> None:
        tell = log.warning if answer.cause == "away" else log.error
        tell(
            "server_away" if answer.cause == "away" else "server_refused",
            server=answer.server,
            reason=answer.reason,
            queues=self._queues,
            asked_again_in_seconds=seconds,
        )
