"""Noise for numbers about a set of students. It depends on a secret, on the set and on the statistic, not on chance.

The same number about the same students always has the same noise, so that asking again does not remove it.
The reasons, and the bound on the knowledge of an outsider, are in docs/adr/0130.
"""

import hmac
from bisect import bisect_right
from collections.abc import Collection
from functools import cache
from itertools import accumulate
from math import exp, sqrt
from statistics import NormalDist

# Noise lies between -LARGEST_NOISE and LARGEST_NOISE students, with this variance.
LARGEST_NOISE = 5
NOISE_VARIANCE = 2.25
NOISE_SPREAD = sqrt(NOISE_VARIANCE)

_STEPS_OF_SEARCH = 100
_NUMBER_OF_KEYS = 1 << 64
_DIGEST = "sha256"
_NORMAL = NormalDist(0.0, NOISE_SPREAD)


@cache
def noise_table() -> dict[int, float]:
    """Return the probability of each noise of a count: of all tables with this variance, that of the largest entropy.

    Its probabilities are proportional to exp(-rate · noise²). The rate is found by halving an interval.
    """
    low, high = 0.0, 10.0
    for _ in range(_STEPS_OF_SEARCH):
        middle = (low + high) / 2
        if _variance(_table(middle)) > NOISE_VARIANCE:
            low = middle
        else:
            high = middle
    return _table(high)


def _table(rate: float) -> dict[int, float]:
    weights = {noise: exp(-rate * noise**2) for noise in range(-LARGEST_NOISE, LARGEST_NOISE + 1)}
    total = sum(weights.values())
    return {noise: weight / total for noise, weight in weights.items()}


def _variance(table: dict[int, float]) -> float:
    return sum(probability * noise**2 for noise, probability in table.items())


class CellNoise:
    """The noise of each statistic of each set of students. Threads may not share it: it keeps keys of students.

    `secret` is EDUGRAPH_PRIVACY_SECRET. The key of noise is derived from it, so that no other hash of the
    installation tells it.
    """

    def __init__(self, secret: str) -> None:
        self._secret = _hmac(secret.encode(), b"noise of cells")
        self._keys: dict[str, int] = {}

    def of_count(self, students: Collection[str], statistic: str) -> int:
        """Return the noise of a number of students: an integer, as often as `noise_table` says."""
        table = noise_table()
        steps = list(accumulate(table.values()))
        index = bisect_right(steps, self._uniform(students, statistic))
        values = list(table)
        return values[min(index, len(values) - 1)]

    def of_sum(self, students: Collection[str], statistic: str) -> float:
        """Return the noise of a sum to which each student adds at most 1: a truncated normal distribution."""
        lowest = _NORMAL.cdf(-LARGEST_NOISE)
        highest = _NORMAL.cdf(LARGEST_NOISE)
        uniform = self._uniform(students, statistic)
        return _NORMAL.inv_cdf(lowest + uniform * (highest - lowest))

    def _uniform(self, students: Collection[str], statistic: str) -> float:
        """Return a number from 0 to 1 that the cell key gives: a hash of the sum of the students' keys."""
        total = sum(self._key_of(student) for student in students) % _NUMBER_OF_KEYS
        digest = _hmac(self._secret, b"cell" + total.to_bytes(8, "big") + statistic.encode())
        return int.from_bytes(digest[:8], "big") / _NUMBER_OF_KEYS

    def _key_of(self, student: str) -> int:
        if student not in self._keys:
            digest = _hmac(self._secret, b"student" + student.encode())
            self._keys[student] = int.from_bytes(digest[:8], "big")
        return self._keys[student]


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, _DIGEST)
