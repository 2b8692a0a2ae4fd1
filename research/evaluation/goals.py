"""The goals of a bench: which figures miss them, and the table of both."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Goal(NamedTuple):
    name: str
    least: float = 0.0
    most: float = 1.0


def missed_goals(goals: Sequence[Goal], figures: Mapping[str, float]) -> list[str]:
    """Return the names of the figures that miss their goals. A goal without a figure is not missed."""
    names = []
    for goal in goals:
        figure = figures.get(goal.name)
        if figure is not None and not goal.least <= figure <= goal.most:
            names.append(goal.name)
    return names


def print_goals(goals: Sequence[Goal], figures: Mapping[str, float]) -> None:
    """Print a line for each goal that has a figure."""
    misses = missed_goals(goals, figures)
    for goal in goals:
        if goal.name not in figures:
            continue
        bound = f"at least {goal.least}"
        if goal.most < 1:
            bound = f"at most {goal.most}"
        if goal.most < 1 and goal.least != 0:
            bound = f"{goal.least} to {goal.most}"
        verdict = "ok"
        if goal.name in misses:
            verdict = "MISSED"
        print(f"{goal.name:<78}{figures[goal.name]:>8.4f}  {bound:<16}{verdict}")
