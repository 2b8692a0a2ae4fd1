"""Tasks in threads of one process, for tasks that wait for servers most of the time.

A child of Celery's usual pool runs one task at a time and takes 80 MB, even while it waits. But a thread can neither
be stopped nor measured: time limits, the memory limit and the replacement of children work for processes only
(ADR 43).
"""

import os
from typing import Any

from celery import Celery
from celery.concurrency.thread import TaskPool
from celery.signals import worker_init

from edugraph_common.runtime.messaging.celery_app import confirming_options


class ThreadPool(TaskPool):
    """Celery's pool of threads, except that it can be ended while a thread waits for an answer."""

    def on_terminate(self) -> None:
        """Exit at once in a cold shutdown. The broker gives the running tasks to another worker."""
        os._exit(1)


def run_in_threads(app: Celery, count: int, *, confirmed: bool) -> None:
    """Make the worker of this app run `count` tasks at a time in threads. Call it before the worker starts.

    With `confirmed`, tasks wait for the broker's confirm when they publish. The connections of the consumer and of
    the events do not wait, since they belong to the main thread, which must answer heartbeats.
    """
    app.conf.worker_pool = f"{ThreadPool.__module__}:{ThreadPool.__name__}"
    app.conf.worker_concurrency = count

    def open_producers(**_: Any) -> None:
        usual = app.conf.broker_transport_options
        app.conf.broker_transport_options = confirming_options()
        try:
            app.amqp.producer_pool.connections  # noqa: B018 - the first use creates the pool with these options
        finally:
            app.conf.broker_transport_options = usual

    if confirmed:
        worker_init.connect(open_producers, weak=False)
