"""The first API key, given by EDUGRAPH_BOOTSTRAP_KEY: a new installation has a door before anybody could make a key.

It lives in no store. Without the variable it is gone, so it is revoked by taking it out of the gateway's secret.
"""

from datetime import UTC, datetime

import redis

from edugraph_common.platform.api_keys import SCOPES, ApiKey, ApiKeys, hash_of, split_token


class KeysWithFirst(ApiKeys):
    """All keys of Redis, and the first one. Raises ValueError for a first key of another form."""

    def __init__(self, client: "redis.Redis", first: str | None) -> None:
        super().__init__(client)
        self._first = _key(first) if first else None

    def find(self, key_id: str) -> ApiKey | None:
        if self._first is not None and key_id == self._first.key_id:
            return self._first
        return super().find(key_id)


def _key(token: str) -> ApiKey:
    key_id, secret = split_token(token)
    if len(secret) < 32:  # noqa: PLR2004 - characters; a shorter one could be guessed
        raise ValueError("EDUGRAPH_BOOTSTRAP_KEY must be eg_<id>_<secret> with a secret of 32 characters or more")
    return ApiKey(
        key_id=key_id, name="bootstrap", scopes=SCOPES, secret_hash=hash_of(secret), created=datetime.now(UTC)
    )
