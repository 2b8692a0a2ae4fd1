"""Acceptance numbers grow with each answer, whichever gateway gives them and whatever the clock of Redis does."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_common.runtime.shared_state.acceptance import LAST_NUMBER, AcceptanceNumbers

DAY = 86_400 * 1_000_000  # in microseconds, as the numbers are
HALF_A_MINUTE = 30 * 1_000_000


def now(client: "redis.Redis") -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1_000_000 + int(microseconds)


@pytest.fixture
def client(redis_url: str) -> "redis.Redis":
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    client.delete(LAST_NUMBER)
    return client


@settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
@given(
    jumps=st.lists(st.sampled_from([0, 1, -1, DAY, -DAY]), min_size=1, max_size=8),
    gateways=st.lists(st.integers(0, 2), min_size=1, max_size=8),
)
def test_numbers_grow_though_the_clock_jumps(
    client: "redis.Redis", jumps: Sequence[int], gateways: Sequence[int]
) -> None:
    """Out: `math.max` or `+ 1` in next_acceptance_number.lua.

    The clock of a server cannot be set. A clock that was `jump` ahead until now has left a last number that is `jump`
    ahead of now, and one that was behind has left one that is behind.
    """
    all_gateways = [AcceptanceNumbers(client) for _ in range(3)]
    for jump in jumps:
        client.set(LAST_NUMBER, now(client) + jump)
        last = int(str(client.get(LAST_NUMBER)))
        for gateway in gateways:
            number = all_gateways[gateway].take()
            assert number > last
            last = number
    assert last >= now(client) - HALF_A_MINUTE


def test_numbers_of_an_empty_redis_are_greater_than_all_before(client: "redis.Redis") -> None:
    """Out: the time in next_acceptance_number.lua, in place of which it counts."""
    numbers = AcceptanceNumbers(client)
    before = numbers.take()
    client.delete(LAST_NUMBER)
    after = numbers.take()
    assert after > before
    assert abs(after - now(client)) < HALF_A_MINUTE


def test_gateways_that_ask_at_once_get_different_numbers(client: "redis.Redis") -> None:
    gateways = [AcceptanceNumbers(client) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        numbers = list(threads.map(lambda number: gateways[number % 4].take(), range(60)))
    assert len(set(numbers)) == len(numbers)
