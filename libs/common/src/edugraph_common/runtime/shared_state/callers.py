"""Callers: API keys with their scopes and roles, and a short-lived cache of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from edugraph_common.contracts.permissions import ROLES, SCOPES, Role, Scope
from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.runtime.shared_state.api_keys import ApiKey, ApiKeys, matches, split_token

# A revoked key ends within 5 s, and so do its streams, which look twice a second
REMEMBERED_SECONDS = 4.0
MAX_REMEMBERED_KEYS = 10_000


@dataclass(frozen=True)
class Caller:
    """A caller. `client_id` names the client in limits, idempotency keys and the audit log. It is not a secret.

    `person` is the id in the graph of the teacher or student who calls. `address` is the mail address that the
    issuer, the learning platform or an operator gave. It is in no log, and two callers do not differ by it.
    """

    client_id: str
    scopes: tuple[Scope, ...]
    roles: tuple[Role, ...] = ()
    person: str | None = None
    address: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.person is not None:  # a key or a token may write the id in another form
            object.__setattr__(self, "person", normal_id(self.person))

    def may(self, *any_of: Scope) -> bool:
        """Return whether the caller has one of these scopes."""
        return any(scope in self.scopes for scope in any_of)

    def owns(self, owner: str) -> bool:
        """Return whether the caller owns a job or task of this owner."""
        return owner == self.client_id


ANYBODY = Caller("anybody", SCOPES, ROLES)


class KeyRing:
    """API keys with a short-lived cache, so that Redis is not asked at each request."""

    def __init__(self, keys: ApiKeys, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._clock = keys, clock
        self._looked_up: dict[str, tuple[float, ApiKey | None]] = {}

    def caller(self, token: str, now: datetime) -> Caller | None:
        """Return the caller, or None for a wrong, revoked or expired key.

        Raises Retryable if Redis does not answer.
        """
        key_id, secret = split_token(token)
        key, fresh = self._look_back(key_id)
        if key_id and not fresh:
            key = self._keys.find(key_id)
            if len(self._looked_up) >= MAX_REMEMBERED_KEYS:
                self._looked_up.clear()
            self._looked_up[key_id] = (self._clock(), key)
        # The secret is also compared for a missing key, so that the time does not show which keys exist.
        if not matches(key, secret) or key is None or not key.is_valid(now):
            return None
        return Caller(key.key_id, key.scopes, key.roles, key.person, key.address)

    def key(self, key_id: str, now: datetime) -> ApiKey | None:
        """Return a key as it is now, without its secret, or None if it is revoked or expired.

        Raises Retryable if Redis does not answer.
        """
        key = self._keys.find(key_id)
        if key is None or not key.is_valid(now):
            return None
        return key

    def remembered(self, token: str, now: datetime) -> Caller | None:
        """Return the caller if the key is in the cache, else None. The call never waits."""
        _, fresh = self._look_back(split_token(token)[0])
        if not fresh:
            return None
        return self.caller(token, now)

    def _look_back(self, key_id: str) -> tuple[ApiKey | None, bool]:
        """Return the cached key, and whether the cache entry is recent enough to be used."""
        looked_up_at, key = self._looked_up.get(key_id, (-REMEMBERED_SECONDS, None))
        return key, self._clock() - looked_up_at < REMEMBERED_SECONDS
