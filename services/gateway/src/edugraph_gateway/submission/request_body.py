"""Request bodies as they come in: only a piece of one is in memory at a time, and no wait for one is without end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import anyio
from fastapi import Request

from edugraph_common.runtime.service.problems import Problem

PIECE_BYTES = 1 << 20
# A body that states one thing, such as the settings of a source, and holds neither records nor a list.
SMALL_BODY_BYTES = 64 << 10


@dataclass(frozen=True)
class BodyLimits:
    """`max_json_bytes` is for a JSON body, `max_upload_bytes` for a file as it is sent, the next for it unpacked."""

    max_json_bytes: int
    max_upload_bytes: int
    max_unpacked_bytes: int
    idle_timeout_seconds: float


async def pieces(
    request: Request, *, max_bytes: int, idle_timeout_seconds: float
) -> AsyncIterator[bytes]:
    """Give the body in pieces of about 1 MiB. Raises Problem: 413 past `max_bytes`, 408 after an idle time."""
    held = bytearray()
    async for chunk in _chunks(request, max_bytes, idle_timeout_seconds):
        held += chunk
        if len(held) >= PIECE_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


async def json_body(request: Request, limits: BodyLimits, max_bytes: int | None = None) -> bytes:
    """Return the whole body, as `body_of` does.

    Raises Problem: 415 for another content type or a compressed body, 413 and 408 as `pieces` does.
    """
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json" or "content-encoding" in request.headers:
        raise Problem(415, "content-type", "Send application/json with records, not packed.")
    return await body_of(request, limits, max_bytes)


async def body_of(request: Request, limits: BodyLimits, max_bytes: int | None = None) -> bytes:
    """Return the whole body, which has at most as many bytes as a JSON body, or `max_bytes`.

    Raises Problem 413 and 408.
    """
    if max_bytes is None:
        max_bytes = limits.max_json_bytes
    chunks = _chunks(request, max_bytes, limits.idle_timeout_seconds)
    return b"".join([chunk async for chunk in chunks])


async def drain(request: Request, seconds: float) -> None:
    """Read what the client still sends and forget it: closing at once could cost the client our answer."""
    with anyio.move_on_after(seconds), suppress(Problem):
        while not _ended(request):
            await _chunk(request, seconds)


async def _chunks(
    request: Request, max_bytes: int, idle_timeout_seconds: float
) -> AsyncIterator[bytes]:
    """Give the body as it comes. Raises Problem as `pieces` does."""
    too_large = Problem(
        413,
        "too-large",
        f"The body has more than {max_bytes:,} bytes; send a file as application/x-ndjson, or split it.",
    )
    declared = request.headers.get("content-length", "")
    size = 0
    if declared.isdigit() and int(declared) > max_bytes:
        raise too_large
    while not _ended(request):
        chunk = await _chunk(request, idle_timeout_seconds)
        size += len(chunk)
        if size > max_bytes:
            raise too_large
        yield chunk


async def _chunk(request: Request, idle_timeout_seconds: float) -> bytes:
    """Receive one message of the body.

    `request.stream()` is not used, because a small body would have to wait for it three times, each with a limit.
    """
    try:
        async with asyncio.timeout(idle_timeout_seconds):
            message = await request.receive()
    except TimeoutError:
        raise Problem(
            408, "slow", f"Nothing came for {idle_timeout_seconds:g} s; send it again."
        ) from None
    if message["type"] == "http.disconnect":
        raise Problem(400, "disconnected", "The connection ended before the body did.")
    request.state.body_ended = not message.get("more_body", False)
    return bytes(message.get("body", b""))


def _ended(request: Request) -> bool:
    return getattr(request.state, "body_ended", False)
