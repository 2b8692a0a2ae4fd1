"""The headers of all answers below /xapi: the version of xAPI, and those that let pages of listed origins send.

Pure ASGI, since refusals and errors have these headers, too.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/xapi"
VERSION_HEADER = "X-Experience-API-Version"
# Until when all accepted statements can be read. A statement can be read once it was accepted.
CONSISTENT_HEADER = "X-Experience-API-Consistent-Through"
# The newest version of 1.0 and of 2.0.
VERSIONS = ("1.0.3", "2.0.0")
_KNOWN_VERSION = re.compile(r"(?P<major>[12])\.0(?:\.[0-9]{1,3})?")
_SENT_HEADERS = (
    "Authorization",
    "Content-Type",
    "If-Match",
    "If-None-Match",
    VERSION_HEADER,
)
_SHOWN_HEADERS = (VERSION_HEADER, CONSISTENT_HEADER, "Retry-After", "ETag", "Last-Modified")


def known_version(given: str) -> str | None:
    """Return the version in which a request of this version is answered, or None for an unknown version."""
    known = _KNOWN_VERSION.fullmatch(given.strip())
    if known is None:
        return None
    if known["major"] == "2":
        return VERSIONS[1]
    return VERSIONS[0]


class XapiHeaders:
    """`origins` are the origins whose pages may send statements, as https://lms.example.org."""

    def __init__(self, app: ASGIApp, origins: Sequence[str], now: Callable[[], datetime]) -> None:
        self._app = app
        self._now = now
        self._receiver = app
        if origins:
            self._receiver = CORSMiddleware(
                app,
                allow_origins=origins,
                allow_methods=("GET", "HEAD", "POST", "PUT"),
                allow_headers=_SENT_HEADERS,
                expose_headers=_SHOWN_HEADERS,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_xapi = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PREFIX}/")
        if not is_xapi:
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(VERSION_HEADER, "")
        version = known_version(given) or VERSIONS[0]
        # A statement that is accepted while the request runs may be missing in its answer.
        began = self._now()
        reads = scope["method"] in ("GET", "HEAD") and scope["path"] == f"{PREFIX}/statements"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[VERSION_HEADER] = version
                if reads:
                    headers[CONSISTENT_HEADER] = began.isoformat()
            await send(message)

        await self._receiver(scope, receive, send_with_headers)
