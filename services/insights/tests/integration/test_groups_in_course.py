"""A question about a group counts its members who are in the course, and says how many are not."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.asking import OTHER_OUTSIDERS, OUTSIDERS
from edugraph_insights.insights import Insights
from edugraph_insights.questions import QUESTIONS

from . import insights_reference as reference
from .schools import (
    COURSES,
    EXAMPLES,
    STUDENTS,
    School,
    asked,
    at,
    caller,
    make_groups,
    schools,
    written,
)

ALWAYS = (None, None)
OF_ONE_STUDENT = ("student", "next", "practice")
OF_ONE_POINT = ("point", "ready")
NEEDS: dict[str, dict[str, Any]] = {
    "next": {"goal": "P1"},
    "groups": {"other_group": "other"},
    "travelling-weaknesses": {"next_course": "D"},
    "point": {"point": "P1"},
    "ready": {"point": "P1"},
}


def of_answer(
    insights: Insights, name: str, course: str, who: Caller = ANYBODY, **more: Any
) -> tuple[Any, dict[str, int], dict[str, int]]:
    """Return the rows without their addresses, what was counted, and what was left out."""
    answer = asked(insights, name, who, course=course, **{**NEEDS.get(name, {}), **more})
    rows = [row.model_dump(exclude={"evidence", "progress_evidence"}) for row in answer.rows]
    return rows, answer.of_how_many, answer.left_out


@pytest.mark.thorough
@settings(EXAMPLES, max_examples=max(3, EXAMPLES.max_examples // 3))
@given(
    school=schools(),
    members=st.sets(st.sampled_from(STUDENTS)),
    other=st.sets(st.sampled_from(STUDENTS)),
)
def test_of_a_group_those_count_who_are_in_the_course(
    room: Room, insights: Insights, school: School, members: set[str], other: set[str]
) -> None:
    """Out: `_in_course` of access.roster, for the group, the led groups, the student, or a day in the past."""
    written(room, school)
    there = {row["id"] for row in room.query("MATCH (s:Student) RETURN s.id AS id")}
    for course in COURSES:
        in_course = reference.roster(school, course)
        if (
            not in_course
            or len(room.query("MATCH (c:Course) WHERE c.id IN ['C', 'D'] RETURN c.id")) < 2
        ):
            continue
        groups = {
            "mixed": members & there,
            "own": members & in_course,
            "everybody": there,
            "other": other & there,
            "own other": other & in_course,
        }
        room.driver.execute_query("MATCH (g:Group) DETACH DELETE g")
        seats = [(who, group, ALWAYS) for group, people in groups.items() for who in people]
        leads = [(f"leads {group}", group, ALWAYS) for group in groups]
        make_groups(room, seats, leads, dict.fromkeys(groups))
        [points] = room.query("MATCH (k:KnowledgePoint) WHERE k.id = 'p1' RETURN count(k) AS n")
        for name in QUESTIONS:
            if name in OF_ONE_STUDENT:
                continue
            if name in OF_ONE_POINT and not points["n"]:
                continue
            rows, counted, left_out = of_answer(insights, name, course, group="mixed")
            assert left_out.pop(OUTSIDERS, 0) == len(groups["mixed"] - in_course), name
            if name == "groups":
                assert left_out.pop(OTHER_OUTSIDERS, 0) == len(groups["other"] - in_course)
                own = of_answer(insights, "groups", course, group="own", other_group="own other")
                assert (rows, counted, left_out) == own
                continue
            assert (rows, counted, left_out) == of_answer(insights, name, course, group="own"), name
            everybody = of_answer(insights, name, course, group="everybody")
            assert everybody[2].pop(OUTSIDERS, 0) == len(there - in_course)
            assert everybody == of_answer(insights, name, course), name
            teacher = caller("teacher", person="leads mixed")
            led = of_answer(insights, name, course, teacher)
            assert led[2].pop(OUTSIDERS, 0) == len(groups["mixed"] - in_course)
            assert led == (rows, counted, left_out), name


def test_of_a_student_who_is_not_in_the_course_nothing_counts(
    room: Room, insights: Insights
) -> None:
    """Out: `_in_course` for `student` and for the role student; its `until`."""
    values: list[tuple[str, int, dict[str, Any]]] = [
        ("course_record", 1, {"student_id": "early"}),
        ("course_record", 50, {"student_id": "late"}),
    ]
    for who in ("early", "late", "outside"):
        tried = {
            "student_id": who,
            "item_id": "i",
            "correct": False,
            "response": "7",
            "knowledge_points": ["P1"],
        }
        values.append(("attempt_record", 2, tried))
    records = [
        parse_record(
            {
                "type": kind,
                "timestamp": at(hour),
                "record_id": f"r{n}",
                "data": {**data, "course_id": "C"},
            }
        )
        for n, (kind, hour, data) in enumerate(values)
    ]
    written(room, School(records, []))
    make_groups(room, [(who, "g", ALWAYS) for who in ("early", "late", "outside")], [], {"g": None})
    myself = caller("student", person="outside")
    for asker in (ANYBODY, myself):
        for name in ("student", "next", "weak-points", "records", "roster"):
            about = {} if asker == myself and name not in OF_ONE_STUDENT else {"student": "outside"}
            rows, counted, left_out = of_answer(insights, name, "C", asker, **about)
            assert left_out[OUTSIDERS] == 1
            assert counted.get("first attempts", 0) == counted.get("students", 0) == 0
            assert name == "next" or rows == []
    with pytest.raises(Refusal, match="no such student"):
        of_answer(insights, "student", "C", student="unheard-of")
    for day, there in ((date(2026, 3, 1), {"early"}), (date(2026, 3, 20), {"early", "late"})):
        rows, _, left_out = of_answer(insights, "roster", "C", group="g", as_of=day)
        assert {row["student"] for row in rows} == there
        assert left_out[OUTSIDERS] == 3 - len(there)
