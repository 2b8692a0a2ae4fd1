"""A rate limit for each client across all replicas of the gateway, or of insights.

It is a token bucket in Redis (GCRA, scripts/rate_limit.lua).
"""

import threading
import time
from collections.abc import Callable
from importlib import resources

import redis

from edugraph_common.runtime.service.redis_errors import redis_errors

MAX_CLIENTS = 10_000  # clients whose tokens are kept in this process
# A token that was taken from the bucket and is not spent within this time is lost
TOKEN_LIFETIME_SECONDS = 1.0


class RateLimiter:
    """Allows a client `per_minute` requests in a minute, `burst` of them at once.

    A process takes a few tokens from the bucket at a time, and spends them without asking Redis again. Threads may
    share a limiter. `keys` is the prefix of the Redis keys of the service's buckets.
    """

    def __init__(
        self,
        client: "redis.Redis",
        per_minute: int,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        keys: str = "edugraph:turns:",
    ) -> None:
        script = (
            resources.files("edugraph_common.runtime.shared_state")
            .joinpath("scripts", "rate_limit.lua")
            .read_text()
        )
        self._take_from_bucket = client.register_script(script)
        self._microseconds_apart = 60_000_000 // per_minute
        self._burst = burst
        self._tokens_at_a_time = max(burst // 50, 1)
        self._clock = clock
        self._keys = keys
        self._tokens: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()  # over the tokens of this process, never while Redis is asked

    def spend(self, client_id: str) -> bool:
        """Spend a token that was taken before, or return False if none is left. The call never waits."""
        with self._lock:
            taken_at, left = self._tokens.get(client_id, (0.0, 0))
            if not left or self._clock() - taken_at > TOKEN_LIFETIME_SECONDS:
                return False
            self._tokens[client_id] = taken_at, left - 1
            return True

    def take(self, client_id: str) -> float:
        """Take some tokens and spend one. Returns 0, or the seconds until the client may send. Raises Retryable."""
        wait_seconds = 0.0
        # A bucket without enough tokens for a portion may still have a single token.
        for tokens in dict.fromkeys((self._tokens_at_a_time, 1)):
            arguments = [self._microseconds_apart, self._burst, tokens]
            with redis_errors():
                wait_seconds = (
                    int(self._take_from_bucket([f"{self._keys}{client_id}"], arguments)) / 1e6
                )
            if not wait_seconds:
                with self._lock:
                    if len(self._tokens) >= MAX_CLIENTS:
                        self._tokens.clear()
                    self._tokens[client_id] = self._clock(), tokens - 1
                break
        return wait_seconds
