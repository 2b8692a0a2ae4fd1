"""One deadline and one bound of size for every answer, against servers on the loopback that answer for ever.

Each server is a socket and a way to write to it. None of them ends by itself.
"""

import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from typing import Any, cast

import pytest

from edugraph_analyzer import provider_check
from edugraph_analyzer.llm import bounded_http
from edugraph_analyzer.llm.client import LLMClient
from edugraph_analyzer.llm.rate_limiter import Slot
from edugraph_analyzer.prompting.questions import LLMRequest
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Retryable, Wait

# Without a deadline an exchange lasts until the time-out of its test.
pytestmark = [
    pytest.mark.loopback("servers whose answers do not end"),
    pytest.mark.timeout(60),
]

TIMEOUT_SECONDS = 0.5
# The machine of a test may be slow.
LATEST_SECONDS = 15
PAUSE_SECONDS = 0.02
REQUEST = LLMRequest("interaction", [{"role": "user", "content": "u"}], 100, items=1)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SIZED = HEAD + b"Content-Length: 100000000\r\n\r\n"
PACKED = HEAD + b"Content-Encoding: gzip\r\nContent-Length: 100000000\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
BAD = b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


class Gate:
    """A limiter that lets all through after a while."""

    def __init__(self, wait_seconds: float = 0.0) -> None:
        self.wait_seconds = wait_seconds
        self.paused: list[str] = []

    def reserve(self, _model: str, tokens: int) -> Slot:
        return Slot(1, 0.0, 0, tokens, 60.0, "x")

    def confirm(self, _model: str, slot: Slot) -> Slot:
        time.sleep(self.wait_seconds)
        return slot

    def pause(self, _model: str, why: str, *_: Any) -> float:
        self.paused.append(why)
        return 0.0

    def settle(self, *_: Any) -> None:
        return

    def leave(self, *_: Any) -> None:
        return


class Memory:
    def get(self, _name: str) -> None:
        return None

    def set(self, *_: Any, **__: Any) -> None:
        return


def read_request(connection: socket.socket) -> None:
    with connection.makefile("rb") as request:
        length_bytes = 0
        while (line := request.readline()).strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length_bytes = int(value)
        request.read(length_bytes)


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Read each request, answer it in a thread, and yield the host and port.

    A socket that closes before its request is read resets the connection, and the client then
    loses what it has not read of the answer.
    """
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(LATEST_SECONDS)
            read_request(connection)
            answer(connection)

    def accept() -> None:
        while not over.is_set():
            with suppress(OSError):
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            accepting.join()


def dripping(begin: bytes, pieces: Iterator[bytes]) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(begin)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(PAUSE_SECONDS)

    return answer


def flooding(begin: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(piece)

    return answer


def client(address: str, gate: Gate | None = None, seconds: float = TIMEOUT_SECONDS) -> LLMClient:
    settings = AnalyzerSettings(
        openai_api_key="k",
        openai_base_url=f"{address}/v1",
        model="m",
        call_timeout_seconds=seconds,
        connect_timeout_seconds=seconds,
    )
    limiter = cast("Any", gate or Gate())
    memory = cast("Any", Memory())
    return LLMClient(settings, memory, lambda *_: limiter, process_id=lambda: 1, now=lambda: 0.0)


DRIPS = {
    "bytes of a body of a known length": (SIZED, repeat(b"{")),
    "empty lines before an answer": (SIZED, repeat(b"\n")),
    "chunks": (CHUNKED, repeat(b"1\r\n \r\n")),
    "the length of a chunk": (CHUNKED, repeat(b"0")),
    "the trailer after the last chunk": (CHUNKED + b"0\r\n", repeat(b"X: y\r\n")),
    "remarks of a stream": (EVENTS, repeat(b": wait\n\n")),
    "pieces of a stream": (EVENTS, repeat(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')),
    "bytes of a header": (HEAD + b"X: ", repeat(b"y")),
    "headers": (HEAD, repeat(b"X: y\r\n")),
    "interim responses": (b"", repeat(b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n")),
    "the first line": (b"HTTP/1.1 200 ", repeat(b"O")),
    "the body of a refusal": (BAD, repeat(b"1\r\n \r\n")),
    "a compressed answer, which never has a byte": (
        PACKED + gzip.compress(b"")[:10],
        repeat(b"\x00\x00\x00\xff\xff"),
    ),
    "what follows the end of compressed bytes": (PACKED + gzip.compress(b""), repeat(b"y")),
    "the extension of a chunk": (CHUNKED + b"1;", repeat(b"y")),
    "the body of a redirect": (
        b"HTTP/1.1 307 Moved\r\nLocation: /x\r\nContent-Length: 100000000\r\n\r\n",
        repeat(b"y"),
    ),
    "nothing": (b"", iter([b""])),
}


@pytest.mark.parametrize("what", DRIPS)
def test_an_answer_that_drips_is_ended_in_time(what: str) -> None:
    begin, pieces = DRIPS[what]
    ends = threading.Event()

    def answer(connection: socket.socket) -> None:
        dripping(begin, pieces)(connection)
        ends.wait(LATEST_SECONDS)

    gate, lost = Gate(), list[tuple[int, int]]()
    with serving(answer) as address:
        asking = client(f"http://{address}", gate)
        asking._sdk(asking.accesses("interaction")[0])  # it takes a second to load
        began = time.monotonic()
        with pytest.raises(Retryable, match="did not answer in time"):
            asking.complete(REQUEST, count_lost=lambda *tokens: lost.append(tokens))
        seconds = time.monotonic() - began
        ends.set()
    assert TIMEOUT_SECONDS - 0.1 < seconds < LATEST_SECONDS
    assert gate.paused == ["failed"]
    assert [tokens > 0 for tokens, _ in lost] == [True], "a time-out counts its input"


def test_a_request_that_is_taken_slowly_is_ended_in_time() -> None:
    """Each part of the request is taken in time, and the whole is not. Out: `left` in `write` of BoundedStream."""
    long_text = "u" * (64 * 2**20)
    request = LLMRequest("interaction", [{"role": "user", "content": long_text}], 100, items=1)

    def take_slowly(connection: socket.socket) -> None:
        while connection.recv(2**16):
            time.sleep(PAUSE_SECONDS)

    with serving(take_slowly) as address:
        asking = client(f"http://{address}")
        began = time.monotonic()
        with pytest.raises(Retryable):
            asking.complete(request)
        assert time.monotonic() - began < LATEST_SECONDS


def test_a_handshake_that_drips_is_ended_in_time() -> None:
    """Python's own ssl module has one deadline for a whole handshake. Out: the time-out in `start_tls`."""
    # A record of TLS with a length that never comes.
    record = bytes([22, 3, 3, 64, 0])

    def drip() -> None:
        with listener.accept()[0] as connection, suppress(OSError):
            connection.sendall(record)
            for _ in range(int(LATEST_SECONDS * 2 / PAUSE_SECONDS)):
                connection.sendall(b"x")
                time.sleep(PAUSE_SECONDS)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, daemon=True).start()
        asking = client(f"https://127.0.0.1:{listener.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(Retryable):
            asking.complete(REQUEST)
        assert time.monotonic() - began < LATEST_SECONDS


def test_the_text_before_an_error_of_a_stream_is_paid_for() -> None:
    """Out: `count_lost` beside ProviderError in LLMClient._asked."""
    text = json.dumps({"choices": [{"delta": {"content": "some words of an answer"}}]})
    error = json.dumps({"error": {"message": "overloaded", "code": 503}})
    stream = f"data: {text}\n\ndata: {error}\n\n".encode()
    lost: list[tuple[int, int]] = []
    with serving(lambda connection: connection.sendall(EVENTS + stream)) as address:
        asking = client(f"http://{address}", seconds=LATEST_SECONDS)
        with pytest.raises((Retryable, Wait)):
            asking.complete(REQUEST, count_lost=lambda *tokens: lost.append(tokens))
    assert [(given > 0, answered > 0) for given, answered in lost] == [(True, True)]


BOMB = gzip.compress(bytes(8 * 2**20))
ENCODED = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
DEFLATED = zlib.compress(bytes(8 * 2**20))
FLOODS = {
    "a body of a known length": (SIZED, b" " * 65_536),
    "chunks": (CHUNKED, b"10000\r\n" + b" " * 65_536 + b"\r\n"),
    "small chunks": (CHUNKED, b"1\r\n \r\n" * 10_000),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1_000),
    "a stream": (EVENTS, b": wait\n\n" * 10_000),
    "a compressed answer": (HEAD + ENCODED + BOMB, b""),
    "a compressed refusal": (BAD.partition(b"\r\n")[0] + b"\r\n" + ENCODED + BOMB, b""),
    "a deflated answer": (
        HEAD
        + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n" % len(DEFLATED)
        + DEFLATED,
        b"",
    ),
    "chunks that are compressed": (
        HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"%x\r\n" % len(BOMB) + BOMB + b"\r\n",
    ),
    "a stream that is compressed": (EVENTS[:-2] + b"Content-Encoding: gzip\r\n\r\n" + BOMB, b""),
}


@pytest.mark.parametrize("what", FLOODS)
def test_an_answer_that_is_too_large_is_ended(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "MOST_BYTES", 2**18)
    begin, piece = FLOODS[what]
    gate = Gate()
    with serving(flooding(begin, piece) if piece else dripping(begin, iter([b""]))) as address:
        asking = client(f"http://{address}", gate, seconds=LATEST_SECONDS)
        with pytest.raises(Retryable, match=r"too large|failed or was cut"):
            asking.complete(REQUEST)
    assert gate.paused == ["failed"]


# The inner bytes have an end, and 16 MiB behind it that a chain of decompressors drops without yielding anything.
CHAINED = gzip.compress(gzip.compress(b"") + bytes(16 * 2**20))


@pytest.mark.parametrize(
    "names",
    [
        b"Content-Encoding: gzip, gzip",
        b"Content-Encoding: gzip\r\nContent-Encoding: GZIP",
        b"Content-Encoding: gzip,identity, deflate",
        b"Content-Encoding: zstd,br",
    ],
)
def test_an_answer_that_is_compressed_more_than_once_is_not_decompressed(names: bytes) -> None:
    """Out: EncodedTwice. Then an answer of 64 KiB keeps its thread for minutes, beyond every deadline."""
    head = HEAD + names + b"\r\nContent-Length: %d\r\n\r\n" % len(CHAINED)
    gate = Gate()
    with serving(dripping(head + CHAINED, iter([b""]))) as address:
        asking = client(f"http://{address}", gate, seconds=LATEST_SECONDS)
        with pytest.raises(Retryable, match="compressed more than once"):
            asking.complete(REQUEST)
    assert gate.paused == ["failed"]


@pytest.mark.parametrize("name", [b"br", b"compress", b"x-unknown", b"\xff"])
def test_an_answer_in_an_unknown_encoding_cannot_be_read(name: bytes) -> None:
    body = b"\x1b\xff\xfe" * 9
    head = HEAD + b"Content-Encoding: " + name + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
    gate = Gate()
    with (
        serving(dripping(head + body, iter([b""]))) as address,
        pytest.raises(Retryable, match="cannot be read"),
    ):
        client(f"http://{address}", gate, seconds=LATEST_SECONDS).complete(REQUEST)
    assert gate.paused == ["failed"]


def test_headers_without_end_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "MOST_BYTES", 2**18)
    with serving(flooding(HEAD, b"X: y\r\n" * 1_000)) as address, pytest.raises(Retryable):
        client(f"http://{address}", seconds=LATEST_SECONDS).complete(REQUEST)


GOOD = json.dumps(
    {
        "choices": [{"message": {"content": '{"answers": []}'}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4},
    }
).encode()


def good(connection: socket.socket) -> None:
    body = gzip.compress(GOOD)
    head = HEAD + "X-Place: 北京 é\r\n".encode()
    connection.sendall(
        head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    time.sleep(0.1)


def test_a_compressed_answer_with_headers_of_any_encoding_is_read() -> None:
    with serving(good) as address:
        assert client(f"http://{address}").complete(REQUEST).text == '{"answers": []}'


def test_the_wait_for_a_turn_is_no_part_of_the_answer_s_time() -> None:
    with serving(good) as address:
        gate = Gate(wait_seconds=3 * TIMEOUT_SECONDS)
        assert client(f"http://{address}", gate).complete(REQUEST).complete


def test_a_drip_of_a_proxy_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the transports of proxies in BoundedClient."""
    for begin, scheme in ((b"HTTP/1.1 200 OK\r\nX: ", "https"), (SIZED, "http")):
        with serving(dripping(begin, repeat(b"y"))) as address:
            monkeypatch.setenv("HTTP_PROXY", f"http://{address}")
            monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
            monkeypatch.delenv("NO_PROXY", raising=False)
            began = time.monotonic()
            with pytest.raises(Retryable):
                client(f"{scheme}://provider.test").complete(REQUEST)
            assert time.monotonic() - began < LATEST_SECONDS


def test_a_batch_that_drips_or_floods_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the time-out of `batches` in client.py, or the limit of size."""
    monkeypatch.setattr(bounded_http, "MOST_BYTES", 2**18)
    for answer in (
        dripping(SIZED, repeat(b"{")),
        flooding(CHUNKED, b"10000\r\n" + b" " * 65_536 + b"\r\n"),
    ):
        with serving(answer) as address:
            asking = client(f"http://{address}")
            batches = asking.batches(asking.accesses("interaction")[0])
            began = time.monotonic()
            with pytest.raises(Wait, match="do not answer"):
                batches.look("b")
            with pytest.raises(Wait, match="do not answer"):
                batches.answers("f", {})
            assert time.monotonic() - began < LATEST_SECONDS


MOVED = (
    b"HTTP/1.1 308 Moved\r\nLocation: https://new.test/v1?key=SECRET\r\nContent-Length: 0\r\n\r\n"
)
CHECKED = {
    "a drip": (SIZED, repeat(b"{"), "does not answer (ReadTimeout)"),
    "a drip of a header": (HEAD + b"X: ", repeat(b"y"), "does not answer (ReadTimeout)"),
    "a bomb": (HEAD + ENCODED + BOMB, iter([b""]), "does not answer (TooLarge)"),
    "a redirect": (MOVED, iter([b""]), "redirects to https://new.test (308)"),
}


@pytest.mark.parametrize("what", CHECKED)
def test_the_check_of_the_provider_ends_too(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker checks its provider before it takes tasks. Out: BoundedClient in provider_check.py."""
    monkeypatch.setattr(bounded_http, "MOST_BYTES", 2**18)
    monkeypatch.setattr(provider_check, "TIMEOUT_SECONDS", TIMEOUT_SECONDS)
    begin, pieces, problem = CHECKED[what]
    with serving(dripping(begin, pieces)) as address:
        settings = AnalyzerSettings(openai_api_key="k", openai_base_url=f"http://{address}/v1")
        began = time.monotonic()
        check = provider_check.check_provider(settings)
        assert time.monotonic() - began < LATEST_SECONDS
    [said] = check.problems
    assert problem in said
    assert "SECRET" not in said
