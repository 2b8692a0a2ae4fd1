"""Request bodies as they come in: never more of one in memory than a piece, and never waited for without end."""

from collections.abc import AsyncIterator

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from edugraph_gateway.problems import Problem
from edugraph_gateway.settings import GatewaySettings

PIECE = 1 << 20  # bytes handed on at once


async def pieces(request: Request, *, limit: int, idle: float) -> AsyncIterator[bytes]:
    """The body in pieces of about 1 MiB. Raises Problem: 413 past `limit` bytes, 408 after `idle` seconds."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    held, size = bytearray(), 0
    async for chunk in _timed(request, idle):
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        held += chunk
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


async def json_body(request: Request, settings: GatewaySettings) -> bytes:
    """Raises Problem: 415 for another content type or a packed body."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json" or "content-encoding" in request.headers:
        raise Problem(415, "content-type", "Send application/json with records, not packed.")
    body = pieces(request, limit=settings.largest_body, idle=settings.idle_upload)
    return b"".join([piece async for piece in body])


async def drain(request: Request, seconds: float) -> None:
    """Read what the client still sends and forget it: closing at once could cost it our answer."""
    with anyio.move_on_after(seconds):
        try:
            async for _ in request.stream():
                pass
        except (ClientDisconnect, RuntimeError):  # gone, or read to its end already
            return


async def _timed(request: Request, idle: float) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            with anyio.fail_after(idle):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Problem(408, "slow", f"Nothing came for {idle:g} s; send it again.") from None
        except ClientDisconnect:
            raise Problem(400, "disconnected", "The connection ended before the body did.") from None
        yield chunk


def _too_large(limit: int) -> Problem:
    return Problem(
        413, "too-large", f"The body has more than {limit:,} bytes; send a file as application/x-ndjson, or split it."
    )
