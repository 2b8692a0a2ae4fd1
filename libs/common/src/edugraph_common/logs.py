"""Structured logs: JSON in containers, readable on a terminal; every line of a task names its task, job and trace."""

import logging
import sys
from typing import Any

import structlog
from celery.signals import setup_logging, task_postrun, task_prerun
from structlog.contextvars import bind_contextvars, clear_contextvars

from edugraph_common import trace_context
from edugraph_common.broker.headers import traceparent_of
from edugraph_common.log_safety import SafeLines, name_task, quiet_vendors, safe_exception
from edugraph_common.settings import Settings

log = structlog.get_logger()


def configure_logs(log_format: str, level: str) -> None:
    """One handler for the whole process; the libraries' own lines go through the same renderer."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        safe_exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(SafeLines())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, name_task],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format)],
        )
    )
    logging.getLogger().handlers[:] = [handler]
    # A line that cannot be written would be printed with its arguments.
    logging.raiseExceptions = False
    quiet_vendors(level)


def log_tasks(settings: Settings) -> None:
    """A worker's logs, with the task bound to every line while it runs."""
    setup_logging.connect(lambda **_: configure_logs(settings.log_format, settings.log_level), weak=False)
    task_prerun.connect(_begin, weak=False)
    task_postrun.connect(_end, weak=False)


def _begin(task_id: str, task: Any, **_: Any) -> None:
    """A message of a publisher that sends no trace begins one."""
    traceparent = trace_context.accepted(traceparent_of(task.request)) or trace_context.new()
    trace_context.enter(traceparent)
    bind_contextvars(task_id=task_id, task=task.name, trace_id=trace_context.trace_id(traceparent))


def _end(state: str, **_: Any) -> None:
    log.info("task_ended", state=state)
    trace_context.enter(None)
    clear_contextvars()


def _renderer(log_format: str) -> Any:
    if log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer()
