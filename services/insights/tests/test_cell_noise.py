"""The noise of cells: the published table, and what decides about it."""

from collections import Counter
from math import sqrt

import pytest

from edugraph_insights.cell_noise import CellNoise, noise_table

# The maximum-entropy table with D = 5 and V = 2.25, as the R package ptable gives it.
PUBLISHED = {0: 0.266, 1: 0.213, 2: 0.109, 3: 0.036, 4: 0.0077, 5: 0.0010}
STUDENTS = [f"s{number}" for number in range(30)]


def test_the_table_of_counts_is_the_published_one() -> None:
    """To take the guard out: another variance or another largest noise."""
    table = noise_table()
    assert list(table) == list(range(-5, 6))
    for noise, probability in table.items():
        places = 4 if abs(noise) > 3 else 3
        assert round(probability, places) == pytest.approx(
            PUBLISHED[abs(noise)], abs=0.6 / 10**places
        )
    assert sum(table.values()) == pytest.approx(1)
    assert sum(chance * noise**2 for noise, chance in table.items()) == pytest.approx(2.25)


def test_noise_is_drawn_as_often_as_the_table_says() -> None:
    noise = CellNoise("secret of the tests")
    drawn = Counter(noise.of_count(STUDENTS, f"statistic {n}") for n in range(20_000))
    for value, probability in noise_table().items():
        expected = 20_000 * probability
        assert abs(drawn[value] - expected) < 5 * sqrt(expected) + 5


def test_noise_of_sums_is_as_wide_and_bounded() -> None:
    noise = CellNoise("secret of the tests")
    drawn = [noise.of_sum(STUDENTS, f"statistic {n}") for n in range(20_000)]
    assert max(map(abs, drawn)) <= 5
    assert sum(drawn) / 20_000 == pytest.approx(0, abs=0.05)
    assert sum(each**2 for each in drawn) / 20_000 == pytest.approx(2.23, abs=0.08)


def test_the_set_the_statistic_and_the_secret_decide_and_nothing_else() -> None:
    """Out: any of them in the cell key. Asking again, and another order of the students, change nothing."""
    first = CellNoise("secret of the tests").of_sum(STUDENTS, "right")
    assert CellNoise("secret of the tests").of_sum(STUDENTS[::-1], "right") == pytest.approx(first)
    assert CellNoise("secret of the tests").of_sum(STUDENTS[1:], "right") != pytest.approx(first)
    assert CellNoise("secret of the tests").of_sum(STUDENTS, "wrong") != pytest.approx(first)
    assert CellNoise("another secret").of_sum(STUDENTS, "right") != pytest.approx(first)
