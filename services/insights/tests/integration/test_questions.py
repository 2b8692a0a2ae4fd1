"""Each question answers what the records say, on each engine; the reference never asks the graph."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, product
from math import isclose, prod
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rooms import Room

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import InteractionFinding, RecordFinding
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.service.problems import Problem
from edugraph_insights.answers import Row
from edugraph_insights.facts import WAITING_NEEDS
from edugraph_insights.insights import Insights
from edugraph_insights.questions import QUESTIONS

from . import insights_reference as reference
from .schools import (
    BEGINNING,
    COURSES,
    EXAMPLES,
    NOW,
    ORIGIN,
    POINTS,
    STUDENTS,
    TERMS,
    School,
    asked,
    at,
    of,
    reading,
    schools,
    slower,
    written,
)

LIMITS = {
    "inactive_school_days": 20,
    "stuck_tries": 2,
    "recent_school_days": 15,
    "same_mistakes": 3,
    "low_estimate": 0.4,
}


def same(found: dict[Any, Row], expected: dict[Any, dict[str, Any]]) -> None:
    """The rows of an answer by their keys, field by field; floats but for the order of their sums."""
    assert found.keys() == expected.keys()
    for key, fields in expected.items():
        for name, value in fields.items():
            shown = getattr(found[key], name)
            if isinstance(value, float) and shown is not None:
                assert isclose(shown, value, abs_tol=1e-9), (key, name, shown, value)
            else:
                assert shown == value, (key, name, shown, value)


@pytest.mark.thorough
@EXAMPLES
@given(school=schools())
def test_questions_about_a_course_equal_the_reference(
    room: Room, insights: Insights, school: School
) -> None:
    """To take a guard out: let `first_attempts` not sort by place, or a statement not ask for the course."""
    written(room, school)
    for course in COURSES:
        if not reference.roster(school, course):
            continue
        for name in ("weak-points", "returning-mistakes", "untaught-points"):
            answer = asked(insights, name, course=course)
            expected = getattr(reference, name.replace("-", "_"))(school, course)
            same({row.point: row for row in answer.rows}, expected)
            assert answer.of_how_many["students"] == len(reference.roster(school, course))
        for row in asked(insights, "weak-points", course=course).rows:
            assert reference.is_lower_end(row.wrong_at_least, row.wrong, row.students)
        found = asked(insights, "items", course=course).rows
        same({row.item: row for row in found}, reference.items(school, course))
        found = asked(insights, "difficulty", course=course).rows
        same({row.course: row for row in found}, reference.difficulty(school, course))
        found = asked(insights, "trust", course=course).rows
        same(
            {row.kind: row for row in found if row.kind == "mistakes"},
            reference.trust(school, course),
        )
        for least in (0.0, 0.6):
            found = asked(insights, "earlier-gaps", course=course, min_confidence=least).rows
            same(
                {(row.point, row.gap): row for row in found},
                reference.earlier_gaps(school, course, least),
            )
            edges = reference.prerequisites(school)
            for row in found:  # the way that is shown is one of that confidence
                steps = [edges[step] for step in pairwise((row.point, *row.way))]
                assert row.way[-1] == row.gap
                assert isclose(prod(steps), row.confidence)
                assert min(steps) >= least
                assert len(row.way_names) == len(row.way)
        found = asked(insights, "mastery", course=course).rows
        same({row.point: row for row in found}, reference.mastery(school, course))
        found = asked(insights, "trend", course=course).rows
        same({row.week: row for row in found}, reference.trend(school, course))
        answer = asked(insights, "terms", course=course)
        expected, in_no_term = reference.terms(school, course)
        same({row.term: row for row in answer.rows}, expected)
        for name, number in in_no_term.items():
            assert answer.left_out.get(name, 0) == number
        found = asked(insights, "attention", course=course).rows
        same({row.student: row for row in found}, reference.attention(school, course))
        found = asked(insights, "roster", course=course).rows
        same({row.student: row for row in found}, reference.course_rows(school, course))
        found = asked(insights, "course-map", course=course).rows
        same({(row.point, row.needs): row for row in found}, reference.course_map(school, course))
        taught = reference.taught_points(school, course)
        waiting = [point for point, _ in reference.proposed(school) if point in taught]
        for name in ("course-map", "earlier-gaps", "together", "untaught-points", "today"):
            answer = asked(insights, name, course=course)
            assert answer.left_out.get(WAITING_NEEDS, 0) == len(waiting)


# Windows beside the whole time. Attempts come before them, so that a try in one need not be a first attempt.
PARTS = (
    (None, None),
    (BEGINNING + timedelta(hours=10), None),
    (BEGINNING + timedelta(hours=10), BEGINNING + timedelta(hours=30)),
)


@pytest.mark.thorough
@EXAMPLES
@given(school=schools())
def test_questions_about_students_at_points_equal_the_reference(
    room: Room, insights: Insights, school: School
) -> None:
    """Out, each alone: `since` in `tries_of`; `tested` and `concerned` in `mistakes_at_point`; the order by time of
    `_latest_with_words`; the words of a finding before the text in `quote`; `v.id` in `mistakes_at_point`.
    """
    written(room, school)
    for course in COURSES:
        if not reference.roster(school, course):
            continue
        for since, ends in PARTS:
            moments: dict[str, Any] = {"since": since}
            if ends:  # The end of the reference's window is not in it.
                moments["until"] = ends - timedelta(microseconds=1)
            answer = asked(insights, "grid", course=course, **moments)
            expected = reference.grid(school, course, (since, ends))
            same({(row.student, row.point): row for row in answer.rows}, expected)
            for point in POINTS:
                if not _is_known(room, point):
                    continue
                found = asked(insights, "point", course=course, point=point, **moments).rows
                expected = reference.at_point(school, course, point, (since, ends))
                same({row.student: row for row in found}, expected)


@EXAMPLES
@given(school=schools(), times=st.sampled_from([1, 12, 24]))
def test_what_to_do_today_equals_the_reference(
    room: Room, insights: Insights, school: School, times: int
) -> None:
    """Out, each alone: the gap of fewer than half of the students; `since` in `_speak`; the order of `_latest`."""
    school = slower(school, times)
    written(room, school)
    for course in COURSES:
        if not reference.roster(school, course):
            continue
        helped = asked(insights, "needs-help", course=course, **LIMITS).rows
        expected = reference.today(school, course, helped)
        rows = asked(insights, "today", course=course, **LIMITS).rows
        same({row.kind: row for row in rows}, expected)
        kinds = [kind for kind in ("repeat", "speak", "answer") if kind in expected]
        assert [(row.rank, row.kind) for row in rows] == list(enumerate(kinds, start=1))


@settings(EXAMPLES, max_examples=3)
@given(
    school=schools(),
    zone=st.sampled_from(["Asia/Kathmandu", "America/Los_Angeles", "Pacific/Kiritimati"]),
)
def test_days_and_weeks_are_those_of_the_time_zone_of_the_school(
    room: Room, school: School, zone: str
) -> None:
    """Clocks change in Los Angeles on the 8th of March. Out, each alone: `facts.zone` in trend, mood and today."""
    school = replace(school, zone=ZoneInfo(zone))
    written(room, school)
    insights = reading(room, zone=zone)
    for course in COURSES:
        if not reference.roster(school, course):
            continue
        found = asked(insights, "trend", course=course).rows
        same({row.week: row for row in found}, reference.trend(school, course))
        found = asked(insights, "mood", course=course).rows
        same({(row.week, row.topic): row for row in found}, reference.mood(school, course))
        helped = asked(insights, "needs-help", course=course, **LIMITS).rows
        expected, _ = reference.needs_help(school, course, LIMITS)
        for each in expected.values():
            del each["low_points"]
        same({row.student: row for row in helped}, expected)
        today = asked(insights, "today", course=course, **LIMITS).rows
        same({row.kind: row for row in today}, reference.today(school, course, helped))
        for passed in (timedelta(days=1), timedelta(days=3), timedelta(days=20)):
            until = BEGINNING + passed
            due = asked(insights, "due", course=course, until=until).rows
            expected = reference.due(school, course, until)
            same({(row.student, row.point): row for row in due}, expected)
    insights.graph.close()


@pytest.mark.thorough
@EXAMPLES
@given(school=schools())
def test_questions_that_teachers_ask_first_equal_the_reference(
    room: Room, insights: Insights, school: School
) -> None:
    """Out, each alone: `taught_points` and `is_wrong` in together; `week_ago` in changes; the second band of spread; the
    order of `missing` and `unsure` in ready.
    """
    school = slower(school, 12)
    written(room, school)
    until = BEGINNING + timedelta(days=14)
    for course in COURSES:
        people = sorted(reference.roster(school, course))
        if not people:
            continue
        expected = reference.together(school, course)
        needed_for = {key: row.pop("for") for key, row in expected.items()}
        rows = asked(insights, "together", course=course).rows
        same({(row.point, row.number): row for row in rows}, expected)
        for row in rows:
            named = {reference.point_of(school, each) for each in row.needed_for}
            assert named == needed_for[row.point, row.number]
        found = asked(insights, "answers", course=course).rows
        same({(row.item, row.response): row for row in found}, reference.answers(school, course))
        found = asked(insights, "changes", course=course, until=until).rows
        same({row.student: row for row in found}, reference.changes(school, course, until))
        found = asked(insights, "spread", course=course).rows
        same({row.point: row for row in found}, reference.spread(school, course))
        states = {}
        for who in people:
            of_student = asked(insights, "student", course=course, student=who).rows
            states[who] = {row.point: row.state for row in of_student}
            to_practise = []
            for row in asked(insights, "practice", course=course, student=who).rows:
                to_practise.append((row.place, row.point, row.item, row.tries, row.last_tried))
            assert to_practise == reference.practice(school, course, who)
        _prerequisites_are_in_order(insights, school, course, states)
        for point in POINTS:
            if not _is_known(room, point):
                continue
            answer = asked(insights, "ready", course=course, point=point)
            needing = reference.point_of(school, point)
            waiting = [pair for pair in reference.proposed(school) if pair[0] == needing]
            assert answer.left_out.get(WAITING_NEEDS, 0) == len(waiting)
            found = answer.rows
            shown = {}
            for row in found:
                names = (row.missing, row.unsure, row.mastered)
                shown[row.student] = (
                    row.state,
                    *(
                        {reference.point_of(school, each) for each in each_name}
                        for each_name in names
                    ),
                )
            assert shown == reference.ready(school, point, states)


def _prerequisites_are_in_order(
    insights: Insights, school: School, course: str, states: Any
) -> None:
    """Compare the prerequisites to review with the reference. To take guards out: in `students_on_ways`, the points
    that are reached or the state; in `order`, the students; in `followed_prerequisites`, any condition.
    """
    needs = reference.prerequisites(school)
    of_kind = {"followed": needs, "proposed": reference.proposed(school)}
    answer = asked(insights, "review-points", course=course, limit=5_000)
    rows = [row for row in answer.rows if row.kind in of_kind]
    shown: dict[str, set[tuple[str, str]]] = {"followed": set(), "proposed": set()}
    for row in rows:
        pair = reference.point_of(school, row.point), reference.point_of(school, row.other)
        shown[row.kind].add(pair)
        on_way = set()
        for who, of_student in states.items():
            weak = {point for point, state in of_student.items() if state == "not mastered"}
            for point in weak:
                if pair[0] in {point} | reference.needs_of(needs, point):
                    on_way.add(who)
        assert row.students == len(on_way)
    taught = reference.taught_points(school, course)
    for kind, pairs in of_kind.items():
        assert shown[kind] <= pairs.keys()
        assert shown[kind] >= {pair for pair in pairs if pair[0] in taught and pair[0] != pair[1]}
    numbers = [row.students for row in rows]
    assert numbers == sorted(numbers, reverse=True)


def _is_known(room: Room, point: str) -> bool:
    found = room.query(
        "MATCH (k:KnowledgePoint) WHERE k.id = $id RETURN k.id", id=canonical_name(point)
    )
    return bool(found)


def test_a_point_that_nobody_knows_is_not_found(room: Room, insights: Insights) -> None:
    record = {"type": "course_record", "timestamp": at(0), "record_id": "r"}
    records = [parse_record({**record, "data": {"student_id": "s00", "course_id": "C"}})]
    written(room, School(records, []))
    with pytest.raises(Problem) as refused:
        asked(insights, "point", course="C", point="Nothing")
    assert refused.value.status == 404


def test_points_that_mean_the_same_are_one_though_no_record_names_what_stands_for_them(
    room: Room, insights: Insights
) -> None:
    """Out: `p.id` where a statement names a point: there is a row for each name, and an item may count twice."""
    tried = {"a": ("Sums",), "b": ("Totals",), "c": ("Sums", "Totals")}
    records = [
        parse_record(
            {
                "type": "attempt_record",
                "timestamp": at(number),
                "record_id": item,
                "data": {
                    "student_id": "s00",
                    "item_id": item,
                    "course_id": "C",
                    "score": 0,
                    "knowledge_points": points,
                },
            }
        )
        for number, (item, points) in enumerate(tried.items())
    ]
    written(room, School(records, [], same=(("Adding", "Sums"), ("Adding", "Totals"))))
    [row] = asked(insights, "weak-points", course="C").rows
    assert (row.point, row.name, row.first_attempts) == ("adding", "adding", 3)


@pytest.mark.thorough
@EXAMPLES
@given(school=schools())
def test_questions_about_a_student_and_two_courses_equal_the_reference(
    room: Room, insights: Insights, school: School
) -> None:
    written(room, school)
    for course, other in (COURSES, COURSES[::-1]):
        people = reference.roster(school, course)
        if not people or not reference.roster(school, other):
            continue
        answer = asked(insights, "travelling-weaknesses", course=course, next_course=other)
        same(
            {row.point: row for row in answer.rows},
            reference.travelling_weaknesses(school, course, other),
        )
        for who in sorted(people)[:3]:
            answer = asked(insights, "student", course=course, student=who)
            same({row.point: row for row in answer.rows}, reference.student(school, course, who))
        for who, goal in zip(sorted(people)[:3], POINTS, strict=False):
            if not room.query(
                "MATCH (k:KnowledgePoint) WHERE k.id = $id RETURN k.id", id=canonical_name(goal)
            ):
                continue
            for least in (0.0, 0.6):
                answer = asked(
                    insights, "next", course=course, student=who, goal=goal, min_confidence=least
                )
                expected = reference.learn_next(school, course, who, goal, least)
                same({row.point: row for row in answer.rows}, expected)
                on_the_way = reference.points_on_the_way(school, goal, least)
                waiting = [pair for pair in reference.proposed(school) if pair[0] in on_the_way]
                assert answer.left_out.get(WAITING_NEEDS, 0) == len(waiting)
                assert [row.step for row in answer.rows] == sorted(
                    row["step"] for row in expected.values()
                )


@EXAMPLES
@given(school=schools(), recent_school_days=st.sampled_from([65, 365]))
def test_questions_for_tutors_and_of_a_term_equal_the_reference(
    room: Room, insights: Insights, school: School, recent_school_days: int
) -> None:
    """Out: the breaks of a term; the beginning of the term that was asked for, or its end, in `facts_of`."""
    written(room, school)
    # Without terms, the first of the two days with attempts is 65 school days ago.
    limits = {**LIMITS, "recent_school_days": recent_school_days}
    for course in COURSES:
        if not reference.roster(school, course):
            continue
        answer = asked(insights, "needs-help", course=course, **limits)
        rows = answer.rows
        expected, inactive = reference.needs_help(school, course, limits)
        low = {who: each.pop("low_points") for who, each in expected.items()}
        same({row.student: row for row in rows}, expected)
        said = "inactivity of students, since most of the course is inactive"
        assert answer.left_out.get(said, 0) == inactive
        names = [(row.student, round(row.estimate or 0.5, 9)) for row in rows]
        ordered = sorted(
            names,
            key=lambda each: (
                not set(expected[each[0]]["reasons"]) - {"inactive"},
                not expected[each[0]]["reasons"],
                each[1],
                each[0],
            ),
        )
        assert names == ordered
        assert {
            row.student: {reference.point_of(school, each) for each in row.low_at} for row in rows
        } == low
        rows = asked(insights, "mood", course=course).rows
        same({(row.week, row.topic): row for row in rows}, reference.mood(school, course))
        answer = asked(insights, "ties", course=course)
        expected, sent = reference.ties(school, course)
        same({row.student: row for row in answer.rows}, expected)
        pairs = {frozenset(pair) for pair in sent}
        mutual = sum((other, one) in sent for one, other in sent) // 2
        assert answer.of_how_many["pairs with a tie"] == len(pairs)
        assert answer.of_how_many["pairs with a tie both ways"] == mutual
        for row in answer.rows:
            assert (row.community is None) == (row.ties == 0)
        for term in TERMS:
            answers_of_a_term_equal_the_reference(insights, school, course, term)


def answers_of_a_term_equal_the_reference(
    insights: Insights, school: School, course: str, term: str
) -> None:
    if term not in {r.data.term for r in of(school.records, "term_record")}:
        with pytest.raises(Problem, match="no term"):
            asked(insights, "weak-points", course=course, term=term)
        return
    window = reference.term_of(school, term)
    rows = asked(insights, "weak-points", course=course, term=term).rows
    same({row.point: row for row in rows}, reference.weak_points(school, course, window))
    rows = asked(insights, "mood", course=course, term=term).rows
    same({(row.week, row.topic): row for row in rows}, reference.mood(school, course, window))
    weeks_of = asked(insights, "trend", course=course, term=term).rows
    same({row.week: row for row in weeks_of}, reference.trend(school, course, window))
    first = window[0].date() - timedelta(days=window[0].weekday())
    for row in (*rows, *weeks_of):
        weeks = row.week and (date.fromisoformat(row.week) - first).days // 7 + 1
        assert row.school_week == (weeks or None)


@pytest.mark.thorough
@EXAMPLES
@given(
    school=schools(), members=st.lists(st.sampled_from(["g", "h", None]), min_size=14, max_size=14)
)
def test_two_groups_are_compared_in_the_weeks_of_their_terms(
    room: Room, insights: Insights, school: School, members: list[str | None]
) -> None:
    """Out: the item that one group alone tried; the week that one has not reached."""
    groups: dict[str, set[str]] = {"g": set(), "h": set()}
    # The first term has one week. The second one begins on a Sunday, so that attempts on Monday are in its second.
    days = {"T1": ("2026-03-02", "2026-03-04"), "T2": ("2026-03-01", "2026-07-01")}
    values: list[tuple[str, dict[str, Any]]] = [
        ("term_record", {"term": term, "starts": starts, "ends": ends})
        for term, (starts, ends) in days.items()
    ]
    for who, group in zip(STUDENTS, members, strict=True):
        if group:
            groups[group].add(who)
            # Whose membership ended after the term was in the group then.
            ends = "2026-04-01" if group == "g" else None
            values.append(
                ("membership_record", {"group_id": group, "student_id": who, "ends": ends})
            )
    own = [
        parse_record({"type": kind, "timestamp": at(0), "record_id": f"g{number}", "data": data})
        for number, (kind, data) in enumerate(values)
    ]
    school = School(
        [*(r for r in school.records if r.type != "term_record"), *own],
        school.findings,
        school.same,
    )
    written(room, school)
    if not room.query("MATCH (c:Course {id: 'C'}) RETURN c.id"):
        return
    in_course = reference.roster(school, "C")
    groups = {group: people & in_course for group, people in groups.items()}
    asked_of = {"course": "C", "group": "g", "term": "T1", "other_group": "h", "other_term": "T2"}
    answer = asked(insights, "groups", **asked_of)
    rows = {
        (row.measure, row.point, row.school_week): row
        for row in answer.rows
        if row.measure != "needs help"
    }
    same(rows, reference.groups(school, "C", [(groups["g"], "T1"), (groups["h"], "T2")]))
    assert answer.of_how_many["students of the other group"] == len(groups["h"])
    assert answer == asked(insights, "groups", **asked_of)
    for row in answer.rows:
        assert (row.low is None) == (min(row.students, row.other_students) < 10)
    in_need = [row for row in answer.rows if row.measure == "needs help"]
    assert len(in_need) == (1 if all(groups.values()) else 0)
    for row in in_need:
        of_other = asked(insights, "needs-help", course="C", group="h", term="T2").rows
        assert isclose(row.other, sum(bool(each.reasons) for each in of_other) / len(of_other))


# Questions whose numbers are about tries and mistakes. An answer without an outcome counts as activity in the others.
ABOUT_TRIES = ("weak-points", "returning-mistakes", "untaught-points", "items", "difficulty", "earlier-gaps", "mastery",
               "trend", "attention", "course-map", "review-queue")  # fmt: skip


@settings(EXAMPLES, max_examples=max(3, EXAMPLES.max_examples // 3))
@given(
    school=schools(),
    handed_in=st.lists(
        st.tuples(
            st.sampled_from(STUDENTS),
            st.sampled_from(COURSES),
            st.sampled_from(["i", "j", "new"]),
            st.integers(0, 40),
        ),
        min_size=1,
        max_size=12,
    ),
)
def test_an_answer_without_an_outcome_changes_no_number_about_tries(
    room: Room, insights: Insights, school: School, handed_in: list[tuple[str, str, str, int]]
) -> None:
    """Out: `a.outcome IS NOT NULL` in `attempts`, `m:ErrorRecord` in `mistakes` or in `findings`."""
    answers = []
    found = InteractionFinding(sentiment="negative", topics=("Essays",), confidence=0.9)
    for number, (who, where, item, hour) in enumerate(handed_in):
        data = {
            "student_id": who,
            "course_id": where,
            "item_id": item,
            "question": "Why?",
            "response": "I am lost.",
        }
        value = {
            "type": "attempt_record",
            "timestamp": at(hour),
            "record_id": f"h{number}",
            "data": data,
        }
        answers.append(parse_record(value))
    findings = [
        RecordFinding(record=each.to_json(), finding=found, origin=ORIGIN) for each in answers
    ]
    taken = {each.data.course_id for each in of(school.records, "course_record")}
    schools_of = (
        school,
        School([*school.records, *answers], [*school.findings, *findings], school.same),
    )
    seen = []
    for each in schools_of:
        written(room, each)
        seen.append({})
        for course, name in product(sorted(taken), ABOUT_TRIES):
            answer = asked(insights, name, course=course)
            seen[-1][course, name] = answer.rows, answer.of_how_many, answer.left_out
    assert seen[0] == seen[1]


# Numbers of a row that count records. With messages come those that name no course.
COUNTED = {"trend": ("first_attempts", "mistakes"), "terms": ("first_attempts", "mistakes"),
           "roster": ("first_attempts", "mistakes"),
           "attention": ("mistakes",), "trust": ("records",)}  # fmt: skip


@settings(EXAMPLES, max_examples=max(3, EXAMPLES.max_examples // 3))
@given(school=schools(), hours=st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted))
def test_a_number_of_chosen_days_opens_the_records_that_it_counts(
    room: Room, insights: Insights, school: School, hours: list[int]
) -> None:
    """Out: `from`, `to` or `term` in `Parameters.records`; the student in the evidence of attention or roster."""
    written(room, school)
    terms = [each.data.term for each in of(school.records, "term_record")]
    first: dict[Any, str] = {}
    for each in sorted(
        of(school.records, "attempt_record"),
        key=lambda r: (r.timestamp, r.data.attempt_number or 0, r.record_id),
    ):
        is_a_try = each.data.outcome_thousandths is not None
        if is_a_try and "C" in each.data.courses:
            first.setdefault((each.data.student_id, each.data.item_id), each.record_id)
    begin, end = (BEGINNING + timedelta(hours=each) for each in hours)
    times: list[dict[str, Any]] = [
        {"from": begin, "to": end},
        {"to": end},
        *({"term": each} for each in terms[:1]),
    ]
    for chosen, (name, numbers) in product(
        times if reference.roster(school, "C") else (), COUNTED.items()
    ):
        for row in asked(insights, name, course="C", **chosen).rows:
            about: dict[str, Any] = dict(parse_qsl(row.evidence.partition("?")[2]))
            opened = asked(insights, "records", **about, limit=5_000).rows
            counts = {
                "first_attempts": len({each.record for each in opened} & set(first.values())),
                "mistakes": sum(_is_mistake(each) for each in opened),
            }
            counts["records"] = (
                len(opened)
                if name == "trust" and row.kind == "course texts"
                else counts["mistakes"]
            )
            if getattr(row, "kind", "") != "messages":
                assert {each: getattr(row, each) for each in numbers} == {
                    each: counts[each] for each in numbers
                }


def _is_mistake(opened: Any) -> bool:
    if opened.kind == "ErrorRecord":
        return True
    if opened.outcome is None:
        return False  # Nobody has judged the answer yet.
    return opened.outcome < 500 and bool(opened.question or opened.text)


PAST_DAY = BEGINNING.date()  # of the hours of `schools`, those of the first day
DATED = ("weak-points", "returning-mistakes", "difficulty", "items", "mastery", "trend", "mood", "roster", "attention",
         "ties", "records", "needs-help", "travelling-weaknesses")  # fmt: skip


@EXAMPLES
@given(
    school=schools(),
    later=st.lists(
        st.tuples(st.sampled_from(STUDENTS), st.sampled_from(COURSES), st.integers(0, 100)),
        max_size=6,
    ),
)
def test_as_of_a_day_the_answer_is_that_of_its_end(room: Room, school: School, later: Any) -> None:
    """What was answered at the end of a day is answered later as of that day. Which item tests what was known then.

    To take a guard out: let `latest_progress` read the latest progress, or `_there_by` return all.
    """
    tests: dict[str, set[str]] = defaultdict(set)
    for r in of(school.records, "attempt_record") + of(school.records, "item_record"):
        tests[r.data.item_id] |= {*r.data.knowledge_points}
    values: list[tuple[str, int, dict[str, Any]]] = [
        ("item_record", 0, {"item_id": item, "knowledge_points": sorted(points)})
        for item, points in tests.items()
    ]
    values += [
        ("course_record", hour, {"student_id": who, "course_id": where, "progress": progress})
        for hour, (who, where, progress) in enumerate(later, start=20)
    ]
    more = [
        parse_record({"type": kind, "timestamp": at(hour), "record_id": f"d{number}", "data": data})
        for number, (kind, hour, data) in enumerate(values)
    ]
    everything = [*more, *(r for r in school.records if r.type != "item_record")]
    end = datetime.combine(PAST_DAY, time.max, UTC)
    until_then = [r for r in everything if r.timestamp <= end]
    ids = {r.record_id for r in until_then}
    findings = [each for each in school.findings if each.record["record_id"] in ids]
    answers: list[dict[tuple[str, str], Any]] = []
    for part, found, now, day in (
        (until_then, findings, end, {}),
        (everything, school.findings, NOW, {"as_of": PAST_DAY}),
    ):
        written(room, School(part, found, school.same))
        insights = reading(room, now=now)
        answers.append({})
        for course in COURSES:
            if not reference.roster(School(until_then, []), course):
                continue
            for name in DATED:
                more_given = {"next_course": "D"} if name == "travelling-weaknesses" else {}
                answer = asked(insights, name, course=course, **day, **more_given)
                rows = [
                    row.model_dump(exclude={"evidence", "progress_evidence"}) for row in answer.rows
                ]
                answers[-1][name, course] = rows, answer.of_how_many, answer.as_of
        insights.graph.close()
    assert answers[0] == answers[1]


def test_what_is_known_of_today_alone_is_not_answered_as_of_a_day() -> None:
    for name in ("course-map", "untaught-points", "trust", "review-queue", "review-points"):
        with pytest.raises(ValidationError, match="known of today alone"):
            QUESTIONS[name].parameters(course="C", as_of=PAST_DAY)
