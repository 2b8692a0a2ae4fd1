"""Estimate how likely a student answers an item of a point right, with performance factors analysis (PFA).

logit P = β(point) + γ·ln(1 + right) + ρ·ln(1 + wrong), and the same two terms over all points of the student. Counts
commute, so the estimate does not depend on the order in which records arrive. (Pavlik, Cen & Koedinger 2009.)
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from graphlib import TopologicalSorter
from math import exp, log1p
from typing import Literal, NamedTuple

from edugraph_common.contracts.mastery import Coefficients

MASTERED_PROBABILITY = 0.75
ENOUGH_ATTEMPTS = 5
LONG_AGO = timedelta(days=180)
State = Literal["mastered", "not mastered", "long ago", "not enough information"]


class Attempts(NamedTuple):
    """Numbers of right and wrong first attempts at items of a point. Right is an outcome of 0.5 or more."""

    right: int
    wrong: int
    last: datetime | None = None  # time of the last of them


class Mastery(NamedTuple):
    """The mastery of one point by one student. `probability` is None if there is not enough information."""

    probability: float | None
    state: State


def mastery(
    attempts: Mapping[str, Attempts], as_of: datetime, coefficients: Coefficients | None = None
) -> dict[str, Mastery]:
    """Return the mastery of each point by one student, computed from the counts of the student at all points."""
    use = coefficients or Coefficients()
    right_over_all = sum(each.right for each in attempts.values())
    wrong_over_all = sum(each.wrong for each in attempts.values())
    over_all = use.gamma_over_all * log1p(right_over_all) + use.rho_over_all * log1p(wrong_over_all)
    found = {}
    for point, counts in attempts.items():
        if counts.right + counts.wrong < ENOUGH_ATTEMPTS:
            found[point] = Mastery(None, "not enough information")
            continue
        logit = use.betas.get(point, use.mean_beta) + over_all
        logit += use.gamma * log1p(counts.right) + use.rho * log1p(counts.wrong)
        probability = 1 / (1 + exp(-logit))
        state: State = "not mastered"
        if counts.last is not None and as_of - counts.last > LONG_AGO:
            state = "long ago"
        elif probability >= MASTERED_PROBABILITY:
            state = "mastered"
        found[point] = Mastery(probability, state)
    return found


def learning_path(
    goal: str, needs: Iterable[tuple[str, str]], states: Mapping[str, State]
) -> list[tuple[str, ...]]:
    """Return the points to learn for a goal, in steps: the goal and the points it needs that are not mastered.

    `needs` are pairs (point, point that it needs). A point with too little information counts as not mastered, since
    it has to be checked first. The points of one step may be learned in any order, so all points of the first step
    can be learned now. Synonyms may close a circle of points that need each other; none of them comes before another.
    """
    direct: dict[str, set[str]] = defaultdict(set)
    for point, needed in needs:
        direct[point].add(needed)
    before = {point: _reached(point, direct) for point in {goal, *_reached(goal, direct)}}
    to_learn = {point for point in before if states.get(point) != "mastered"}
    # An order without circles: a point comes after each point that it needs, directly or indirectly, unless that one
    # needs the point in turn.
    strictly_before = {}
    for point in to_learn:
        strictly_before[point] = {
            each for each in before[point] & to_learn if point not in before[each]
        }
    steps = []
    sorter = TopologicalSorter(strictly_before)
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        steps.append(tuple(sorted(ready)))
        sorter.done(*ready)
    return steps


def _reached(point: str, direct: Mapping[str, set[str]]) -> set[str]:
    """Return the points that a point needs, directly or indirectly."""
    reached: set[str] = set()
    ahead = [point]
    while ahead:
        fresh = direct.get(ahead.pop(), set()) - reached
        reached |= fresh
        ahead += fresh
    return reached
