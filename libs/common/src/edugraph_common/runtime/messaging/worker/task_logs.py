"""The logs of a worker. Every line that is written while a task runs names the task and its trace."""

from typing import Any

import structlog
from celery.signals import setup_logging, task_postrun, task_prerun
from structlog.contextvars import bind_contextvars, clear_contextvars

from edugraph_common.runtime.messaging.headers import traceparent_of
from edugraph_common.runtime.service import trace_context
from edugraph_common.runtime.service.logs import configure_logs
from edugraph_common.runtime.service.settings import Settings

log = structlog.get_logger()


def log_tasks(settings: Settings) -> None:
    """Configure a worker's logs, and add the running task to every line."""
    setup_logging.connect(
        lambda **_: configure_logs(settings.log_format, settings.log_level), weak=False
    )

    def bind_task(task_id: str, task: Any, **_: Any) -> None:
        # If the message has no trace, a new one begins.
        traceparent = trace_context.accepted(traceparent_of(task.request)) or trace_context.new()
        trace_context.enter(traceparent)
        bind_contextvars(
            task_id=task_id, task=task.name, trace_id=trace_context.trace_id(traceparent)
        )

    def end_task(state: str, **_: Any) -> None:
        log.info("task_ended", state=state)
        trace_context.enter(None)
        clear_contextvars()

    task_prerun.connect(bind_task, weak=False)
    task_postrun.connect(end_task, weak=False)
