"""An answer from columns is the answer from the graph, for each question that reads attempts of a course."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.runtime.shared_state.graph_changes import Position, Since
from edugraph_insights.answers import size_of
from edugraph_insights.columns.store import ColumnStore
from edugraph_insights.facts import Facts
from edugraph_insights.questions import QUESTIONS

from .said_graph import SaidGraph, in_one_list, students
from .test_columns import Tried, in_lists

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
STUDENTS = tuple(f"s{number:02}" for number in range(14))
POINTS_OF = {"i": "P", "j": "PQ", "k": "", "l": "Q", "m": "R", "n": "RP"}
NEEDS = (("P", "Q"), ("Q", "R"), ("P", "R"))
# Some are in the last week, some in the week before, and some long ago.
HOURS = (0, 1, 2, 3, 30, 60, 169, 170, 200, 300, 335, 5_000)
# Parameters that a question needs beside the course.
ASKED = {
    "next": {"student": "s00", "goal": "P"},
    "ready": {"point": "P"},
    "student": {"student": "s00"},
    "travelling-weaknesses": {"next_course": "D"},
}
MOVED = (
    "changes",
    "course-map",
    "earlier-gaps",
    "mastery",
    "needs-help",
    "next",
    "ready",
    "review-points",
    "spread",
    "student",
    "today",
    "travelling-weaknesses",
    "weak-points",
)


def drawn(seed: int, number: int) -> list[Tried]:
    """Return attempts that often have the same moment and number, and an item that was tried before."""
    chance = Random(seed)
    found = []
    for record in range(number):
        hours = chance.choice(HOURS)
        at = NOW - timedelta(hours=hours, microseconds=hours)
        student = chance.choice(STUDENTS)
        outcome = chance.choice([0, 0, 300, 500, 1_000, 1_000])
        item = chance.choice(sorted(POINTS_OF))
        course = chance.choice("CCCCD")
        found.append(
            Tried(f"r{record:03}", student, item, at, chance.randint(0, 1), outcome, course)
        )
    return found


# Statements that have no rows here.
NOTHING = (
    "excluded_prerequisites followed_prerequisites proposed_same comparison points_of_course points_taught"
    " mistakes mistake_types contacts actions terms names proposed_prerequisites unsettled_claims"
    " use_of_points mistakes_naming claims_of_points accepted_prerequisites mistakes_at_point"
    " latest_progress terms_to_choose misconceptions judged_misconceptions"
)


class School(SaidGraph):
    """A graph with these attempts."""

    def __init__(self, tries: list[Tried]) -> None:
        rows: dict[str, Any] = {statement: [] for statement in NOTHING.split()}
        super().__init__(
            **rows,
            attempts=self.attempts,
            attempts_columns=self.attempts_columns,
            tested_points=self.tested_points,
            first_outcomes=self.first_outcomes,
            prerequisites=self.prerequisites,
            last_activity=self.last_activity,
            points_called=self.points_called,
            students_of_course=in_one_list(*STUDENTS),
            level_students=students(*STUDENTS[3:]),
        )
        self.tries = tries

    def until_then(self, course: str, until: str, among: Sequence[str]) -> list[Tried]:
        end = datetime.fromisoformat(until)
        found = []
        for each in self.tries:
            if each.course == course and each.at <= end and each.student in among:
                found.append(each)
        return sorted(found, key=lambda each: (each.at, each.number, each.record))

    def attempts(self, students: Sequence[str], course: str, until: str, **_: Any) -> Any:
        found = []
        for each in self.until_then(course, until, students):
            row = {"title": each.item.upper(), "response": None}
            for name in ("student", "item", "record", "at", "number", "outcome"):
                row[name] = getattr(each, name)
            found.append(row)
        return found

    def attempts_columns(self, students: Sequence[str], course: str) -> Any:
        return in_lists(
            each for each in self.tries if each.course == course and each.student in students
        )

    def tested_points(self, items: Sequence[str]) -> Any:
        found = []
        for item in items:
            found += [
                {"item": item, "point": point, "name": point.lower()} for point in POINTS_OF[item]
            ]
        return found

    def first_outcomes(self, students: Sequence[str], course: str, until: str) -> Any:
        rows: dict[str, dict[str, Any]] = {}
        known = set()
        for each in self.until_then(course, until, students):
            pair = (each.student, each.item)
            is_right = each.outcome >= 500
            for point in POINTS_OF[each.item]:
                row = rows.setdefault(
                    point, {"point": point, "right": 0, "number": 0, "right_tries": 0, "tries": 0}
                )
                row["tries"] += 1
                row["right_tries"] += is_right
                if pair not in known:
                    row["number"] += 1
                    row["right"] += is_right
            known.add(pair)
        return list(rows.values())

    def prerequisites(self, points: Sequence[str]) -> Any:
        found = []
        for point, needed in NEEDS:
            if point in points:
                found.append(
                    {"point": point, "needs": needed, "name": needed.lower(), "confidence": 0.8}
                )
        return found

    def last_activity(self, students: Sequence[str], course: str, until: str, **_: Any) -> Any:
        last = {each.student: each.at for each in self.until_then(course, until, students)}
        return [{"student": who, "at": last.get(who), "days": []} for who in students]

    def points_called(self, ids: Sequence[str]) -> Any:
        return [{"called": each, "point": each, "name": each.lower()} for each in ids]


def unchanged(position: Position | None) -> Since:
    return Since((), Position("0", ""), is_known=position is not None)


def answer_of(name: str, facts: Facts) -> Any:
    """Return the rows, the totals and what was left out. The numbers of records by student are added up."""
    question = QUESTIONS[name]
    found = question.find(facts, question.parameters(course="C", **ASKED.get(name, {})))
    rows = sorted((each.row for each in found.rows), key=question.order)
    totals = {total: size_of(each) for total, each in found.of_how_many.items()}
    return [row.model_dump() for row in rows], totals, found.left_out


def same(one: Any, other: Any) -> bool:
    """Return whether two answers are the same but for the last digits of numbers."""
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, abs=1e-12)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize(
    "name", sorted(name for name, question in QUESTIONS.items() if question.from_columns)
)
def test_a_question_about_very_many_students_reads_their_records_from_columns_only(
    name: str,
) -> None:
    """Out: `from_columns` at another question, such as needs-help or trend."""
    graph: Any = School(drawn(1, 160))
    columns = ColumnStore(graph, unchanged, ZONE)
    facts = Facts(graph, STUDENTS, None, NOW, zone=ZONE, columns=columns)
    answer_of(name, facts)  # fills the columns
    graph.asked.clear()
    answer_of(name, facts)
    for statement, parameters in graph.asked:
        # The levels of points are estimated from few students, as of when they joined.
        assert "students" not in parameters or statement == "first_course_record"


@pytest.mark.parametrize("name", MOVED)
@hypothesis.settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 160), st.sampled_from([None, 201, 5_001]))
def test_an_answer_from_columns_is_that_from_the_graph(
    name: str, seed: int, number: int, hours: int | None
) -> None:
    """Out, each alone: `is_first`, `in_period`, the place in `last_was_right`, and in the view the end and the students."""
    graph: Any = School(drawn(seed, number))
    since = None
    if hours is not None:
        since = NOW - timedelta(hours=hours)
    who = STUDENTS[:12]
    if "student" in ASKED.get(name, {}):
        who = STUDENTS[:1]
    for until in (NOW - timedelta(minutes=90), NOW):
        facts = Facts(graph, who, since, until, zone=ZONE)
        expected = answer_of(name, facts)
        columns = ColumnStore(graph, unchanged, ZONE)
        found = answer_of(name, Facts(graph, who, since, until, zone=ZONE, columns=columns))
        assert same(found, expected), (found, expected)


def test_a_weakness_travels_from_the_end_of_a_course_to_the_beginning_of_the_next() -> None:
    """Out, each alone, in `_InOrder.of`: `<`, and the look for students who are in the next course only."""
    tries = []
    # (student, hours before now in this course or None, hours before now in the next one)
    for student, hours, hours_later in (
        ("s00", 9, 8),
        ("s01", 9, 9),
        ("s02", None, 8),
        ("s03", None, 8),
        ("s04", 9, 7),
    ):
        at_later = NOW - timedelta(hours=hours_later)
        tries.append(Tried(f"{student}-later", student, "i", at_later, 0, 0, "D"))
        if hours is not None:
            at = NOW - timedelta(hours=hours)
            tries.append(Tried(student, student, "i", at, 0, 0, "C"))
    graph: Any = School(tries)
    columns = ColumnStore(graph, unchanged, ZONE)
    for facts in (
        Facts(graph, STUDENTS, None, NOW, zone=ZONE),
        Facts(graph, STUDENTS, None, NOW, zone=ZONE, columns=columns),
    ):
        [row], _, left_out = answer_of("travelling-weaknesses", facts)
        assert (row["point"], row["students_wrong"], row["students_right"]) == ("P", 2, 0)
        assert row["wrong_after_wrong"] == 1.0
        assert sum(left_out.values()) == 1
