"""The trace that the current work belongs to, as W3C's traceparent. Always on: it costs 55 characters a message.

Source: https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
import secrets
from contextvars import ContextVar, Token

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("edugraph_traceparent", default=None)


def new() -> str:
    """A trace of its own, sampled."""
    digits = secrets.token_hex(24)
    return f"00-{digits[:32]}-{digits[32:]}-01"


def accepted(value: str | None) -> str | None:
    """None for what is no traceparent of version 00."""
    return value if value and _FORM.fullmatch(value) else None


def trace_id(traceparent: str) -> str:
    return traceparent.split("-")[1]


def current() -> str | None:
    return _current.get()


def enter(traceparent: str | None) -> Token[str | None]:
    """Work from here on belongs to this trace, until `leave`."""
    return _current.set(traceparent)


def leave(token: Token[str | None]) -> None:
    _current.reset(token)
