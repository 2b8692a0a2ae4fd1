"""Runs a submission once for each Idempotency-Key."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import anyio
import anyio.to_thread
from anyio import CancelScope

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.errors import Failure
from edugraph_gateway.gateway import Gateway
from edugraph_gateway.submission.idempotency import first_answer


class Done(NamedTuple):
    """`fingerprint`: SHA-256 of what was asked for, options included."""

    fingerprint: str
    answer: Accepted


async def once(
    gateway: Gateway,
    name: str | None,
    first: Callable[[], Awaitable[Done]],
    fingerprint: Callable[[], Awaitable[str]],
) -> Accepted:
    """`first` does the work; `fingerprint` only reads the body, when another request with this key was before."""
    if name is None:
        return (await first()).answer
    store = gateway.idempotency
    claim = await anyio.to_thread.run_sync(store.claim, name)
    if claim is None:
        return await first_answer(store, name, await fingerprint())
    try:
        done = await _kept_alive(gateway, name, first)
    except BaseException:
        with CancelScope(shield=True), suppress(Failure):
            await anyio.to_thread.run_sync(store.give_back, name, claim)
        raise
    # The job is accepted: an answer that cannot be kept now must not turn it into an error.
    with suppress(Failure):
        await anyio.to_thread.run_sync(store.complete, name, claim, done.fingerprint, done.answer)
    return done.answer


async def _kept_alive(gateway: Gateway, name: str, first: Callable[[], Awaitable[Done]]) -> Done:
    """A large body may take longer than a claim holds."""

    async def renew() -> None:
        while True:
            await anyio.sleep(15)
            with suppress(Failure):
                await anyio.to_thread.run_sync(gateway.idempotency.keep_claim, name)

    task = asyncio.create_task(renew())
    try:
        return await first()
    finally:
        task.cancel()
