"""API keys with their permissions. Commands of an administrator write them, and gateway and insights read them.

Redis holds only their hashes. A key is shown once, when it is made.

A key is `eg_<id>_<secret>`. The secret has 256 random bits and cannot be guessed, so a single SHA-256 is enough.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple, cast

import redis

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.permissions import Role, Scope
from edugraph_common.runtime.service.redis_errors import redis_errors

KEYS = "edugraph:keys"
BOOTSTRAP_ENDED = "edugraph:keys-made"
_NOBODY = hashlib.sha256(b"").hexdigest()


class ApiKey(ContractModel):
    """An API key. Its secret is kept only as a hash.

    `person` is the id of the teacher or student who owns the key, as in the graph. `address` is their mail address.
    """

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    secret_hash: str
    created: datetime
    expires: datetime | None = None
    roles: tuple[Role, ...] = ()
    person: str | None = None
    address: str | None = None

    def stored(self) -> str:
        """Return the JSON for Redis."""
        return self.model_dump_json()

    def is_valid(self, now: datetime) -> bool:
        return self.expires is None or now < self.expires


class NewKey(NamedTuple):
    """A new key with its token. The secret is only in the token."""

    key: ApiKey
    token: str


class ApiKeys:
    """The API keys in Redis. Each method raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def create(
        self,
        name: str,
        scopes: Iterable[Scope],
        now: datetime,
        *,
        expires: datetime | None = None,
        roles: Iterable[Role] = (),
        person: str | None = None,
        address: str | None = None,
        random: Callable[[int], str] = secrets.token_hex,
    ) -> NewKey:
        key_id = random(6)
        secret = random(32)
        key = ApiKey(
            key_id=key_id,
            name=name,
            scopes=tuple(dict.fromkeys(scopes)),
            secret_hash=hash_of(secret),
            created=now.astimezone(UTC),
            expires=expires,
            roles=tuple(dict.fromkeys(roles)),
            person=person,
            address=address,
        )
        with redis_errors():
            pipe = self._redis.pipeline()
            pipe.hset(KEYS, key_id, key.stored())
            pipe.set(BOOTSTRAP_ENDED, "1")
            pipe.execute()
        return NewKey(key, f"eg_{key_id}_{secret}")

    def were_made(self) -> bool:
        """Return whether a key was ever made, including keys that are revoked by now."""
        with redis_errors():
            return bool(self._redis.exists(BOOTSTRAP_ENDED, KEYS))

    def all(self) -> list[ApiKey]:
        """Return all keys, the oldest first."""
        with redis_errors():
            found = cast("dict[str, str]", self._redis.hgetall(KEYS))
        return sorted(
            (ApiKey.model_validate_json(text) for text in found.values()),
            key=lambda key: key.created,
        )

    def revoke(self, key_id: str) -> bool:
        """Revoke a key. Return False if there is no such key."""
        with redis_errors():
            return bool(self._redis.hdel(KEYS, key_id))

    def grant(self, key_id: str, scopes: Iterable[Scope]) -> ApiKey | None:
        """Give a key more scopes. Its secret stays. Return the changed key, or None if there is no such key."""
        key = self.find(key_id)
        if key is None:
            return None
        all_scopes = tuple(dict.fromkeys((*key.scopes, *scopes)))
        granted = key.model_copy(update={"scopes": all_scopes})
        with redis_errors():
            self._redis.hset(KEYS, key_id, granted.stored())
        return granted

    def find(self, key_id: str) -> ApiKey | None:
        with redis_errors():
            text = cast("str | None", self._redis.hget(KEYS, key_id))
        if not text:
            return None
        return ApiKey.model_validate_json(text)


def split_token(token: str) -> tuple[str, str]:
    """Return (id, secret) of a token. Both are empty if the token is not an API key."""
    prefix, _, rest = token.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != "eg" or not key_id or not secret:
        return "", ""
    return key_id, secret


def matches(key: ApiKey | None, secret: str) -> bool:
    """Return whether the secret is right. The time is the same for a wrong secret and for an unknown key."""
    return (
        hmac.compare_digest(hash_of(secret), key.secret_hash if key else _NOBODY)
        and key is not None
    )


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
