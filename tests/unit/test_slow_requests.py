"""A client that is slow on purpose holds no connection: its headers, the rest of its body, and its trailers have a limit."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from waiting import until

from edugraph_common.runtime.service import slow_headers
from edugraph_common.runtime.service.slow_headers import ImpatientProtocol
from edugraph_insights.bounded_bodies import BoundedBodies
from edugraph_insights.problems import problem_answer

HEADERS_SECONDS = 1.0
BODY_SECONDS = 1.0
LONG_ANSWER_SECONDS = 1.5  # longer than both limits
MOST_SECONDS = 6.0

GET = b"GET /early HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /early HTTP/1.1\r\nHost: x\r\n"
READ = b"POST /read HTTP/1.1\r\nHost: x\r\n"


async def early(_request: Request) -> PlainTextResponse:
    """Answer and read no body."""
    return PlainTextResponse("early")


async def read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())}")


async def long(_request: Request) -> StreamingResponse:
    async def parts() -> Any:
        yield "begin "
        await asyncio.sleep(LONG_ANSWER_SECONDS)
        yield "end"

    return StreamingResponse(parts())


@contextmanager
def running() -> Iterator[int]:
    """Run a small service with the limits of both services, and yield its port."""
    methods = ["GET", "POST"]
    routes = [Route(f"/{each.__name__}", each, methods=methods) for each in (early, read, long)]
    app = BoundedBodies(Starlette(routes=routes), problem_answer, BODY_SECONDS)
    config = uvicorn.Config(
        app, port=0, http=ImpatientProtocol, log_config=None, timeout_keep_alive=3
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, 20)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    before = slow_headers.HEADERS_TIMEOUT_SECONDS
    slow_headers.HEADERS_TIMEOUT_SECONDS = HEADERS_SECONDS
    with running() as port:
        yield port
    slow_headers.HEADERS_TIMEOUT_SECONDS = before


def open_for(port: int, begin: bytes, drip: bytes) -> tuple[float, bytes]:
    """Send a beginning, and then `drip` every fifth of a second.

    Return for how many seconds the service left the connection open, and what it answered.
    """
    begun = time.monotonic()
    answered = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection,
        suppress(OSError),
    ):
        connection.sendall(begin)
        while time.monotonic() - begun < MOST_SECONDS:
            try:
                received = connection.recv(4096)
            except TimeoutError:
                connection.sendall(drip)
                continue
            if not received:
                break
            answered += received
    return time.monotonic() - begun, answered


# The beginning of a connection, what follows again and again, and the status that is answered before the end.
SLOW_CLIENTS = (
    (b"", b"", b""),
    (b"", b"\r\n", b""),
    (GET, b"", b""),
    (GET + b"X-A: ", b"a", b""),
    (GET + b"\r\n", b"\r\n", b"200"),
    (GET + b"\r\n" + GET, b"", b"200"),
    (GET + b"\r\n" + GET + b"X-A: ", b"a", b"200"),
    (GET + b"Content-Length: 60000\r\n\r\n", b"a", b"200"),
    (POST + b"Content-Length: 60000\r\n\r\n", b"a", b"200"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"200"),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", b"a", b"200"),
    (READ + b"Content-Length: 60000\r\n\r\n", b"a", b"408"),
    (READ + b"Content-Length: 60000\r\n\r\n", b"", b"408"),
    (READ + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"408"),
    (READ + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: ", b"a", b"408"),
)


@pytest.mark.loopback("a small service of the test")
def test_a_slow_client_holds_no_connection(port: int) -> None:
    """Out: `on_response_complete` or the timer in slow_headers.py; the deadline in bounded_bodies.py."""
    with ThreadPoolExecutor(len(SLOW_CLIENTS)) as clients:
        found = list(clients.map(lambda each: open_for(port, each[0], each[1]), SLOW_CLIENTS))
    for (begin, drip, status), (seconds, answered) in zip(SLOW_CLIENTS, found, strict=True):
        assert seconds < MOST_SECONDS, (begin, drip, answered)
        expected = b"HTTP/1.1 " + status if status else b""
        assert answered[: len(b"HTTP/1.1 200")] == expected, (begin, drip)


def use_connection_again(port: int, methods: tuple[str, str]) -> list[str]:
    """Return the answers to four requests on one connection: a long one by each method, and a body after each."""
    answers = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        for method in methods:
            content = b"x" if method == "POST" else b""
            answers.append(client.request(method, "/long", content=content).text)
            answers.append(client.post("/read", content=b"x" * 1000).text)
    return answers


@pytest.mark.loopback("a small service of the test")
def test_a_long_answer_and_a_connection_that_is_used_again_are_left_alone(port: int) -> None:
    """Out: `_headers_are_there` in `on_headers_complete`."""
    orders = (("GET", "POST"), ("POST", "GET"))
    with ThreadPoolExecutor(len(orders)) as clients:
        found = list(clients.map(lambda order: use_connection_again(port, order), orders))
    assert found == [["begin end", "1000", "begin end", "1000"]] * len(orders)
