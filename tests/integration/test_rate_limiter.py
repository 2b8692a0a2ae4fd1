"""The limiter's promises, one by one, on an embedded Valkey: its scripts run in the server and go by the server's clock.

A limit of 60 a minute makes slots about one second apart; with `sleep` recorded instead of slept, nothing waits.
"""

import hashlib
import uuid
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from edugraph_analyzer.llm.rate_limiter import (
    LATEST_SECONDS,
    LONGEST_PAUSE_SECONDS,
    LOST_SECONDS,
    USED_SHARE,
    WINDOW_SECONDS,
    RateLimiter,
    Slot,
    interval_seconds,
    name_of_key,
    paying_seconds,
)
from edugraph_analyzer.models_file import Limits
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Rejected, Retryable, Wait

SECOND = 1_000_000  # the scripts count microseconds
GO, LOST, TOO_EARLY = 1, 0, 2
INTERVAL = 60 / 0.985


class Gate:
    """A limiter that never sleeps; `slept` has what it would have."""

    def __init__(
        self,
        server: "redis.Redis",
        name: str,
        *,
        requests: int = 60,
        tokens: int | None = None,
        concurrency: int | None = None,
        wait: float = 60,
        of_key: Limits | None = None,
    ):
        self.server, self.slept = server, []
        ids = iter(f"id-{number}" for number in range(1_000))
        limits = Limits(
            requests_per_minute=requests, tokens_per_minute=tokens, concurrency=concurrency
        )
        self.limiter = RateLimiter(
            server,
            name,
            lambda _: limits,
            of_key=of_key,
            longest_wait_seconds=wait,
            sleep=self.slept.append,
            new_id=lambda: next(ids),
        )
        self._name, self.interval = name, interval_seconds(requests)
        self._began = self.now()

    def key(self, what: str) -> str:
        return self.key_of_all(f"m:{what}")

    def key_of_all(self, what: str) -> str:
        return f"edugraph:limit:{{{self._name}}}:{what}"

    def pause(self, seconds: float | None, why: Any = "refused", slot: Slot | None = None) -> float:
        return self.limiter.pause("m", why, "it said so", seconds, slot)

    def now(self) -> int:
        seconds, microseconds = self.server.time()
        return seconds * SECOND + microseconds

    def is_left(self, value: float, of: float) -> bool:
        """Whether `value` is what is left of so many seconds, of which this test may have taken all that it took."""
        return of - (self.now() - self._began) / SECOND - 0.01 < value < of + 0.01

    def reserve(self, tokens: int = 1, wait: float = 60) -> Slot:
        return self.limiter._reserved("m", tokens, wait, "x")

    def confirm(self, slot: Slot, at: int | None = None) -> list[int]:
        """Ask as if the slot's time were `at`."""
        return self.limiter._confirm(
            keys=[self.key("line"), self.key("pause")],
            args=[slot.at if at is None else at, round(LATEST_SECONDS * SECOND), slot.queue_since],
        )


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
        round(gate.interval * SECOND) * n for n in (1, 2, 3)
    ]
    assert gate.is_left(slots[2].wait_seconds, (slots[2].at - before) / SECOND)
    assert {slot.queue_since for slot in slots} == {first.queue_since}
    assert before <= first.queue_since <= first.at


def test_limits_leave_room_for_requests_that_are_under_way_longer() -> None:
    assert interval_seconds(100) == pytest.approx(60 / 98.5)
    jitter_seconds = 60 / USED_SHARE - WINDOW_SECONDS
    assert jitter_seconds == pytest.approx(0.91, abs=0.01)
    assert jitter_seconds / 2 > LATEST_SECONDS  # the rest is for the way to the provider


def test_a_slot_as_far_off_as_allowed_is_given_and_one_further_off_reserves_nothing(
    server, name
) -> None:
    gate = Gate(server, name, requests=6)
    gate.reserve()
    assert gate.is_left(gate.reserve(wait=gate.interval).wait_seconds, gate.interval)
    state = gate.server.hgetall(gate.key("line"))
    with pytest.raises(Wait):
        gate.reserve(wait=gate.interval)  # the third is two intervals off
    assert gate.server.hgetall(gate.key("line")) == state


def test_one_who_is_refused_comes_back_when_half_of_the_patience_is_enough(gate: Gate) -> None:
    gate.pause(10)
    with pytest.raises(Wait) as caught:
        gate.reserve(wait=6)
    assert gate.is_left(caught.value.seconds, 10 - 6 / 2)


def test_one_who_is_refused_comes_back_after_a_second_at_the_earliest(server, name) -> None:
    gate = Gate(server, name, requests=62)  # nearly a second apart
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
    assert gate.is_left(gate.server.pttl(gate.key("line")) / 1_000, last.wait_seconds + 3_600)


def test_slots_begin_where_a_pause_ends(gate: Gate) -> None:
    gate.pause(7)
    slot = gate.reserve()
    assert gate.is_left(slot.wait_seconds, 7)
    assert slot.at == int(gate.server.get(gate.key("pause")))


# --- leaving ------------------------------------------------------------------------------------------------------


def test_a_request_before_its_slot_is_told_how_long_to_wait(gate: Gate) -> None:
    gate.reserve()
    slot = gate.reserve()
    answer, wait = gate.confirm(slot)
    assert answer == TOO_EARLY
    assert gate.is_left(wait / SECOND, slot.wait_seconds)
    assert wait > 0


def test_a_request_may_leave_at_its_slot_and_a_little_after_but_not_long_after(gate: Gate) -> None:
    slot = gate.reserve()
    now = gate.now()
    answer = gate.confirm(slot, at=now)
    assert answer == [GO, 0] or gate.now() - now > LATEST_SECONDS * SECOND
    a_little_before = gate.now() - round((LATEST_SECONDS - 0.3) * SECOND)
    answer = gate.confirm(slot, at=a_little_before)
    assert answer == [GO, 0] or gate.now() - a_little_before > LATEST_SECONDS * SECOND
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
    # The queue began again, so it is not the one that was promised.
    assert gate.confirm(slot) == [LOST, 0]
    assert gate.confirm(fresh)[0] == GO


def test_acquire_sleeps_until_the_slot_and_no_longer(server, name) -> None:
    gate = Gate(server, name, requests=120)
    assert gate.limiter.acquire("m", 1).wait_seconds == 0
    assert gate.slept == []
    slot = gate.limiter.acquire("m", 1)
    assert 0 < gate.slept[0] <= slot.wait_seconds
    assert gate.now() >= slot.at  # it left after its slot, however short a sleep was
    assert all(0 < seconds <= slot.wait_seconds for seconds in gate.slept)


def test_one_who_lost_a_slot_waits_for_another_and_has_less_patience(server, name) -> None:
    gate = Gate(server, name, wait=2.5)
    gate.limiter.acquire("m", 1)

    def pause_meanwhile(seconds: float) -> None:
        """The provider refuses while this one sleeps for its slot, a second off."""
        gate.slept.append(seconds)
        gate.server.set(gate.key("pause"), gate.now() + 3 * SECOND)

    gate.limiter._sleep = pause_meanwhile
    with pytest.raises(
        Wait
    ) as caught:  # of 2.5 s, one was lost with the slot: the next one is 3 s off
        gate.limiter.acquire("m", 1)
    assert len(gate.slept) == 1
    assert gate.is_left(caught.value.seconds, 3 - (2.5 - gate.interval) / 2)


def test_a_slot_that_was_slept_through_costs_an_interval_of_patience(server, name) -> None:
    """Else a process that always comes too late would reserve slot after slot for ever."""
    gate, patience = Gate(server, name, requests=600, wait=0.25), []
    limiter: Any = gate.limiter
    original = limiter._reserve

    def lost_at_once(**call: Any) -> Any:
        patience.append(call["args"][1])
        answer = original(**call)
        gate.server.hset(
            gate.key("line"), mapping={"since": str(len(patience)), "next": str(gate.now())}
        )
        if len(patience) == 4:
            raise KeyboardInterrupt
        return answer

    limiter._reserve = lost_at_once
    with pytest.raises(KeyboardInterrupt):
        gate.limiter.acquire("m", 1)
    interval = gate.interval * SECOND
    assert patience == pytest.approx(
        [250_000, 250_000 - interval, 250_000 - 2 * interval, 0], abs=2
    )


# --- tokens -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 1_000_000), st.integers(1, 1_000_000))
def test_requests_of_one_size_never_exceed_the_tokens_of_a_window(
    tokens: int, per_minute: int
) -> None:
    """As many as fit leave in any window, and none more, but for one that is larger than the limit."""
    apart = paying_seconds(tokens, per_minute)
    in_window = 1 + int(WINDOW_SECONDS // apart)
    assert in_window * tokens <= max(per_minute, tokens)
    assert (in_window + 1) * tokens > per_minute * 0.98 or in_window == per_minute // tokens


def test_tokens_keep_the_queue_busy_as_long_as_they_take(server, name) -> None:
    gate = Gate(server, name, requests=60_000, tokens=1_000)
    first, second, third = (gate.reserve(tokens, wait=100) for tokens in (250, 500, 1))
    assert second.at - first.at == round(INTERVAL / 4 * SECOND)
    assert third.at - second.at == round(INTERVAL / 2 * SECOND)


def test_without_a_limit_of_tokens_none_are_counted(gate: Gate) -> None:
    slot = gate.reserve(1_000_000)
    gate.limiter.settle("m", slot, 5)
    assert gate.server.hget(gate.key("line"), "paid") is None


def test_a_limit_of_tokens_that_was_taken_away_holds_nobody_back(gate: Gate) -> None:
    gate.server.hset(gate.key("line"), "paid", gate.now() + 50 * SECOND)
    assert gate.reserve(5).wait_seconds == 0


@pytest.mark.parametrize("limit", [{"tokens": 1_000}, {"of_key": Limits(tokens_per_minute=1_000)}])
def test_settling_gives_back_what_was_not_taken_and_takes_what_was_too_little(
    server, name, limit: Any
) -> None:
    gate = Gate(server, name, requests=60_000, **limit)
    slot = gate.reserve(1_000)
    gate.limiter.settle("m", slot, 100)
    later = gate.reserve(1_000, wait=100)
    assert later.at - slot.at == pytest.approx(INTERVAL / 10 * SECOND, abs=2)
    gate.limiter.settle("m", slot, None)  # not known: nothing changes
    gate.limiter.settle("m", replace(slot, tokens=100), 500)
    assert gate.reserve(1, wait=200).at - later.at == pytest.approx(
        (1 + 0.5 - 0.1) * INTERVAL * SECOND, abs=2
    )


def test_settling_leaves_the_time_to_live_as_it_is(server, name) -> None:
    """Else the state of a key that is used no more stays for ever."""
    gate = Gate(server, name, requests=60_000, tokens=1_000, of_key=Limits(tokens_per_minute=1_000))
    slot = gate.reserve(500)
    kept = [server.pttl(key) for key in (gate.key("line"), gate.key_of_all("paid"))]
    gate.limiter.settle("m", slot, 5)
    now = [server.pttl(key) for key in (gate.key("line"), gate.key_of_all("paid"))]
    assert all(0 < later <= before for later, before in zip(now, kept, strict=True))


def test_the_limiter_keeps_a_fixed_number_of_values_however_many_requests_leave(
    server, name
) -> None:
    """A log of the last minute took longer with each entry."""
    gate = Gate(server, name, requests=6_000_000, tokens=60_000_000)
    for _ in range(50):
        gate.reserve(5)
    assert set(server.hgetall(gate.key("line"))) == {b"since", b"next", b"paid"}
    assert len(list(server.scan_iter(match=f"*{name}*", count=1_000))) == 1


def test_what_no_window_can_hold_is_rejected_and_what_fills_one_is_not(server, name) -> None:
    gate = Gate(server, name, tokens=1_000)
    with pytest.raises(Rejected, match=r"1001 tokens.*EDUGRAPH_TOKENS_PER_MINUTE"):
        gate.limiter.acquire("m", 1_001)
    assert not server.exists(gate.key("line"))
    gate.limiter.acquire("m", 1_000)


# --- all models of a key, and how many at one time ----------------------------------------------------------------


@given(st.lists(st.sampled_from(["slow", "fast"]), min_size=1, max_size=40))
@settings_of_hypothesis(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_models_of_one_key_share_its_limit_and_keep_their_own(server, models: list[str]) -> None:
    limits = {"slow": Limits(requests_per_minute=10), "fast": Limits(requests_per_minute=90)}
    name = f"test-{uuid.uuid4().hex[:12]}"
    made = RateLimiter(
        server,
        name,
        lambda model: limits[model],
        of_key=Limits(requests_per_minute=60),
        longest_wait_seconds=10_000,
        sleep=lambda _: None,
    )
    slots = [(made._reserved(model, 1, 10_000, "x").at, model) for model in models]
    for key in server.scan_iter(match=f"*{name}*", count=1_000):
        server.delete(key)
    for chosen, per_minute in (({"slow", "fast"}, 60), ({"slow"}, 10), ({"fast"}, 90)):
        times = sorted(at for at, model in slots if model in chosen)
        gaps = [later - before for before, later in pairwise(times)]
        assert all(gap >= round(60 / 0.985 / per_minute * SECOND) for gap in gaps)
    # A slow model's slot far ahead keeps no fast one from the time before it.
    fast = sorted(at for at, model in slots if model == "fast")
    assert not fast or fast[-1] - min(at for at, _ in slots) <= len(slots) * INTERVAL * SECOND * 2


def test_as_many_as_allowed_are_under_way_and_the_next_waits_for_one_to_end(server, name) -> None:
    gate = Gate(server, name, requests=60_000, of_key=Limits(concurrency=2), wait=3)
    first, second = gate.limiter.acquire("m", 1), gate.limiter.acquire("another", 1)
    with pytest.raises(Wait, match="under way"):
        gate.limiter.acquire("m", 1)
    assert sum(gate.slept) == pytest.approx(3, abs=0.6)
    assert (gate.slept[0], max(gate.slept)) == (0.05, 0.5)  # it looks often at first
    gate.limiter.leave("another", second.name)
    third = gate.limiter.acquire("m", 1)
    for slot in (first, third):
        gate.limiter.leave("m", slot.name)
    assert not server.exists(gate.key_of_all("open"))


def test_a_model_has_so_many_under_way_and_another_model_its_own(server, name) -> None:
    gate = Gate(server, name, requests=60_000, concurrency=1, wait=1)
    first = gate.limiter.acquire("m", 1)
    gate.limiter.acquire("another", 1)
    for _ in range(2):
        with pytest.raises(Wait, match="under way"):
            gate.limiter.acquire("m", 1)
        gate.limiter.leave("m", first.name)
        first = gate.limiter.acquire("m", 1)


def test_a_request_that_is_under_way_for_ten_minutes_is_taken_for_lost(server, name) -> None:
    """Its process may have been killed: else its place would stay taken."""
    gate, lost_microseconds = (
        Gate(server, name, requests=60_000, of_key=Limits(concurrency=1), wait=1),
        round(LOST_SECONDS * SECOND),
    )
    before = gate.now()
    lost = gate.limiter.acquire("m", 1)
    key = gate.key_of_all("open")
    assert before <= server.zscore(key, lost.name) - lost_microseconds <= gate.now()
    assert 0 < server.pttl(key) <= LOST_SECONDS * 1_000
    with pytest.raises(Wait, match="under way"):
        gate.limiter.acquire("m", 1)
    server.zadd(key, {lost.name: before})
    instead = gate.limiter.acquire("m", 1)
    assert server.zrange(key, 0, -1) == [instead.name.encode()]


def test_a_request_whose_slot_is_refused_is_not_under_way(server, name) -> None:
    gate = Gate(server, name, requests=1, of_key=Limits(concurrency=2), wait=3)
    gate.limiter.acquire("m", 1)
    with pytest.raises(Wait, match="used up"):
        gate.limiter.acquire("m", 1)
    assert server.zcard(gate.key_of_all("open")) == 1


# --- pauses -------------------------------------------------------------------------------------------------------


def test_a_shorter_pause_does_not_end_a_longer_one(gate: Gate) -> None:
    assert gate.pause(10) == pytest.approx(10, abs=0.01)
    assert gate.is_left(gate.pause(2), 10)
    assert gate.is_left(gate.reserve().wait_seconds, 10)
    assert gate.pause(20) == pytest.approx(20, abs=0.01)


def test_a_pause_is_kept_an_hour_longer_than_it_lasts(gate: Gate) -> None:
    """It is asked for at each slot that was given before it, and those may be an hour off."""
    gate.pause(10)
    for key in ("pause", "reason"):
        assert gate.is_left(gate.server.pttl(gate.key(key)) / 1_000, 3_610)


def test_refusals_without_a_time_double_the_pause_up_to_a_minute(gate: Gate) -> None:
    assert [gate.pause(None) for _ in range(7)] == pytest.approx(
        [2, 4, 8, 16, 32, 60, 60], abs=0.01
    )


@pytest.mark.parametrize(("why", "first", "longest"), [("failed", 2, 300), ("useless", 60, 600)])
def test_failures_pause_all_from_the_third_in_a_row_on_and_longer_each_time(
    gate: Gate, why: Any, first: int, longest: int
) -> None:
    pauses = [gate.pause(None, why) for _ in range(12)]
    assert pauses == pytest.approx(
        [0, 0, *(min(first * 2**n, longest) for n in range(10))], abs=0.01
    )


def test_requests_that_were_under_way_when_the_pause_began_make_it_no_longer(gate: Gate) -> None:
    slots = [replace(gate.reserve(), at=gate.now()) for _ in range(20)]
    pauses = [gate.pause(None, "failed", slot) for slot in slots]
    assert pauses[:2] == [0, 0]
    assert all(gate.is_left(pause, 2) for pause in pauses[2:])
    after = replace(slots[0], at=gate.now() + 1)
    assert gate.pause(None, "failed", after) == pytest.approx(4, abs=0.01)


def test_an_answer_ends_the_row_of_failures_and_a_useful_one_that_of_useless_ones(
    gate: Gate,
) -> None:
    slot = gate.reserve()
    for why in ("failed", "failed", "useless", "useless"):
        assert gate.pause(None, why) == 0
    gate.limiter.settle("m", slot, None)
    assert gate.pause(None, "failed") == 0
    gate.limiter.worked("m")
    assert gate.pause(None, "useless") == 0


def test_those_who_wait_are_told_why(gate: Gate) -> None:
    gate.limiter.pause("m", "failed", "the provider answered 503", 100)
    with pytest.raises(Wait, match="the provider answered 503; nobody asks it"):
        gate.reserve()
    assert gate.is_left(gate.limiter.paused_seconds("m"), 100)
    assert gate.limiter.paused_seconds("another") == 0


@pytest.mark.parametrize("told", [0, -30, 0.25, 1, None])
def test_a_pause_that_is_told_is_a_minimum_and_never_takes_the_growing_one_away(
    gate: Gate, told: float | None
) -> None:
    """Out: the growing pause beside what is told. A `Retry-After: 0` and a date that is past mean 0 here."""
    assert [gate.pause(told) for _ in range(7)] == pytest.approx(
        [2, 4, 8, 16, 32, 60, 60], abs=0.01
    )


def test_the_longer_one_of_a_told_and_a_growing_pause_holds(gate: Gate) -> None:
    assert [gate.pause(5) for _ in range(4)] == pytest.approx([5, 5, 8, 16], abs=0.01)


def test_a_server_s_fault_that_says_how_long_pauses_all_at_once_and_counts_in_the_row(
    gate: Gate,
) -> None:
    assert gate.pause(0, "failed") == 0
    assert gate.pause(3, "failed") == pytest.approx(3, abs=0.01)
    assert [gate.pause(0, "failed") for _ in range(3)] == pytest.approx([3, 4, 8], abs=0.05)


def test_requests_that_were_under_way_make_a_pause_longer_only_by_what_they_are_told(
    gate: Gate,
) -> None:
    slot = replace(gate.reserve(), at=gate.now())
    gate.pause(None)
    assert gate.is_left(gate.pause(0, slot=slot), 2)
    assert gate.pause(9, slot=slot) == pytest.approx(9, abs=0.01)
    assert gate.pause(None, slot=replace(slot, at=gate.now() + 1)) == pytest.approx(9, abs=0.05)


def test_a_pause_is_an_hour_at_most(gate: Gate) -> None:
    assert LONGEST_PAUSE_SECONDS == 3_600
    assert gate.pause(86_400) == pytest.approx(3_600, abs=0.1)


def test_a_fraction_of_a_second_is_a_pause(gate: Gate) -> None:
    assert gate.pause(0.25, "failed") == pytest.approx(0.25, abs=0.01)


# --- whose limit, and without Redis -------------------------------------------------------------------------------


def test_models_have_limits_of_their_own(gate: Gate) -> None:
    gate.limiter.pause("another", "refused", "r", 30)
    gate.limiter.acquire("another-one", 1)
    assert gate.limiter.acquire("m", 1).wait_seconds == 0


def settings(**chosen: Any) -> AnalyzerSettings:
    return AnalyzerSettings(
        **{"requests_per_minute": 6, "tokens_per_minute": 7, "longest_wait_seconds": 8} | chosen
    )


def test_processes_with_the_same_key_share_a_limit_and_redis_does_not_hold_the_key() -> None:
    key, names = f"test-{uuid.uuid4().hex}", []
    for chosen in (
        {"openai_api_key": key},
        {"openai_api_key": f"{key}-2"},
        {"openai_base_url": f"http://{key}/v1"},
    ):
        (endpoint,) = settings(model="m", **chosen).endpoints_for("m")
        secret = endpoint.keys[0].get_secret_value() if endpoint.keys else None
        assert name_of_key(endpoint, secret) == name_of_key(endpoint.model_copy(), secret)
        names.append(name_of_key(endpoint, secret))
        # Processes of another release go by the same name.
        assert names[-1] == hashlib.sha256((secret or f"http://{key}/v1").encode()).hexdigest()[:16]
    assert len(set(names)) == 3
    assert key not in "".join(names)


def test_limits_are_those_of_the_settings(server) -> None:
    made = RateLimiter.of_settings(settings(model="m"), server)(
        settings().endpoints_for("m")[0], "name"
    )
    assert made._limits_of("m") == Limits(requests_per_minute=6, tokens_per_minute=7)
    assert made._longest_wait_seconds == 8


def test_all_keys_of_a_limit_are_in_one_slot_of_a_cluster(gate: Gate) -> None:
    names = [gate.limiter._key("m", what) for what in ("line", "pause", "failed")] + [
        gate.limiter._key_of_all("slots")
    ]
    assert len({name[name.index("{") : name.index("}") + 1] for name in names}) == 1
    assert len(set(names)) == 4


def test_of_settings_takes_another_clock_and_other_names(server) -> None:
    made = RateLimiter.of_settings(settings(), server, sleep=print, new_id=str)(
        settings().endpoints_for("m")[0], "n"
    )
    assert (made._sleep, made._new_id) == (print, str)


CONNECTS = pytest.mark.loopback("a connection that is refused is the failure")


def away(tokens: int | None = None) -> RateLimiter:
    limits = Limits(requests_per_minute=60, tokens_per_minute=tokens)
    return RateLimiter(
        redis.Redis(port=1, retry=None), "test-away", lambda _: limits, longest_wait_seconds=60
    )


@CONNECTS
def test_without_redis_nothing_may_leave() -> None:
    with pytest.raises(Retryable, match="no request was sent"):
        away().acquire("m", 1)


@CONNECTS
def test_without_redis_a_process_still_pauses_itself() -> None:
    assert away().pause("m", "refused", "r", 30) == 30
    assert away().pause("m", "refused", "r") == 1
    assert away().pause("m", "refused", "r", 86_400) == 3_600


@CONNECTS
def test_without_redis_the_estimate_stays() -> None:
    slot = Slot(1, 0.0, 1, 5, 60.0, "x")
    away(tokens=5).settle("m", slot, 3)
    away().leave("m", slot.name)
