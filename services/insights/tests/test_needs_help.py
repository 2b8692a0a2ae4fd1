"""The rules of needs-help on a few attempts that are made up here."""

from datetime import UTC, datetime, timedelta
from typing import Any

from edugraph_insights.facts import Facts
from edugraph_insights.questions.needs_help import _repeated

from .said_graph import Rows, SaidGraph, attempts_in_lists, kept

MONDAY = datetime(2026, 5, 4, 9, tzinfo=UTC)
POINTS = {"i": "p", "j": "p", "k": "q"}


def tried(item: str, hour: int, *, right: bool = False, number: int = 0) -> dict[str, Any]:
    at = MONDAY + timedelta(hours=hour)
    record = f"{item}{hour}{9 - number}"  # in another order than the numbers
    row = {"student": "s", "item": item, "record": record, "at": at}
    return {**row, "number": number, "outcome": 1000 * right}


def of_week(*attempts: dict[str, Any]) -> Facts:
    """Return the facts of the time from Monday on."""

    def tested_points(items: list[str]) -> Rows:
        return [{"item": item, "point": POINTS[item], "name": ""} for item in items]

    graph: Any = SaidGraph(
        attempts_columns=attempts_in_lists(list(attempts)),
        errors_columns=[],
        tested_points=tested_points,
        item_names=lambda items: [{"names": [[item, item.upper()] for item in items]}],
    )
    until = MONDAY + timedelta(days=2)
    return Facts(graph, ("s",), MONDAY, until, columns=kept(graph))


def stuck(*attempts: dict[str, Any]) -> list[str]:
    return of_week(*attempts).stuck_at("c", 3)["s"]


def test_being_stuck_ends_with_a_later_right_answer_at_the_item_or_the_point() -> None:
    """Out, each alone in STUCK: the place, the right attempts at items, those at points, `is_first`, `in_period`."""
    three = [tried("i", hour) for hour in range(3)]
    assert stuck(*three) == ["I"]
    assert stuck(*three, tried("i", 4, right=True)) == []
    assert stuck(*three, tried("j", 4, right=True)) == []
    assert stuck(*three, tried("k", 4, right=True)) == ["I"]
    assert stuck(tried("j", -1, right=True), *three) == ["I"]
    # A second attempt at another item says nothing new of the point.
    assert stuck(*three, tried("j", 4), tried("j", 5, right=True)) == ["I"]
    # The number of an attempt tells its place among those of the same moment.
    same_moment = [tried("i", 1, number=number) for number in (1, 2)]
    assert stuck(tried("i", 0), *same_moment, tried("i", 1, right=True)) == []
    assert stuck(tried("i", 1, right=True), *same_moment, tried("i", 2)) == ["I"]
    assert stuck(tried("i", -1), *three[:2]) == []


def test_a_mistake_ends_with_a_later_right_answer() -> None:
    """Out: `was_right_later`, or LAST_RIGHT_AT_POINTS. In place of it: a right attempt at any item of the student."""
    row = {"student": "s", "type": "t", "name": "T", "occurrences": 3, "resolved": False}
    row |= {"item": "i", "points": ["p"], "at": MONDAY}
    for attempts, found in (
        ([], {"T"}),
        ([tried("j", 1, right=True)], set()),
        ([tried("k", 1, right=True)], {"T"}),
        ([tried("i", 0), tried("i", 1, right=True)], set()),
        ([tried("j", 0), tried("j", 1, right=True)], {"T"}),
        ([tried("j", -1, right=True)], {"T"}),
    ):
        assert _repeated([row], of_week(*attempts), "c", 3)["s"] == found
