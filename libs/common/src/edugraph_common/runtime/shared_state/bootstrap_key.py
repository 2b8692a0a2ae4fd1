"""The bootstrap key (EDUGRAPH_BOOTSTRAP_KEY) gives access to a new installation before any API key was made.

The key is not stored. It ends when the first API key is made, and stays ended even if that key is revoked. If Redis
loses all its data, the bootstrap key is valid again until a new key is made.
"""

from datetime import UTC, datetime

import redis

from edugraph_common.contracts.permissions import SCOPES
from edugraph_common.runtime.shared_state.api_keys import ApiKey, ApiKeys, hash_of, split_token

MIN_SECRET_LENGTH = 32  # characters; a shorter secret could be guessed


class KeysWithBootstrap(ApiKeys):
    """The API keys in Redis, and the bootstrap key `token` if it is set. Raises ValueError for a malformed token."""

    def __init__(self, client: "redis.Redis", token: str | None) -> None:
        super().__init__(client)
        self._bootstrap_key: ApiKey | None = None
        if not token:
            return
        key_id, secret = split_token(token)
        if len(secret) < MIN_SECRET_LENGTH:
            raise ValueError(
                "EDUGRAPH_BOOTSTRAP_KEY must be eg_<id>_<secret> with a secret of 32 characters or more"
            )
        self._bootstrap_key = ApiKey(
            key_id=key_id,
            name="bootstrap",
            scopes=SCOPES,
            secret_hash=hash_of(secret),
            created=datetime.now(UTC),
        )

    def find(self, key_id: str) -> ApiKey | None:
        found = super().find(key_id)
        bootstrap = self._bootstrap_key
        if (
            found is None
            and bootstrap is not None
            and key_id == bootstrap.key_id
            and not self.were_made()
        ):
            return bootstrap
        return found
