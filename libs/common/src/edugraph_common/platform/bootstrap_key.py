"""The bootstrap key (EDUGRAPH_BOOTSTRAP_KEY): with it a new installation can be used before anybody made a key.

It is in no store. It ends with the first key that somebody makes, and stays ended when that one is revoked. A Redis
that has lost everything has lost that as well: the bootstrap key is then good until keys are made anew.
"""

from datetime import UTC, datetime

import redis

from edugraph_common.contracts.permissions import SCOPES
from edugraph_common.platform.api_keys import ApiKey, ApiKeys, hash_of, split_token

MIN_SECRET_LENGTH = 32  # characters; a shorter secret could be guessed


class KeysWithBootstrap(ApiKeys):
    """All keys of Redis and the bootstrap key, if there is one. Raises ValueError for a token of another form."""

    def __init__(self, client: "redis.Redis", token: str | None) -> None:
        super().__init__(client)
        self._bootstrap_key: ApiKey | None = None
        if not token:
            return
        key_id, secret = split_token(token)
        if len(secret) < MIN_SECRET_LENGTH:
            raise ValueError("EDUGRAPH_BOOTSTRAP_KEY must be eg_<id>_<secret> with a secret of 32 characters or more")
        self._bootstrap_key = ApiKey(
            key_id=key_id, name="bootstrap", scopes=SCOPES, secret_hash=hash_of(secret), created=datetime.now(UTC)
        )

    def find(self, key_id: str) -> ApiKey | None:
        found = super().find(key_id)
        bootstrap = self._bootstrap_key
        if found is None and bootstrap is not None and key_id == bootstrap.key_id and not self.were_made():
            return bootstrap
        return found
