"""Events of Caliper 1.2 become the records that the same xAPI statements become."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hostile_rows import any_json
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record
from edugraph_common.sources import NotRelevant
from edugraph_common.sources.chunking import rows_of
from edugraph_common.sources.detection import detect_file
from edugraph_common.sources.platforms import Platforms
from edugraph_common.sources.read_plan import ReadPlan
from edugraph_common.sources.xapi import people_of_statement, read_statement

HOST = "https://campus.example"
PLATFORMS = Platforms({"campus.example": ""})
COURSE = {"id": f"{HOST}/courses/algebra", "type": "CourseOffering", "name": "Algebra"}
SECTION = {"id": f"{HOST}/courses/algebra-2", "type": "CourseSection", "subOrganizationOf": COURSE}
LEARNER = {"id": f"{HOST}/users/17", "type": "Person", "name": "Ann Lee"}
TEACHER = {"id": f"{HOST}/users/3", "type": "Person"}
QUIZ = {"id": f"{HOST}/quiz/9", "type": "Assessment", "name": "Quiz 9", "isPartOf": COURSE}
QUESTION = {"id": f"{HOST}/quiz/9/q/2", "type": "AssessmentItem", "isPartOf": QUIZ}
FORUM = {"id": f"{HOST}/forum/1", "type": "Forum", "isPartOf": COURSE}
THREAD = {"id": f"{HOST}/forum/1/thread/4", "type": "Thread", "name": "Week 2", "isPartOf": FORUM}
ATTEMPT = {
    "id": f"{HOST}/quiz/9/attempt/5",
    "type": "Attempt",
    "assignable": QUIZ,
    "assignee": LEARNER,
    "count": 2,
    "duration": "PT90S",
}


def event(kind: str, action: str, entity: Any, **more: Any) -> dict[str, Any]:
    return {
        "@context": "http://purl.imsglobal.org/ctx/caliper/v1p2",
        "id": "urn:uuid:7D8F2C04-6B0F-4B7D-9F0D-0C6A2A8E1F11",
        "type": kind,
        "action": action,
        "actor": LEARNER,
        "object": entity,
        "eventTime": "2026-09-21T09:00:00.000Z",
        **more,
    }


def graded(**score: Any) -> dict[str, Any]:
    return event(
        "GradeEvent", "Graded", ATTEMPT, actor=TEACHER, generated={"type": "Score", **score}
    )


def read(value: Any) -> Record:
    record = read_statement(value, PLATFORMS)
    assert isinstance(record, Record)
    return record


def data_of(value: Any) -> dict[str, Any]:
    record = read(value)
    return {"type": record.type, **record.data.model_dump(exclude_unset=True)}


def test_a_grade_is_an_attempt_of_the_student_and_not_of_the_grader() -> None:
    """Out: the assignee as the actor of a grade."""
    record = read(graded(scoreGiven=3, maxScore=4))
    data: Any = record.data
    assert record.type == "attempt_record"
    assert record.record_id == "7d8f2c04-6b0f-4b7d-9f0d-0c6a2a8e1f11"
    assert (data.student_id, data.item_id, data.course_id) == ("17", f"{HOST}/quiz/9", "algebra")
    assert (data.score, data.max_score, data.attempt_number) == (0.75, 4, 2)
    assert data.duration_seconds == 90


def test_a_grade_of_nobody_is_set_aside() -> None:
    attempt = {name: part for name, part in ATTEMPT.items() if name != "assignee"}
    value = event(
        "GradeEvent",
        "Graded",
        attempt,
        actor=TEACHER,
        generated={"scoreGiven": 1, "maxScore": 1},
    )
    with pytest.raises(InvalidRecord) as wrong:
        read_statement(value, PLATFORMS)
    assert wrong.value.field == "actor"


@pytest.mark.parametrize("score", [{}, {"scoreGiven": 1}, {"scoreGiven": 1, "maxScore": 0}])
def test_a_grade_without_points_is_no_attempt(score: dict[str, Any]) -> None:
    assert isinstance(read_statement(graded(**score), PLATFORMS), NotRelevant)


def test_a_free_answer_is_handed_in_and_a_choice_is_the_use_of_an_exercise() -> None:
    text = {"type": "FillinBlankResponse", "values": ["three", "quarters"]}
    handed_in = data_of(event("AssessmentItemEvent", "Completed", QUESTION, generated=text))
    assert handed_in["type"] == "attempt_record"
    assert handed_in["response"] == "three, quarters"
    assert "correct" not in handed_in
    choice = {"type": "MultipleChoiceResponse", "value": "C"}
    used = data_of(event("AssessmentItemEvent", "Completed", QUESTION, generated=choice))
    assert (used["type"], used["kind"]) == ("activity_record", "exercise")


def test_a_message_in_a_forum_is_a_post_in_its_thread() -> None:
    message = {"id": f"{HOST}/m/1", "type": "Message", "body": "Why is it 3/4?", "isPartOf": THREAD}
    post = data_of(event("MessageEvent", "Posted", message))
    assert (post["type"], post["student_id"], post["course_id"]) == ("post_record", "17", "algebra")
    assert (post["text"], post["thread_id"]) == ("Why is it 3/4?", f"{HOST}/forum/1/thread/4")


def test_a_comment_on_the_work_of_a_person_is_no_post_of_a_student() -> None:
    """Out: in `_meaning` the types of entities whose comments are not posts."""
    comment = {"type": "Comment", "value": "Look at the sign."}
    on_page = event(
        "FeedbackEvent", "Commented", {**QUIZ, "type": "Document"}, generated=comment, group=COURSE
    )
    assert data_of(on_page)["text"] == "Look at the sign."
    on_work = event("FeedbackEvent", "Commented", ATTEMPT, generated=comment, group=COURSE)
    assert isinstance(read_statement(on_work, PLATFORMS), NotRelevant)


@pytest.mark.parametrize(
    ("kind", "action", "entity", "used"),
    [
        ("MediaEvent", "Started", {"id": f"{HOST}/v/1", "type": "VideoObject"}, "video"),
        ("MediaEvent", "JumpedTo", {"id": f"{HOST}/v/1", "type": "AudioObject"}, "video"),
        ("NavigationEvent", "NavigatedTo", {"id": f"{HOST}/p/1", "type": "WebPage"}, "page"),
        ("ViewEvent", "Viewed", {"id": f"{HOST}/p/1", "type": "Document"}, "page"),
        ("AssessmentEvent", "Submitted", QUIZ, "exercise"),
        ("AssignableEvent", "Started", {**QUIZ, "type": "AssignableDigitalResource"}, "exercise"),
        ("ThreadEvent", "MarkedAsRead", THREAD, "forum"),
    ],
)
def test_the_use_of_something_is_an_activity(
    kind: str, action: str, entity: Any, used: str
) -> None:
    data = data_of(event(kind, action, entity, group=COURSE))
    assert (data["type"], data["kind"], data["course_id"]) == ("activity_record", used, "algebra")


def test_the_course_is_the_group_and_then_what_the_entity_is_a_part_of() -> None:
    page = {
        "id": f"{HOST}/p/1",
        "type": "Document",
        "isPartOf": {"id": "urn:x", "isPartOf": COURSE},
    }
    assert data_of(event("ViewEvent", "Viewed", page))["course_id"] == "algebra"
    in_section = event("ViewEvent", "Viewed", page, group=SECTION)
    assert data_of(in_section)["course_id"] == "algebra-2"
    in_team = event(
        "ViewEvent", "Viewed", page, group={"type": "Group", "subOrganizationOf": SECTION}
    )
    assert data_of(in_team)["course_id"] == "algebra-2"
    by_address = event("ViewEvent", "Viewed", page, group=f"{HOST}/courses/other")
    assert data_of(by_address)["course_id"] == "other"


@pytest.mark.parametrize(
    ("roles", "counts"),
    [
        (["Instructor"], False),
        (["Instructor", "Instructor#TeachingAssistant"], False),
        (["http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"], False),
        (["Learner"], True),
        (["Learner", "Instructor"], True),
        ([], True),
    ],
)
def test_work_of_the_staff_is_left_out(roles: list[str], counts: bool) -> None:
    """Out: `_is_staff`."""
    membership = {"type": "Membership", "member": LEARNER, "organization": COURSE, "roles": roles}
    read_event = read_statement(
        event("ViewEvent", "Viewed", QUIZ, membership=membership), PLATFORMS
    )
    assert isinstance(read_event, Record) is counts


def test_what_a_program_does_is_left_out() -> None:
    program = {"id": f"{HOST}/grader", "type": "SoftwareApplication"}
    value = event("ViewEvent", "Viewed", QUIZ, actor=program)
    assert isinstance(read_statement(value, PLATFORMS), NotRelevant)


@pytest.mark.parametrize("action", ["LoggedIn", "Created", "viewed", "passed", "a/voided"])
def test_an_action_without_a_place_is_not_taken_for_a_verb_of_xapi(action: str) -> None:
    """Out: the IRI of an action that has no verb."""
    value = event("Event", action, QUIZ, group=COURSE)
    assert isinstance(read_statement(value, PLATFORMS), NotRelevant)


@pytest.mark.parametrize(
    ("actor", "student"),
    [
        (LEARNER, "17"),
        (f"{HOST}/users/17", "17"),
        ({"id": "https://other.example/user/17", "type": "Person"}, "https://other.example|17"),
        ({"id": "mailto:ann@campus.example", "type": "Person"}, "ann@campus.example"),
        ({"id": "urn:canvas:user:17", "type": "Person"}, "urn:canvas:user:17"),
    ],
)
def test_a_person_has_the_id_of_an_account(actor: Any, student: str) -> None:
    value = event("ViewEvent", "Viewed", QUIZ, actor=actor)
    assert data_of(value)["student_id"] == student
    assert student in people_of_statement(value, PLATFORMS).ids


def test_a_row_names_all_persons_of_its_event() -> None:
    """An erasure finds a row that was set aside by each of them. Out: a field of `_FIELDS_OF_PERSONS`."""
    value = event(
        "MessageEvent",
        "Posted",
        {
            "type": "Message",
            "creators": [f"{HOST}/users/21", {**LEARNER, "id": f"{HOST}/users/22"}],
        },
        actor=f"{HOST}/users/20",
        session={"type": "Session", "user": f"{HOST}/users/23"},
        membership={"type": "Membership", "member": f"{HOST}/users/24"},
        target={"replyTo": {"type": "Person", "id": f"{HOST}/users/25"}},
    )
    assert people_of_statement(value, PLATFORMS).ids == {"20", "21", "22", "23", "24", "25"}


def test_a_row_gives_the_name_of_a_person_without_an_id() -> None:
    """A row in which only somebody else has an id is found by the name. Out: `names` in `people_of_event`."""
    teacher = {"id": f"{HOST}/users/3", "type": "Person", "name": "Mr Brook"}
    value = graded(scoreGiven=1, maxScore=2)
    value["actor"] = teacher
    value["object"] = {**ATTEMPT, "assignee": {"type": "Person", "name": "Quillon Zephyr"}}
    with pytest.raises(InvalidRecord):
        read_statement(value, PLATFORMS)
    people = people_of_statement(value, PLATFORMS)
    assert people.ids == {"3"}
    assert set(people.names) == {"Quillon Zephyr"}


def test_a_file_has_events_or_envelopes_of_one_event() -> None:
    one = event("ViewEvent", "Viewed", QUIZ)
    envelope = {"sensor": HOST, "sendTime": "2026-09-21T09:00:01Z", "data": [one]}
    two = {**envelope, "data": [one, one]}
    rows = [one, envelope, two]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert detect_file("events.json", text).format == "xapi"
    assert detect_file("sent.json", json.dumps(envelope).encode()).format == "xapi"
    source = ReadPlan(format="xapi", platforms={"campus.example": ""}).source
    contents = [source.read(row.line, row.raw) for row in rows_of(source.chunks([text], 10))]
    assert [type(each) for each in contents] == [Record, Record, Reject]
    assert contents[0] == contents[1]
    assert source.people(json.dumps(two).encode()).ids == {"17"}


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(event("", "", None), any_json)))
def test_a_wrong_event_is_read_or_has_a_sentence(parts: dict[str, Any]) -> None:
    value = {**event("GradeEvent", "Graded", ATTEMPT, generated={"scoreGiven": 1}), **parts}
    people_of_statement(value, PLATFORMS)
    with suppress(InvalidRecord):
        read_statement(value, PLATFORMS)
