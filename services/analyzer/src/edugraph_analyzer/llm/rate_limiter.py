"""The provider's rate limits, which all processes on all machines obey together.

Redis has the queue of slots and the only clock. A process reserves a slot, sleeps, and confirms the slot when its
time has come. Only then may the request be sent. The slots are evenly spaced, a little further apart than the limit
requires: `limit` requests span 60.9 s. A request may be sent up to 0.4 s after its slot, so that the provider sees no
60-second window with too many requests, even if one request travels 0.5 s longer than another. The connection is open
before (see `client`), so DNS, TCP and TLS do not count. Windows and buckets were tried and are worse: with a limit of
100, a provider saw up to 200 requests in 60 s with fixed windows, 199 with a bucket, and 110 with a moving window on
the clients' clocks. With evenly spaced slots it saw 99.

Tokens are spaced in the same way: each request occupies its queue for the time that its tokens take at the allowed
rate. This is exact for requests of one size, and needs no log of the last minute.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import redis
from redis.exceptions import OutOfMemoryError

from edugraph_analyzer import telemetry
from edugraph_analyzer.models_file import Endpoint, Limits
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import (
    ProviderBusy,
    RedisFull,
    Rejected,
    Retryable,
    Wait,
    what,
)

if TYPE_CHECKING:
    from redis.commands.core import Script

# Providers count requests in windows of this length.
WINDOW_SECONDS = 60.0
# This share of the limit is used, which leaves 60 / USED_SHARE - 60 = 0.91 s for jitter.
USED_SHARE = 0.985
# A request may be sent this long after its slot.
LATEST_SECONDS = 0.4
# A request begins to connect this long before its slot.
LEAD_SECONDS = 2.0
# A longer pause that a provider asks for is cut.
LONGEST_PAUSE_SECONDS = 3_600.0
# A request that is under way for longer counts as lost, and its place is free.
LOST_SECONDS = 600.0
_MICROSECONDS = 1_000_000
# The script confirm.lua returns this number if the slot's time has not come.
_TOO_EARLY = 2
# The first and the longest time between two looks for a place among the requests under way.
_FIRST_LOOK_SECONDS = 0.05
_LONGEST_LOOK_SECONDS = 0.5

Failing = Literal["refused", "failed", "useless"]


@dataclass(frozen=True)
class Breaker:
    """`in_a_row` failures begin a pause of all processes. Each further failure begins a pause twice as long."""

    in_a_row: int
    first_seconds: float
    longest_seconds: float


BREAKERS: Mapping[Failing, Breaker] = MappingProxyType(
    {
        # The limit is reached.
        "refused": Breaker(1, 2, 60),
        # There is no answer, or a fault of the server.
        "failed": Breaker(3, 2, 300),
        # The answers cannot be read, although they were paid for.
        "useless": Breaker(3, 60, 600),
    }
)


def interval_seconds(per_minute: int) -> float:
    """Return the time between two slots of a limit of requests."""
    return WINDOW_SECONDS / (per_minute * USED_SHARE)


def paying_seconds(tokens: int, per_minute: int | None) -> float:
    """Return how long a request occupies its queue, so that a minute has as many requests of its size as fit."""
    if per_minute is None or tokens <= 0:
        return 0.0
    return WINDOW_SECONDS / (max(per_minute // tokens, 1) * USED_SHARE)


@dataclass(frozen=True)
class Slot:
    """The time at which a request may be sent: `at`, in microseconds by the clock of Redis.

    `queue_since` identifies the queue of the slot. `tokens` is the estimate for the request. If the request loses
    this slot, it may wait for another one for at most `patience_seconds`. `name` is its name among the requests under
    way.
    """

    at: int
    wait_seconds: float
    queue_since: int
    tokens: int
    patience_seconds: float
    name: str


class RateLimiter:
    """Grants slots to the requests of one key. `provider` is a name of the key (see `name_of_key`).

    `limits_of` returns the limits of a model. `of_key` has the limits of all models of the key together. A slot that
    is further away than `longest_wait_seconds` is refused. A limiter has no state of its own, so one that was made
    before a fork is safe after it.
    """

    def __init__(
        self,
        server: "redis.Redis",
        provider: str,
        limits_of: Callable[[str], Limits],
        *,
        of_key: Limits | None = None,
        longest_wait_seconds: float,
        breakers: Mapping[Failing, Breaker] = BREAKERS,
        sleep: Callable[[float], None] = time.sleep,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._provider = provider
        self._limits_of = limits_of
        self._of_key = of_key or Limits()
        self._longest_wait_seconds = longest_wait_seconds
        self._breakers = breakers
        self._sleep = sleep
        self._new_id = new_id
        self._redis = server
        self._reserve = _script(server, "reserve")
        self._confirm = _script(server, "confirm")
        self._settle = _script(server, "settle")
        self._pause = _script(server, "pause")
        self._enter = _script(server, "enter")

    @classmethod
    def of_settings(
        cls, settings: AnalyzerSettings, server: "redis.Redis", **outside: Any
    ) -> Callable[[Endpoint, str], "RateLimiter"]:
        """Return a function that makes the limiter of a key from its endpoint and its name.

        `outside` has breakers, sleep and new_id.
        """
        wait_seconds = settings.longest_wait_seconds

        def limiter_of(endpoint: Endpoint, name: str) -> RateLimiter:
            return cls(
                server,
                name,
                settings.limits_of,
                of_key=endpoint,
                longest_wait_seconds=wait_seconds,
                **outside,
            )

        return limiter_of

    def acquire(self, model: str, tokens: int) -> Slot:
        """Wait for and return the slot of one request of about `tokens`. Raises the errors of `reserve`."""
        return self.confirm(model, self.reserve(model, tokens))

    def reserve(self, model: str, tokens: int) -> Slot:
        """Return the slot of one request of about `tokens`, when it is time to connect, a little before the slot.

        Raises Wait if the slot is too far away, Rejected if the request has more tokens than any minute allows, and
        Retryable if Redis does not answer. Then no request may be sent.
        """
        limits = self._limits_of(model)
        for allowed in (limits.tokens_per_minute, self._of_key.tokens_per_minute):
            if allowed is not None and tokens > allowed:
                raise Rejected(
                    f"one request needs about {tokens} tokens, more than EDUGRAPH_TOKENS_PER_MINUTE or "
                    f"tokens_per_minute of the models' file allows in a minute"
                )
        telemetry.rate_limits(model, limits.requests_per_minute or 0, limits.tokens_per_minute)
        with _asking():
            name, patience_seconds = self._entered(model, limits)
            try:
                slot = self._reserved(model, tokens, patience_seconds, name)
            except Wait:
                self.leave(model, name)
                raise
        if slot.wait_seconds > LEAD_SECONDS:
            self._sleep(slot.wait_seconds - LEAD_SECONDS)
        return slot

    def confirm(self, model: str, slot: Slot) -> Slot:
        """Wait until the request of a reserved slot may be sent. A request that has lost its slot waits for another.

        Return the slot. Raises Wait and Retryable.
        """
        interval = interval_seconds(self._limits_of(model).requests_per_minute or 1)
        with _asking():
            while True:
                answer = _TOO_EARLY
                while answer == _TOO_EARLY:
                    answer, early = self._confirm(
                        keys=[self._key(model, "line"), self._key(model, "pause")],
                        args=[slot.at, round(LATEST_SECONDS * _MICROSECONDS), slot.queue_since],
                    )
                    if answer == _TOO_EARLY:
                        self._sleep(early / _MICROSECONDS)
                if answer:
                    return slot
                # The slot was lost, because of a pause or because this process slept too long.
                patience_seconds = slot.patience_seconds - max(slot.wait_seconds, interval)
                slot = self._reserved(model, slot.tokens, patience_seconds, slot.name)

    def settle(self, model: str, slot: Slot, tokens: int | None) -> None:
        """Replace the estimate for a request by the number of its tokens, if it is known.

        The provider has answered, so its failures in a row are over. If Redis does not answer, the estimate stays,
        which does no harm.
        """
        corrections = []
        for limits in (self._limits_of(model), self._of_key):
            if tokens is None:
                corrections.append(0)
                continue
            estimated_seconds = paying_seconds(slot.tokens, limits.tokens_per_minute)
            actual_seconds = paying_seconds(tokens, limits.tokens_per_minute)
            corrections.append(round((actual_seconds - estimated_seconds) * _MICROSECONDS))
        with suppress(redis.RedisError):
            keys = [self._key(model, "line"), self._key_of_all("paid"), self._key(model, "failed")]
            self._settle(keys=keys, args=corrections)

    def worked(self, model: str) -> None:
        """Count a useful answer, which ends the useless answers in a row."""
        with suppress(redis.RedisError):
            self._redis.delete(self._key(model, "useless"))

    def leave(self, model: str, name: str) -> None:
        """Free the place of a request, if the number of requests under way is limited.

        If Redis does not answer, the place is freed after LOST_SECONDS.
        """
        if self._limits_of(model).concurrency or self._of_key.concurrency:
            with suppress(redis.RedisError):
                self._redis.zrem(self._key(model, "open"), name)
                self._redis.zrem(self._key_of_all("open"), name)

    def pause(
        self,
        model: str,
        why: Failing,
        reason: str,
        seconds: float | None = None,
        slot: Slot | None = None,
    ) -> float:
        """Count a failure, and pause all processes if there are too many in a row, longer each time.

        `seconds` is the pause that the provider asked for, which is the shortest pause. `slot` is that of the failed
        request. `reason` is shown to the processes that wait. Return the length of the pause in seconds, or 0.
        """
        breaker = self._breakers[why]
        asked_seconds = min(max(seconds or 0.0, 0.0), LONGEST_PAUSE_SECONDS)
        counted = "useless" if why == "useless" else "failed"
        try:
            milliseconds: int = self._pause(
                keys=[
                    self._key(model, "pause"),
                    self._key(model, counted),
                    self._key(model, "reason"),
                ],
                args=[
                    asked_seconds,
                    LONGEST_PAUSE_SECONDS,
                    slot.at if slot else 0,
                    breaker.in_a_row,
                    breaker.first_seconds,
                    breaker.longest_seconds,
                    reason,
                ],
            )
        except redis.RedisError:
            return min(seconds or 1.0, LONGEST_PAUSE_SECONDS)
        if milliseconds:
            telemetry.provider_paused(model)
        return milliseconds / 1_000

    def paused_seconds(self, model: str) -> float:
        """Return for how many more seconds the model is paused, or 0. Raises Retryable."""
        with _asking():
            till = self._redis.get(self._key(model, "pause"))
            seconds, micros = self._redis.time()
        return max(float(till or 0) / _MICROSECONDS - seconds - micros / _MICROSECONDS, 0.0)

    def _entered(self, model: str, limits: Limits) -> tuple[str, float]:
        """Return the name of a new request under way, and the seconds that it may still wait for its slot."""
        name = self._new_id()
        patience_seconds = self._longest_wait_seconds
        most = (limits.concurrency or 0, self._of_key.concurrency or 0)
        if not any(most):
            return name, patience_seconds
        look_seconds = _FIRST_LOOK_SECONDS
        keys = [self._key(model, "open"), self._key_of_all("open")]
        while not self._enter(keys=keys, args=[*most, name, round(LOST_SECONDS * _MICROSECONDS)]):
            if patience_seconds < look_seconds:
                telemetry.slot_refused(model)
                raise ProviderBusy(
                    "as many requests as the provider allows are under way",
                    self._longest_wait_seconds / 2,
                )
            self._sleep(look_seconds)
            patience_seconds -= look_seconds
            look_seconds = min(look_seconds * 1.5, _LONGEST_LOOK_SECONDS)
        return name, patience_seconds

    def _reserved(self, model: str, tokens: int, patience_seconds: float, name: str) -> Slot:
        """Return the next slot. Raises ProviderBusy if it is further away than `patience_seconds`."""
        limits = self._limits_of(model)
        of_key = self._of_key
        interval_of_key = 0.0
        if of_key.requests_per_minute:
            interval_of_key = interval_seconds(of_key.requests_per_minute)
        times = (
            interval_seconds(limits.requests_per_minute or 1),
            max(patience_seconds, 0),
            paying_seconds(tokens, limits.tokens_per_minute),
            interval_of_key,
            paying_seconds(tokens, of_key.tokens_per_minute),
        )
        granted, at, wait, since = self._reserve(
            keys=[
                self._key(model, "line"),
                self._key(model, "pause"),
                self._key_of_all("slots"),
                self._key_of_all("paid"),
            ],
            args=[round(seconds * _MICROSECONDS) for seconds in times],
        )
        if not granted:
            telemetry.slot_refused(model)
            reason = "the provider's limit is used up for now"
            if self.paused_seconds(model):
                why = self._redis.get(self._key(model, "reason"))
                if why:
                    reason_of_pause = why.decode() if isinstance(why, bytes) else why
                    reason = f"{reason_of_pause}; nobody asks it for a while"
            raise ProviderBusy(reason, max(wait / _MICROSECONDS - patience_seconds / 2, 1.0))
        return Slot(at, wait / _MICROSECONDS, since, tokens, patience_seconds, name)

    def _key(self, model: str, what: str) -> str:
        return self._key_of_all(f"{model}:{what}")

    def _key_of_all(self, what: str) -> str:
        """Return a key in Redis. The keys of one limiter share a hash tag, so that a cluster has them on one node."""
        return f"edugraph:limit:{{{self._provider}}}:{what}"


def name_of_key(endpoint: Endpoint, secret: str | None) -> str:
    """Return the name in Redis of a provider's key: a digest, which does not reveal it.

    A server that needs no key is named by its address.
    """
    return hashlib.sha256((secret or endpoint.base_url or "").encode()).hexdigest()[:16]


@contextmanager
def _asking() -> Iterator[None]:
    """Translate the errors of Redis. While it does not answer, no request may be sent."""
    try:
        yield
    except OutOfMemoryError:
        raise RedisFull from None
    except redis.RedisError as error:
        raise Retryable(
            f"the limiter's Redis does not answer ({what(error)}); no request was sent"
        ) from None


def _script(server: "redis.Redis", name: str) -> "Script":
    """Return one of the scripts beside this module. Each script is one atomic step."""
    text = resources.files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return server.register_script(text)
