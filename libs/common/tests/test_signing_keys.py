"""The keys of an issuer are fetched within a short time and to a limited size, whatever its server sends."""

import gzip
import json
import time
from collections.abc import Callable

import httpx
import pytest
from beside import Silent, http_server

from edugraph_common.runtime.shared_state.signing_keys import (
    FETCH_TIMEOUT_SECONDS,
    MOST_BYTES,
    fetched_json,
)

pytestmark = pytest.mark.loopback("a server that answers in a bad way")
Answer = Callable[[Silent], None]
KEYS = {"keys": [{"kty": "RSA"}]}
PACKED = gzip.compress(b" " * 10_000_000 + json.dumps(KEYS).encode())


def begun(handler: Silent, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


def whole(handler: Silent) -> None:
    begun(handler)
    handler.wfile.write(json.dumps(KEYS).encode())


def huge(handler: Silent) -> None:
    begun(handler)
    for _ in range(2 * MOST_BYTES // 1024):
        handler.wfile.write(b" " * 1024)
    handler.wfile.write(json.dumps(KEYS).encode())


def endless(handler: Silent) -> None:
    begun(handler)
    while True:
        handler.wfile.write(b" " * 1024)


def dripping(handler: Silent) -> None:
    begun(handler)
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def packed(handler: Silent) -> None:
    begun(handler, **{"Content-Encoding": "gzip"})
    handler.wfile.write(PACKED)


def silent(_handler: Silent) -> None:
    time.sleep(8 * FETCH_TIMEOUT_SECONDS)


def leading_away(handler: Silent) -> None:
    begun(handler, 302, Location="http://127.0.0.1:1/keys")


def fetched_from(answer: Answer) -> tuple[object, float]:
    class Handler(Silent):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks for
            try:
                answer(self)
            except OSError:
                # The reader has gone.
                self.close_connection = True

    with http_server(Handler) as url:
        begin = time.monotonic()
        try:
            found: object = fetched_json(f"{url}/keys")
        except (httpx.HTTPError, ValueError) as error:
            found = error
        return found, time.monotonic() - begin


def test_keys_are_fetched() -> None:
    found, _ = fetched_from(whole)
    assert found == KEYS


@pytest.mark.parametrize("answer", [huge, endless, dripping, packed, silent, leading_away])
def test_an_answer_of_no_use_ends_soon(answer: Answer) -> None:
    """Out: MOST_BYTES, the deadline, or `iter_raw` in `fetched_json`."""
    found, seconds = fetched_from(answer)
    assert isinstance(found, httpx.HTTPError | ValueError)
    assert seconds < 4 * FETCH_TIMEOUT_SECONDS
