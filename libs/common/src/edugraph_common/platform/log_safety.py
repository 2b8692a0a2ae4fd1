"""What may stand in a log: never a record's text, a name or a secret, whoever wrote the line.

Our own lines are written for that. Libraries' lines hold whatever they were given: whole messages, results, and
exceptions whose text quotes a value. Of those only what cannot quote is kept.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

from edugraph_common.contracts.errors import Failure

OURS = ("edugraph", "edugraph_common", "edugraph_importer", "edugraph_analyzer", "edugraph_gateway", "edugraph_cli")
# Errors whose text names hosts, ports, limits and codes, never what was sent.
_OF_CONNECTIONS = ("amqp", "kombu", "billiard", "celery")
# What Celery says of each result, and of each exception: our own lines say it.
_OF_RESULTS = ("celery.app.trace", "celery.backends.redis")
_PLACEHOLDER = re.compile(r"%\(?\w*\)?[-#0 +]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]")


def quiet_vendors(level: str) -> None:
    """Below INFO libraries write whole messages and requests, so that level is ours alone."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(max(number, logging.INFO))
    for name in OURS:
        logging.getLogger(name).setLevel(number)
    for name in ("httpx", "httpx2", "httpcore", "openai", "neo4j"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


class SafeLines(logging.Filter):
    """For the handler, so that it sees every line there is."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] in OURS:
            return True
        if record.name in _OF_RESULTS:
            return self._result(record)
        if "body" in str(record.msg):
            first = str(record.msg).splitlines()[0]
            record.msg, record.args = _PLACEHOLDER.sub("…", first), ()
        elif isinstance(record.args, tuple):
            record.args = tuple(
                described(value) if isinstance(value, BaseException) else value for value in record.args
            )
        return True

    def _result(self, record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        record.msg, record.args, record.exc_info = f"task raised {getattr(kind, '__name__', 'an error')}", (), None
        return record.levelno >= logging.ERROR


def _safe(value: Any) -> Any:
    return described(value) if isinstance(value, BaseException) else value


def described(error: BaseException) -> str:
    """The error's text where it cannot quote a value, else its type alone."""
    name = type(error).__name__
    if isinstance(error, Failure):
        return f"{name}: {error.reason}"
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] in _OF_CONNECTIONS:
        return f"{name}: {error}"
    return name


def safe_exception(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: type, text where it is safe, and the places of the code, not the values in it."""
    error, trace = _exception(line.pop("exc_info", None))
    if error is not None:
        line.setdefault("error", type(error).__name__)
        line.setdefault("reason", described(error))
        line["traceback"] = "".join(traceback.format_tb(trace))
    return line


def name_task(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: what Celery's main process says of a task is about that task."""
    known = getattr(line.get("_record"), "data", None)
    if isinstance(known, dict) and "id" in known:
        line.setdefault("task_id", known["id"])
        line.setdefault("task", known.get("name"))
    return line


def _exception(given: Any) -> tuple[BaseException | None, TracebackType | None]:
    if isinstance(given, BaseException):
        return given, given.__traceback__
    if given is True:
        given = sys.exc_info()
    if isinstance(given, tuple):
        return given[1], given[2]
    return None, None
