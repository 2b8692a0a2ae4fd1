"""Cells over time: an analyst asks every question in every week of a school that people join and leave.

Which data stands behind a shown cell is taken where it is decided. `test_small_groups.py` says that a reader sees no
more of it than numbers with noise.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random
from typing import Any

import pytest
from rooms import Room

from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import RecordBatch
from edugraph_insights import cells
from edugraph_insights.access import IN_CELLS
from edugraph_insights.answers import Measured
from edugraph_insights.cells import CellName, data_of, name_of
from edugraph_insights.closed_weeks import Data, differing
from edugraph_insights.insights import Insights
from edugraph_insights.small_groups import amounts_of, published_row, published_total

from .schools import asked, caller, reading

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
JOINERS = (14, 3, 4, 2, 7, 12)  # of each week
SMALLEST = 10
NEEDS = {"travelling-weaknesses": {"next_course": "D"}, "difficulty": {"other": "D"}}
ERASED = "s00"
# Two terms one after the other, and one that overlaps both.
TERMS = (
    ("first", "2026-03-02", "2026-03-23"),
    ("second", "2026-03-23", "2026-04-20"),
    ("both", "2026-03-02", "2026-04-20"),
)


def week_of(number: int, random: Random) -> list[Record]:
    """Who joins in a week, and what they and some of the others try."""
    monday = MONDAY + timedelta(weeks=number)
    before, there = sum(JOINERS[:number]), sum(JOINERS[: number + 1])
    values: list[tuple[str, dict[str, Any]]] = []
    if number == 0:
        for term, starts, ends in TERMS:
            values.append(("term_record", {"term": term, "starts": starts, "ends": ends}))
    for who in range(before, there):
        # The order of ids is not that of joining.
        student = f"s{who * 37 % 100:02}"
        values += [
            ("course_record", {"student_id": student, "course_id": course}) for course in ("C", "D")
        ]
    for who in random.sample(range(there), k=there * 2 // 3):
        student = f"s{who * 37 % 100:02}"
        tried = {"item_id": f"i{number}-{random.randrange(4)}", "correct": random.random() < 0.5}
        points = [f"P{tried['item_id'][-1]}"]  # type: ignore[index]
        values += [
            (
                "attempt_record",
                {"student_id": student, "course_id": course, **tried, "knowledge_points": points},
            )
            for course in ("C", "D")
        ]
        values.append(
            ("error_record", {"student_id": student, "course_id": "C", "error_text": "wrong sign"})
        )
    return [
        parse_record(
            {
                "type": kind,
                "timestamp": monday.isoformat(),
                "record_id": f"w{number}-{n}",
                "data": data,
            }
        )
        for n, (kind, data) in enumerate(values)
    ]


class Looks:
    """Notes the data of each cell that is published."""

    def __init__(self) -> None:
        self.question = ""
        self.data: dict[tuple[str, CellName], list[Data]] = defaultdict(list)

    def row(self, measured: Measured[Any], *more: Any) -> Any:
        self.data[self.question, name_of(measured)].append(data_of(measured))
        return published_row(measured, *more)

    def total(self, named: tuple[str, str], total: Any, *more: Any) -> Any:
        if not isinstance(total, int):
            self.data[self.question, named].append(dict(amounts_of(total)))
        return published_total(named, total, *more)

    def look(self, insights: Insights) -> None:
        for name in sorted(IN_CELLS):
            self.question = name
            asked(insights, name, caller("analyst"), course="C", **NEEDS.get(name, {}))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    found = Looks()
    monkeypatch.setattr(cells, "published_row", found.row)
    monkeypatch.setattr(cells, "published_total", found.total)
    return found


def test_two_looks_at_a_cell_differ_by_nobody_or_by_ten(room: Room, looks: Looks) -> None:
    """Every cell of every question, in every pair of weeks, on the day of an import and on the Monday after.

    To take the guard out: show each cell at the end of the last closed week, or at the time of the question.
    """
    room.empty()
    random = Random(7)
    for number in range(len(JOINERS)):
        records = week_of(number, random)
        room.graph.write_batch(
            RecordBatch(f"week-{number}", 0, list(enumerate(records, 1)), (), len(records))
        )
        for days in (1, 7):
            insights = reading(room, now=MONDAY + timedelta(weeks=number, days=days))
            looks.look(insights)
            insights.graph.close()
    for (question, _), states in looks.data.items():
        for data in states:
            # The estimate of a student changes with the answers of others, so the tries are compared.
            is_of_tries = question != "mastery" or all(type(each) is int for each in data.values())
            assert is_of_tries, "out: the tries as data of mastery"
    terms = {name for question, name in looks.data if question == "terms" and len(name) == 1}
    assert terms == {("first",), ("second",)}
    moved = 0
    for states in looks.data.values():
        for earlier, later in combinations(states, 2):
            changed = len(differing(earlier, later))
            assert not 0 < changed < SMALLEST
            moved += changed > 0
    assert moved > 50
    assert len(looks.data) > 20

    room.graph.erase_student(ERASED)
    looks.data.clear()
    insights = reading(room, now=MONDAY + timedelta(weeks=len(JOINERS)))
    looks.look(insights)
    insights.graph.close()
    for [state] in looks.data.values():
        assert ERASED not in state, "who is erased leaves at once"
