"""The trace of the current work as a W3C `traceparent`. It is always on: it adds only 55 characters to a message.

Source: https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
import secrets
from contextvars import ContextVar, Token

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("edugraph_traceparent", default=None)


def new() -> str:
    """Return the traceparent of a new trace that is sampled."""
    digits = secrets.token_hex(24)
    return f"00-{digits[:32]}-{digits[32:]}-01"


def accepted(value: str | None) -> str | None:
    """Return the value, or None if it is not a `traceparent` of version 00."""
    if value and _FORM.fullmatch(value):
        return value
    return None


def trace_id(traceparent: str) -> str:
    return traceparent.split("-")[1]


def current() -> str | None:
    return _current.get()


def enter(traceparent: str | None) -> Token[str | None]:
    """Make this the trace of the current work until `leave` is called with the returned token."""
    return _current.set(traceparent)


def leave(token: Token[str | None]) -> None:
    _current.reset(token)
