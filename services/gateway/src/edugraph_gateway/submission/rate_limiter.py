"""A rate limit for each client, over all gateways."""

import time
from collections.abc import Callable
from importlib import resources

import redis

from edugraph_common.platform.redis_errors import redis_errors

MOST_REMEMBERED = 10_000
KEPT_TURNS = 1.0  # seconds


class Turns:
    """At most `per_minute` requests of one client in a minute, `burst` of them at once, over all gateways.

    A gateway takes a few turns at a time and spends them without asking; what is not spent within a second is lost.
    """

    def __init__(
        self, client: "redis.Redis", per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        text = resources.files("edugraph_gateway.submission").joinpath("scripts", "rate_limit.lua").read_text()
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
