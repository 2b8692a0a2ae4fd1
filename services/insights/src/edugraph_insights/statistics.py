"""The few statistics that questions share."""

from collections.abc import Sequence
from math import sqrt

NORMAL_95 = 1.959963984540054  # two-sided


def wilson_lower(share: float, n: int) -> float:
    """Return the lower end of Wilson's 95 % interval of a share of `n`: small groups do not come first by chance."""
    if n == 0:
        return 0.0
    z = NORMAL_95 * NORMAL_95
    middle = share + z / (2 * n)
    spread = NORMAL_95 * sqrt(max(share * (1 - share), 0.0) / n + z / (4 * n * n))
    return min(max((middle - spread) / (1 + z / n), 0.0), share)


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return Pearson's correlation, None where one of the two does not vary."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    across = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    within = sum((a - x) ** 2 for a in xs) * sum((b - y) ** 2 for b in ys)
    return max(min(across / sqrt(within), 1.0), -1.0) if within > 1e-12 else None


def paired_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of paired differences by the normal distribution, None under two."""
    n = len(differences)
    if n < 2:
        return None
    middle = sum(differences) / n
    spread = sqrt(sum((each - middle) ** 2 for each in differences) / (n - 1) / n) * NORMAL_95
    return middle - spread, middle + spread
