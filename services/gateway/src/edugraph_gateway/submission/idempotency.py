"""Idempotency-Key: the same key gives the same job, however often and however parallel it is sent.

The first request with a key claims it and leaves its answer; the others wait for that answer. A request that fails
gives its claim back, so that the client may try again.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import resources
from typing import Annotated, NamedTuple, cast

import anyio
import anyio.to_thread
import redis
from anyio import CancelScope
from fastapi import Header

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.errors import Failure
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.service.redis_errors import redis_errors

ANSWER_LIFETIME_SECONDS = 86_400
CLAIM_LIFETIME_SECONDS = 60  # without a sign of life
RENEWAL_SECONDS = 15  # a large body may take longer to come in than a claim holds
MAX_WAIT_SECONDS = 4.0  # for the answer of the first request

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key within a day gives the same job; with another body it is 409.",
    ),
]


class StoredRequest(ContractModel):
    """A stored request. `fingerprint` is the SHA-256 of its content. Without an answer it is under way."""

    claim: str
    fingerprint: str = ""
    answer: Accepted | None = None


class Done(NamedTuple):
    """The answer to a request. `fingerprint` is the SHA-256 of its content and options."""

    fingerprint: str
    answer: Accepted


class IdempotencyStore:
    """The requests of the last day by their keys. It blocks, and raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        script = (
            resources.files("edugraph_gateway.submission")
            .joinpath("scripts", "complete.lua")
            .read_text()
        )
        self._redis = client
        self._complete = client.register_script(script)

    def claim(self, name: str) -> str | None:
        """Return a token to the first who asks, None to the others."""
        token = secrets.token_hex(8)
        text = StoredRequest(claim=token).model_dump_json()
        with redis_errors():
            if not self._redis.set(name, text, nx=True, ex=CLAIM_LIFETIME_SECONDS):
                return None
            return token

    def renew_claim(self, name: str) -> None:
        with redis_errors():
            self._redis.expire(name, CLAIM_LIFETIME_SECONDS)

    def complete(self, name: str, claim: str, done: Done) -> bool:
        """Keep the answer. False if another request holds the claim, as this one had lost it: its answer stays."""
        text = StoredRequest(
            claim=claim, fingerprint=done.fingerprint, answer=done.answer
        ).model_dump_json()
        with redis_errors():
            return bool(self._complete([name], [claim, text, ANSWER_LIFETIME_SECONDS]))

    def give_back(self, name: str, claim: str) -> None:
        stored = self.recall(name)
        if stored and stored.claim == claim:
            with redis_errors():
                self._redis.delete(name)

    def recall(self, name: str) -> StoredRequest | None:
        with redis_errors():
            text = cast("str | None", self._redis.get(name))
        if not text:
            return None
        return StoredRequest.model_validate_json(text)


def key_name(client_id: str, address: str, key: str) -> str:
    """Return the key in Redis. Clients do not share keys, nor do different addresses."""
    return f"edugraph:idempotency:{client_id}:{address}:{hashlib.sha256(key.encode()).hexdigest()}"


async def idempotent_run(
    store: IdempotencyStore,
    name: str | None,
    first: Callable[[], Awaitable[Done]],
    fingerprint: Callable[[], Awaitable[str]],
) -> Accepted:
    """Do the work once for each key; without a `name` there is no key, and it is done each time.

    `first` does the work. `fingerprint` only reads the body, for a request whose key was used before. Raises Problem:
    409 when the key was used for another body, 503 when the first request failed or is not done within 4 seconds.
    """
    if name is None:
        return (await first()).answer
    claim = await anyio.to_thread.run_sync(store.claim, name)
    if claim is None:
        return await _first_answer(store, name, await fingerprint())

    async def renew() -> None:
        while True:
            await anyio.sleep(RENEWAL_SECONDS)
            with suppress(Failure):
                await anyio.to_thread.run_sync(store.renew_claim, name)

    renewal = asyncio.create_task(renew())
    try:
        done = await first()
    except BaseException:
        with CancelScope(shield=True), suppress(Failure):
            await anyio.to_thread.run_sync(store.give_back, name, claim)
        raise
    finally:
        renewal.cancel()
    # The job is accepted: an answer that cannot be kept now must not turn it into an error.
    with suppress(Failure):
        await anyio.to_thread.run_sync(store.complete, name, claim, done)
    return done.answer


async def _first_answer(store: IdempotencyStore, name: str, fingerprint: str) -> Accepted:
    end = time.monotonic() + MAX_WAIT_SECONDS
    while time.monotonic() < end:
        stored = await anyio.to_thread.run_sync(store.recall, name)
        if stored is None:
            raise Problem(
                503,
                "first-failed",
                "The first request with this key failed; send it again.",
                retry_after=1,
            )
        if stored.answer is not None:
            if stored.fingerprint != fingerprint:
                raise Problem(
                    409,
                    "key-reused",
                    "This Idempotency-Key was used for another request; take a new one.",
                )
            return stored.answer
        await anyio.sleep(0.03)
    raise Problem(
        503, "first-waits", "The first request with this key is still under way.", retry_after=2
    )
