"""Who calls, and whether they may: API keys, scopes and a rate limit for each client."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

import redis

from edugraph_common.platform.api_keys import SCOPES, ApiKey, ApiKeys, Scope, matches, split_token
from edugraph_common.platform.redis_errors import redis_errors

REMEMBERED = 5.0  # seconds a key is not looked up again; a revoked key ends after that
MOST_REMEMBERED = 10_000
KEPT_TURNS = 1.0  # seconds


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


class Turns:
    """At most `per_minute` requests of one client in a minute, `burst` of them at once, over all gateways.

    A gateway takes a few turns at a time and spends them without asking; what is not spent within a second is lost.
    """

    def __init__(
        self, client: "redis.Redis", per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        text = resources.files("edugraph_gateway").joinpath("scripts", "take_turn.lua").read_text()
        self._take = client.register_script(text)
        self._step, self._burst, self._portion = 60_000_000 // per_minute, burst, max(burst // 50, 1)
        self._clock = clock
        self._purse: dict[str, tuple[float, int]] = {}

    def spend(self, client_id: str) -> bool:
        """Whether a turn that was taken before is left. Never waits."""
        taken, left = self._purse.get(client_id, (0.0, 0))
        if not left or self._clock() - taken > KEPT_TURNS:
            return False
        self._purse[client_id] = taken, left - 1
        return True

    def take(self, client_id: str) -> float:
        """0, or the seconds until the client's next turn. Raises Retryable."""
        for many in dict.fromkeys((self._portion, 1)):
            wait = self._ask(client_id, many)
            if not wait:
                self._keep(client_id, many - 1)
                return 0.0
        return wait

    def _keep(self, client_id: str, turns: int) -> None:
        if len(self._purse) >= MOST_REMEMBERED:
            self._purse.clear()
        self._purse[client_id] = self._clock(), turns

    def _ask(self, client_id: str, many: int) -> float:
        with redis_errors():
            return int(self._take([f"edugraph:turns:{client_id}"], [self._step, self._burst, many])) / 1e6
