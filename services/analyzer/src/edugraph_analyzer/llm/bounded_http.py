"""An HTTP client whose every exchange has one deadline and one limit of size.

The time-outs of httpx2 hold for one read of a socket, so they never end a server that sends a byte now and then. Here
each read and each write gets the remaining time of the exchange, and each byte that arrives is counted, also those of
headers, of interim responses, of the framing of chunks and of a proxy's answer. Bodies are read whole within the
exchange, and counted again after decompression.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2

# 65,536 tokens need less than this in a stream, whose events have about 300 bytes for each token.
MOST_BYTES = 32 * 2**20
_PIECE_BYTES = 2**14
# These headers describe how a body was sent. They are wrong for a body that was read and decompressed.
_OF_THE_WIRE = (b"content-encoding", b"content-length", b"transfer-encoding")


class EncodedTwice(httpx2.HTTPError):
    """The answer is compressed more than once.

    Decompressors of a chain hand on what follows the end of their data without yielding anything. So 64 KiB can keep
    a chain busy for minutes, in which nobody looks at the deadline.
    """

    def __init__(self) -> None:
        super().__init__("the answer is compressed more than once")


class TooLarge(httpx2.HTTPError):
    """The answer has more than MOST_BYTES."""

    def __init__(self) -> None:
        super().__init__("the answer is too large")


@dataclass
class Exchange:
    """The limits of the current exchange: its end by the monotonic clock, and the bytes that it may still read."""

    ends_at: float
    bytes_left: int

    def left(self, seconds: float | None, error: type[Exception]) -> float:
        """Return the seconds that a read or write may take, at most `seconds`. Raises `error` after the deadline."""
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise error("the exchange took too long")
        if seconds is None:
            return left
        return min(left, seconds)

    def count(self, size: int) -> None:
        """Count bytes that arrived. Raises TooLarge."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise TooLarge


_under_way: ContextVar[Exchange] = ContextVar("exchange")


class BoundedStream(httpcore2.NetworkStream):
    """A connection whose reads and writes obey the limits of the exchange that is under way in their thread."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        exchange = _under_way.get()
        data = self._stream.read(max_bytes, exchange.left(timeout, httpcore2.ReadTimeout))
        exchange.count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # The buffer is written in pieces, because the time-out of the stream holds for each part that the server
        # takes.
        for start in range(0, len(buffer), _PIECE_BYTES):
            left = _under_way.get().left(timeout, httpcore2.WriteTimeout)
            self._stream.write(buffer[start : start + _PIECE_BYTES], left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> Any:
        left = _under_way.get().left(timeout, httpcore2.ConnectTimeout)
        return BoundedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BoundedBackend(httpcore2.SyncBackend):
    """Opens connections that obey the limits of the exchange that is under way."""

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore2.NetworkStream:
        return BoundedStream(super().connect_tcp(*args, **options))


class BoundedTransport(httpx2.BaseTransport):
    """Sends a request by another transport, and reads its whole response within the limits.

    The time starts again when the head of the request is sent, so that waiting for a slot does not count.
    """

    def __init__(self, transport: httpx2.BaseTransport) -> None:
        self._transport = transport
        if isinstance(transport, httpx2.HTTPTransport):
            # httpx2 has no parameter for the network backend.
            transport._pool._network_backend = BoundedBackend()  # noqa: SLF001

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response with its whole body.

        Raises TooLarge, EncodedTwice, and the exceptions of the other transport.
        """
        times: Mapping[str, float | None] = request.extensions.get("timeout", {})
        seconds = times.get("read") or 0.0
        connect_seconds = times.get("connect") or 0.0
        exchange = Exchange(time.monotonic() + connect_seconds + seconds, MOST_BYTES)
        trace: Callable[[str, Any], None] | None = request.extensions.get("trace")

        def begin_again(event: str, details: Any) -> None:
            if trace is not None:
                trace(event, details)
            if event.endswith("send_request_headers.started"):
                exchange.ends_at = time.monotonic() + seconds

        request.extensions["trace"] = begin_again
        under_way = _under_way.set(exchange)
        try:
            response = self._transport.handle_request(request)
            try:
                if len(encodings_of(response.headers)) > 1:
                    raise EncodedTwice
                body = read_whole(response.iter_bytes(), exchange)
            finally:
                response.close()
        finally:
            _under_way.reset(under_way)
        # Headers stay bytes, since they may have characters of any encoding.
        headers = [
            (name, value)
            for name, value in response.headers.raw
            if name.lower() not in _OF_THE_WIRE
        ]
        return httpx2.Response(
            response.status_code, headers=headers, content=body, extensions=response.extensions
        )

    def close(self) -> None:
        self._transport.close()


def encodings_of(headers: httpx2.Headers) -> list[str]:
    """Return the names of the encodings that were applied to a body, except "identity"."""
    named = headers.get("content-encoding", "").split(",")
    return [name.strip() for name in named if name.strip().lower() not in ("", "identity")]


def read_whole(pieces: Iterable[bytes], exchange: Exchange) -> bytes:
    """Return a body that arrives in pieces. Raises TooLarge, and httpx2.ReadTimeout after the deadline."""
    whole = bytearray()
    for piece in pieces:
        exchange.left(None, httpx2.ReadTimeout)
        whole += piece
        if len(whole) > MOST_BYTES:
            raise TooLarge
    return bytes(whole)


class BoundedClient(httpx2.Client):
    """A client whose transports are bounded, also those of proxies in the environment. It follows no redirect."""

    def _init_transport(self, *args: Any, **options: Any) -> httpx2.BaseTransport:
        return BoundedTransport(super()._init_transport(*args, **options))

    def _init_proxy_transport(self, *args: Any, **options: Any) -> httpx2.BaseTransport:
        return BoundedTransport(super()._init_proxy_transport(*args, **options))
