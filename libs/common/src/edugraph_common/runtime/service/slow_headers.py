"""A time limit for request headers, without which uvicorn would wait for them for ever.

The services depend on uvicorn, this package does not.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_TIMEOUT_SECONDS = 10.0


class ImpatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request headers take longer than 10 seconds. Bodies have their own limits."""

    _headers_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_are_there()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_headers()

    def on_headers_complete(self) -> None:
        self._headers_are_there()
        super().on_headers_complete()

    def _await_headers(self) -> None:
        self._headers_are_there()
        self._headers_timer = self.loop.call_later(HEADERS_TIMEOUT_SECONDS, self.transport.close)

    def _headers_are_there(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None
