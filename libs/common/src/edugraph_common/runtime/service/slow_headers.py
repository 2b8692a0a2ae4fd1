"""Limits of request headers, without which uvicorn would wait for them for ever and keep headers of any size.

The services depend on uvicorn, this package does not.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_TIMEOUT_SECONDS = 10.0
# The address and the headers of a request together. Browsers and proxies send a few KiB.
MOST_HEADER_BYTES = 64 * 1024


class ImpatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request headers take longer than 10 seconds or are too large.

    The 10 seconds begin with the connection, with the first byte of a request, and with the end of an answer. After
    an answer uvicorn itself waits only for a silent client, and not for one that sends blank lines or the rest of a
    body that nobody reads.

    Trailers, which may follow a chunked body, are kept in memory like headers, so the same limit of bytes holds for
    them. Bodies have their own limits.
    """

    _headers_timer: asyncio.TimerHandle | None = None
    # The bytes that came since the last part of a body or the end of the headers. One read has up to 256 KiB, and its
    # bytes behind such a part are not counted.
    _bytes_without_body = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_are_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._bytes_without_body += len(data)
        super().data_received(data)
        if self._bytes_without_body > MOST_HEADER_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_headers()

    def on_headers_complete(self) -> None:
        self._headers_are_there()
        self._bytes_without_body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bytes_without_body = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        is_next_request_there = not self.cycle.response_complete
        if not is_next_request_there and not self.transport.is_closing():
            self._await_headers()

    def _await_headers(self) -> None:
        self._headers_are_there()
        self._headers_timer = self.loop.call_later(HEADERS_TIMEOUT_SECONDS, self.transport.close)

    def _headers_are_there(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None
