"""Keys, the rate limit and backpressure, without any server."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.api_keys import ApiKey, ApiKeys, matches, split_token
from edugraph_common.runtime.shared_state.callers import KeyRing
from edugraph_common.runtime.shared_state.rate_limiter import RateLimiter
from edugraph_gateway.auth.admission import Admission
from edugraph_gateway.submission.backpressure import Backpressure

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Redis:
    """The few commands of it that are used here."""

    def __init__(self, waits: tuple[int, ...] = ()) -> None:
        self.hash: dict[str, str] = {}
        self.asked: list[Any] = []
        self._waits = iter(waits)

    def hset(self, _name: str, key: str, value: str) -> None:
        self.hash[key] = value

    def hget(self, _name: str, key: str) -> str | None:
        self.asked.append(key)
        return self.hash.get(key)

    def pipeline(self) -> "Redis":
        return self

    def set(self, name: str, value: str) -> None:
        self.hash[name] = value

    def execute(self) -> None:
        """What was asked for is done already."""

    def hdel(self, _name: str, key: str) -> int:
        return int(self.hash.pop(key, None) is not None)

    def register_script(self, _text: str) -> Any:
        def take(_keys: list[str], arguments: list[int]) -> int:
            self.asked.append(arguments)
            return next(self._waits)

        return take


def test_a_key_is_known_by_its_secret_alone() -> None:
    redis = Redis()
    keys = ApiKeys(redis)  # type: ignore[arg-type]
    made = keys.create("a", ["read"], NOW)
    ring = KeyRing(keys, clock=lambda: 0.0)
    found = ring.caller(made.token, NOW)
    assert found is not None
    assert found.scopes == ("read",)
    assert ring.caller(made.token[:-1] + "x", NOW) is None
    assert made.token.rsplit("_", 1)[1] not in str(redis.hash)


def test_a_revoked_key_is_remembered_for_five_seconds_and_an_expired_one_not_at_all() -> None:
    redis, times = Redis(), [0.0]
    keys = ApiKeys(redis)  # type: ignore[arg-type]
    made = keys.create("a", ["read"], NOW, expires=NOW + timedelta(hours=1))
    ring = KeyRing(keys, clock=lambda: times[0])
    assert ring.caller(made.token, NOW)
    keys.revoke(made.key.key_id)
    assert ring.remembered(made.token, NOW)
    assert ring.caller(made.token, NOW + timedelta(hours=1)) is None
    times[0] = 5.1
    assert ring.remembered(made.token, NOW) is None
    assert ring.caller(made.token, NOW) is None


@pytest.mark.parametrize("token", ["", "eg_", "eg__x", "x_a_b", "eg_a_", "a"])
def test_what_is_no_key_names_none(token: str) -> None:
    assert split_token(token) == ("", "")


def test_an_unknown_key_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as one that is known, or the time would tell which keys there are."""
    compared: list[tuple[int, int]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(
        "edugraph_common.runtime.shared_state.api_keys.hmac.compare_digest", compare
    )
    key = ApiKey(key_id="a", name="a", scopes=("read",), secret_hash="0" * 64, created=NOW)
    assert not matches(None, "")
    assert not matches(key, "secret")
    assert matches(key.model_copy(update={"secret_hash": sha256(b"secret").hexdigest()}), "secret")
    assert compared == [(64, 64)] * 3


def test_tokens_are_taken_in_portions_and_lost_after_a_second() -> None:
    redis, times = Redis(waits=(0, 0)), [0.0]
    limiter = RateLimiter(redis, per_minute=600, burst=100, clock=lambda: times[0])  # type: ignore[arg-type]
    assert not limiter.spend("c")
    assert limiter.take("c") == 0
    assert limiter.spend("c")
    assert not limiter.spend("c")
    limiter.take("c")
    times[0] = 1.1
    assert not limiter.spend("c")
    assert redis.asked == [[100_000, 100, 2]] * 2


def test_requests_of_one_caller_take_one_portion_together() -> None:
    """Out: the lock of a token in `admit` (each of the twenty asks Redis)."""

    class Limiter:
        asked, tokens = 0, 0

        def spend(self, _client: str) -> bool:
            self.tokens -= 1
            return self.tokens >= 0

        def take(self, _client: str) -> float:
            self.asked += 1
            time.sleep(0.05)
            self.tokens = 19
            return 0

    limiter = Limiter()
    ring = KeyRing(ApiKeys(Redis()))  # type: ignore[arg-type]
    admission = Admission(ring, None, limiter, lambda: NOW, require_key=False)  # type: ignore[arg-type]

    async def side_by_side() -> None:
        await asyncio.gather(*(admission.admit("", "submit") for _ in range(20)))

    asyncio.run(side_by_side())
    assert limiter.asked == 1
    assert not admission._lookups


def test_where_no_portion_is_left_one_token_is_tried() -> None:
    redis = Redis(waits=(150_000, 0, 250_000, 50_000))
    limiter = RateLimiter(redis, per_minute=600, burst=100)  # type: ignore[arg-type]
    assert limiter.take("c") == 0
    assert not limiter.spend("c")
    assert limiter.take("c") == 0.05


def test_a_full_queue_is_refused_by_the_last_look_and_nobody_waits_for_the_next() -> None:
    looked, go_on = threading.Event(), threading.Event()

    def look(_queue: str) -> int:
        looked.set()
        go_on.wait(5)
        return 11

    times = [10.0]
    backpressure = Backpressure(look, 10, clock=lambda: times[0])
    backpressure.check("q")
    assert looked.wait(5)
    backpressure.check("q")
    go_on.set()
    for _ in range(500):
        if backpressure._seen:
            break
        threading.Event().wait(0.01)
    with pytest.raises(Problem, match="11 messages wait in q"):
        backpressure.check("q")


def test_a_broker_that_does_not_answer_is_not_a_full_queue() -> None:
    """Out: the handler of Retryable in `check` (the queue is never looked at again)."""
    answers: Iterator[int | Retryable] = iter([3, Retryable("away"), 11])

    def look(_queue: str) -> int:
        answer = next(answers)
        if isinstance(answer, Retryable):
            raise answer
        return answer

    times = [0.0]
    backpressure = Backpressure(look, 10, clock=lambda: times[0])
    for depth in (3, 3, 11):
        times[0] += 1
        backpressure.check("q")
        for _ in range(500):
            if backpressure._seen.get("q") == (times[0], depth):
                break
            threading.Event().wait(0.01)
        assert backpressure._seen["q"] == (times[0], depth)
