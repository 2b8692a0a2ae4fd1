"""Which of our items should this student practise?"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from edugraph_common.contracts.records import HALF
from edugraph_insights.answers import Evidence, Found, Mark, Measured, Row
from edugraph_insights.facts import Attempt, Facts
from edugraph_insights.mastery import Mastery
from edugraph_insights.questions.question import Question
from edugraph_insights.questions.student import OfStudent

MOST_ITEMS_OF_A_POINT = 5

Text = Annotated[str, Mark.PERSONAL]
Number = Annotated[int, Mark.PERSONAL]
Why = Literal["wrong last time", "not tried yet"]


class ItemToPractise(Row):
    """One item for a student. `point` is the first of the points below that it tests.

    `place` counts the points in the order in which they should be practised, from 1. `probability` is that of a right
    answer at the point. `tries` are those of the period. `last_tried` is null if the student never tried the item.
    """

    place: Number
    point: Text
    point_name: Text
    probability: Annotated[float | None, Mark.PERSONAL]
    item: Text
    item_name: Text
    why: Annotated[Why, Mark.PERSONAL]
    tries: Number
    last_tried: Annotated[datetime | None, Mark.PERSONAL]
    evidence: Evidence = None


class WeakPoint(NamedTuple):
    """A point that the student tried and does not master, and how it is named."""

    id: str
    name: str
    mastery: Mastery
    lacks_prerequisite: bool


def find(facts: Facts, asked: OfStudent) -> Found[ItemToPractise]:
    weak = weak_points(facts, asked)
    places = {point.id: place for place, point in enumerate(weak, start=1)}
    tries_of = tries_by_item(facts.attempts(asked.course), asked.student)
    items = []
    if weak:
        items = facts.items_of_points(asked.course, places)
    rows = []
    number_at: Counter[str] = Counter()
    right_last_time = 0
    further = 0
    items.sort(key=lambda item: (_urgency(tries_of[item.id]), item.id))
    for item in items:
        tries = tries_of[item.id]
        if tries and tries[-1].outcome >= HALF:
            right_last_time += 1
            continue
        place = min(places[point] for point in item.points)
        point = weak[place - 1]
        if number_at[point.id] == MOST_ITEMS_OF_A_POINT:
            further += 1
            continue
        number_at[point.id] += 1
        row = ItemToPractise(
            place=place,
            point=point.id,
            point_name=point.name,
            probability=point.mastery.probability,
            item=item.id,
            item_name=item.name,
            **_tried(facts, asked, tries),
        )
        rows.append(Measured(row, frozenset({asked.student})))
    return Found(
        tuple(rows),
        of_how_many={
            "points that are not mastered": len(weak),
            "items at these points": len(items),
        },
        left_out={
            "items that were right last time": right_last_time,
            f"items after the first {MOST_ITEMS_OF_A_POINT} of a point": further,
            "points without an item to practise": len(weak) - len(number_at),
        },
    )


def _tried(facts: Facts, asked: OfStudent, tries: Sequence[Attempt]) -> dict[str, Any]:
    """Return the fields of a row about the attempts of the student at an item."""
    if not tries:
        return {"why": "not tried yet", "tries": 0, "last_tried": None}
    last = tries[-1]
    in_period = [each for each in tries if facts.since is None or each.at >= facts.since]
    evidence = None
    if in_period:
        evidence = asked.records(item=last.item)
    return {
        "why": "wrong last time",
        "tries": len(in_period),
        "last_tried": last.at,
        "evidence": evidence,
    }


def weak_points(facts: Facts, asked: OfStudent) -> list[WeakPoint]:
    """Return the points that the student tried and does not master, in the order in which to practise them."""
    practice = facts.practice(asked.course)
    states = practice.mastery_of(asked.student)
    names = {point.id: point.name for point in practice.tries.tried_points()}
    not_mastered = [point for point, each in states.items() if each.state != "mastered"]
    lacking = set()
    for need in facts.direct_needs(not_mastered):
        needed = states.get(need.needs.id)
        if needed is not None and needed.state == "not mastered":
            lacking.add(need.point)
    found = []
    for point in not_mastered:
        name = names.get(point, point)
        found.append(WeakPoint(point, name, states[point], point in lacking))
    return sorted(found, key=_order_of_points)


def _order_of_points(point: WeakPoint) -> tuple[bool, float, str]:
    # The last digits of two equal estimates may differ.
    probability = round(point.mastery.probability or 0.0, 6)
    return point.lacks_prerequisite, probability, point.id


def tries_by_item(attempts: list[Attempt], student: str) -> dict[str, list[Attempt]]:
    """Return the attempts of a student by item, in the order in which they were made."""
    found: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda each: each.place):
        if attempt.student == student:
            found[attempt.item].append(attempt)
    return found


def _urgency(tries: Sequence[Attempt]) -> tuple[bool, str]:
    """Return the order of items: the one that went wrong longest ago comes first, and untried ones come last."""
    if not tries:
        return True, ""
    return False, tries[-1].at.isoformat()


def _order(row: ItemToPractise) -> tuple[int, bool, str, str]:
    last_tried = ""
    if row.last_tried is not None:
        last_tried = row.last_tried.isoformat()
    return row.place, row.last_tried is None, last_tried, row.item


QUESTION = Question(
    name="practice",
    title="Which of our items should this student practise?",
    computed_by="The points that the student tried in the course and does not master (estimate below 0.75, too few "
    "attempts for an estimate, or none for 180 days). First come points without a direct prerequisite that is not "
    "mastered, then the others, each by the estimate, the lowest first. At each point stand items of the course that "
    f"test it, at most {MOST_ITEMS_OF_A_POINT}: those that went wrong at the last attempt, the longest ago first, "
    "then those that the student never tried. An item that was right at the last attempt has no row.",
    parameters=OfStudent,
    row=ItemToPractise,
    find=find,
    order=_order,
    quotes=True,
)
