"""The provider's limits, kept by all processes and machines together. Redis keeps the places and the only clock.

A place is reserved, slept for, and confirmed when its time has come; only then may a request leave. Places are spaced
evenly, a little further apart than the limit asks for: `limit` requests then span 60 s and 0.9 s more, so that no
60-second window of the provider's sees one too many even if one request is under way 0.9 s longer than another.
Why not a window or a bucket: of a limit of 100, a provider saw up to 200 in 60 s with fixed windows, 199 with a
bucket, and 110 with a moving window on the clients' clocks; with this, 99.
"""

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import redis

from edugraph_analyzer import counting
from edugraph_analyzer.scripts import run
from edugraph_common.contracts.errors import Rejected, Retryable, Wait, what

WINDOW = 60.0  # seconds, as providers count
SHARE = 0.985  # of the limit that is used: the spacing leaves 60 / SHARE - 60 = 0.91 s for jitter
LATEST = 0.4  # seconds after its place that a request may still leave
LONGEST_PAUSE = 3_600.0
_MICRO = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Of one provider key and model. `longest_wait`, in seconds: a place further off is refused."""

    requests: int
    tokens: int | None
    longest_wait: float

    @property
    def interval(self) -> float:
        """Seconds between two places."""
        return WINDOW / (self.requests * SHARE)


@dataclass(frozen=True)
class Place:
    """`at`: microseconds by the clock of Redis; `since`: which line it is in; `entry`: its count of tokens."""

    at: int
    wait: float
    entry: str
    since: int = 0


class Limiter:
    """`provider` tells keys apart without holding one (see `provider_name`). No state of its own: a fork is safe."""

    def __init__(
        self,
        server: "redis.Redis",
        provider: str,
        limits: Limits,
        *,
        sleep: Callable[[float], None] = time.sleep,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._redis, self._provider, self.limits = server, provider, limits
        self._sleep, self._new_id = sleep, new_id

    def acquire(self, model: str, tokens: int) -> Place:
        """Returns when one request of about `tokens` may leave.

        Raises Wait if its place would be too far off, Rejected if no window can ever hold it, and Retryable if Redis
        cannot be asked: then nothing may leave.
        """
        if self.limits.tokens is not None and tokens > self.limits.tokens:
            raise Rejected(
                f"one request needs about {tokens} tokens, more than EDUGRAPH_TOKENS_PER_MINUTE allows in a minute"
            )
        counting.limits(model, self.limits.requests, self.limits.tokens)
        begun = time.perf_counter()
        try:
            place = self._waited_for(model, tokens)
        except redis.RedisError as error:
            raise Retryable(f"the limiter's Redis does not answer ({what(error)}); no request was sent") from None
        counting.waited_for_place(model, time.perf_counter() - begun)
        return place

    def _waited_for(self, model: str, tokens: int) -> Place:
        patience = self.limits.longest_wait
        while True:
            place = self._reserve(model, tokens, patience)
            if self._slept_until(model, place):
                return place
            patience -= max(place.wait, self.limits.interval)  # the place was lost to a pause, or slept through

    def _reserve(self, model: str, tokens: int, patience: float) -> Place:
        name = self._new_id()
        granted, at, wait, since = run(
            self._redis,
            "reserve",
            [self._key(model, "line"), self._key(model, "pause"), self._key(model, "tokens")],
            round(self.limits.interval * _MICRO),
            round(max(patience, 0) * _MICRO),
            tokens,
            self.limits.tokens or 0,
            round(WINDOW / SHARE * _MICRO),
            name,
        )
        if not granted:
            counting.place_refused(model)
            raise Wait("the provider's limit is used up for now", max(wait / _MICRO - patience / 2, 1.0))
        return Place(at, wait / _MICRO, f"{tokens}:{name}", since)

    def _slept_until(self, model: str, place: Place) -> bool:
        """False if the place is lost meanwhile."""
        wait = place.wait
        while True:
            if wait > 0:
                self._sleep(wait)
            keys = [self._key(model, "line"), self._key(model, "pause")]
            answer, early = run(self._redis, "confirm", keys, place.at, round(LATEST * _MICRO), place.since)
            if answer != _TOO_EARLY:
                return bool(answer)
            wait = early / _MICRO

    def settle(self, model: str, place: Place, tokens: int) -> None:
        """Counts the tokens that a request really took; without Redis the estimate stays."""
        if self.limits.tokens is None:
            return
        actual = f"{tokens}:{place.entry.partition(':')[2]}"
        try:
            run(self._redis, "settle", [self._key(model, "tokens")], place.entry, actual)
        except redis.RedisError:
            return

    def pause(self, model: str, seconds: float | None) -> float:
        """All processes stop for `seconds` (None: longer each time). Returns the seconds until they go on."""
        counting.paused(model)
        keys = [self._key(model, "pause"), self._key(model, "refusals")]
        try:
            wait: int = run(self._redis, "pause", keys, -1 if seconds is None else max(seconds, 0), LONGEST_PAUSE)
        except redis.RedisError:
            return min(seconds or 1.0, LONGEST_PAUSE)
        return wait / 1_000

    def _key(self, model: str, what: str) -> str:
        """One hash tag for all keys of one limit, so that a Redis cluster keeps them together."""
        return f"edugraph:limit:{{{self._provider}:{model}}}:{what}"


_TOO_EARLY = 2


def provider_name(api_key: str) -> str:
    """Tells keys apart in the names of Redis keys, and gives none away."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]
