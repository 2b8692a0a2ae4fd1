"""Request bodies as they come in: never more of one in memory than a piece, and never waited for without end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
from fastapi import Request

from edugraph_gateway.problems import Problem
from edugraph_gateway.settings import GatewaySettings

PIECE = 1 << 20  # bytes handed on at once


async def pieces(request: Request, *, limit: int, idle: float) -> AsyncIterator[bytes]:
    """The body in pieces of about 1 MiB. Raises Problem: 413 past `limit` bytes, 408 after `idle` seconds."""
    held = bytearray()
    async for chunk in _chunks(request, limit, idle):
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
    return b"".join([chunk async for chunk in _chunks(request, settings.largest_body, settings.idle_upload)])


async def drain(request: Request, seconds: float) -> None:
    """Read what the client still sends and forget it: closing at once could cost it our answer."""
    with anyio.move_on_after(seconds), suppress(Problem):
        while not _ended(request):
            await _chunk(request, seconds)


async def _chunks(request: Request, limit: int, idle: float) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Problem as `pieces` does."""
    declared, size = request.headers.get("content-length", ""), 0
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    while not _ended(request):
        chunk = await _chunk(request, idle)
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk


async def _chunk(request: Request, idle: float) -> bytes:
    """Not by `request.stream()`, which a small body would have to wait for three times, each time with a limit."""
    try:
        async with asyncio.timeout(idle):
            message = await request.receive()
    except TimeoutError:
        raise Problem(408, "slow", f"Nothing came for {idle:g} s; send it again.") from None
    if message["type"] == "http.disconnect":
        raise Problem(400, "disconnected", "The connection ended before the body did.")
    request.state.body_ended = not message.get("more_body", False)
    return bytes(message.get("body", b""))


def _ended(request: Request) -> bool:
    return getattr(request.state, "body_ended", False)


def _too_large(limit: int) -> Problem:
    return Problem(
        413, "too-large", f"The body has more than {limit:,} bytes; send a file as application/x-ndjson, or split it."
    )
