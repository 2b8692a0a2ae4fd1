"""Keys, turns and queue depths, without any server."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import pytest
from anyio import CapacityLimiter
from fastapi import Request

from edugraph_common.contracts.errors import Retryable
from edugraph_common.platform.api_keys import ApiKey, ApiKeys, matches, split_token
from edugraph_gateway.auth.admission import submitter
from edugraph_gateway.auth.callers import KeyRing
from edugraph_gateway.problems import Problem
from edugraph_gateway.submission.backpressure import Depths
from edugraph_gateway.submission.rate_limiter import Turns

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


def test_an_unknown_key_is_compared_too() -> None:
    key = ApiKey(key_id="a", name="a", scopes=("read",), secret_hash="0" * 64, created=NOW)
    assert not matches(None, "")
    assert not matches(key, "secret")


def test_turns_are_taken_in_portions_and_lost_after_a_second() -> None:
    redis, times = Redis(waits=(0, 0)), [0.0]
    turns = Turns(redis, per_minute=600, burst=100, clock=lambda: times[0])  # type: ignore[arg-type]
    assert not turns.spend("c")
    assert turns.take("c") == 0
    assert turns.spend("c")
    assert not turns.spend("c")
    turns.take("c")
    times[0] = 1.1
    assert not turns.spend("c")
    assert redis.asked == [[100_000, 100, 2]] * 2


def test_requests_of_one_caller_take_one_portion_together() -> None:
    asked: list[str] = []
    purse: list[int] = []

    def take(client: str) -> float:
        asked.append(client)
        time.sleep(0.05)
        purse.extend(range(19))
        return 0

    gateway = SimpleNamespace(
        settings=SimpleNamespace(auth="off"),
        turns=SimpleNamespace(spend=lambda _client: bool(purse and purse.pop() >= 0), take=take),
        admitting=CapacityLimiter(40),
        lookups=WeakValueDictionary(),
    )
    request = Request({"type": "http", "headers": [], "app": SimpleNamespace(state=SimpleNamespace(gateway=gateway))})

    async def side_by_side() -> None:
        await asyncio.gather(*(submitter(request) for _ in range(20)))

    asyncio.run(side_by_side())
    assert len(asked) == 1
    assert not gateway.lookups


def test_where_no_portion_is_left_one_turn_is_tried() -> None:
    redis = Redis(waits=(150_000, 0, 250_000, 50_000))
    turns = Turns(redis, per_minute=600, burst=100)  # type: ignore[arg-type]
    assert turns.take("c") == 0
    assert not turns.spend("c")
    assert turns.take("c") == 0.05


def test_a_full_queue_is_refused_by_the_last_look_and_nobody_waits_for_the_next() -> None:
    looked, go_on = threading.Event(), threading.Event()

    def look(_queue: str) -> int:
        looked.set()
        go_on.wait(5)
        return 11

    times = [10.0]
    depths = Depths(look, clock=lambda: times[0])
    depths.check("q", 10)
    assert looked.wait(5)
    depths.check("q", 10)
    go_on.set()
    for _ in range(500):
        if depths._seen:
            break
        threading.Event().wait(0.01)
    with pytest.raises(Problem, match="11 messages wait in q"):
        depths.check("q", 10)


def test_a_broker_that_does_not_answer_is_not_a_full_queue() -> None:
    def look(_queue: str) -> int:
        raise Retryable("away")

    depths = Depths(look, clock=lambda: 10.0)
    depths._looking.acquire()
    depths._renew("q", 3)
    assert depths._seen["q"] == (10.0, 3)
    depths.check("q", 10)
