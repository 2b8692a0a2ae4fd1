"""The limit of a request's body. The largest bodies that insights needs are a saved view and a call of a tool.

FastAPI's own `max_body_size` is not used, since it answers in plain text if Content-Length has the size. Each error
of this API is a problem in JSON.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edugraph_common.runtime.service.problems import Problem

MOST_BODY_BYTES = 64 * 1024


class BoundedBodies:
    """ASGI middleware that answers 413 if Content-Length is too large, or when too many bytes have come."""

    def __init__(self, app: ASGIApp, answer: Callable[[Problem], Response]) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Request(scope).headers.get("content-length", "")
        if declared.isdigit() and int(declared) > MOST_BODY_BYTES:
            await self._answer(_too_large())(scope, receive, send)
            return
        received_bytes = 0
        has_answer_begun = False

        async def counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > MOST_BODY_BYTES:
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal has_answer_begun
            has_answer_begun = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLarge:
            if not has_answer_begun:
                await self._answer(_too_large())(scope, receive, send)


class _TooLarge(BaseException):
    """A body is too large. Not an Exception, so that no handler inside the application takes it for a bug."""


def _too_large() -> Problem:
    return Problem(413, "too-large", f"The body has more than {MOST_BODY_BYTES:,} bytes.")
