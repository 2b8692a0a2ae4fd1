"""How likely a student answers an item of a point right: performance factors analysis (PFA) on logarithms of counts.

logit P = β(point) + γ·ln(1 + right) + ρ·ln(1 + wrong), and the same two terms over all points of the student. Counts
commute, so the estimate does not depend on the order in which records arrive. (Pavlik, Cen & Koedinger 2009.)
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
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


def learning_path(goal: str, needs: Iterable[tuple[str, str]], states: Mapping[str, State]) -> list[str]:
    """Return what is not mastered of the goal and of all that it needs, what is needed first first.

    `needs` are pairs of a point and one that it needs, without a cycle. A point of which too little is known is in
    the list: it is to be checked first. Points that could come in any order stand by their ids.
    """
    needed_by: dict[str, set[str]] = {}
    for point, needed in needs:
        needed_by.setdefault(point, set()).add(needed)
    reached, ahead = {goal}, [goal]
    while ahead:
        fresh = needed_by.get(ahead.pop(), set()) - reached
        reached |= fresh
        ahead += fresh
    left = {point: needed_by.get(point, set()) & reached for point in reached}
    path = []
    while left:
        ready = min(point for point, needed in left.items() if not needed & left.keys())
        del left[ready]
        if states.get(ready) != "mastered":
            path.append(ready)
    return path
