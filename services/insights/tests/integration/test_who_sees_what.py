"""Each role gets the questions and rows of the table, and nobody a row of a student whom they may not see.

Groups are made here by hand in the form that the importer writes.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.platform.api_keys import ROLES
from edugraph_common.platform.callers import ANYBODY
from edugraph_common.platform.problems import Refusal
from edugraph_insights.access import RULES
from edugraph_insights.insights import Insights
from edugraph_insights.problems import TooLarge
from edugraph_insights.questions import QUESTIONS

from .schools import (
    EXAMPLES,
    STUDENTS,
    NotedAudit,
    School,
    asked,
    at,
    caller,
    interval,
    make_groups,
    memberships,
    of,
    reading,
    schools,
    written,
)

NEEDS = {
    "student": {"student": STUDENTS[3]},
    "next": {"student": STUDENTS[3], "goal": "P1"},
    "groups": {"group": "g", "other_group": "h"},
    "travelling-weaknesses": {"next_course": "D"},
}
PERSONAL_READS = ("student", "next", "needs-help", "items", "ties", "records", "attention", "roster", "review-queue")


def overlaps_last_month(days: Any) -> bool:
    starts, ends = days
    return (starts is None or starts <= 0) and (ends is None or ends > -30)


@EXAMPLES
@given(
    school=schools(),
    members=memberships,
    led=st.lists(st.tuples(st.sampled_from(["t", "u"]), st.sampled_from("gh"), interval), max_size=4),
    course_of_h=st.sampled_from(["C", "D", None]),
)
def test_a_teacher_sees_who_is_in_their_groups_and_nobody_else(  # noqa: PLR0917
    room: Room, insights: Insights, school: School, members: Any, led: Any, course_of_h: str | None
) -> None:
    """To take the guard out: leave an interval, the course, or the teacher out of `students_led`; let `message_records`
    not count the students of a message.
    """
    written(room, school)
    there = {row["id"] for row in room.query("MATCH (s:Student) RETURN s.id AS id")}
    if room.query("MATCH (c:Course) WHERE c.id IN ['C', 'D'] RETURN count(c) AS n") != [{"n": 2}]:
        return
    make_groups(room, members, led, {"g": "C", "h": course_of_h})
    for course in ("C", "D"):
        shown = {group for group, of in {"g": "C", "h": course_of_h}.items() if of in {None, course}}
        mine = {group for who, group, days in led if who == "t" and overlaps_last_month(days)} & shown
        permitted = {w for w, group, days in members if group in mine and overlaps_last_month(days) and w in there}
        answer = asked(insights, "records", caller("teacher", person="t"), course=course, limit=5_000)
        assert answer.of_how_many["students"] == len(permitted)
        assert {row.student for row in answer.rows} <= permitted
        for kind, expected in records_of_kinds(school, course, permitted).items():
            rows = asked(insights, "records", caller("teacher", person="t"), course=course, kind=kind).rows
            assert {row.record for row in rows} == expected
            assert {row.student for row in rows} | {row.partner for row in rows} <= permitted | {None}
        for who in STUDENTS[:4]:
            if who in permitted:
                asked(insights, "student", caller("teacher", person="t"), course=course, student=who)
            else:
                with pytest.raises(Refusal) as refused:
                    asked(insights, "student", caller("teacher", person="t"), course=course, student=who)
                assert refused.value.status == 404


def records_of_kinds(school: School, course: str, permitted: set[str]) -> dict[str, set[str]]:
    """Which messages, records of progress and texts are behind numbers about these students: no message of others."""
    messages = set()
    for each in (*of(school.records, "student_interaction"), *of(school.records, "teacher_interaction")):
        of_teacher = each.type == "teacher_interaction"
        data = each.data
        people = {data.student_id} if of_teacher else {data.student_id_from, data.student_id_to}
        if data.course_id in {course, None} and people <= permitted:
            messages.add(each.record_id)
    standings = [r for r in of(school.records, "course_record") if r.data.course_id == course]
    return {
        "messages": messages,
        "progress": {r.record_id for r in standings if r.data.student_id in permitted},
        "texts": {r.record_id for r in of(school.records, "course_content") if r.data.course_id == course},
    }


@pytest.fixture
def school_of_12(room: Room) -> None:
    """Twelve students who each tried an item of one point; the first of them is restricted."""
    from edugraph_common.contracts.records import parse_record

    values = []
    for number in range(12):
        who = STUDENTS[number]
        tried = {"student_id": who, "item_id": "i", "course_id": "C", "correct": number % 2 == 0, "response": "=7"}
        values += [
            {"type": "course_record", "data": {"student_id": who, "course_id": "C"}},
            {"type": "course_record", "data": {"student_id": who, "course_id": "D"}},
            {"type": "attempt_record", "data": {**tried, "knowledge_points": ["P1"]}},
        ]
    records = [parse_record({**each, "timestamp": at(1), "record_id": f"r{n}"}) for n, each in enumerate(values)]
    written(room, School(records, []))
    room.graph.restrict_student(STUDENTS[0], restricted=True)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.usefixtures("school_of_12")
def test_each_role_gets_the_questions_of_the_table(room: Room, role: Any) -> None:
    for name in QUESTIONS:
        audit, person = NotedAudit(), STUDENTS[3]
        insights, who = reading(room, audit=audit), caller(role, person=person)
        parameters = {"course": "C", **NEEDS.get(name, {})}
        if name not in RULES[role].questions:
            with pytest.raises(Refusal) as refused:
                asked(insights, name, who, **parameters)
            assert refused.value.status == 403
            assert not audit.entries
        elif role == "teacher" and name in {"student", "next"}:  # of no group
            with pytest.raises(Refusal):
                asked(insights, name, who, **parameters)
        else:
            answer = asked(insights, name, who, **parameters)
            assert answer.exact == (role not in {"analyst", "head"})
            if not answer.exact:
                dumped = answer.model_dump_json()
                assert not any(f'"{student}"' in dumped for student in STUDENTS)
                assert "=7" not in dumped
            elif role == "student":
                assert answer.of_how_many.get("students", 1) == 1
            assert bool(audit.entries) == (answer.exact and name in PERSONAL_READS)
        insights.graph.close()


@pytest.mark.usefixtures("school_of_12")
def test_who_is_restricted_is_in_no_number(room: Room, insights: Insights) -> None:
    """To take the guard out: leave `restricted` out of a statement of access.cypher."""
    [row] = asked(insights, "weak-points", course="C").rows
    assert (row.students, row.first_attempts) == (11, 11)
    with pytest.raises(Refusal):
        asked(insights, "student", course="C", student=STUDENTS[0])
    room.graph.restrict_student(STUDENTS[0], restricted=False)
    assert asked(insights, "weak-points", course="C").rows[0].students == 12


@pytest.mark.usefixtures("school_of_12")
@pytest.mark.parametrize(
    "detail", [{"group": "g"}, {"student": STUDENTS[1]}, {"from": at(0)}, {"to": at(9)}, {"term": "T1"}]
)
def test_an_analyst_cannot_cut_a_cell_smaller(insights: Insights, detail: dict[str, str]) -> None:
    """To take the guard out: let `refuse_detail` look over one of them."""
    assert asked(insights, "weak-points", caller("analyst"), course="C").rows[0].students == 10
    with pytest.raises(Refusal, match="leave out"):
        asked(insights, "weak-points", caller("analyst"), course="C", **detail)


@pytest.mark.usefixtures("school_of_12")
def test_who_has_no_role_or_no_person_gets_nothing(insights: Insights) -> None:
    for who in (caller(), caller("officer"), caller("teacher"), caller("student")):
        with pytest.raises(Refusal) as refused:
            asked(insights, "weak-points", who, course="C")
        assert refused.value.status == 403
    assert asked(insights, "weak-points", ANYBODY, course="C").rows


@pytest.mark.usefixtures("school_of_12")
def test_a_question_that_is_too_large_offers_a_narrower_one(room: Room) -> None:
    with pytest.raises(TooLarge) as large:
        asked(reading(room, max_rows=10), "weak-points", course="C")
    assert "more than 10 records" in large.value.detail
    assert "one group" in large.value.more["narrower"]
