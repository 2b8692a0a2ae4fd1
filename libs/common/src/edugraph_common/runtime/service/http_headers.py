"""Headers that keep answers out of caches. Pure ASGI."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the services depend on starlette, this package does not
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOT_STORED = ((b"cache-control", b"no-store, private"), (b"x-content-type-options", b"nosniff"))


class NotStored:
    """Adds the headers to each answer that does not set them itself. The files of the page set them.

    Answers hold personal data. A school's proxy or the disk of a shared computer must not keep them.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                for name, value in NOT_STORED:
                    if name not in names:
                        given.append((name, value))
                message = {**message, "headers": given}
            await send(message)

        await self._app(scope, receive, with_headers)
