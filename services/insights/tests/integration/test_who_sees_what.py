"""Each role gets the questions and rows of the table, and nobody a row of a student whom they may not see.

Groups are made here by hand in the form that the importer writes.
"""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.findings import ErrorFinding, LinkedPoint, RecordFinding
from edugraph_common.contracts.messages import ProposedPair, ProposedPairs
from edugraph_common.contracts.permissions import ROLES, Role
from edugraph_common.contracts.records import parse_record
from edugraph_common.contracts.reviews import FindingReview, PairReview
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_common.runtime.shared_state.saved_views import SavedView, ViewState
from edugraph_insights.access import RULES
from edugraph_insights.asking import NOT_OF_LIST, OUTSIDERS, ask
from edugraph_insights.exports import as_csv
from edugraph_insights.insights import Insights
from edugraph_insights.mcp_server import use
from edugraph_insights.problems import TooLarge
from edugraph_insights.queries.registry import QUERIES
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.whole_graph import export, reviews

from . import insights_reference as reference
from .schools import (
    EXAMPLES,
    ORIGIN,
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
    "point": {"point": "P1"},
    "ready": {"point": "P1"},
    "practice": {"student": STUDENTS[3]},
}
PERSONAL_READS = (
    "student",
    "next",
    "needs-help",
    "items",
    "ties",
    "records",
    "attention",
    "roster",
    "review-queue",
    "handed-in",
    "help-used",
    "grid",
    "point",
    "today",
    "together",
    "ready",
    "answers",
    "changes",
    "due",
    "practice",
    "actions",
    "did-it-help",
    "review-points",
)


def overlaps_last_month(days: Any) -> bool:
    starts, ends = days
    return (starts is None or starts <= 0) and (ends is None or ends > -30)


@EXAMPLES
@given(
    school=schools(),
    members=memberships,
    led=st.lists(
        st.tuples(st.sampled_from(["t", "u"]), st.sampled_from("gh"), interval), max_size=4
    ),
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
        shown = {
            group for group, of in {"g": "C", "h": course_of_h}.items() if of in {None, course}
        }
        mine = {
            group for who, group, days in led if who == "t" and overlaps_last_month(days)
        } & shown
        led_students = {
            w
            for w, group, days in members
            if group in mine and overlaps_last_month(days) and w in there
        }
        permitted = led_students & reference.roster(school, course)
        answer = asked(
            insights, "records", caller("teacher", person="t"), course=course, limit=5_000
        )
        assert answer.of_how_many["students"] == len(permitted)
        assert answer.left_out.get(OUTSIDERS, 0) == len(led_students - permitted)
        assert {row.student for row in answer.rows} <= permitted
        for kind, expected in records_of_kinds(school, course, permitted).items():
            rows = asked(
                insights, "records", caller("teacher", person="t"), course=course, kind=kind
            ).rows
            assert {row.record for row in rows} == expected
            assert {row.student for row in rows} | {row.partner for row in rows} <= permitted | {
                None
            }
        for who in STUDENTS[:4]:
            if who in led_students:
                answer = asked(
                    insights, "student", caller("teacher", person="t"), course=course, student=who
                )
                assert answer.left_out.get(OUTSIDERS, 0) == (who not in permitted)
            else:
                with pytest.raises(Refusal) as refused:
                    asked(
                        insights,
                        "student",
                        caller("teacher", person="t"),
                        course=course,
                        student=who,
                    )
                assert refused.value.status == 404


def records_of_kinds(school: School, course: str, permitted: set[str]) -> dict[str, set[str]]:
    """Which messages, records of progress and texts are behind numbers about these students: no message of others."""
    messages = set()
    for each in (
        *of(school.records, "student_interaction"),
        *of(school.records, "teacher_interaction"),
    ):
        of_teacher = each.type == "teacher_interaction"
        data = each.data
        people = {data.student_id} if of_teacher else {data.student_id_from, data.student_id_to}
        if data.course_id in {course, None} and people <= permitted:
            messages.add(each.record_id)
    posts = set()
    for each in of(school.records, "post_record"):
        if each.data.course_id == course and each.data.student_id in permitted:
            posts.add(each.record_id)
    standings = [r for r in of(school.records, "course_record") if r.data.course_id == course]
    return {
        "messages": messages | posts,
        "posts": posts,
        "progress": {r.record_id for r in standings if r.data.student_id in permitted},
        "texts": {
            r.record_id for r in of(school.records, "course_content") if r.data.course_id == course
        },
    }


@pytest.fixture
def school_of_12(room: Room) -> None:
    """Twelve students who each tried an item of one point; the first of them is restricted."""
    values = []
    for number in range(12):
        who = STUDENTS[number]
        tried = {
            "student_id": who,
            "item_id": "i",
            "course_id": "C",
            "correct": number % 2 == 0,
            "response": "=7",
        }
        values += [
            {"type": "course_record", "data": {"student_id": who, "course_id": "C"}},
            {"type": "course_record", "data": {"student_id": who, "course_id": "D"}},
            {"type": "attempt_record", "data": {**tried, "knowledge_points": ["P1"]}},
        ]
    records = [
        parse_record({**each, "timestamp": at(1), "record_id": f"r{n}"})
        for n, each in enumerate(values)
    ]
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
        elif role == "teacher" and name in {"student", "next", "practice"}:  # of no group
            with pytest.raises(Refusal):
                asked(insights, name, who, **parameters)
        else:
            answer = asked(insights, name, who, **parameters)
            assert answer.exact == (role != "analyst")
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


LIST = "a" * 32


def with_list(insights: Insights, *students: str) -> Insights:
    """Return the same insights, in which each caller has a list of these students."""
    state = ViewState(kind="list", name="students", values={"course": "C", "students": students})
    view = SavedView(name="Mine", state=state)
    views: Any = SimpleNamespace(find=lambda _client, view_id: {LIST: view}.get(view_id))
    return replace(insights, views=views)


@pytest.mark.usefixtures("school_of_12")
def test_a_list_filters_each_question_and_gives_no_right(room: Room, insights: Insights) -> None:
    """A restricted or erased student of it is not shown. Out: `listed` in `_wanted_of`, or in `facts_of`."""
    make_groups(room, [(STUDENTS[3], "g", (None, None))], [("t", "g", (None, None))], {"g": "C"})
    mine = with_list(insights, STUDENTS[0], STUDENTS[3], STUDENTS[4], "erased")
    cases: dict[Role, set[str]] = {
        "head": {STUDENTS[3], STUDENTS[4]},
        "teacher": {STUDENTS[3]},
    }
    for role, seen in cases.items():
        who = caller(role, person="t")
        roster = asked(mine, "roster", who, course="C", list=LIST)
        assert {row.student for row in roster.rows} == seen
        assert roster.left_out[NOT_OF_LIST] == 4 - len(seen)
        others = {*STUDENTS[:12]} - seen
        for name in RULES[role].questions - {"groups"}:
            parameters = {"course": "C", **NEEDS.get(name, {})}
            dumped = asked(mine, name, who, **parameters, list=LIST).model_dump_json()
            assert not any(f'"{student}"' in dumped for student in others), name
    [row] = asked(mine, "weak-points", caller("head"), course="C", list=LIST).rows
    assert row.students == 2


@pytest.mark.usefixtures("school_of_12")
def test_a_list_is_of_its_owner_and_course_and_for_those_who_see_persons(
    insights: Insights,
) -> None:
    """Out: the look at the list in `listed_students`; `list` in `refuse_detail`."""
    mine = with_list(insights, STUDENTS[3])
    for course, list_id in (("D", LIST), ("C", "b" * 32)):
        with pytest.raises(Problem) as unknown:
            asked(mine, "roster", caller("head"), course=course, list=list_id)
        assert unknown.value.status == 404
    with pytest.raises(Refusal) as refused:
        asked(mine, "weak-points", caller("analyst"), course="C", list=LIST)
    assert refused.value.status == 403
    settings = mine.settings.model_copy(update={"head_sees": "groups"})
    with pytest.raises(Refusal) as of_head:
        asked(
            replace(mine, settings=settings), "weak-points", caller("head"), course="C", list=LIST
        )
    assert of_head.value.status == 403
    with pytest.raises(Refusal) as not_listed:
        asked(mine, "student", caller("head"), course="C", student=STUDENTS[4], list=LIST)
    assert not_listed.value.status == 404


RESTRICTED, OTHER, MARK = "hellebore-1", "s-other", "hellebore"


def write_marked(room: Room) -> None:
    """Two students with mistakes, answers, findings, reviews and a chat; of one each word has the mark.

    Of course D there are answers and no course record.
    """
    values, findings = [], []
    for number, (who, word) in enumerate([(RESTRICTED, MARK), (OTHER, "anemone")]):
        own = {"student_id": who, "student_name": f"{word} name", "course_id": "C"}
        told = {
            "item_id": "i",
            "correct": False,
            "question": f"{word} question",
            "response": f"{word} answer",
        }
        values += [
            {"type": "course_record", "data": {"student_id": who, "course_id": "C"}},
            {
                "type": "membership_record",
                "data": {"group_id": "g", "course_id": "C", "student_id": who},
            },
            {
                "type": "error_record",
                "data": {**own, "error_text": f"{word} text"},
                "record_id": f"{word}-error",
            },
            {"type": "attempt_record", "data": {**own, **told}, "record_id": f"{word}-attempt"},
            {
                "type": "error_record",
                "data": {**own, "course_id": "D", "error_text": f"{word} in D"},
            },
        ]
        chat = {
            "student_id_from": who,
            "student_id_to": f"partner-{number}",
            "interaction_type": "chat",
            "text": word,
        }
        values.append({"type": "student_interaction", "data": chat, "record_id": f"{word}-chat"})
        unsure = LinkedPoint(name=f"{word} law", strength=1.0, confidence=0.1 + number / 10)
        findings.append(
            ErrorFinding(knowledge_points=(unsure,), confidence=0.1, evidence=(f"{word} text",))
        )
    values.append(
        {
            "type": "membership_record",
            "data": {"group_id": "g", "course_id": "C", "teacher_id": "t"},
        }
    )
    values.append({"type": "point_record", "data": {"name": "anemone law", "course_id": "C"}})
    values = [{"timestamp": at(1), "record_id": f"r{n}", **each} for n, each in enumerate(values)]
    records = [parse_record(each) for each in values]
    written(
        room,
        School(
            records,
            [
                RecordFinding(record=record.to_json(), finding=finding, origin=ORIGIN)
                for word, finding in zip((MARK, "anemone"), findings, strict=True)
                for record in records
                if record.record_id in {f"{word}-error", f"{word}-attempt"}
            ],
        ),
    )
    proposed = ProposedPair(pair=("anemonelaw", f"{MARK}law"), likeness=0.6)
    # What was decided before is not proposed.
    room.graph.write_proposals(
        ProposedPairs(job_id="j", encoder="e", compared=2, pairs=(proposed,))
    )
    of_record = {
        "aspect": "knowledge_point",
        "verdict": "rejected",
        "by": "ann",
        "at": at(2),
        "text_hash": "0" * 64,
    }
    room.graph.write_reviews(
        [
            FindingReview.model_validate(
                {**of_record, "record_id": f"{word}-error", "target": f"{word}law"}
            )
            for word in (MARK, "anemone")
        ]
    )
    of_pair = {"of": "knowledge_point", "verdict": "different", "by": "ann", "at": at(2)}
    pairs = [("anemonelaw", f"{MARK}law"), ("anemonelaw", "otherlaw")]
    room.graph.write_reviews(
        [PairReview.model_validate({**of_pair, "pair": pair}) for pair in pairs]
    )


def showing_the_mark(room: Room, who: Caller) -> set[str]:
    """Return which of all tools of agents, exports of the review queue and exports of the graph show the mark."""
    found = reading(room, audit=NotedAudit())
    course = {"course": "C"}
    more = {
        **NEEDS,
        "student": {"student": RESTRICTED},
        "next": {"student": RESTRICTED, "goal": f"{MARK}law"},
        "point": {"point": "anemonelaw"},
        "ready": {"point": "anemonelaw"},
        "practice": {"student": RESTRICTED},
        "groups": {"group": "g", "other_group": "g"},
        "travelling-weaknesses": {"next_course": "C"},
    }
    # What it is called here, the tool and its arguments.
    calls: list[tuple[str, str, dict[str, Any]]] = [
        (name, name, course | more.get(name, {})) for name in QUESTIONS
    ]
    calls += [
        ("answers", "records", {"course": "D"}),
        ("group", "records", {**course, "group": "g"}),
    ]
    nodes = (
        "Course:C",
        "Item:i",
        "KnowledgePoint:anemonelaw",
        f"Student:{RESTRICTED}",
        f"ErrorRecord:{MARK}-error",
    )
    for name in QUERIES:
        each: list[dict[str, Any]] = [
            {"label": label} for label in ("Student", "ErrorRecord", "KnowledgePoint")
        ]
        each = (
            each
            if name == "nodes"
            else [{}]
            if name == "statistics"
            else [{"node": node} for node in nodes]
        )
        calls += [
            (
                f"graph-{name}",
                f"graph-{name}",
                one | ({"other": "Course:C"} if name == "path" else {}),
            )
            for one in each
        ]
    answered = []
    for name, question, parameters in calls:
        asked = {"question": question, "parameters": parameters}
        given = asked | {"texts": parameters.pop("texts", False)}
        answered.append((name, use(found, who, "ask", given).content[0].text))  # type: ignore[union-attr]
    queue = QUESTIONS["review-queue"]
    answered.append(
        (
            "CSV",
            as_csv(
                ask(found, who, queue, queue.parameters(**course)),
                {name: name for name in queue.row.model_fields},
            ),
        )
    )
    answered += [
        (what.__name__, json.dumps([*what(found.graph)], default=str)) for what in (export, reviews)
    ]
    found.graph.close()
    return {name for name, text in answered if MARK in text}


@pytest.mark.parametrize(
    "who", [ANYBODY, caller("teacher", person="t")], ids=["anybody", "teacher"]
)
def test_nothing_of_who_is_restricted_is_in_a_queue_an_export_or_a_tool(
    room: Room, who: Caller
) -> None:
    """Out: `restricted` in a statement of access.cypher or queries.cypher, `hidden` in reviews or export, or `uses`
    in review-points.
    """
    write_marked(room)
    shown = showing_the_mark(room, who)
    assert shown >= {
        "review-queue",
        "review-points",
        "records",
        "roster",
        "student",
        "CSV",
        "export",
        "reviews",
    }
    # The teacher's group is of the other course.
    assert shown >= ({"answers", "group"} if who == ANYBODY else {"group"})
    assert shown >= {
        f"graph-{name}" for name in ("nodes", "node", "neighbours", "subgraph", "path")
    }
    room.graph.restrict_student(RESTRICTED, restricted=True)
    assert showing_the_mark(room, who) == set()
    found = reading(room, audit=NotedAudit())
    [*queue] = asked(found, "review-queue", who, course="C").rows
    assert {row.student for row in queue if row.kind == "finding"} == {OTHER}
    assert {row.mistakes for row in queue if row.kind == "tests"} == {1}
    assert [review.get("record_id") for review in reviews(found.graph)] == ["anemone-error", None]
    found.graph.close()


@pytest.mark.usefixtures("school_of_12")
@pytest.mark.parametrize(
    "detail",
    [{"group": "g"}, {"student": STUDENTS[1]}, {"from": at(0)}, {"to": at(9)}, {"term": "T1"}],
)
def test_an_analyst_cannot_cut_a_cell_smaller(insights: Insights, detail: dict[str, str]) -> None:
    """To take the guard out: let `refuse_detail` look over one of them."""
    [row] = asked(insights, "weak-points", caller("analyst"), course="C").rows
    assert 6 <= row.students <= 16
    assert row.wrong is None, "a share stands on 25 students"
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
