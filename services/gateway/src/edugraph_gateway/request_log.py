"""The line that each request leaves in the log.

It is made like any other, but structlog writes it to stderr itself: through Python's logging, which is there for the
lines of libraries, it would take a sixth more of the CPU of a small submission (docs/adr/0014-small-submissions.md).
"""

import sys
from typing import Any

import structlog

from edugraph_common.platform.settings import Settings


def request_log(settings: Settings, name: str) -> Any:
    """Return a logger of structlog; `name` is the logger that its lines name."""
    as_json = settings.log_format == "json"
    logger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
    )
    return logger.bind(logger=name)
