"""The bootstrap over students: about as wide as theory says, and the same for the same seed."""

from math import sqrt
from random import Random
from statistics import mean, pvariance

import numpy as np
import pytest

from edugraph_insights.bootstrap import Resamples, difference_interval


def interval_of(one: list[float], other: list[float], seed: int) -> tuple[float, float] | None:
    found = []
    for number, each in enumerate((one, other)):
        students = [f"s{place}" for place in range(len(each))]
        resamples = Resamples([*students, "without a value"], np.random.default_rng((seed, number)))
        found.append(resamples.means(dict(zip(students, each, strict=True))))
    return difference_interval(*found)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("size", "other_size"), [(30, 60), (60, 60), (100, 30), (200, 200)])
def test_the_interval_is_about_that_of_the_normal_distribution(
    size: int, other_size: int, seed: int
) -> None:
    """The seeds are fixed, since some of all seeds draw samples that are far from a normal distribution."""
    drawn = Random(seed)
    one, other = ([drawn.random() for _ in range(each)] for each in (size, other_size))
    found = interval_of(one, other, seed)
    assert found == interval_of(one, other, seed)
    error = sqrt(pvariance(one) / len(one) + pvariance(other) / len(other))
    assert found is not None
    for end, sign in zip(found, (-1, 1), strict=True):
        assert end == pytest.approx(mean(one) - mean(other) + sign * 1.96 * error, abs=0.4 * error)


def test_a_group_without_students_has_no_interval() -> None:
    nobody = Resamples([], np.random.default_rng(0)).means({})
    somebody = Resamples(["s"], np.random.default_rng(0)).means({"s": 1.0})
    assert difference_interval(nobody, somebody) is None
    assert difference_interval(somebody, somebody) == (0.0, 0.0)
