"""The rate limit that several analyzers share through Redis: slots in order, pauses, tokens, and a Redis that forgets."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import redis
from analyzer_bench import chats, pipeline
from bench_analyze import cold_transport
from threads import at_once

from edugraph_analyzer.llm.client import LLMClient
from edugraph_analyzer.llm.rate_limiter import LATEST_SECONDS, RateLimiter, Slot, interval_seconds
from edugraph_analyzer.models_file import Limits
from edugraph_analyzer.prompting.questions import LLMRequest
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Rejected, Retryable, Wait


def limiter(
    server: "redis.Redis", name: str, requests: int, tokens: int | None = None, wait: float = 60
) -> RateLimiter:
    limits = Limits(requests_per_minute=requests, tokens_per_minute=tokens)
    return RateLimiter(server, name, lambda _: limits, longest_wait_seconds=wait)


def test_slots_are_evenly_spaced_and_in_order(server, name) -> None:
    gate, times = limiter(server, name, 600), []
    lock = threading.Lock()

    def take() -> None:
        for _ in range(5):
            slot = gate.acquire("m", 1)
            with lock:
                times.append((slot.at, time.monotonic()))

    at_once([take] * 4)
    slots = sorted(at for at, _ in times)
    gaps = [later - earlier for earlier, later in pairwise(slots)]
    assert min(gaps) >= interval_seconds(600) * 1_000_000 - 1
    assert len(slots) == 20


def test_a_slot_too_far_off_reserves_nothing(server, name) -> None:
    gate = limiter(server, name, 60, wait=1.5)
    gate.acquire("m", 1)
    key = f"edugraph:limit:{{{name}}}:m:line"
    gate.pause("m", "refused", "r", 10)
    before = server.hgetall(key)
    with pytest.raises(Wait) as caught:
        gate.acquire("m", 1)
    assert server.hgetall(key) == before
    assert 5 < caught.value.seconds <= 10


def test_a_pause_stops_those_who_already_have_a_slot(server, name) -> None:
    gate = limiter(server, name, 60)
    gate.acquire("m", 1)
    began = time.monotonic()
    with ThreadPoolExecutor() as threads:
        second = threads.submit(gate.acquire, "m", 1)
        time.sleep(0.2)
        gate.pause("m", "refused", "r", 2.0)
        second.result()
    assert time.monotonic() - began >= 2.1


def test_refusals_without_a_time_pause_longer_each_time(server, name) -> None:
    gate = limiter(server, name, 60)
    assert gate.pause("m", "refused", "r", None) == pytest.approx(2, abs=0.01)
    assert gate.pause("m", "refused", "r", None) == pytest.approx(4, abs=0.01)


def test_models_and_keys_have_their_own_limit(server, name) -> None:
    began = time.monotonic()
    limiter(server, name, 1).acquire("one", 1)
    limiter(server, name, 1).acquire("another", 1)
    limiter(server, f"{name}-b", 1).acquire("one", 1)
    assert time.monotonic() - began < 1


def test_tokens_of_a_minute_are_counted_with_the_requests(server, name) -> None:
    gate = limiter(server, name, 6_000, tokens=60_000, wait=1)
    slots = [gate.acquire("m", 250) for _ in range(3)]
    assert [later.at - one.at for one, later in pairwise(slots)] == pytest.approx(
        [60 / 240 / 0.985 * 1e6] * 2, abs=2
    )
    gate.acquire("m", 30_000)
    with pytest.raises(Wait) as caught:
        gate.acquire("m", 1)
    assert 25 < caught.value.seconds < 32
    with pytest.raises(Rejected, match="EDUGRAPH_TOKENS_PER_MINUTE"):
        gate.acquire("m", 60_001)


def test_what_a_request_really_took_replaces_the_estimate(server, name) -> None:
    gate = limiter(server, name, 6_000, tokens=60_000, wait=1)
    gate.settle("m", gate.acquire("m", 60_000), 500)
    gate.acquire("m", 60_000)
    with pytest.raises(Wait):
        gate.acquire("m", 1)


def test_a_redis_that_forgot_lets_nobody_go_on_its_old_word(server, name) -> None:
    gate = limiter(server, name, 60)
    gate.acquire("m", 1)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(gate.acquire, "m", 1)
        time.sleep(0.2)
        server.delete(f"edugraph:limit:{{{name}}}:m:line")
        fresh = [gate.acquire("m", 1) for _ in range(2)]
        slot = waiting.result()
    times = sorted([*(slot.at for slot in fresh), slot.at])
    assert min(times[1] - times[0], times[2] - times[1]) >= interval_seconds(60) * 1_000_000 - 1


def test_without_redis_nothing_is_sent(provider, name) -> None:
    provider.script()
    away = redis.Redis(port=1, retry=None)
    with pytest.raises(Retryable):
        pipeline(away, provider, name).analyse(chats(name, 1))
    assert provider.requests() == []


# The time that one request may take longer than another from its slot to the provider.
UNDER_WAY_SECONDS = 0.5


def test_cold_connections_are_no_part_of_the_time_between_a_slot_and_its_request(
    server, provider, name
) -> None:
    """Out: the confirmation right before a request's head, in place of one before its connection is made."""
    requests, a_minute, confirmed = 15, 300, []
    provider.script(headers={"Connection": "close"})

    class Noting(RateLimiter):
        def confirm(self, model: str, slot: Slot) -> Slot:
            given = super().confirm(model, slot)
            confirmed.append((given.at / 1e6, time.monotonic()))
            return given

    settings = AnalyzerSettings(
        openai_api_key=name, openai_base_url=provider.url, model=name, requests_per_minute=a_minute
    )
    client = LLMClient(
        settings,
        server,
        Noting.of_settings(settings, server),
        process_id=os.getpid,
        now=time.time,
        transport=cold_transport(0.6),
    )
    asked = LLMRequest(
        "interaction", [{"role": "system", "content": ""}, {"role": "user", "content": ""}], 100, 1
    )
    at_once([lambda: client.complete(asked)] * requests)

    arrived = sorted(each["seconds"] for each in provider.requests())
    slots, left = zip(*sorted(confirmed), strict=True)
    assert len(arrived) == len(slots) == requests
    assert (
        max(came - went for came, went in zip(arrived, sorted(left), strict=True))
        < UNDER_WAY_SECONDS
    )
    # As the docstring of the limiter says: what the slots are apart, less the time to leave and to be under way.
    slack = LATEST_SECONDS + UNDER_WAY_SECONDS
    apart = [
        (arrived[later] - arrived[one]) - (slots[later] - slots[one])
        for one in range(requests)
        for later in range(one + 1, requests)
    ]
    assert min(apart) > -slack
    assert slots[-1] - slots[0] >= (requests - 1) * interval_seconds(a_minute) - 1e-3
