"""The rate limit of the API on a Redis: its script gives exactly the tokens that a token bucket would give."""

from dataclasses import dataclass
from fractions import Fraction
from importlib import resources

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_common.runtime.shared_state.rate_limiter import RateLimiter

SECOND_US = 1_000_000
CLIENTS = ("one", "other")
# A test takes less than this of the time that the script reads from the server.
OWN_TIME_US = 5 * SECOND_US


@dataclass
class TokenBucket:
    """The reference: it is full at first, gets one token in `step_us`, and has never more than `burst`.

    Fractions are exact, where sums of floats may miss a whole token by a little.
    """

    burst: int
    step_us: int
    tokens: Fraction

    def rest(self, microseconds: int) -> None:
        got = Fraction(microseconds, self.step_us)
        self.tokens = min(Fraction(self.burst), self.tokens + got)

    def take(self, many: int) -> Fraction:
        """Return 0, or the microseconds to wait."""
        if self.tokens < many:
            return (many - self.tokens) * self.step_us
        self.tokens -= many
        return Fraction(0)


def now_us(server: "redis.Redis") -> int:
    seconds, microseconds = server.time()
    return int(seconds * SECOND_US + microseconds)


def is_late(server: "redis.Redis", key: str, microseconds: int) -> None:
    """Change the bucket as if the time went on by `microseconds`."""
    arrival = server.get(key)
    if arrival is not None:
        server.set(key, int(arrival) - microseconds, keepttl=True)


steps = st.lists(
    st.tuples(st.sampled_from(CLIENTS), st.integers(0, 40), st.integers(1, 6)), max_size=25
)


@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
@given(burst=st.integers(6, 12), step_s=st.integers(600, 3_000), steps=steps)
def test_the_script_gives_what_a_token_bucket_gives(
    server: "redis.Redis", name: str, burst: int, step_s: int, steps: list[tuple[str, int, int]]
) -> None:
    """Out: any argument, comparison or operation of rate_limit.lua. A step is so long that the test itself adds nothing."""
    script = server.register_script(
        resources.files("edugraph_common.runtime.shared_state")
        .joinpath("scripts", "rate_limit.lua")
        .read_text()
    )
    step_us = step_s * SECOND_US
    keys = {who: f"edugraph:turns:{name}-{who}" for who in CLIENTS}
    server.delete(*keys.values())
    buckets = {who: TokenBucket(burst, step_us, Fraction(burst)) for who in CLIENTS}
    for who, tenths_of_steps, many in steps:
        # A rest that ends halfway between two tokens, so that the time of the test decides nothing.
        rest_us = tenths_of_steps * step_us // 10 + (step_us // 20 if tenths_of_steps else 0)
        for each in CLIENTS:
            is_late(server, keys[each], rest_us)
            buckets[each].rest(rest_us)
        before = server.get(keys[who])
        expected_us = buckets[who].take(many)
        wait_us = int(script([keys[who]], [step_us, burst, many]))
        assert expected_us - OWN_TIME_US <= wait_us <= expected_us + 1
        assert (wait_us > 0) == (expected_us > 0)
        if wait_us:
            # A refusal costs nothing.
            assert server.get(keys[who]) == before
            continue
        until_full_us = (burst - buckets[who].tokens) * step_us
        # The bucket holds the server's time at which it will be full.
        assert abs(int(server.get(keys[who])) - now_us(server) - until_full_us) < OWN_TIME_US
        # The key lives until then, since an earlier end would give tokens away, and goes soon after.
        assert until_full_us / 1_000 <= server.pttl(keys[who]) <= burst * step_us / 1_000 + 1_000


def test_processes_share_the_bucket_of_a_client(server: "redis.Redis", name: str) -> None:
    """Out: the prefix, the client or the limit in `take`. The clock of a process decides nothing."""
    early = RateLimiter(server, 1, 3, clock=lambda: 0.0, keys=f"edugraph:turns:{name}-")
    late = RateLimiter(server, 1, 3, clock=lambda: 1e9, keys=f"edugraph:turns:{name}-")
    elsewhere = RateLimiter(server, 1, 3, keys=f"edugraph:reading-turns:{name}-")
    assert [early.take("c"), late.take("c"), early.take("c")] == [0, 0, 0]
    for limiter in (early, late):
        assert 55 < limiter.take("c") <= 60
    assert late.take("other") == 0
    assert elsewhere.take("c") == 0
