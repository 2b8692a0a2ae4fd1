"""An answer from columns is the answer from the graph, for each question that reads attempts of a course."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import correlation
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_insights.answers import size_of
from edugraph_insights.columns.store import ColumnStore
from edugraph_insights.facts import Facts
from edugraph_insights.questions import QUESTIONS

from .said_graph import SaidGraph, in_one_list, students, unchanged
from .test_columns import Made, Tried, errors_in_lists, in_lists

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
    "difficulty",
    "earlier-gaps",
    "mastery",
    "next",
    "ready",
    "returning-mistakes",
    "review-points",
    "spread",
    "student",
    "terms",
    "travelling-weaknesses",
    "trend",
    "weak-points",
)
# Equal but for the spaces at their ends: the second and the third, and those of more than LONG characters but the last.
ANSWERS = ("", "12", " 12", "B", "b", "y" * 20, "y" * 20 + " ", "12" + " " * 20, "y" * 20 + "z")


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
        tried_number = chance.randint(0, 1)
        tried = Tried(f"r{record:03}", student, item, at, tried_number, outcome, course)
        found.append(tried._replace(answer=chance.choice(ANSWERS)))
    return found


def errors_of(tries: list[Tried]) -> list[Made]:
    """Return a mistake beside some of these attempts."""
    found = []
    for number, each in enumerate(tries):
        if number % 3 == 0:
            is_resolved = number % 2 == 0
            found.append(Made(f"e{number}", each.student, each.at, is_resolved, each.course))
    return found


# Statements that have no rows here.
NOTHING = (
    "excluded_prerequisites followed_prerequisites proposed_same comparison points_of_course points_taught"
    " mistake_types contacts actions terms names proposed_prerequisites unsettled_claims"
    " use_of_points mistakes_naming claims_of_points accepted_prerequisites mistakes_at_point"
    " misconceptions judged_misconceptions"
)
# The terms overlap, and the first one ends with an attempt, which is not in it.
TERMS = (("T1", 5_100, 300), ("T2", 335, 3))


class School(SaidGraph):
    """A graph with these attempts, and with mistakes beside some of them."""

    def __init__(self, tries: list[Tried]) -> None:
        rows: dict[str, Any] = {statement: [] for statement in NOTHING.split()}
        super().__init__(
            **rows,
            attempts=self.attempts,
            attempts_columns=self.attempts_columns,
            errors_columns=self.errors_columns,
            mistakes=self.mistakes,
            answers_of_attempts=self.answers_of_attempts,
            item_names=self.item_names,
            latest_progress=self.latest_progress,
            terms_to_choose=self.terms_to_choose,
            tested_points=self.tested_points,
            first_outcomes=self.first_outcomes,
            prerequisites=self.prerequisites,
            last_activity=self.last_activity,
            points_called=self.points_called,
            students_of_course=in_one_list(*STUDENTS),
            level_students=students(*STUDENTS[3:]),
        )
        self.tries = tries
        self.errors = errors_of(tries)

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
            row = {}
            for name in ("student", "item", "record", "at", "number", "outcome"):
                row[name] = getattr(each, name)
            found.append(row)
        return found

    def attempts_columns(self, students: Sequence[str], course: str) -> Any:
        return in_lists(
            each for each in self.tries if each.course == course and each.student in students
        )

    def errors_columns(self, students: Sequence[str], course: str) -> Any:
        return errors_in_lists(
            (each, int(each.resolved))
            for each in self.errors
            if each.course == course and each.student in students
        )

    def mistakes(self, students: Sequence[str], course: str, since: str, until: str) -> Any:
        found = []
        unread = {"found": None, "point": None, "name": None, "confidence": None}
        unread |= dict.fromkeys(("read", "evidence", "reviewed"), False)
        records: list[Tried | Made] = [*self.tries, *self.errors]
        for each in records:
            is_wanted = each.course == course and each.student in students
            is_in_time = datetime.fromisoformat(since) <= each.at <= datetime.fromisoformat(until)
            is_resolved = isinstance(each, Made) and each.resolved
            if is_wanted and is_in_time and (isinstance(each, Made) or each.is_mistake):
                row = {"student": each.student, "record": each.record, "at": each.at}
                found.append({**row, "resolved": is_resolved, **unread})
        return found

    def answers_of_attempts(self, records: Sequence[str]) -> Any:
        found = [(each.record, each.answer) for each in self.tries if each.record in records]
        return [{"answers": [[*each] for each in found]}]

    def item_names(self, items: Sequence[str]) -> Any:
        return [{"names": [[item, item.upper()] for item in items]}]

    def latest_progress(self, students: Sequence[str], course: str) -> Any:
        known = [[who, 10.0 * number] for number, who in enumerate(students) if number % 2]
        return [{"students": list(students) if course == "C" else [], "progress": known}]

    def terms_to_choose(self, limit: int) -> Any:
        found = []
        for name, begins, ends in TERMS[:limit]:
            starts_at = NOW - timedelta(hours=begins)
            ends_at = NOW - timedelta(hours=ends, microseconds=ends)
            found.append({"id": name, "name": name, "starts": starts_at, "ends": ends_at})
        return found

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


def answer_of(name: str, facts: Facts, **asked: str) -> Any:
    """Return the rows, the totals and what was left out. The numbers of records by student are added up."""
    question = QUESTIONS[name]
    found = question.find(facts, question.parameters(course="C", **ASKED.get(name, {}), **asked))
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
    """Out: `from_columns` at another question, such as needs-help or grid."""
    graph: Any = School(drawn(1, 160))
    columns = ColumnStore(graph, unchanged, ZONE)
    facts = Facts(graph, STUDENTS, None, NOW, zone=ZONE, columns=columns)
    answer_of(name, facts)  # fills the columns
    graph.asked.clear()
    answer_of(name, facts)
    for statement, parameters in graph.asked:
        # The levels of points are estimated from few students, as of when they joined. Progress comes as one
        # list.
        is_about_students = "students" in parameters
        assert not is_about_students or statement in ("first_course_record", "latest_progress")


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


def first_of(tries: list[Tried], since: datetime, who: Sequence[str]) -> list[Tried]:
    """Return the first attempts of these students in the course C, from the records alone."""
    first: dict[tuple[str, str], Tried] = {}
    for each in sorted(tries, key=lambda one: (one.at, one.number, one.record)):
        if each.course == "C" and each.student in who:
            first.setdefault((each.student, each.item), each)
    return [each for each in first.values() if each.at >= since]


@hypothesis.settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 160), st.sampled_from([201, 5_001]))
def test_answers_are_counted_by_their_marks_as_by_their_texts(
    seed: int, number: int, hours: int
) -> None:
    """Out, each alone: `strip` in `of_text`, the long answers in `first_answers`, their bound in it, `least`, `below`,
    the order of students in `answers_given`, the split by item or by answer there.
    """
    graph: Any = School(drawn(seed, number))
    since = NOW - timedelta(hours=hours)
    who = STUDENTS[:12]
    columns = ColumnStore(graph, unchanged, ZONE)
    facts = Facts(graph, who, since, NOW, zone=ZONE, columns=columns)
    first = first_of(graph.tries, since, who)
    given: dict[tuple[str, str], list[Tried]] = {}
    for each in first:
        if each.answer.strip():
            given.setdefault((each.item, each.answer.strip()), []).append(each)
    rows, totals, left_out = answer_of("answers", facts)
    assert totals["first attempts"] == len(first)
    assert totals["students with a known answer"] == len(
        {each.student for each in first if each.answer.strip()}
    )
    assert sum(left_out.values()) == len(first) - sum(map(len, given.values()))
    assert len(rows) == len(given)
    for row in rows:
        tries = given[row["item"], row["response"]]
        answered = sum(len(more) for (item, _), more in given.items() if item == row["item"])
        assert row["name"] == row["item"].upper()
        assert row["who"] == tuple(sorted(each.student for each in tries))
        assert (row["students"], row["answered"]) == (len(tries), answered)
        right = sum(each.outcome for each in tries) / len(tries) / 1000
        assert row["right"] == pytest.approx(right)
    one, _, _ = answer_of("answers", facts, item="j")
    assert one == [row for row in rows if row["item"] == "j"]

    rows, totals, _ = answer_of("items", facts)
    assert totals["first attempts"] == len(first)
    assert {row["item"] for row in rows} == {each.item for each in first}
    for row in rows:
        at_item = [each for each in first if each.item == row["item"]]
        wrong = Counter(each.answer.strip() for each in at_item if each.outcome < 500)
        common = [answer for answer, students in wrong.items() if answer and students >= 3]
        ranked = sorted(common, key=lambda answer: (-wrong[answer], answer))
        assert row["wrong_answers"] == tuple(ranked)
        right = sum(each.outcome for each in at_item) / len(at_item) / 1000
        assert (row["students"], row["right"]) == (len(at_item), pytest.approx(right))


@hypothesis.settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 400), st.sampled_from([201, 5_001]))
def test_students_are_together_at_their_weakest_prerequisite(
    seed: int, number: int, hours: int
) -> None:
    """Out, each alone in `_weakest`: the prerequisites, the bound, the number of attempts in either order."""
    graph: Any = School(drawn(seed, number))
    since = NOW - timedelta(hours=hours)
    columns = ColumnStore(graph, unchanged, ZONE)
    facts = Facts(graph, STUDENTS, since, NOW, zone=ZONE, columns=columns)
    outcomes: dict[tuple[str, str], list[int]] = {}  # (student, point) -> outcomes
    for each in first_of(graph.tries, since, STUDENTS):
        for point in POINTS_OF[each.item]:
            outcomes.setdefault((each.student, point), []).append(each.outcome)
    weakest: dict[str, tuple[float, int, str]] = {}
    for (student, point), of_pair in outcomes.items():
        share = sum(of_pair) / len(of_pair) / 1000
        found = (share, -len(of_pair), point)
        if point in "QR" and share < 0.5:  # P is not a prerequisite
            weakest[student] = min(found, weakest.get(student, found))
    expected: dict[str, list[str]] = {}
    for student in sorted(weakest, key=lambda who: (weakest[who], who)):
        expected.setdefault(weakest[student][2], []).append(student)
    rows, _, left_out = answer_of("together", facts)
    together: dict[str, list[str]] = {}
    for row in rows:
        together.setdefault(row["point"], []).extend(row["students"])
    known = set()
    for each in graph.tries:
        is_known = each.course == "C" and each.at >= since and POINTS_OF[each.item] != ""
        if is_known:
            known.add(each.student)
    # NEEDS has prerequisites only of points that somebody tried in the period.
    later = {point for each in known for (who, point) in outcomes if who == each}
    if {"P", "Q"} <= later:
        assert together == {point: who for point, who in expected.items() if len(who) >= 3}
        assert left_out["students without a weak prerequisite"] == len(known) - len(weakest)


def test_an_answer_that_is_gone_meanwhile_is_not_shown() -> None:
    """Out: the look for a text in `answers`. A retention blanked it after the tables were read."""
    at = NOW - timedelta(hours=1)
    tries = [Tried(f"r{number}", f"s0{number}", "i", at, 0, 0) for number in range(3)]
    graph: Any = School([each._replace(answer="12") for each in tries])
    columns = ColumnStore(graph, unchanged, ZONE)
    facts = Facts(graph, STUDENTS, None, NOW, zone=ZONE, columns=columns)
    rows, _, _ = answer_of("answers", facts)
    assert [row["response"] for row in rows] == ["12"]
    graph.tries = tries
    rows, _, left_out = answer_of("answers", facts)
    assert rows == []
    assert sum(left_out.values()) == 3
    [item], _, _ = answer_of("items", facts)
    assert item["wrong_answers"] == ()


def test_the_outcome_at_an_item_is_compared_with_the_rest_of_the_student() -> None:
    """Out, each alone: the outcome at the item in the rest, `has_others`, its bound."""
    tries = []
    on_item = []
    on_rest = []
    who = [f"s{number:02}" for number in range(32)]
    chance = Random(5)
    for number, student in enumerate(who):
        outcomes = {item: chance.choice([0, 300, 500, 1_000]) for item in "ijm"}
        if number == 0:
            outcomes = {"i": 1_000}  # no other item, so this student does not count
        for item, outcome in outcomes.items():
            at = NOW - timedelta(hours=1)
            tries.append(Tried(f"{student}{item}", student, item, at, 0, outcome))
        if number > 0:
            on_item.append(outcomes["i"])
            on_rest.append((outcomes["j"] + outcomes["m"]) / 2)
    graph: Any = School(tries)
    columns = ColumnStore(graph, unchanged, ZONE)
    rows, _, _ = answer_of("items", Facts(graph, tuple(who), None, NOW, columns=columns))
    found = {row["item"]: row["discrimination"] for row in rows}
    assert found["i"] == pytest.approx(correlation(on_item, on_rest))
    few = Facts(graph, tuple(who[:30]), None, NOW, columns=columns)
    rows, _, _ = answer_of("items", few)
    # Thirty students tried it, and one of them nothing else.
    assert {row["item"]: row["discrimination"] for row in rows}["i"] is None
