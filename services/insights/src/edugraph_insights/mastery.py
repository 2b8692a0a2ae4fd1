"""How likely a student answers an item of a point right: performance factors analysis (PFA) on logarithms of counts.

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
    """How many first attempts at items of a point were right and wrong (0.5 or more is right), and the last one's
    moment.
    """

    right: int
    wrong: int
    last: datetime | None = None


class Mastery(NamedTuple):
    """`probability` is None where there is not enough information."""

    probability: float | None
    state: State


def mastery(
    attempts: Mapping[str, Attempts], as_of: datetime, coefficients: Coefficients | None = None
) -> dict[str, Mastery]:
    """Return the mastery of each point of one student, from the student's counts at all points."""
    use = coefficients or Coefficients()
    over_all = use.gamma_over_all * log1p(sum(each.right for each in attempts.values())) + (
        use.rho_over_all * log1p(sum(each.wrong for each in attempts.values()))
    )
    found = {}
    for point, counts in attempts.items():
        if counts.right + counts.wrong < ENOUGH_ATTEMPTS:
            found[point] = Mastery(None, "not enough information")
            continue
        logit = use.betas.get(point, use.mean_beta) + over_all
        logit += use.gamma * log1p(counts.right) + use.rho * log1p(counts.wrong)
        probability = 1 / (1 + exp(-logit))
        state: State = "mastered" if probability >= MASTERED_PROBABILITY else "not mastered"
        if counts.last is not None and as_of - counts.last > LONG_AGO:
            state = "long ago"
        found[point] = Mastery(probability, state)
    return found


def learning_path(goal: str, needs: Iterable[tuple[str, str]], states: Mapping[str, State]) -> list[tuple[str, ...]]:
    """Return what is not mastered of the goal and of all that it needs, in steps: what is needed first comes first.

    `needs` are pairs of a point and one that it needs. A point of which too little is known is in a step: it is to be
    checked first. Points of one step may come in any order, so each of the first step can be learned now. Of points
    that need each other in a circle, which those that were judged the same may close, none comes first.
    """
    direct: dict[str, set[str]] = defaultdict(set)
    for point, needed in needs:
        direct[point].add(needed)
    before = {point: _reached(point, direct) for point in {goal, *_reached(goal, direct)}}
    left = {point for point in before if states.get(point) != "mastered"}
    # What is needed, by however many steps, and does not need the point in turn: an order without circles.
    strictly = {point: {each for each in before[point] & left if point not in before[each]} for point in left}
    steps, sorter = [], TopologicalSorter(strictly)
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        steps.append(tuple(sorted(ready)))
        sorter.done(*ready)
    return steps


def _reached(point: str, direct: Mapping[str, set[str]]) -> set[str]:
    """Return all that a point needs, by one step or more."""
    reached: set[str] = set()
    ahead = [point]
    while ahead:
        fresh = direct.get(ahead.pop(), set()) - reached
        reached |= fresh
        ahead += fresh
    return reached
