"""Checks whether a worker's servers can be used, and keeps its queues closed while one of them cannot.

The worker checks them before its first message, and again whenever a task meets a server that is away or refuses the
login. Until all servers answer, the worker takes no messages: they wait in their queues and use up no deliveries. In
the meantime the worker is not ready (see health.py), and its log names the server and the reason.

A child of the pool runs the checks, because the main process must not wait, and must not open connections that its
children would inherit.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import structlog
from celery import bootsteps, current_app

from edugraph_common.contracts.errors import Cause, Retryable, ServerAway
from edugraph_common.contracts.routes import QUEUES, WORKER_REPORT_KEY
from edugraph_common.contracts.worker_reports import ServerAnswer, WorkerReport
from edugraph_common.runtime.messaging.publisher import broker_errors
from edugraph_common.runtime.messaging.topology import TASKS
from edugraph_common.runtime.messaging.worker.queue_gates import QueueGates
from edugraph_common.runtime.service import metrics

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 30.0
log = structlog.get_logger()


def ask_servers(app: Any) -> list[ServerAnswer]:
    """Check each server of the app, and return their answers."""
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
    """Check the servers, send the report to the gateway, and return it. The gateway shows it for jobs in `queues`."""
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
    """Call `send`, which gives the pool some work that is not a task, as soon as a child is free.

    A pool of threads has its own queue of work, and does not release a semaphore.
    """
    if consumer.pool.uses_semaphore:
        consumer.controller.semaphore.acquire(send)
    else:
        send()


class ServerWatch(bootsteps.StartStopStep):
    """The watch in a worker's main process. Celery starts it again after each reconnection to the broker."""

    requires = (QueueGates,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        consumer.server_watch = self
        self._consumer = consumer
        # The names are read now, because a closed queue is missing in `consume_from` later.
        self._queues = tuple(
            name for name in consumer.app.amqp.queues.consume_from if name in QUEUES
        )
        self._asked_before = False
        self._is_holding = False
        self._pauses = 0
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        # Without an event loop the servers cannot be checked while tasks run.
        if not consumer.app.servers or consumer.hub is None:
            return
        if not self._asked_before:
            self._hold()
        if self._is_holding:
            # The answer to a check that ran when the connection was lost may never arrive.
            consumer.hub.call_soon(self._ask)

    def record_success(self) -> None:
        """Note that a task succeeded, so that the next outage begins with a short pause."""
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
            # A pool of threads calls the callbacks in one of its threads.
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
        """Check the servers again later, because the child was killed or the check has a bug."""
        error = getattr(failure, "exception", failure)
        log.error(
            "servers_not_asked",
            error=type(error).__name__,
            asked_again_in_seconds=self._ask_later(),
        )

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
        # Only the main process sets the metric, because a child would leave its last value behind.
        service = self._consumer.app.main.removeprefix("edugraph-")
        for cause in get_args(Cause):
            metrics.DEPENDENCY_UP.set(
                answer.cause != cause, service=service, dependency=answer.server, reason=cause
            )

    def _tell(self, answer: ServerAnswer, seconds: float) -> None:
        tell = log.error
        event = "server_refused"
        if answer.cause == "away":
            tell = log.warning
            event = "server_away"
        tell(
            event,
            server=answer.server,
            reason=answer.reason,
            queues=self._queues,
            asked_again_in_seconds=seconds,
        )
