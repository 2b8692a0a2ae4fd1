from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.messaging.worker.circuit_breaker import LONGEST_PAUSE, DeathRate

# The job of each death; None for a task that lived.
ends = st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=300)


@given(ends=ends, limit=st.integers(2, 30))
def test_it_pauses_after_so_many_deaths_in_a_row_of_which_one_job_counts_for_half(
    ends: list[int | None], limit: int
) -> None:
    rate, in_a_row = DeathRate(limit, 60), list[int]()
    for job in ends:
        if job is None:
            rate.lived()
            in_a_row = []
            continue
        in_a_row.append(job)
        counted = sum(min(deaths, limit // 2) for deaths in Counter(in_a_row).values())
        seconds = rate.died(job)
        assert bool(seconds) is (counted >= limit)
        if seconds:
            return


@given(limit=st.integers(2, 30), deaths=st.integers(1, 1_000), job=st.integers(0, 2**32 - 1))
def test_one_job_alone_never_pauses_the_queue(limit: int, deaths: int, job: int) -> None:
    rate = DeathRate(limit, 60)
    assert not any(rate.died(job) for _ in range(deaths))


def paused() -> DeathRate:
    rate = DeathRate(2, 60)
    assert [rate.died(1), rate.died(2)] == [0, 60]
    return rate


def test_after_a_pause_two_jobs_are_enough_and_the_next_pause_is_longer() -> None:
    rate, pauses = paused(), []
    for _ in range(5):
        assert rate.died(3) == 0
        rate.resume()
        assert [rate.died(1), rate.died(1)] == [0, 0]
        pauses.append(rate.died(2))
    assert pauses == [120, 240, 480, LONGEST_PAUSE, LONGEST_PAUSE]


def test_one_that_lives_after_a_pause_makes_all_good() -> None:
    rate = paused()
    rate.resume()
    rate.died(1)
    rate.lived()
    assert rate.died(2) == 0
    assert rate.died(1) == 60
