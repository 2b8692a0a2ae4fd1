"""The provider's rate limits, kept by all processes and machines together.

Redis keeps the queue of slots and the only clock. A slot is reserved, slept for, and confirmed when its time has
come; only then may a request leave. Slots are spaced evenly, a little further apart than the limit asks for: `limit`
requests then span 60 s and 0.9 s more, so that no 60-second window of the provider's sees one too many even if one
request is under way 0.9 s longer than another. Windows and buckets were tried and lost: with a limit of 100, a
provider saw up to 200 requests in 60 s with fixed windows, 199 with a bucket, and 110 with a moving window on the
clients' clocks. With evenly spaced slots it saw 99.
"""

import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import OutOfMemoryError

from edugraph_analyzer import telemetry
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import RedisFull, Rejected, Retryable, Wait, what

if TYPE_CHECKING:
    from redis.commands.core import Script

WINDOW_SECONDS = 60.0  # as providers count
USED_SHARE = 0.985  # of the limit; the spacing leaves 60 / USED_SHARE - 60 = 0.91 s for jitter
LATEST_SECONDS = 0.4  # after its slot, a request may still leave for so long
LONGEST_PAUSE_SECONDS = 3_600.0
_MICROSECONDS = 1_000_000
_TOO_EARLY = 2  # as the script confirm.lua answers


@dataclass(frozen=True)
class RateLimits:
    """The limits of one provider key and model, in a minute.

    A slot further off than `longest_wait_seconds` is refused.
    """

    requests: int
    tokens: int | None
    longest_wait_seconds: float

    @property
    def interval_seconds(self) -> float:
        """Return the time between two slots."""
        return WINDOW_SECONDS / (self.requests * USED_SHARE)


@dataclass(frozen=True)
class Slot:
    """The time at which a request may leave, `at` in microseconds by the clock of Redis.

    `queue_since` says which queue it is in, and `entry` is its count of tokens in the log of the window.
    """

    at: int
    wait_seconds: float
    entry: str
    queue_since: int = 0


class RateLimiter:
    """Grants slots. `provider` tells keys apart without holding one (see `of_settings`).

    It has no state of its own, so that one that was made before a fork is safe after it.
    """

    def __init__(
        self,
        server: "redis.Redis",
        provider: str,
        limits: RateLimits,
        *,
        sleep: Callable[[float], None] = time.sleep,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._provider, self.limits = provider, limits
        self._sleep, self._new_id = sleep, new_id
        self._reserve = _script(server, "reserve")
        self._confirm = _script(server, "confirm")
        self._settle = _script(server, "settle")
        self._pause = _script(server, "pause")

    @classmethod
    def of_settings(cls, settings: AnalyzerSettings, server: "redis.Redis", **outside: Any) -> "RateLimiter":
        """Make the limiter of the provider's key, whose digest names it in Redis without giving it away.

        A server of one's own that needs no key is named by its address. `outside` replaces `sleep` and `new_id`.
        """
        limits = RateLimits(settings.requests_per_minute, settings.tokens_per_minute, settings.longest_wait_seconds)
        name = settings.secret or settings.openai_base_url or ""
        return cls(server, hashlib.sha256(name.encode()).hexdigest()[:16], limits, **outside)

    def acquire(self, model: str, tokens: int) -> Slot:
        """Return when one request of about `tokens` may leave.

        Raises Wait if its slot would be too far off, Rejected if no window can ever hold it, and Retryable if Redis
        cannot be asked: then nothing may leave.
        """
        limits = self.limits
        if limits.tokens is not None and tokens > limits.tokens:
            raise Rejected(
                f"one request needs about {tokens} tokens, more than EDUGRAPH_TOKENS_PER_MINUTE allows in a minute"
            )
        telemetry.rate_limits(model, limits.requests, limits.tokens)
        begun, patience = time.perf_counter(), limits.longest_wait_seconds
        try:
            while True:
                slot = self._reserved(model, tokens, patience)
                answer, seconds = _TOO_EARLY, slot.wait_seconds
                while answer == _TOO_EARLY:
                    if seconds > 0:
                        self._sleep(seconds)
                    answer, early = self._confirm(
                        keys=[self._key(model, "line"), self._key(model, "pause")],
                        args=[slot.at, round(LATEST_SECONDS * _MICROSECONDS), slot.queue_since],
                    )
                    seconds = early / _MICROSECONDS
                if answer:
                    break
                patience -= max(slot.wait_seconds, limits.interval_seconds)  # lost to a pause, or slept through
        except OutOfMemoryError:
            raise RedisFull from None
        except redis.RedisError as error:
            raise Retryable(f"the limiter's Redis does not answer ({what(error)}); no request was sent") from None
        telemetry.waited_for_slot(model, time.perf_counter() - begun)
        return slot

    def _reserved(self, model: str, tokens: int, patience_seconds: float) -> Slot:
        name = self._new_id()
        granted, at, wait, since = self._reserve(
            keys=[self._key(model, "line"), self._key(model, "pause"), self._key(model, "tokens")],
            args=[
                round(self.limits.interval_seconds * _MICROSECONDS),
                round(max(patience_seconds, 0) * _MICROSECONDS),
                tokens,
                self.limits.tokens or 0,
                round(WINDOW_SECONDS / USED_SHARE * _MICROSECONDS),
                name,
            ],
        )
        if not granted:
            telemetry.slot_refused(model)
            seconds = max(wait / _MICROSECONDS - patience_seconds / 2, 1.0)
            raise Wait("the provider's limit is used up for now", seconds)
        return Slot(at, wait / _MICROSECONDS, f"{tokens}:{name}", since)

    def settle(self, model: str, slot: Slot, tokens: int) -> None:
        """Count the tokens that a request really took. Without Redis the estimate stays, which does no harm."""
        if self.limits.tokens is None:
            return
        actual = f"{tokens}:{slot.entry.partition(':')[2]}"
        try:
            self._settle(keys=[self._key(model, "tokens")], args=[slot.entry, actual])
        except redis.RedisError:
            return

    def pause(self, model: str, seconds: float | None) -> float:
        """Stop all processes for `seconds`, or for longer each time where the provider did not say (None).

        Return the seconds until they go on.
        """
        telemetry.provider_paused(model)
        keys = [self._key(model, "pause"), self._key(model, "refusals")]
        told = -1 if seconds is None else max(seconds, 0)
        try:
            milliseconds: int = self._pause(keys=keys, args=[told, LONGEST_PAUSE_SECONDS])
        except redis.RedisError:
            return min(seconds or 1.0, LONGEST_PAUSE_SECONDS)
        return milliseconds / 1_000

    def _key(self, model: str, what: str) -> str:
        """Name a key. All keys of one limit share a hash tag, so that a Redis cluster keeps them together."""
        return f"edugraph:limit:{{{self._provider}:{model}}}:{what}"


def _script(server: "redis.Redis", name: str) -> "Script":
    """Load one of the scripts beside this module; each is one atomic step."""
    text = resources.files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return server.register_script(text)
