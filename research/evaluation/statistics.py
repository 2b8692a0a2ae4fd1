"""Intervals, paired tests and verdicts, which separate a result from chance."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import binomtest

CONFIDENCE = 0.95
RESAMPLES, SEED = 1_000, 1
BINS = 10
Verdict = Literal["held", "undecided", "MISS"]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    seen: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.seen:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Goal:
    """A goal. It is held or missed only if the whole interval is on one side. Otherwise it is undecided."""

    name: str
    bound: float
    is_least: bool
    figure: Interval

    @property
    def verdict(self) -> Verdict:
        low, high = self.figure.low, self.figure.high
        if low >= self.bound if self.is_least else high <= self.bound:
            return "held"
        return "MISS" if (high < self.bound if self.is_least else low > self.bound) else "undecided"

    @property
    def is_met(self) -> bool:
        """Whether the figure itself meets the goal, even if that may be chance."""
        return self.figure.seen >= self.bound if self.is_least else self.figure.seen <= self.bound

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict, "is_met": self.is_met}


def exactly(figure: float) -> Interval:
    """Return a figure without an interval, for a figure that does not depend on a sample, such as a speed."""
    return Interval(figure, figure, figure)


def share(right: int, count: int) -> Interval:
    """Return a share with Wilson's interval."""
    if not count:
        return Interval(0.0, 0.0, 1.0)
    found = binomtest(right, count).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(right / count, float(found.low), float(found.high))


def bootstrapped(rows: Sequence[Any], figure: Callable[[list[Any]], float]) -> Interval:
    """Return a figure of the rows with its percentile interval over resampled rows."""
    return bootstrapped_strata([rows], lambda parts: figure(parts[0]))


def bootstrapped_strata(
    parts: Sequence[Sequence[Any]], figure: Callable[[list[list[Any]]], float]
) -> Interval:
    """Return a figure of several parts with its percentile interval. Each part is resampled separately."""
    draw = np.random.default_rng(SEED)
    drawn = [
        figure(
            [[part[place] for place in draw.integers(len(part), size=len(part))] for part in parts]
        )
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(figure([list(part) for part in parts]), float(low), float(high))


@dataclass(frozen=True)
class Paired:
    """A comparison of two ways on the same records: the gain of the second, and how often only one was right.

    `p` is from McNemar's exact test: the probability of such a difference or a larger one if both were equally good.
    """

    difference: Interval
    only_first: int
    only_second: int
    p: float


def paired(pairs: Sequence[tuple[float, float]]) -> Paired:
    """Compare two ways by their scores on the same records. A score is 0, 1, or a share for a partly right answer.

    The test is the sign test. If all scores are 0 or 1, it equals McNemar's exact test.
    """
    only_first = sum(first > second for first, second in pairs)
    only_second = sum(second > first for first, second in pairs)
    differ = only_first + only_second
    gains = [second - first for first, second in pairs]
    difference = bootstrapped(gains, lambda drawn: sum(drawn) / len(drawn))
    return Paired(
        difference, only_first, only_second, binomtest(only_first, differ).pvalue if differ else 1.0
    )


def reliability(said: Iterable[tuple[float, bool]]) -> list[tuple[float, float, Interval, int]]:
    """Return (start, mean confidence, share that was right, count) for each tenth of confidence."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, right in said:
        bins[min(int(confidence * BINS), BINS - 1)].append((confidence, right))
    return [
        (
            place / BINS,
            sum(confidence for confidence, _ in pairs) / len(pairs),
            share(sum(right for _, right in pairs), len(pairs)),
            len(pairs),
        )
        for place, pairs in sorted(bins.items())
    ]


def calibration_error(said: Sequence[tuple[float, bool]]) -> float:
    """Return the expected calibration error: the weighted mean distance of confidence and share over the tenths."""
    return sum(abs(mean - right.seen) * count for _, mean, right, count in reliability(said)) / max(
        len(said), 1
    )


def goals_table(goals: Sequence[Goal]) -> str:
    """Return a Markdown table with a verdict for each goal."""
    rows = [
        f"| {goal.name} | {'≥' if goal.is_least else '≤'} {goal.bound:g} | {goal.figure} | {goal.verdict} |"
        for goal in goals
    ]
    return "\n".join(["| goal | bound | seen (95 %) | verdict |", "|---|---|---|---|", *rows])
