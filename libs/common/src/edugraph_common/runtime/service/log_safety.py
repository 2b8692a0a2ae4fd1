"""Filters that keep the texts of records, names and secrets out of the logs.

Our own lines do not hold them. Lines of libraries may hold any value that the libraries were given: whole messages,
results, and exceptions that quote a value. This module keeps only the parts of such lines that cannot quote a value.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

from edugraph_common.contracts.errors import Failure

OURS = (
    "edugraph",
    "edugraph_common",
    "edugraph_importer",
    "edugraph_analyzer",
    "edugraph_gateway",
    "edugraph_cli",
)
# The packages whose errors name hosts, ports, limits and codes, but never the data that were sent.
_OF_CONNECTIONS = ("amqp", "kombu", "billiard", "celery")
# Celery's loggers that write each result and each exception with its values. Our own lines report them without
# values.
_OF_RESULTS = ("celery.app.trace", "celery.backends.redis")
_PLACEHOLDER = re.compile(r"%\(?\w*\)?[-#0 +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]")


def quiet_vendors(level: str) -> None:
    """Set the levels. Below INFO libraries write whole messages and requests, so only our loggers go below it."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(max(number, logging.INFO))
    for name in OURS:
        logging.getLogger(name).setLevel(number)
    for name in ("httpx", "httpx2", "httpcore", "openai", "neo4j"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


class SafeLines(logging.Filter):
    """A logging filter for the handler. A filter of a logger would not see the lines of other loggers."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] in OURS:
            return True
        if record.name in _OF_RESULTS:
            kind = record.exc_info[0] if record.exc_info else None
            record.msg = f"task raised {getattr(kind, '__name__', 'an error')}"
            record.args = ()
            record.exc_info = None
            return record.levelno >= logging.ERROR
        if "body" in str(record.msg):
            first_line = str(record.msg).splitlines()[0]
            record.msg = _PLACEHOLDER.sub("…", first_line)
            record.args = ()
        elif isinstance(record.args, tuple):
            arguments: list[Any] = []
            for value in record.args:
                if isinstance(value, BaseException):
                    arguments.append(described(value))
                else:
                    arguments.append(value)
            record.args = tuple(arguments)
        return True


def described(error: BaseException) -> str:
    """Return the type of an error, with its text only if the text cannot quote a value."""
    name = type(error).__name__
    if isinstance(error, Failure):
        return f"{name}: {error.reason}"
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] in _OF_CONNECTIONS:
        return f"{name}: {error}"
    return name


def safe_exception(
    _logger: Any, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Return the line with the error's type, its text if that is safe, and a traceback without values.

    This function is a processor of structlog.
    """
    # structlog passes on the caller's value: an exception, True for the current one, or sys.exc_info().
    given = line.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given
    frames = getattr(given, "__traceback__", None)
    if isinstance(given, tuple):
        _, error, frames = given
    if isinstance(error, BaseException):
        line.setdefault("error", type(error).__name__)
        line.setdefault("reason", described(error))
        line["traceback"] = "".join(traceback.format_tb(frames))
    return line


def name_task(
    _logger: Any, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the id and the name of the task to a line of Celery's main process about a task.

    This function is a processor of structlog.
    """
    known = getattr(line.get("_record"), "data", None)
    if isinstance(known, dict) and "id" in known:
        line.setdefault("task_id", known["id"])
        line.setdefault("task", known.get("name"))
    return line
