"""Tasks in threads of one process, for work that waits for others nearly all of its time.

A child of Celery's usual pool does one task at a time and takes 80 MB, however long it waits. A thread can be neither
stopped nor measured: time limits, the limit of memory and the renewal of children hold for processes only (ADR 43).
"""

import os
from typing import Any

from celery import Celery
from celery.concurrency.thread import TaskPool
from celery.signals import worker_init

from edugraph_common.messaging.celery_app import confirming_options


class ThreadPool(TaskPool):
    """Celery's pool of threads, with an end: one that waits for an answer would keep the process from exiting."""

    def on_terminate(self) -> None:
        """End a cold shutdown at once. The broker gives what was under way to another worker."""
        os._exit(1)


def run_in_threads(app: Celery, count: int, *, confirmed: bool) -> None:
    """Make the worker of this app run `count` tasks at a time in threads. It must be called before the worker starts.

    `confirmed`: what tasks publish waits for the broker's confirm. Only the connections of the tasks do so. The
    consumer's and that of the events belong to the main thread, which has to answer heartbeats.
    """
    app.conf.worker_pool = f"{ThreadPool.__module__}:{ThreadPool.__name__}"
    app.conf.worker_concurrency = count

    def open_producers(**_: Any) -> None:
        usual = app.conf.broker_transport_options
        app.conf.broker_transport_options = confirming_options()
        try:
            app.amqp.producer_pool.connections  # noqa: B018 - it is made by its first use, and keeps these options
        finally:
            app.conf.broker_transport_options = usual

    if confirmed:
        worker_init.connect(open_producers, weak=False)
