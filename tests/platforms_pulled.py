"""Servers that answer as Canvas, a OneRoster system and an LTI platform do, with the faults that a test asks for."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

TOKEN = "a-token-of-the-platform"
PAGE = 2  # rows of a page, whatever a client asks for


@dataclass
class Platform:
    """Answers for addresses. `answers` maps a path to a function of its query, which returns the rows of all pages.

    `wrap` says that an answer names its list, as OneRoster does. `members_of` is the course of a list of members by LTI.
    `page` is the number of its rows in an answer. `faults` are answers that come before all others.
    `asked` are the requests so far: path and query. `waits` is set while a request waits for `go_on`.
    """

    answers: dict[str, Callable[[dict[str, list[str]]], list[Any]]]
    wrap: bool = False
    members_of: dict[str, Any] | None = None
    page: int = PAGE
    faults: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    url: str = ""
    stop_at: str = ""
    waits: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


class _Server(ThreadingHTTPServer):
    """An HTTP server that knows its platform."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.platform = platform


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        platform = self.server.platform
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        platform.asked.append((parts.path, query))
        if platform.stop_at and parts.path.endswith(platform.stop_at):
            platform.waits.set()
            platform.go_on.wait(60)
        if platform.faults:
            status, headers, text = platform.faults.pop(0)
            self._send(status, text, headers)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, "{}", {})
        elif parts.path not in platform.answers:
            self._send(404, "{}", {})
        elif platform.wrap:
            self._send_wrapped(parts.path, query)
        else:
            self._send_linked(parts.path, query)

    def _send_wrapped(self, path: str, query: dict[str, list[str]]) -> None:
        """Send a page as OneRoster does, without a link to the next one."""
        begin = int(query["offset"][0])
        name = path.rsplit("/", 1)[-1]
        rows = self.server.platform.answers[path](query)
        self._send(200, json.dumps({name: rows[begin : begin + PAGE]}), {})

    def _send_linked(self, path: str, query: dict[str, list[str]]) -> None:
        """Send a page as Canvas does, with a link to the next one."""
        platform = self.server.platform
        rows = platform.answers[path](query)
        page = int(query.get("page", ["1"])[0])
        headers = {}
        size = platform.page
        if page * size < len(rows):
            following = urlencode({**query, "page": [str(page + 1)]}, doseq=True)
            address = f"{platform.url}{path}?{following}"
            headers["Link"] = f'<{address}>; rel="next", <{platform.url}>; rel="first"'
        answer: Any = rows[(page - 1) * size : page * size]
        if platform.members_of is not None:
            answer = {"id": path, "context": platform.members_of, "members": answer}
        self._send(200, json.dumps(answer), headers)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        form = parse_qs(self.rfile.read(length).decode())
        self.server.platform.asked.append((self.path, form))
        self._send(200, json.dumps({"access_token": TOKEN}), {})

    def _send(self, status: int, text: str, headers: dict[str, str]) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def running(platform: Platform) -> Iterator[Platform]:
    """Run a platform at an address of this machine."""
    server = _Server(platform)
    platform.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield platform
    finally:
        platform.go_on.set()
        server.shutdown()
        server.server_close()
