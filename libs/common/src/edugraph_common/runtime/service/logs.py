"""Structured logs: JSON in containers, readable on a terminal, and never with a record's text (log_safety)."""

import logging
import sys
from typing import Any

import structlog

from edugraph_common.runtime.service.log_safety import (
    SafeLines,
    name_task,
    quiet_vendors,
    safe_exception,
)


def configure_logs(log_format: str, level: str) -> None:
    """Set one handler for the whole process; the libraries' own lines go through the same renderer.

    `log_format` is "json" or "console".
    """
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
    renderer: Any = structlog.dev.ConsoleRenderer()
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(SafeLines())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, name_task],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.getLogger().handlers[:] = [handler]
    # Python would print a line that cannot be written, together with its arguments.
    logging.raiseExceptions = False
    quiet_vendors(level)
