from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.runtime.messaging.worker.circuit_breaker import (
    LONGEST_PAUSE_SECONDS,
    CircuitBreaker,
)

# The job of each death; None for a task that lived.
ends = st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=300)


@given(ends=ends, limit=st.integers(2, 30))
def test_it_pauses_after_so_many_deaths_in_a_row_of_which_one_job_counts_for_half(
    ends: list[int | None], limit: int
) -> None:
    breaker, in_a_row = CircuitBreaker(limit, 60), list[int]()
    for job in ends:
        if job is None:
            breaker.record_success()
            in_a_row = []
            continue
        in_a_row.append(job)
        counted = sum(min(deaths, limit // 2) for deaths in Counter(in_a_row).values())
        seconds = breaker.record_failure(job)
        assert bool(seconds) is (counted >= limit)
        if seconds:
            return


@given(limit=st.integers(2, 30), deaths=st.integers(1, 1_000), job=st.integers(0, 2**32 - 1))
def test_one_job_alone_never_pauses_the_queue(limit: int, deaths: int, job: int) -> None:
    breaker = CircuitBreaker(limit, 60)
    assert not any(breaker.record_failure(job) for _ in range(deaths))


def paused() -> CircuitBreaker:
    breaker = CircuitBreaker(2, 60)
    assert [breaker.record_failure(1), breaker.record_failure(2)] == [0, 60]
    return breaker


def test_after_a_pause_two_jobs_are_enough_and_the_next_pause_is_longer() -> None:
    breaker, pauses = paused(), []
    for _ in range(5):
        assert breaker.record_failure(3) == 0
        breaker.resume()
        assert [breaker.record_failure(1), breaker.record_failure(1)] == [0, 0]
        pauses.append(breaker.record_failure(2))
    assert pauses == [120, 240, 480, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


def test_one_that_lives_after_a_pause_makes_all_good() -> None:
    breaker = paused()
    breaker.resume()
    breaker.record_failure(1)
    breaker.record_success()
    assert breaker.record_failure(2) == 0
    assert breaker.record_failure(1) == 60
