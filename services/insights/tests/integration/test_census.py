"""Small groups over time: an analyst asks every question in every week of a school that people join and leave.

Which students stand behind what was published is taken where it is decided; that a reader sees no more than that,
`test_small_groups.py` says.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random
from typing import Any

from rooms import Room

from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import RecordBatch
from edugraph_insights.access import IN_CELLS, RULES
from edugraph_insights.asking import facts_of
from edugraph_insights.insights import Insights
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.small_groups import publish

from .schools import caller, reading

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
JOINERS = (14, 3, 4, 2, 7, 12)  # of each week
SMALLEST = 10
NEEDS = {"travelling-weaknesses": {"next_course": "D"}}


def week_of(number: int, random: Random) -> list[Record]:
    """Who joins in a week, what they and some of the others try, and who leaves their group."""
    monday = MONDAY + timedelta(weeks=number)
    before, there = sum(JOINERS[:number]), sum(JOINERS[: number + 1])
    values: list[tuple[str, dict[str, Any]]] = []
    for who in range(before, there):
        # The order of ids is not that of joining.
        student = f"s{who * 37 % 100:02}"
        values += [
            ("course_record", {"student_id": student, "course_id": course}) for course in ("C", "D")
        ]
        values.append(
            ("membership_record", {"group_id": "g", "student_id": student, "course_id": "C"})
        )
    for who in random.sample(range(there), k=there * 2 // 3):
        student = f"s{who * 37 % 100:02}"
        tried = {"item_id": f"i{random.randrange(4)}", "correct": random.random() < 0.5}
        points = [f"P{tried['item_id'][1]}"]  # type: ignore[index]
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
    for who in random.sample(range(before), k=min(before, 2)):
        left = {"group_id": "g", "student_id": f"s{who * 37 % 100:02}", "ends": monday.isoformat()}
        values.append(
            ("membership_record", {**left, "starts": MONDAY.isoformat(), "course_id": "C"})
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


def published(
    insights: Insights, question: str, now: datetime
) -> tuple[frozenset[str], list[frozenset[str]]]:
    """Return over whom an answer is computed, and of whom each number tells that is published of it."""
    asked = QUESTIONS[question].parameters(course="C", **NEEDS.get(question, {}))
    permitted, facts = facts_of(insights, caller("analyst"), RULES["analyst"], asked, now)
    found = QUESTIONS[question].find(facts, asked)
    shown = publish(found)
    groups = [group for row in shown.rows for group in (row.students, *row.parts)]
    totals = (found.of_how_many[name] for name in shown.of_how_many)
    return frozenset(permitted.students), groups + [
        total for total in totals if isinstance(total, frozenset)
    ]


def test_answers_of_two_weeks_are_about_the_same_students_or_ten_others(room: Room) -> None:
    """Every pair of answers, of whichever questions and weeks, and of the day of an import.

    Within an answer no two numbers differ by few, and none is about anybody who has not entered. To take the guard
    out: let `entered` return all, or `fit` look at sizes alone.
    """
    room.empty()
    random, rosters, numbers = Random(7), set[frozenset[str]](), 0
    for number in range(len(JOINERS)):
        records = week_of(number, random)
        room.graph.write_batch(
            RecordBatch(f"week-{number}", 0, list(enumerate(records, 1)), (), len(records))
        )
        for hours, questions in ((1, {"difficulty"}), (24, IN_CELLS)):
            now = MONDAY + timedelta(weeks=number, hours=hours)
            insights = reading(room, now=now)
            for question in questions:
                roster, groups = published(insights, question, now)
                rosters.add(roster)
                numbers += len(groups)
                assert all(group <= roster and not 0 < len(group) < SMALLEST for group in groups)
                assert not few_apart(groups)
            insights.graph.close()
    assert {len(roster) for roster in rosters} == {0, 14, 30, 42}
    assert not few_apart(rosters)
    assert numbers > 50


def few_apart(groups: Collection[frozenset[str]]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """Return the pairs of which one group has one to nine students whom the other has not."""
    return [
        (one, other)
        for one, other in combinations(groups, 2)
        if 0 < len(one - other) < SMALLEST or 0 < len(other - one) < SMALLEST
    ]
