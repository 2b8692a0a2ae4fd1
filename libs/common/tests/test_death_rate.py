from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.messaging.worker.circuit_breaker import LONGEST_PAUSE, DeathRate


@given(ends=st.lists(st.booleans(), max_size=300), limit=st.integers(1, 30))
def test_it_pauses_exactly_after_so_many_deaths_in_a_row(ends: list[bool], limit: int) -> None:
    rate, in_a_row = DeathRate(limit, 60), 0
    for died in ends:
        if not died:
            rate.lived()
            in_a_row = 0
            continue
        in_a_row += 1
        seconds = rate.died()
        assert bool(seconds) is (in_a_row == limit)
        if seconds:
            return


def test_after_a_pause_one_death_is_enough_and_the_next_pause_is_longer() -> None:
    rate, pauses = DeathRate(2, 60), []
    assert rate.died() == 0
    for _ in range(6):
        pauses.append(rate.died())
        assert rate.died() == 0
        rate.resume()
    assert pauses == [60, 120, 240, 480, LONGEST_PAUSE, LONGEST_PAUSE]


def test_one_that_lives_after_a_pause_makes_all_good() -> None:
    rate = DeathRate(2, 60)
    rate.died()
    assert rate.died() == 60
    rate.resume()
    rate.lived()
    assert rate.died() == 0
    assert rate.died() == 60
