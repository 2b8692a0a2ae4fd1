"""Who calls, and whether they may: API keys and scopes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from edugraph_common.platform.api_keys import SCOPES, ApiKey, ApiKeys, Scope, matches, split_token

REMEMBERED = 5.0  # seconds a key is not looked up again; a revoked key ends after that
MOST_REMEMBERED = 10_000


@dataclass(frozen=True)
class Caller:
    """`client_id` names the client in limits, idempotency keys and the audit log; it is no secret."""

    client_id: str
    scopes: tuple[Scope, ...]


ANYBODY = Caller("anybody", SCOPES)


class KeyRing:
    """API keys with a short memory, so that Redis is not asked at every request."""

    def __init__(self, keys: ApiKeys, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._clock = keys, clock
        self._remembered: dict[str, tuple[float, ApiKey | None]] = {}

    def caller(self, token: str, now: datetime) -> Caller | None:
        """None for a wrong, revoked or expired key. Raises Retryable."""
        key_id, secret = split_token(token)
        key = self._find(key_id) if key_id else None
        if not matches(key, secret) or key is None or not key.is_valid(now):
            return None
        return Caller(key.key_id, key.scopes)

    def remembered(self, token: str, now: datetime) -> Caller | None:
        """The same, if it needs no looking up. Never waits."""
        known = self._remembered.get(split_token(token)[0])
        fresh = known is not None and self._clock() - known[0] < REMEMBERED
        return self.caller(token, now) if fresh else None

    def _find(self, key_id: str) -> ApiKey | None:
        known = self._remembered.get(key_id)
        if known and self._clock() - known[0] < REMEMBERED:
            return known[1]
        key = self._keys.find(key_id)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[key_id] = (self._clock(), key)
        return key
