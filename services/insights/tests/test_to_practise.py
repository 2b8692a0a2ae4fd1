"""Which items a student should practise, in which order, against a reference that is computed from the same facts."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_insights.facts import Attempt, ItemOfPoints, Point
from edugraph_insights.mastery import Mastery
from edugraph_insights.questions.student import OfStudent
from edugraph_insights.questions.to_practise import QUESTION

BEGINNING = datetime(2026, 3, 2, tzinfo=UTC)
POINTS = ("a", "b", "c")
ITEMS = tuple(f"i{number}" for number in range(12))
STATES: Any = ("mastered", "not mastered", "long ago", "too few for an estimate")
ASKED = OfStudent(course="C", student="s")


@dataclass(frozen=True)
class MadeFacts:
    """The facts of one student: the mastery by point, the needs, the points of each item, and the attempts."""

    mastery: dict[str, Mastery]
    needs: frozenset[tuple[str, str]]
    points_of: dict[str, frozenset[str]]
    made: list[Attempt]
    since: datetime | None

    def practice(self, _course: str) -> Any:
        tried = [Point(point, f"The {point}") for point in self.mastery]
        tries = SimpleNamespace(tried_points=lambda: tried)
        return SimpleNamespace(mastery_of=lambda _student: self.mastery, tries=tries)

    def direct_needs(self, points: list[str]) -> list[Any]:
        found = []
        for point, needed in sorted(self.needs):
            if point in points:
                found.append(SimpleNamespace(point=point, needs=Point(needed, needed)))
        return found

    def attempts(self, _course: str) -> list[Attempt]:
        return self.made

    def items_of_points(self, _course: str, points: Any) -> list[ItemOfPoints]:
        found = []
        for item, tested in self.points_of.items():
            if tested & set(points):
                found.append(ItemOfPoints(item, f"Item {item}", tested & frozenset(points)))
        return found


@st.composite
def made_facts(draw: st.DrawFn) -> MadeFacts:
    mastery = {}
    for point in draw(st.sets(st.sampled_from(POINTS))):
        probability = draw(st.sampled_from([0.2, 0.5, 0.9]))
        mastery[point] = Mastery(probability, 0.0, 1.0, draw(st.sampled_from(STATES)))
    pairs = st.tuples(st.sampled_from(POINTS), st.sampled_from(POINTS))
    needs = draw(st.frozensets(pairs.filter(lambda pair: pair[0] != pair[1])))
    points_of = {}
    for item in draw(st.sets(st.sampled_from(ITEMS), min_size=6)):
        points_of[item] = draw(st.frozensets(st.sampled_from(POINTS), min_size=1))
    made = []
    tried = st.tuples(
        st.sampled_from(ITEMS), st.integers(0, 40), st.sampled_from([0, 0, 499, 499, 500])
    )
    for number, (item, hour, outcome) in enumerate(draw(st.lists(tried, max_size=40))):
        who = draw(st.sampled_from(["s", "s", "s", "other"]))
        at = BEGINNING + timedelta(hours=hour)
        made.append(Attempt(who, item, at, number, f"r{number:02}", outcome))
    since = draw(st.sampled_from([None, BEGINNING + timedelta(hours=20)]))
    return MadeFacts(mastery, needs, points_of, made, since)


def expected(facts: MadeFacts) -> list[tuple[Any, ...]]:
    """Return the rows: the place, the point, the item, the attempts of the period, and the last attempt of all."""
    open_points = [point for point, each in facts.mastery.items() if each.state != "mastered"]
    missing = {point for point, each in facts.mastery.items() if each.state == "not mastered"}

    def order(point: str) -> tuple[bool, float, str]:
        lacks = any((point, needed) in facts.needs for needed in missing)
        return lacks, facts.mastery[point].probability or 0.0, point

    open_points.sort(key=order)
    rows = []
    listed: set[str] = set()
    for place, point in enumerate(open_points, start=1):
        of_point = []
        for item, points in facts.points_of.items():
            if point not in points or item in listed:
                continue
            listed.add(item)
            tries = [each for each in facts.made if (each.student, each.item) == ("s", item)]
            tries.sort(key=lambda each: (each.at, each.number))
            if not tries:
                of_point.append((True, BEGINNING, item, 0))
            elif tries[-1].outcome < 500:
                counted = sum(facts.since is None or each.at >= facts.since for each in tries)
                of_point.append((False, tries[-1].at, item, counted))
        for is_new, at, item, number in sorted(of_point)[:5]:
            rows.append((place, point, item, number, None if is_new else at))
    return rows


@settings(max_examples=300)
@given(made_facts())
def test_the_rows_are_those_of_the_reference_in_their_order(made: MadeFacts) -> None:
    """Out, each alone: each part of `_order_of_points`, `_urgency` and `_order`; the last attempt; the period; the
    limit of items; the student in `tries_by_item`.
    """
    facts: Any = made
    found = QUESTION.find(facts, ASKED)
    rows = sorted((each.row for each in found.rows), key=QUESTION.order)
    shown = []
    for row in rows:
        assert (row.evidence is not None) == (row.tries > 0)
        assert row.why == ("not tried yet" if row.last_tried is None else "wrong last time")
        shown.append((row.place, row.point, row.item, row.tries, row.last_tried))
    assert shown == expected(made)


def test_of_many_items_those_are_listed_that_went_wrong_longest_ago() -> None:
    """Out: the time in `_urgency`."""
    made = []
    for number, item in enumerate(ITEMS):
        at = BEGINNING - timedelta(hours=number)
        made.append(Attempt("s", item, at, 1, f"r{item}", 0))
    mastery = {"a": Mastery(0.2, 0.1, 0.3, "not mastered")}
    points_of = dict.fromkeys(ITEMS, frozenset({"a"}))
    facts: Any = MadeFacts(mastery, frozenset(), points_of, made, None)
    rows = sorted((each.row for each in QUESTION.find(facts, ASKED).rows), key=QUESTION.order)
    assert [row.item for row in rows] == list(reversed(ITEMS))[:5]
