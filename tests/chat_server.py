"""A server that stands in for the webhooks of chats, and keeps what it gets."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """An answer of the server. `body` None: the connection ends without an answer."""

    status: int
    body: str | None
    location: str = ""


TAKEN = Answer(200, "ok")


@dataclass
class MadeChat:
    """A chat. `answer` is what it says from now on, and `at_message` is called before that."""

    url: str = ""
    answer: Answer = TAKEN
    at_message: Callable[[str], None] = lambda _text: None
    got: list[tuple[str, str]] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """The bodies of all requests, in their order."""
        return [text for _, text in self.got]


def strings_in(value: Any) -> list[str]:
    """Return all strings of a value of JSON."""
    if isinstance(value, str):
        return [value]
    found = []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            found += strings_in(each)
    return found


def message_in(body: str) -> str:
    """Return the text of a message. It is the longest string in the body that a chat got."""
    return max(strings_in(json.loads(body)), key=len)


@contextmanager
def made_chat() -> Iterator[MadeChat]:
    """Serve on a free port of the loopback."""
    chat = MadeChat()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            text = self.rfile.read(length).decode()
            chat.got.append((self.path, text))
            chat.at_message(text)
            if chat.answer.body is None:
                return
            self.send_response(chat.answer.status)
            if chat.answer.location:
                self.send_header("Location", chat.answer.location)
            content = chat.answer.body.encode()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815 - a redirect may ask by GET

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    chat.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
