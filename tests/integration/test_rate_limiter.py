"""The limiter's promises, one by one, on an embedded Valkey: its scripts run in the server and go by the server's clock.

A limit of 60 a minute makes slots about one second apart; with `sleep` recorded instead of slept, nothing waits.
"""

import uuid
from dataclasses import replace
from typing import Any

import pytest
import redis

from edugraph_analyzer.llm.rate_limiter import (
    LATEST_SECONDS,
    LONGEST_PAUSE_SECONDS,
    USED_SHARE,
    WINDOW_SECONDS,
    RateLimiter,
    RateLimits,
    Slot,
)
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Rejected, Retryable, Wait

SECOND = 1_000_000  # the scripts count microseconds
GO, LOST, TOO_EARLY = 1, 0, 2
INTERVAL = 60 / 0.985


class Gate:
    """A limiter that never sleeps; `slept` has what it would have."""

    def __init__(
        self, server: "redis.Redis", name: str, requests: int = 60, tokens: int | None = None, wait: float = 60
    ):
        self.server, self.slept = server, []
        ids = iter(f"id-{number}" for number in range(1_000))
        limits = RateLimits(requests, tokens, wait)
        self.limiter = RateLimiter(server, name, limits, sleep=self.slept.append, new_id=lambda: next(ids))
        self._name = name

    def key(self, what: str) -> str:
        return f"edugraph:limit:{{{self._name}:m}}:{what}"

    def now(self) -> int:
        seconds, microseconds = self.server.time()
        return seconds * SECOND + microseconds

    def reserve(self, tokens: int = 1, wait: float = 60) -> Slot:
        return self.limiter._reserved("m", tokens, wait)

    def confirm(self, slot: Slot, at: int | None = None) -> list[int]:
        """Ask as if the slot's time were `at`."""
        return self.limiter._confirm(
            keys=[self.key("line"), self.key("pause")],
            args=[slot.at if at is None else at, round(LATEST_SECONDS * SECOND), slot.queue_since],
        )

    def log(self) -> dict[str, float]:
        entries: Any = self.server.zrange(self.key("tokens"), 0, -1, withscores=True)
        return {entry.decode(): at for entry, at in entries}


@pytest.fixture
def gate(server: "redis.Redis", name: str) -> Gate:
    return Gate(server, name)


# --- slots --------------------------------------------------------------------------------------------------------


def test_the_first_slot_is_now_and_each_next_one_an_interval_later(gate: Gate) -> None:
    before = gate.now()
    first = gate.reserve()
    assert before <= first.at <= gate.now()
    assert first.wait_seconds == 0
    slots = [gate.reserve() for _ in range(3)]
    assert [slot.at - first.at for slot in slots] == [
        round(gate.limiter.limits.interval_seconds * SECOND) * n for n in (1, 2, 3)
    ]
    assert slots[2].wait_seconds == pytest.approx((slots[2].at - gate.now()) / SECOND, abs=0.5)
    assert {slot.queue_since for slot in slots} == {first.queue_since}
    assert before <= first.queue_since <= first.at


def test_limits_leave_room_for_requests_that_are_under_way_longer() -> None:
    assert RateLimits(100, None, 60).interval_seconds == pytest.approx(60 / 98.5)
    jitter_seconds = 60 / USED_SHARE - WINDOW_SECONDS
    assert jitter_seconds == pytest.approx(0.91, abs=0.01)
    assert jitter_seconds / 2 > LATEST_SECONDS  # the rest is for the way to the provider


def test_a_slot_as_far_off_as_allowed_is_given_and_one_further_off_reserves_nothing(gate: Gate) -> None:
    gate.reserve()
    assert gate.reserve(wait=1.1).wait_seconds > 0.9  # about one interval
    state = gate.server.hgetall(gate.key("line"))
    with pytest.raises(Wait):
        gate.reserve(wait=1.1)  # the third is two intervals off
    assert gate.server.hgetall(gate.key("line")) == state


def test_one_who_is_refused_comes_back_when_half_of_the_patience_is_enough(gate: Gate) -> None:
    gate.limiter.pause("m", 10)
    with pytest.raises(Wait) as caught:
        gate.reserve(wait=6)
    assert caught.value.seconds == pytest.approx(10 - 6 / 2, abs=0.5)


def test_one_who_is_refused_comes_back_after_a_second_at_the_earliest(server, name) -> None:
    gate = Gate(server, name, requests=600)
    gate.reserve()
    with pytest.raises(Wait) as caught:
        gate.reserve(wait=0)
    assert caught.value.seconds == 1


def test_negative_patience_is_none(gate: Gate) -> None:
    assert gate.reserve(wait=-5).wait_seconds == 0  # whoever need not wait is served
    with pytest.raises(Wait):
        gate.reserve(wait=-5)


def test_a_slot_that_nobody_took_is_not_made_up_for(gate: Gate) -> None:
    """After a rest the queue begins at now: two requests never leave closer than an interval."""
    gate.reserve()
    gate.server.hset(gate.key("line"), "next", gate.now() - 30 * SECOND)
    first, second = gate.reserve(), gate.reserve()
    assert first.wait_seconds == 0
    assert second.at - first.at >= SECOND


def test_the_queue_is_kept_an_hour_longer_than_its_last_slot(gate: Gate) -> None:
    """A queue that is gone begins anew at once, and whoever waits in it has lost its slot."""
    for _ in range(5):
        last = gate.reserve()
    kept = gate.server.pttl(gate.key("line")) / 1_000
    assert kept == pytest.approx(last.wait_seconds + 3_600, abs=0.5)


def test_slots_begin_where_a_pause_ends(gate: Gate) -> None:
    gate.limiter.pause("m", 7)
    slot = gate.reserve()
    assert slot.wait_seconds == pytest.approx(7, abs=0.5)
    assert slot.at == int(gate.server.get(gate.key("pause")))


# --- leaving ------------------------------------------------------------------------------------------------------


def test_a_request_before_its_slot_is_told_how_long_to_wait(gate: Gate) -> None:
    gate.reserve()
    slot = gate.reserve()
    answer, wait = gate.confirm(slot)
    assert answer == TOO_EARLY
    assert wait / SECOND == pytest.approx(slot.wait_seconds, abs=0.5)
    assert wait > 0


def test_a_request_may_leave_at_its_slot_and_a_little_after_but_not_long_after(gate: Gate) -> None:
    slot = gate.reserve()
    now = gate.now()
    assert gate.confirm(slot, at=now) == [GO, 0]
    assert gate.confirm(slot, at=gate.now() - round((LATEST_SECONDS - 0.3) * SECOND)) == [GO, 0]
    assert gate.confirm(slot, at=gate.now() - round((LATEST_SECONDS + 0.01) * SECOND)) == [LOST, 0]
    assert gate.confirm(slot, at=gate.now() - 60 * SECOND) == [LOST, 0]


def test_a_pause_takes_the_slots_before_its_end_and_leaves_those_after(gate: Gate) -> None:
    slot = gate.reserve()
    now = gate.now()
    gate.server.set(gate.key("pause"), now + 1)
    assert gate.confirm(slot, at=now) == [LOST, 0]
    gate.server.set(gate.key("pause"), now)
    assert gate.confirm(slot, at=now)[0] == GO  # a slot that begins with the pause's end


def test_a_slot_of_a_queue_that_the_server_forgot_is_lost(gate: Gate) -> None:
    slot = gate.reserve()
    assert gate.confirm(slot)[0] == GO
    gate.server.delete(gate.key("line"))
    assert gate.confirm(slot) == [LOST, 0]
    fresh = gate.reserve()
    assert fresh.queue_since != slot.queue_since
    assert gate.confirm(slot) == [LOST, 0]  # the queue that began anew is not the one that was promised
    assert gate.confirm(fresh)[0] == GO


def test_acquire_sleeps_until_the_slot_and_no_longer(server, name) -> None:
    gate = Gate(server, name, requests=600)
    assert gate.limiter.acquire("m", 1).wait_seconds == 0
    assert gate.slept == []
    slot = gate.limiter.acquire("m", 1)
    assert gate.slept[0] == slot.wait_seconds > 0
    assert gate.now() >= slot.at  # it left after its slot, however short a sleep was
    assert all(0 < seconds <= slot.wait_seconds for seconds in gate.slept)


def test_one_who_lost_a_slot_waits_for_another_and_has_less_patience(server, name) -> None:
    gate = Gate(server, name, wait=2.5)
    gate.limiter.acquire("m", 1)

    def pause_meanwhile(seconds: float) -> None:
        """The provider refuses while this one sleeps for its slot, a second off."""
        gate.slept.append(seconds)
        gate.server.set(gate.key("pause"), gate.now() + 2 * SECOND)

    gate.limiter._sleep = pause_meanwhile
    with pytest.raises(Wait) as caught:  # of 2.5 s, one was lost with the slot: the next one is 2 s off
        gate.limiter.acquire("m", 1)
    assert len(gate.slept) == 1
    assert caught.value.seconds == pytest.approx(2 - 1.5 / 2, abs=0.5)


def test_a_slot_that_was_slept_through_costs_an_interval_of_patience(server, name) -> None:
    """Else a process that always comes too late would reserve slot after slot for ever."""
    gate, patience = Gate(server, name, requests=600, wait=0.25), []
    limiter: Any = gate.limiter
    original = limiter._reserve

    def lost_at_once(**call: Any) -> Any:
        patience.append(call["args"][1])
        answer = original(**call)
        gate.server.hset(gate.key("line"), mapping={"since": str(len(patience)), "next": str(gate.now())})
        if len(patience) == 4:
            raise KeyboardInterrupt
        return answer

    limiter._reserve = lost_at_once
    with pytest.raises(KeyboardInterrupt):
        gate.limiter.acquire("m", 1)
    interval = gate.limiter.limits.interval_seconds * SECOND
    assert patience == pytest.approx([250_000, 250_000 - interval, 250_000 - 2 * interval, 0], abs=2)


# --- tokens -------------------------------------------------------------------------------------------------------


def test_tokens_fill_the_window_to_its_last_and_no_further(server, name) -> None:
    gate = Gate(server, name, requests=60_000, tokens=1_000)
    assert [gate.reserve(250).wait_seconds < 1 for _ in range(4)] == [True] * 4
    slot = gate.reserve(250, wait=100)
    first = min(gate.log().values())
    assert slot.at == pytest.approx(first + INTERVAL * SECOND, abs=2)


def test_a_request_waits_for_as_many_old_ones_as_it_needs_the_room_of(server, name) -> None:
    gate, now = Gate(server, name, requests=60_000, tokens=1_000), 0
    now = gate.now()
    for age, tokens in ((50, 300), (40, 300), (30, 300)):
        gate.server.zadd(gate.key("tokens"), {f"{tokens}:old-{age}": now - age * SECOND})
    assert gate.reserve(100).wait_seconds == 0
    assert gate.reserve(200, wait=100).wait_seconds == pytest.approx(INTERVAL - 50, abs=0.5)
    slot = gate.reserve(500, wait=100)  # 300 leave after 11 s, 300 more after 21 s: 300 + 100 + 200 stay
    assert slot.wait_seconds == pytest.approx(INTERVAL - 30, abs=0.5)


def test_a_request_that_fits_exactly_goes_at_once(server, name) -> None:
    gate = Gate(server, name, requests=60_000, tokens=1_000)
    gate.server.zadd(gate.key("tokens"), {"600:old": gate.now() - SECOND})
    assert gate.reserve(400).wait_seconds < 0.1
    assert gate.reserve(1, wait=100).wait_seconds > 50


def test_tokens_that_will_have_left_by_the_slot_are_not_waited_for(server, name) -> None:
    """The queue's next slot may be later than the moment at which an old request leaves the window."""
    gate = Gate(server, name, requests=60_000, tokens=1_000)
    now = gate.now()
    gate.server.zadd(gate.key("tokens"), {"1000:old": now - 55 * SECOND})  # leaves 5.9 s from now
    gate.server.zadd(gate.key("tokens"), {"400:newer": now - 20 * SECOND})
    gate.server.set(gate.key("pause"), now + 10 * SECOND)
    slot = gate.reserve(600, wait=100)
    assert slot.at == now + 10 * SECOND


def test_what_left_the_window_is_forgotten(server, name) -> None:
    gate = Gate(server, name, requests=60_000, tokens=1_000)
    now = gate.now()
    gate.server.zadd(gate.key("tokens"), {"1000:gone": now - 61 * SECOND, "7:here": now - 60 * SECOND})
    assert gate.reserve(900).wait_seconds < 0.1
    assert set(gate.log()) == {"7:here", "900:id-0"}


def test_the_log_has_the_tokens_of_each_slot_and_is_kept_as_long_as_they_count(server, name) -> None:
    gate = Gate(server, name, tokens=1_000)
    first, second = gate.reserve(10), gate.reserve(20)
    assert gate.log() == {"10:id-0": first.at, "20:id-1": second.at}
    assert (first.entry, second.entry) == ("10:id-0", "20:id-1")
    kept = gate.server.pttl(gate.key("tokens")) / 1_000
    assert kept == pytest.approx(second.wait_seconds + INTERVAL + 1, abs=0.5)


def test_without_a_limit_of_tokens_none_are_logged(gate: Gate) -> None:
    slot = gate.reserve(1_000_000)
    gate.limiter.settle("m", slot, 5)
    assert gate.log() == {}


def test_a_limit_of_tokens_that_was_taken_away_holds_nobody_back(gate: Gate) -> None:
    """What was logged while there was one stays for a minute."""
    gate.server.zadd(gate.key("tokens"), {"1000:old": gate.now() - SECOND})
    assert gate.reserve(5).wait_seconds == 0


def test_a_limit_of_one_token_is_a_limit(server, name) -> None:
    gate = Gate(server, name, requests=60_000, tokens=1)
    gate.reserve(1)
    assert gate.reserve(1, wait=100).wait_seconds > 50


def test_settling_puts_what_was_taken_in_the_place_of_the_estimate(server, name) -> None:
    gate = Gate(server, name, tokens=1_000)
    slot, other = gate.reserve(900), gate.reserve(50)
    gate.limiter.settle("m", slot, 100)
    assert gate.log() == {"100:id-0": slot.at, "50:id-1": other.at}
    gate.limiter.settle("m", slot, 300)  # settled already: nothing is counted twice
    assert gate.log() == {"100:id-0": slot.at, "50:id-1": other.at}


def test_settling_tells_whether_the_window_still_had_it(server, name) -> None:
    gate = Gate(server, name, tokens=1_000)
    slot = gate.reserve(900)
    settle, keys = gate.limiter._settle, [gate.key("tokens")]
    assert settle(keys=keys, args=[slot.entry, "100:id-0"]) == 1
    assert settle(keys=keys, args=[slot.entry, "100:id-0"]) == 0


def test_what_no_window_can_hold_is_rejected_and_what_fills_one_is_not(server, name) -> None:
    gate = Gate(server, name, tokens=1_000)
    with pytest.raises(Rejected, match=r"1001 tokens.*EDUGRAPH_TOKENS_PER_MINUTE"):
        gate.limiter.acquire("m", 1_001)
    assert gate.log() == {}
    gate.limiter.acquire("m", 1_000)


# --- pauses -------------------------------------------------------------------------------------------------------


def test_a_shorter_pause_does_not_end_a_longer_one(gate: Gate) -> None:
    assert gate.limiter.pause("m", 10) == pytest.approx(10, abs=0.01)
    assert gate.limiter.pause("m", 2) == pytest.approx(10, abs=0.5)
    assert gate.reserve().wait_seconds == pytest.approx(10, abs=0.5)
    assert gate.limiter.pause("m", 20) == pytest.approx(20, abs=0.5)


def test_a_pause_is_kept_an_hour_longer_than_it_lasts(gate: Gate) -> None:
    """It is asked for at each slot that was given before it, and those may be an hour off."""
    gate.limiter.pause("m", 10)
    assert gate.server.pttl(gate.key("pause")) / 1_000 == pytest.approx(3_610, abs=0.5)


def test_refusals_without_a_time_double_the_pause_up_to_a_minute(gate: Gate) -> None:
    pauses = [gate.limiter.pause("m", None) for _ in range(7)]
    assert pauses == pytest.approx([2, 4, 8, 16, 32, 60, 60], abs=0.5)
    assert 119_000 < gate.server.pttl(gate.key("refusals")) <= 120_000  # after two minutes of peace they begin anew


def test_a_told_pause_counts_for_no_refusal(gate: Gate) -> None:
    gate.limiter.pause("m", 0)
    gate.limiter.pause("m", 1)
    assert gate.limiter.pause("m", None) == pytest.approx(2, abs=0.1)


def test_a_pause_of_no_time_pauses_nobody(gate: Gate) -> None:
    assert gate.limiter.pause("m", 0) == pytest.approx(0, abs=0.01)
    assert gate.limiter.pause("m", -30) == pytest.approx(0, abs=0.01)  # a date that has passed
    assert gate.reserve().wait_seconds == pytest.approx(0, abs=0.01)


def test_a_pause_is_an_hour_at_most(gate: Gate) -> None:
    assert LONGEST_PAUSE_SECONDS == 3_600
    assert gate.limiter.pause("m", 86_400) == pytest.approx(3_600, abs=0.1)


def test_a_fraction_of_a_second_is_a_pause(gate: Gate) -> None:
    assert gate.limiter.pause("m", 0.25) == pytest.approx(0.25, abs=0.01)


# --- whose limit, and without Redis -------------------------------------------------------------------------------


def test_models_have_limits_of_their_own(gate: Gate) -> None:
    gate.limiter.pause("another", 30)
    gate.limiter.acquire("another-one", 1)
    assert gate.limiter.acquire("m", 1).wait_seconds == 0


def settings(**chosen: Any) -> AnalyzerSettings:
    return AnalyzerSettings(**{"requests_per_minute": 6, "tokens_per_minute": 7, "longest_wait_seconds": 8} | chosen)


def test_processes_with_the_same_key_share_a_limit_and_redis_does_not_hold_the_key(server) -> None:
    key = f"test-{uuid.uuid4().hex}"
    one, two = (RateLimiter.of_settings(settings(openai_api_key=key, model="m"), server) for _ in range(2))
    other = RateLimiter.of_settings(settings(openai_api_key=f"{key}-2", model="m"), server)
    at_address = RateLimiter.of_settings(settings(openai_base_url=f"http://{key}/v1", model="m"), server)
    again = RateLimiter.of_settings(settings(openai_base_url=f"http://{key}/v1", model="m"), server)
    assert one.limits == RateLimits(6, 7, 8)
    assert one._key("m", "line") == two._key("m", "line")
    assert len({each._key("m", "line") for each in (one, other, at_address)}) == 3
    assert at_address._key("m", "line") == again._key("m", "line")
    assert key not in one._key("m", "line")


def test_all_keys_of_a_limit_are_in_one_slot_of_a_cluster(gate: Gate) -> None:
    names = [gate.limiter._key("m", what) for what in ("line", "pause", "tokens", "refusals")]
    assert len({name[name.index("{") : name.index("}") + 1] for name in names}) == 1
    assert len(set(names)) == 4


def test_of_settings_takes_another_clock_and_other_names(server) -> None:
    made = RateLimiter.of_settings(settings(openai_api_key="k", model="m"), server, sleep=print, new_id=str)
    assert (made._sleep, made._new_id) == (print, str)


CONNECTS = pytest.mark.loopback("a connection that is refused is the failure")


def away(tokens: int | None = None) -> RateLimiter:
    return RateLimiter(redis.Redis(port=1, retry=None), "test-away", RateLimits(60, tokens, 60))


@CONNECTS
def test_without_redis_nothing_may_leave() -> None:
    with pytest.raises(Retryable, match="no request was sent"):
        away().acquire("m", 1)


@CONNECTS
def test_without_redis_a_process_still_pauses_itself() -> None:
    assert away().pause("m", 30) == 30
    assert away().pause("m", None) == 1
    assert away().pause("m", 86_400) == 3_600


@CONNECTS
def test_without_redis_the_estimate_stays() -> None:
    away(tokens=5).settle("m", replace(Slot(1, 0.0, "5:x"), queue_since=1), 3)


def test_two_requests_of_as_many_tokens_are_two_entries(server, name) -> None:
    made = RateLimiter(server, name, RateLimits(60, 1_000, 60))
    assert made._reserved("m", 5, 60).entry != made._reserved("m", 5, 60).entry
    assert server.zcard(f"edugraph:limit:{{{name}:m}}:tokens") == 2
