"""The limits of a request's body. The largest bodies that insights needs are a saved view and a call of a tool.

FastAPI's own `max_body_size` is not used, since it answers in plain text if Content-Length has the size. Each error
of this API is a problem in JSON.
"""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edugraph_common.runtime.service.problems import Problem

MOST_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


class BoundedBodies:
    """ASGI middleware for too large and too slow bodies.

    It answers 413 if Content-Length is too large, or when too many bytes have come, and 408 if the whole body is not
    there `body_seconds` after the application began to read it.
    """

    def __init__(
        self,
        app: ASGIApp,
        answer: Callable[[Problem], Response],
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._app = app
        self._answer = answer
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Request(scope).headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > MOST_BODY_BYTES:
            await self._answer(_too_large())(scope, receive, send)
            return
        body = _Body(receive, self._body_seconds, is_awaited=scope["method"] not in _WITHOUT_BODY)
        has_answer_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_answer_begun
            has_answer_begun = True
            # From now on the application only waits for the end of the connection.
            body.is_awaited = False
            await send(message)

        try:
            await self._app(scope, body.next_message, noted)
        except _Refused as refused:
            if not has_answer_begun:
                await self._answer(refused.problem)(scope, receive, send)


class _Body:
    """The body of one request. Its size is limited, and its time while it is awaited."""

    def __init__(self, receive: Receive, seconds: float, *, is_awaited: bool) -> None:
        self._receive = receive
        self._seconds = seconds
        self._received_bytes = 0
        self._deadline: float | None = None
        self.is_awaited = is_awaited

    async def next_message(self) -> Message:
        """Return what the server has received. Raises _Refused."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._seconds
        limit = None
        if self.is_awaited:
            limit = self._deadline
        try:
            async with asyncio.timeout_at(limit):
                message = await self._receive()
        except TimeoutError:
            words = f"The body did not come within {self._seconds:g} s; send it again."
            raise _Refused(Problem(408, "slow", words)) from None
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > MOST_BODY_BYTES:
            raise _Refused(_too_large())
        if not message.get("more_body", False):
            self.is_awaited = False
        return message


class _Refused(BaseException):
    """A body breaks a limit. Not an Exception, so that no handler inside the application takes it for a bug."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def _too_large() -> Problem:
    return Problem(413, "too-large", f"The body has more than {MOST_BODY_BYTES:,} bytes.")
