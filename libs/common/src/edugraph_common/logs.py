"""Structured logs: JSON in containers, readable on a terminal; every line of a task names its task and job."""

import logging
import sys
from typing import Any

import structlog
from celery.signals import setup_logging, task_postrun, task_prerun

from edugraph_common.settings import Settings


def configure_logs(log_format: str, level: str) -> None:
    """One handler for the whole process; the libraries' own lines go through the same renderer."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def log_tasks(settings: Settings) -> None:
    """A worker's logs, with the task bound to every line while it runs."""

    def setup(**_: Any) -> None:
        configure_logs(settings.log_format, settings.log_level)

    def bind(task_id: str, task: Any, **_: Any) -> None:
        structlog.contextvars.bind_contextvars(task_id=task_id, task=task.name)

    def clear(**_: Any) -> None:
        structlog.contextvars.clear_contextvars()

    setup_logging.connect(setup, weak=False)
    task_prerun.connect(bind, weak=False)
    task_postrun.connect(clear, weak=False)


def _renderer(log_format: str) -> Any:
    if log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer()
