"""Acceptance numbers grow with each answer, whichever gateway gives them and whatever the clock of Redis does."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
import redis
from anyio import CapacityLimiter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.errors import Retryable
from edugraph_common.platform.acceptance import LAST_NUMBER, AcceptanceNumbers
from edugraph_gateway.submission.acceptance import AcceptanceLine

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
    """Out: `math.max` or `+ 1` in next_acceptance_numbers.lua.

    The clock of a server cannot be set. A clock that was `jump` ahead until now has left a last number that is `jump`
    ahead of now, and one that was behind has left one that is behind.
    """
    all_gateways = [AcceptanceNumbers(client) for _ in range(3)]
    for jump in jumps:
        client.set(LAST_NUMBER, now(client) + jump)
        last = int(str(client.get(LAST_NUMBER)))
        for gateway in gateways:
            [number] = all_gateways[gateway].take()
            assert number > last
            last = number
    assert last >= now(client) - HALF_A_MINUTE


def test_numbers_of_an_empty_redis_are_greater_than_all_before(client: "redis.Redis") -> None:
    """Out: the time in next_acceptance_numbers.lua, in place of which it counts."""
    numbers = AcceptanceNumbers(client)
    [before] = numbers.take()
    client.delete(LAST_NUMBER)
    [after] = numbers.take()
    assert after > before
    assert abs(after - now(client)) < HALF_A_MINUTE


def test_gateways_that_ask_at_once_get_different_numbers(client: "redis.Redis") -> None:
    gateways = [AcceptanceNumbers(client) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda number: gateways[number % 4].take(number % 3 + 1), range(60)))
    numbers = [number for some in taken for number in some]
    assert len(set(numbers)) == len(numbers)


def test_a_request_never_gets_a_number_of_a_round_trip_that_began_before_it() -> None:
    """Out: the list that `_ask` takes before its round trip. A request that came meanwhile waits for the next one."""
    begun, go_on = threading.Event(), threading.Event()
    trips: list[int] = []

    def take(count: int) -> range:
        trips.append(count)
        begun.set()
        go_on.wait(5)
        return range(100 * len(trips), 100 * len(trips) + count)

    async def ask() -> list[int]:
        line = AcceptanceLine(take, CapacityLimiter(4))
        first = asyncio.create_task(line.take())
        assert await asyncio.to_thread(begun.wait, 5)
        others = [asyncio.create_task(line.take()) for _ in range(2)]
        await asyncio.sleep(0.05)
        go_on.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(ask()) == [100, 200, 201]
    assert trips == [1, 2]


def test_each_that_waits_gets_the_failure_and_the_next_one_asks_again() -> None:
    answers: list[Any] = [Retryable("away"), range(7, 8)]

    def take(_count: int) -> range:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return range(answer.start, answer.stop)

    async def ask() -> list[Any]:
        line = AcceptanceLine(take, CapacityLimiter(4))
        failed = await asyncio.gather(line.take(), line.take(), return_exceptions=True)
        return [*failed, await line.take()]

    first, second, third = asyncio.run(ask())
    assert isinstance(first, Retryable)
    assert isinstance(second, Retryable)
    assert third == 7


def test_numbers_in_order(client: "redis.Redis") -> None:
    numbers = [*AcceptanceNumbers(client).take(5), *AcceptanceNumbers(client).take(5)]
    assert all(earlier < later for earlier, later in pairwise(numbers))
