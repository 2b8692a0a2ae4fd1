"""Statistics that several questions use."""

from collections.abc import Sequence
from math import sqrt

NORMAL_95 = 1.959963984540054  # two-sided


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of `n`. Without any it is from 0 to 1."""
    if n == 0:
        return 0.0, 1.0
    z = NORMAL_95 * NORMAL_95
    middle = share + z / (2 * n)
    spread = NORMAL_95 * sqrt(max(share * (1 - share), 0.0) / n + z / (4 * n * n))
    low = (middle - spread) / (1 + z / n)
    high = (middle + spread) / (1 + z / n)
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def wilson_lower(share: float, n: int) -> float:
    """Return the lower end of Wilson's 95 % interval of a share of `n`.

    Rows sorted by it do not begin with small groups that have a high share by chance.
    """
    low, _ = wilson(share, n)
    return low


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None without values."""
    if not values:
        return None
    return sum(values) / len(values)


def correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return Pearson's correlation, or None if one of the two does not vary."""
    mean_x = sum(xs) / len(xs)
    mean_y = sum(ys) / len(ys)
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    variances = sum((x - mean_x) ** 2 for x in xs) * sum((y - mean_y) ** 2 for y in ys)
    if variances > 1e-12:
        return max(min(covariance / sqrt(variances), 1.0), -1.0)
    return None


def paired_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of paired differences (normal distribution), None for less than two."""
    n = len(differences)
    if n < 2:
        return None
    middle = sum(differences) / n
    variance = sum((each - middle) ** 2 for each in differences) / (n - 1)
    spread = sqrt(variance / n) * NORMAL_95
    return middle - spread, middle + spread
