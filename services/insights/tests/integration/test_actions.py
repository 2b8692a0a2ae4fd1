"""Actions of teachers are shown to those who lead the student, and to nobody else."""

from typing import Any

import pytest
from rooms import Room

from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_insights.access import need_to_lead
from edugraph_insights.insights import Insights
from edugraph_insights.queries.registry import QUERIES
from edugraph_insights.questions import QUESTIONS

from .schools import NOW, School, asked, at, caller, make_groups, reading, written
from .test_graph_queries import ask as walk
from .test_who_sees_what import NEEDS

NOTE = "Grandmother reads with him"
# Members and leaders of the groups: g is of the course C, h of the course D.
MEMBERS = [("s00", "g", (None, None)), ("s01", "g", (None, None)), ("s03", "h", (None, None))]
LED = [("t", "g", (None, None)), ("colleague", "g", (None, None)), ("u", "h", (None, None))]
OF_GROUPS = {"g": "C", "h": "D"}


def record(kind: str, record_id: str, hour: int, **data: Any) -> Record:
    return parse_record({"type": kind, "timestamp": at(hour), "record_id": record_id, "data": data})


def action(record_id: str, student: str, hour: int, **data: Any) -> Record:
    given = {"teacher_id": "t", "student_id": student, "course_id": "C", **data}
    return record("action_record", record_id, hour, **given)


def school(*actions: Record) -> School:
    """Two students of C try an item in vain, again and again, so that both need help."""
    records = []
    for student in ("s00", "s01", "s03"):
        for course in ("C", "D"):
            records.append(
                record(
                    "course_record", f"{student}-{course}", 0, student_id=student, course_id=course
                )
            )
    for student in ("s00", "s01"):
        for hour in range(6):
            given = {"student_id": student, "course_id": "C", "item_id": "i", "correct": False}
            name = f"{student}-try-{hour}"
            records.append(record("attempt_record", name, 2_000 + hour, **given, response="3"))
    message = {"teacher_id": "u", "student_id": "s01", "course_id": "C", "text": "Well done"}
    records.append(record("teacher_interaction", "message", 100, **message))
    return School([*records, *actions], [])


def there(room: Room, *actions: Record) -> None:
    written(room, school(*actions))
    make_groups(room, MEMBERS, LED, OF_GROUPS)


def shown(insights: Insights, who: Caller, **parameters: Any) -> list[tuple[Any, ...]]:
    rows = asked(insights, "actions", who, course="C", **parameters).rows
    return [(row.student, row.kind, row.record, row.text, row.holds) for row in rows]


def test_who_leads_the_student_sees_the_action_and_nobody_else(
    room: Room, insights: Insights
) -> None:
    """Out: OF_LEADERS in the rule of heads; or `$course` in the statement `actions`."""
    there(
        room,
        action("a1", "s00", 1, text=NOTE),
        action("a2", "s00", 2, course_id="D", text="of the other course"),
        action("a3", "s00", 3, spoken=True),
    )
    both = [("s00", "action", "a3", None, False), ("s00", "action", "a1", NOTE, False)]
    for leader in ("t", "colleague"):
        assert shown(insights, caller("teacher", person=leader), student="s00") == both
    latest = [("s00", "action", "a3", None, False), ("s01", "message", None, None, False)]
    assert shown(insights, caller("teacher", person="t")) == latest
    assert shown(insights, caller("teacher", "head", person="u")) == []
    with pytest.raises(Problem) as unknown:
        shown(insights, caller("teacher", person="u"), student="s00")
    assert unknown.value.status == 404
    for role in ("head", "student", "counsellor", "analyst", "officer"):
        with pytest.raises(Refusal) as refused:
            shown(insights, caller(role, person="s00"), student="s00")
        assert refused.value.status == 403


def test_no_other_question_shows_an_action(room: Room, insights: Insights) -> None:
    """Out: the type of the record in `messages`, `message_records` or `contacts`."""
    there(room)
    without = {name: answers(insights, name) for name in QUESTIONS if name != "actions"}
    there(
        room,
        action("secret-1", "s00", 1_900, text=NOTE),
        action("secret-2", "s01", 1_901, text=NOTE),
    )
    for name, answer in without.items():
        assert answers(insights, name) == answer, name


def answers(insights: Insights, name: str) -> list[Any]:
    parameters = [{"course": "C", **NEEDS.get(name, {})}]
    if "student" in parameters[0]:
        parameters[0]["student"] = "s00"
    if name == "records":
        parameters = [{"course": "C", "kind": kind} for kind in ("messages", "posts", "answers")]
        parameters.append({"course": "C", "kind": "messages", "of": "s00"})
    found = []
    for each in parameters:
        try:
            found.append(asked(insights, name, **each).model_dump(mode="json"))
        except Problem as problem:
            found.append(str(problem))
    return found


@pytest.mark.parametrize("who", [ANYBODY, caller("teacher", person="t"), caller("head")])
def test_no_walk_of_the_graph_meets_an_action(room: Room, insights: Insights, who: Caller) -> None:
    """Out, each alone: the type of the record in `to_records`, `records_of_persons`, `records_at`, `is_there` and
    `search_records`.
    """
    there(room, action("secret", "s00", 1_900, text=NOTE))
    starts = ["Student:s00", "Teacher:t", "Course:C"]
    for start in starts:
        try:
            found = walk(insights, "neighbours", who, node=start, limit=1_000)
        except Problem:
            continue
        assert "secret" not in found.model_dump_json(), start
    with pytest.raises(Problem):
        walk(insights, "neighbours", who, node="Interaction:secret")
    found = walk(insights, "nodes", who, label="Interaction", begins="sec")
    assert "secret" not in found.model_dump_json()
    assert set(QUERIES) >= {"neighbours", "nodes"}


@pytest.mark.parametrize(
    ("who", "student", "course"),
    [
        (caller("teacher", person="u"), "s00", "C"),
        (caller("teacher", person="t"), "s00", "D"),
        (caller("teacher", person="t"), "s03", "C"),
        (caller("teacher", person="t"), "nobody", "C"),
        (caller("teacher", person="t"), "s00", "no-course"),
        (caller("teacher", person="ended"), "s00", "C"),
        (caller("teacher", person="t"), "s04", "C"),
        (caller("teacher"), "s00", "C"),
        (caller("head", person="t"), "s00", "C"),
        (caller("student", person="s00"), "s00", "C"),
        (caller("counsellor", person="t"), "s00", "C"),
    ],
    ids=["another teacher", "another course", "another student", "no student", "no course", "no longer",
         "student left",
         "no person", "head", "student", "counsellor"],
)  # fmt: skip
def test_only_who_leads_the_student_gets_a_permit(
    room: Room, insights: Insights, who: Caller, student: str, course: str
) -> None:
    """Out: `_led`, its `former`, `_in_course` or the role in `need_to_lead`."""
    left = record("course_record", "s04-C", 0, student_id="s04", course_id="C")
    there(room, left)
    make_groups(room, [("s04", "g", (-90, -1))], [("ended", "g", (-90, -1))], {})
    need_to_lead(insights.graph, caller("teacher", person="t"), "s00", "C", NOW)
    need_to_lead(insights.graph, caller("teacher", person="colleague"), "s01", "C", NOW)
    with pytest.raises(Refusal) as refused:
        need_to_lead(insights.graph, who, student, course, NOW)
    assert refused.value.status == 403


def test_nobody_gets_a_permit_about_a_student_who_is_restricted_or_erased(
    room: Room, insights: Insights
) -> None:
    there(room, action("a1", "s00", 1, text=NOTE))
    room.graph.restrict_student("s00", restricted=True)
    teacher = caller("teacher", person="t")
    assert [row for row in shown(insights, teacher) if row[0] == "s00"] == []
    with pytest.raises(Refusal):
        need_to_lead(insights.graph, teacher, "s00", "C", NOW)
    while room.graph.erase_student("s00"):
        pass
    assert [row for row in shown(insights, teacher) if row[0] == "s00"] == []
    with pytest.raises(Refusal):
        need_to_lead(insights.graph, teacher, "s00", "C", NOW)


def speaks_with(insights: Insights) -> list[str]:
    rows = asked(insights, "today", caller("teacher", person="t"), course="C").rows
    return [student for row in rows if row.kind == "speak" for student in row.students]


@pytest.mark.parametrize(
    ("zone", "until", "is_proposed"),
    [
        ("UTC", "2026-06-02", False),
        ("UTC", "2026-06-01", True),
        ("Pacific/Kiritimati", "2026-06-02", False),
        ("Pacific/Kiritimati", "2026-06-01", True),
        ("America/Los_Angeles", "2026-06-01", False),
    ],
)
def test_a_student_who_is_put_off_leaves_today_until_the_day(
    room: Room, zone: str, until: str, is_proposed: bool
) -> None:
    """Out: `held` in `today`; or the zone of the school. It is midnight in UTC on the first of June."""
    there(room, action("a1", "s00", 1, not_until=until))
    insights = reading(room, zone=zone)
    try:
        assert ("s00" in speaks_with(insights)) == is_proposed
        assert "s01" in speaks_with(insights)
        [row] = asked(
            insights, "actions", caller("teacher", person="t"), course="C", student="s00"
        ).rows
        assert row.holds != is_proposed
    finally:
        insights.graph.close()


def test_a_later_action_ends_putting_a_student_off(room: Room, insights: Insights) -> None:
    """Out: the comparison of the moments in `put_off`."""
    put_off, ended = (
        action("b", "s00", 1, not_until="2027-01-01"),
        action("a", "s00", 2, not_until="2026-03-01"),
    )
    there(room, put_off, ended, action("c", "s00", 3, text="a note alone changes no day"))
    assert "s00" in speaks_with(insights)
    there(room, put_off, action("c", "s00", 3, text="a note alone changes no day"))
    assert "s00" not in speaks_with(insights)
    answer = asked(insights, "today", caller("teacher", person="t"), course="C")
    assert answer.left_out["students who need help and are put off until a later day"] == 1
    rows = asked(insights, "actions", caller("teacher", person="t"), course="C").rows
    assert [(row.record, row.holds) for row in rows if row.student == "s00"] == [
        ("c", False),
        ("b", True),
    ]


def test_the_list_has_the_last_talk_beside_a_later_note(room: Room, insights: Insights) -> None:
    """Out: the last action with `spoken` in `_last_of_each`: the page then says that nobody spoke with the student."""
    there(
        room,
        action("first", "s00", 1, spoken=True),
        action("talk", "s00", 2, spoken=True, text="about fractions"),
        action("note", "s00", 3, text=NOTE),
    )
    rows = asked(insights, "actions", caller("teacher", person="t"), course="C").rows
    shown_of_s00 = [(row.record, row.spoken) for row in rows if row.student == "s00"]
    assert shown_of_s00 == [("note", False), ("talk", True)]


def test_a_talk_is_judged_beside_the_other_students_of_the_teacher(
    room: Room, insights: Insights
) -> None:
    """Out: `spoken` in the question, or the students of other teachers in it."""
    talk, day = 1_000, 24
    members = []
    records = []
    for number in range(26):
        student = f"s{number:02}"
        has_talk = number < 10
        members.append((student, "g" if number < 24 else "h", (None, None)))
        given = {"student_id": student, "course_id": "C"}
        records.append(record("course_record", f"{student}-C", 0, **given))
        for days in (-4, -3, -2, 2, 3, 4):
            is_right = days > 0 and has_talk
            name = f"{student}-{days}"
            tried = {**given, "item_id": name, "correct": is_right}
            records.append(record("attempt_record", name, talk + days * day, **tried))
        if has_talk:
            records.append(action(f"talk-{student}", student, talk, spoken=True))
        elif number == 10:
            records.append(action("note", student, talk, text="a note alone is no talk"))
    written(room, School(records, []))
    make_groups(room, members, LED, OF_GROUPS)
    [row] = asked(insights, "did-it-help", caller("teacher", person="t"), course="C").rows
    assert (row.state, row.students, row.comparable_students) == ("more right", 10, 14)
    shares = (row.right_before, row.right_after, row.comparable_before, row.comparable_after)
    assert shares == (0, 1, 0, 0)
    assert (row.difference, row.low, row.high) == pytest.approx((1, 1, 1))
    assert asked(insights, "did-it-help", caller("teacher", person="u"), course="C").rows == ()
    for role in ("head", "student", "counsellor", "analyst", "officer"):
        with pytest.raises(Refusal) as refused:
            asked(insights, "did-it-help", caller(role, person="s00"), course="C")
        assert refused.value.status == 403
