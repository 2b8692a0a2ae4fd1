"""The rules of needs-help on a few attempts that are made up here."""

from datetime import UTC, datetime, timedelta

from edugraph_insights.facts import Attempt, Point
from edugraph_insights.questions.needs_help import LastRight, _repeated, _stuck

MONDAY = datetime(2026, 5, 4, 9, tzinfo=UTC)
POINTS = {"i": [Point("p", "P")], "j": [Point("p", "P")], "k": [Point("q", "Q")]}


def tried(item: str, hour: int, *, right: bool = False) -> Attempt:
    at = MONDAY + timedelta(hours=hour)
    return Attempt("s", item, at, 0, f"{item}{hour}", 1000 * right, item)


def stuck(*attempts: Attempt) -> set[str]:
    return _stuck(attempts, POINTS, LastRight(attempts, POINTS), 3)["s"]


def test_being_stuck_ends_with_a_later_right_answer_at_the_item_or_the_point() -> None:
    """Out, each alone: the place in `_stuck`, the items and the points of `LastRight`."""
    three = [tried("i", hour) for hour in range(3)]
    assert stuck(*three) == {"i"}
    assert stuck(*three, tried("i", 4, right=True)) == set()
    assert stuck(*three, tried("j", 4, right=True)) == set()
    assert stuck(*three, tried("k", 4, right=True)) == {"i"}
    assert stuck(tried("j", -1, right=True), *three) == {"i"}
    # A second attempt at another item says nothing new of the point.
    assert stuck(*three, tried("j", 4), tried("j", 5, right=True)) == {"i"}


def test_a_mistake_ends_with_a_later_right_answer() -> None:
    """Out: `was_right_later`."""
    row = {"student": "s", "type": "t", "name": "T", "occurrences": 3, "resolved": False}
    row |= {"item": "i", "points": ["p"], "at": MONDAY}
    for attempts, found in (
        ([], {"T"}),
        ([tried("j", 1, right=True)], set()),
        ([tried("j", -1, right=True)], {"T"}),
    ):
        assert _repeated([row], LastRight(attempts, POINTS), 3)["s"] == found
