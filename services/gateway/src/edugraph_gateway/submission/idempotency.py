"""Idempotency-Key: the same key gives the same job, however often and however parallel it is sent.

The first request with a key claims it and leaves its answer; the others wait for that answer. A request that fails
gives its claim back, so that the client may try again.
"""

import hashlib
import secrets
import time
from typing import Annotated, cast

import anyio
import redis
from fastapi import Header, Request
from pydantic import TypeAdapter, ValidationError

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.platform.redis_errors import redis_errors
from edugraph_gateway.auth.callers import Caller
from edugraph_gateway.problems import Problem, invalid_fields

KEPT = 86_400  # seconds an answer is kept
CLAIMED = 60  # seconds a claim holds without a sign of life
LONGEST_WAIT = 4.0  # seconds for the first request's answer

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


_KEY = TypeAdapter[str | None](IdempotencyKey)


def given_key(request: Request) -> str | None:
    """What `IdempotencyKey` gives, for a route that has FastAPI read no parameters. Raises Problem 422."""
    key = request.headers.get("idempotency-key")
    try:
        return None if key is None else _KEY.validate_python(key)
    except ValidationError as error:
        raise invalid_fields([(("header", "Idempotency-Key"), error.errors()[0]["msg"])]) from None


class Remembered(Frozen):
    """`fingerprint`: SHA-256 of what was asked for. Without an answer the request is under way."""

    claim: str
    fingerprint: str = ""
    answer: Accepted | None = None


class Idempotency:
    """Blocking; raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def claim(self, name: str) -> str | None:
        """A token for the first who asks, None for the others."""
        token = secrets.token_hex(8)
        text = Remembered(claim=token).model_dump_json()
        with redis_errors():
            return token if self._redis.set(name, text, nx=True, ex=CLAIMED) else None

    def keep_claim(self, name: str) -> None:
        """A sign of life, while a large body comes in."""
        with redis_errors():
            self._redis.expire(name, CLAIMED)

    def complete(self, name: str, claim: str, fingerprint: str, answer: Accepted) -> None:
        text = Remembered(claim=claim, fingerprint=fingerprint, answer=answer).model_dump_json()
        with redis_errors():
            self._redis.set(name, text, ex=KEPT)

    def give_back(self, name: str, claim: str) -> None:
        known = self.recall(name)
        if known and known.claim == claim:
            with redis_errors():
                self._redis.delete(name)

    def recall(self, name: str) -> Remembered | None:
        with redis_errors():
            text = cast("str | None", self._redis.get(name))
        return Remembered.model_validate_json(text) if text else None


def key_name(caller: Caller, address: str, key: str) -> str:
    """Clients do not share keys, nor do different addresses."""
    return f"edugraph:idempotency:{caller.client_id}:{address}:{hashlib.sha256(key.encode()).hexdigest()}"


async def first_answer(store: Idempotency, name: str, fingerprint: str) -> Accepted:
    """What the first request with this key got. Raises Problem: 409 for another body, 503 if it is not there yet."""
    end = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < end:
        known = await anyio.to_thread.run_sync(store.recall, name)
        if known is None:
            raise Problem(
                503, "first-failed", "The first request with this key failed; send it again.", retry_after=1
            )
        if known.answer is not None:
            return _same(known, fingerprint)
        await anyio.sleep(0.03)
    raise Problem(503, "first-waits", "The first request with this key is still under way.", retry_after=2)


def _same(known: Remembered, fingerprint: str) -> Accepted:
    if known.answer is None or known.fingerprint != fingerprint:
        raise Problem(409, "key-reused", "This Idempotency-Key was used for another request; take a new one.")
    return known.answer
