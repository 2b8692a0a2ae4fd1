"""The provider's rate limits, kept by all processes and machines together.

Redis keeps the queue of slots and the only clock. A slot is reserved, slept for, and confirmed when its time has
come; only then may a request leave. Slots are spaced evenly, a little further apart than the limit asks for: `limit`
requests then span 60 s and 0.9 s more. A request may leave up to 0.4 s after its slot, so that no 60-second window of
the provider's sees one too many even if one request is under way 0.5 s longer than another. The connection is there
before (see `client`): its DNS, TCP and TLS are no part of that time. Windows and buckets were tried and lost: with a
limit of 100, a provider saw up to 200 requests in 60 s with fixed windows, 199 with a bucket, and 110 with a moving
window on the clients' clocks. With evenly spaced slots it saw 99.

Tokens are spaced likewise: each request keeps its queue busy for as long as its tokens take at the allowed rate. That
is exact for requests of one size, and needs no log of what the last minute held.
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
from edugraph_common.contracts.errors import ProviderBusy, RedisFull, Rejected, Retryable, Wait, what

if TYPE_CHECKING:
    from redis.commands.core import Script

WINDOW_SECONDS = 60.0  # as providers count
USED_SHARE = 0.985  # of the limit; the spacing leaves 60 / USED_SHARE - 60 = 0.91 s for jitter
LATEST_SECONDS = 0.4  # after its slot, a request may still leave for so long
LEAD_SECONDS = 2.0  # before its slot, a request begins to connect
LONGEST_PAUSE_SECONDS = 3_600.0  # that a provider may ask for
LOST_SECONDS = 600.0  # a request that is under way for longer is taken for lost, and its place is free
_MICROSECONDS = 1_000_000
_TOO_EARLY = 2  # as the script confirm.lua answers
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.05, 0.5  # between two looks for a place under way

Failing = Literal["refused", "failed", "useless"]


@dataclass(frozen=True)
class Breaker:
    """So many failures in a row begin a pause of all; each further one begins a pause twice as long."""

    in_a_row: int
    first_seconds: float
    longest_seconds: float


BREAKERS: Mapping[Failing, Breaker] = MappingProxyType(
    {
        "refused": Breaker(1, 2, 60),  # a limit that is reached, with no word on how long
        "failed": Breaker(3, 2, 300),  # no answer, or one of the server's own faults
        "useless": Breaker(3, 60, 600),  # answers that cannot be read, which were paid for
    }
)


def interval_seconds(per_minute: int) -> float:
    """Return the time between two slots of a limit of requests."""
    return WINDOW_SECONDS / (per_minute * USED_SHARE)


def paying_seconds(tokens: int, per_minute: int | None) -> float:
    """Return how long a request keeps its queue busy, so that as many of its size as fit leave in a minute."""
    if per_minute is None or tokens <= 0:
        return 0.0
    return WINDOW_SECONDS / (max(per_minute // tokens, 1) * USED_SHARE)


@dataclass(frozen=True)
class Slot:
    """The time at which a request may leave, `at` in microseconds by the clock of Redis.

    `queue_since` says which queue it is in, `tokens` what was thought that the request takes, `patience_seconds` how
    much longer it may wait for another slot if it loses this one, and `name` is its name among those under way.
    """

    at: int
    wait_seconds: float
    queue_since: int
    tokens: int
    patience_seconds: float
    name: str


class RateLimiter:
    """Grants slots to the requests of one key. `provider` tells keys apart without holding one (see `name_of_key`).

    `limits_of` gives the limits of a model, and `of_key` has those of all models of the key together. A slot further
    off than `longest_wait_seconds` is refused. It has no state of its own, so that one that was made before a fork is
    safe after it.
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
        self._provider, self._limits_of, self._of_key = provider, limits_of, of_key or Limits()
        self._longest_wait_seconds, self._breakers = longest_wait_seconds, breakers
        self._sleep, self._new_id = sleep, new_id
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
        """Return what makes the limiter of a key, by its endpoint and name. `outside`: breakers, sleep, new_id."""
        wait_seconds = settings.longest_wait_seconds

        def limiter_of(endpoint: Endpoint, name: str) -> RateLimiter:
            return cls(
                server, name, settings.limits_of, of_key=endpoint, longest_wait_seconds=wait_seconds, **outside
            )

        return limiter_of

    def acquire(self, model: str, tokens: int) -> Slot:
        """Return when one request of about `tokens` may leave. Raises as `reserve` and `confirm` do."""
        return self.confirm(model, self.reserve(model, tokens))

    def reserve(self, model: str, tokens: int) -> Slot:
        """Return a little before one request of about `tokens` may leave: it is time to connect.

        Raises Wait if its slot would be too far off, Rejected if no window can ever hold it, and Retryable if Redis
        cannot be asked: then nothing may leave.
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
        """Return when the request of a reserved slot may leave. One that has lost its slot waits for another.

        Raises as `reserve` does.
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
                # It was lost to a pause, or slept through.
                patience_seconds = slot.patience_seconds - max(slot.wait_seconds, interval)
                slot = self._reserved(model, slot.tokens, patience_seconds, slot.name)

    def settle(self, model: str, slot: Slot, tokens: int | None) -> None:
        """Count the tokens that a request really took; None where that is not known.

        The provider has answered, so its failures in a row are over. Without Redis the estimate stays, which does no
        harm.
        """
        more = []
        for limits in (self._limits_of(model), self._of_key):
            seconds = paying_seconds(slot.tokens, limits.tokens_per_minute)
            really = seconds if tokens is None else paying_seconds(tokens, limits.tokens_per_minute)
            more.append(round((really - seconds) * _MICROSECONDS))
        with suppress(redis.RedisError):
            keys = [self._key(model, "line"), self._key_of_all("paid"), self._key(model, "failed")]
            self._settle(keys=keys, args=more)

    def worked(self, model: str) -> None:
        """Tell that an answer could be used: the useless ones in a row are over."""
        with suppress(redis.RedisError):
            self._redis.delete(self._key(model, "useless"))

    def leave(self, model: str, name: str) -> None:
        """Make room for another request, where only so many may be under way. Without Redis it is made later."""
        if self._limits_of(model).concurrency or self._of_key.concurrency:
            with suppress(redis.RedisError):
                self._redis.zrem(self._key(model, "open"), name)
                self._redis.zrem(self._key_of_all("open"), name)

    def pause(
        self, model: str, why: Failing, reason: str, seconds: float | None = None, slot: Slot | None = None
    ) -> float:
        """Stop all processes for longer each time, and for `seconds` at least if the provider said so.

        `reason` is told to those who wait. `slot` is that of the request that failed. Return the seconds until they
        go on; 0 while so few requests failed in a row that nobody stops.
        """
        breaker = self._breakers[why]
        told = min(max(seconds or 0.0, 0.0), LONGEST_PAUSE_SECONDS)
        try:
            milliseconds: int = self._pause(
                keys=[
                    self._key(model, "pause"),
                    self._key(model, "useless" if why == "useless" else "failed"),
                    self._key(model, "reason"),
                ],
                args=[
                    told,
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
        """Return how long the model is paused from now on; 0 if it is not. Raises Retryable."""
        with _asking():
            till, (seconds, micros) = self._redis.get(self._key(model, "pause")), self._redis.time()
        return max(float(till or 0) / _MICROSECONDS - seconds - micros / _MICROSECONDS, 0.0)

    def _entered(self, model: str, limits: Limits) -> tuple[str, float]:
        """Return a name among the requests under way, and what is left of the time that may be waited."""
        name, patience_seconds = self._new_id(), self._longest_wait_seconds
        most, look_seconds = (limits.concurrency or 0, self._of_key.concurrency or 0), _FIRST_LOOK_SECONDS
        if not any(most):
            return name, patience_seconds
        keys = [self._key(model, "open"), self._key_of_all("open")]
        while not self._enter(keys=keys, args=[*most, name, round(LOST_SECONDS * _MICROSECONDS)]):
            if patience_seconds < look_seconds:
                telemetry.slot_refused(model)
                raise ProviderBusy(
                    "as many requests as the provider allows are under way", self._longest_wait_seconds / 2
                )
            self._sleep(look_seconds)
            patience_seconds -= look_seconds
            look_seconds = min(look_seconds * 1.5, _LONGEST_LOOK_SECONDS)
        return name, patience_seconds

    def _reserved(self, model: str, tokens: int, patience_seconds: float, name: str) -> Slot:
        limits, key = self._limits_of(model), self._of_key
        apart = interval_seconds(key.requests_per_minute) if key.requests_per_minute else 0.0
        times = (
            interval_seconds(limits.requests_per_minute or 1),
            max(patience_seconds, 0),
            paying_seconds(tokens, limits.tokens_per_minute),
            apart,
            paying_seconds(tokens, key.tokens_per_minute),
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
            why = self._redis.get(self._key(model, "reason")) if self.paused_seconds(model) else None
            told = why.decode() if isinstance(why, bytes) else why
            reason = f"{told}; nobody asks it for a while" if told else "the provider's limit is used up for now"
            raise ProviderBusy(reason, max(wait / _MICROSECONDS - patience_seconds / 2, 1.0))
        return Slot(at, wait / _MICROSECONDS, since, tokens, patience_seconds, name)

    def _key(self, model: str, what: str) -> str:
        return self._key_of_all(f"{model}:{what}")

    def _key_of_all(self, what: str) -> str:
        """Name a key. All of one provider's key share a hash tag, so that a Redis cluster keeps them together."""
        return f"edugraph:limit:{{{self._provider}}}:{what}"


def name_of_key(endpoint: Endpoint, secret: str | None) -> str:
    """Return the name in Redis of a provider's key: a digest, which does not give it away.

    A server of one's own that needs no key is named by its address.
    """
    return hashlib.sha256((secret or endpoint.base_url or "").encode()).hexdigest()[:16]


@contextmanager
def _asking() -> Iterator[None]:
    """Translate the errors of Redis: while it does not answer, nothing may be sent."""
    try:
        yield
    except OutOfMemoryError:
        raise RedisFull from None
    except redis.RedisError as error:
        raise Retryable(f"the limiter's Redis does not answer ({what(error)}); no request was sent") from None


def _script(server: "redis.Redis", name: str) -> "Script":
    """Load one of the scripts beside this module; each is one atomic step."""
    text = resources.files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return server.register_script(text)
