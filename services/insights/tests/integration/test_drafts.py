"""The records of a draft are those of students whom the caller leads now, and of no text that no model has read."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rooms import Room

from edugraph_common.contracts.drafts import MOST_BASIS_BYTES, MOST_RECORDS, DraftBasis
from edugraph_common.contracts.findings import ErrorFinding, FoundErrorType, RecordFinding
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.draft_basis import WantedDraft, basis_of
from edugraph_insights.draft_routes import permit_draft
from edugraph_insights.insights import Insights

from .schools import ORIGIN, NotedAudit, School, at, caller, make_groups, written

MEMBERS = [
    ("s00", "g", (None, None)),
    ("s01", "g", (None, None)),
    ("s02", "g", (None, -1)),
    ("s03", "h", (None, None)),
]
LED = [("t", "g", (None, None)), ("former", "g", (None, -1)), ("u", "h", (None, None))]
COURSES = {"g": "C", "h": "D"}
TEACHER = caller("teacher", person="t")
STUDENTS = ("s00", "s01", "s02", "s03")


def mistake(student: str, number: int, text: str = "2/5") -> Record:
    data = {
        "student_id": student,
        "student_name": f"Name of {student}",
        "course_id": "C",
        "error_text": f"{text} {number}",
        "question": "1/2 + 1/3?",
    }
    return record("error_record", f"{student}-wrong-{number}", 100 + number, data)


def right(student: str, number: int) -> Record:
    data = {
        "student_id": student,
        "course_id": "C",
        "item_id": "i",
        "correct": True,
        "response": "5/6",
    }
    return record("attempt_record", f"{student}-right-{number}", 300 + number, data)


def record(kind: str, record_id: str, hour: int, data: dict[str, Any]) -> Record:
    return parse_record({"type": kind, "timestamp": at(hour), "record_id": record_id, "data": data})


def found(of: Record, analyser: Any = "model") -> RecordFinding:
    finding = ErrorFinding(
        confidence=0.9,
        evidence=("2/5",),
        error_types=(FoundErrorType(name="adds denominators", confidence=0.9),),
    )
    origin = ORIGIN.model_copy(update={"analyser": analyser})
    return RecordFinding(record=of.to_json(), finding=finding, origin=origin)


def there(room: Room, *more: Record, findings: tuple[RecordFinding, ...] = ()) -> None:
    records = []
    for student in STUDENTS:
        for course in ("C", "D"):
            data = {"student_id": student, "course_id": course}
            records.append(record("course_record", f"{student}-{course}", 0, data))
        records += [mistake(student, 1), right(student, 1)]
    written(room, School([*records, *more], list(findings)))
    make_groups(room, MEMBERS, LED, COURSES)


def basis(insights: Insights, who: Caller = TEACHER, **wanted: Any) -> DraftBasis:
    return basis_of(insights, who, WantedDraft(course_id="C", **wanted))


def ids(of: DraftBasis) -> list[str]:
    """Return the ids that the source gave the records."""
    return [each.record_id.rpartition(":")[2] for each in of.records]


def test_a_summary_has_the_students_whom_the_caller_leads_now(
    room: Room, insights: Insights
) -> None:
    """Out: `_led` in `led_students`, or the course in it. s02 has left the group, and s03 is in another one."""
    there(room)
    of = basis(insights)
    assert of.kind == "summary"
    assert of.student_ids == ("s00", "s01")
    assert [each.name for each in of.students] == ["Name of s00", "Name of s01"]
    assert {each.student_id for each in of.records} == {"s00", "s01"}
    assert [each.number for each in of.records] == [1, 2, 3, 4]
    # Mistakes come before right answers, and each student has a turn.
    assert [each.outcome for each in of.records] == [None, None, 1_000, 1_000]


def test_feedback_has_the_records_of_one_student(room: Room, insights: Insights) -> None:
    there(room)
    of = basis(insights, student_id="s01", language="zh")
    assert (of.kind, of.language, of.student_ids) == ("feedback", "zh", ("s01",))
    assert {each.student_id for each in of.records} == {"s01"}


@pytest.mark.parametrize(
    ("who", "student"),
    [
        (TEACHER, "s02"),
        (TEACHER, "s03"),
        (TEACHER, "nobody"),
        (caller("teacher", person="former"), "s00"),
        (caller("teacher", person="u"), "s00"),
        (caller("teacher", "head", person="u"), "s00"),
        (caller("teacher", person="u"), None),
        (caller("head", person="t"), "s00"),
        (caller("counsellor", person="t"), "s00"),
        (caller("student", person="s00"), "s00"),
        (caller("analyst"), None),
    ],
)
def test_who_does_not_lead_the_students_gets_no_records(
    room: Room, insights: Insights, who: Caller, student: str | None
) -> None:
    """Out, each alone: the role, the student, or the refusal in `led_students`."""
    there(room)
    with pytest.raises(Refusal) as refused:
        basis(insights, who, student_id=student)
    assert refused.value.status == 403


def test_a_restricted_student_is_in_no_basis(room: Room, insights: Insights) -> None:
    there(room)
    room.driver.execute_query("MATCH (s:Student {id: 's00'}) SET s.restricted = true")
    assert basis(insights).student_ids == ("s01",)
    with pytest.raises(Refusal):
        basis(insights, student_id="s00")


def test_a_text_is_shown_only_if_a_model_has_read_it(room: Room, insights: Insights) -> None:
    """The graph does not know consent; a model reads nothing without it. Out: `read_by_model`, or its analyser."""
    read, offline, unread = (mistake("s00", number) for number in (2, 3, 4))
    there(room, read, offline, unread, findings=(found(read), found(offline, "offline")))
    texts = {
        each.record_id.rpartition(":")[2]: (each.text, each.question)
        for each in basis(insights, student_id="s00").records
    }
    assert texts["s00-wrong-2"] == ("2/5 2", "1/2 + 1/3?")
    for name in ("s00-wrong-1", "s00-wrong-3", "s00-wrong-4", "s00-right-1"):
        assert texts[name] == (None, None)


def test_kinds_that_are_hidden_as_useless_are_not_shown(room: Room, insights: Insights) -> None:
    """Out: `shown_types`, for the rows of the statement."""
    read, offline = mistake("s00", 2), mistake("s00", 3)
    there(room, read, offline, findings=(found(read), found(offline, "offline")))
    types = {
        each.record_id.rpartition(":")[2]: each.error_types
        for each in basis(insights, student_id="s00").records
    }
    assert types["s00-wrong-2"] == ("adds denominators",)
    assert types["s00-wrong-3"] == ()


def test_only_records_of_the_last_days_are_read(room: Room, insights: Insights) -> None:
    """Out: `since`."""
    # This is a mistake of nine days ago. The others are older.
    there(room, mistake("s00", 1_900))
    assert ids(basis(insights, student_id="s00", days=9)) == ["s00-wrong-1900"]
    assert len(basis(insights, student_id="s00").records) == 3
    with pytest.raises(Problem) as nothing:
        basis(insights, student_id="s00", days=8)
    assert nothing.value.status == 404


def test_a_basis_is_small_enough_for_the_gateway(room: Room, insights: Insights) -> None:
    """Out: MOST_RECORDS, the cut of texts, or the loop over the size."""
    many = [mistake("s00", number, "字" * 2_000) for number in range(2, 60)]
    there(room, *many, findings=tuple(map(found, many)))
    of = basis(insights, student_id="s00")
    assert 1 < len(of.records) <= MOST_RECORDS
    assert len(json.dumps(of.model_dump(mode="json"))) <= MOST_BASIS_BYTES


def test_the_permit_is_for_what_was_returned_and_it_is_noted(
    room: Room, insights: Insights
) -> None:
    """Out: `note_shown`, `give`, or the scope."""
    there(room)
    given: list[Any] = []
    audit = NotedAudit()
    noting: Any = replace(
        insights,
        audit=audit,
        model_permits=SimpleNamespace(give=lambda *permit: given.append(permit)),
    )
    wanted = WantedDraft(course_id="C", student_id="s00")
    with pytest.raises(Refusal) as refused:
        permit_draft(wanted, noting, TEACHER)
    assert (refused.value.status, given, audit.entries) == (403, [], [])
    reader = replace(TEACHER, scopes=("read:own", "personal"))
    of = permit_draft(wanted, noting, reader)
    assert given == [(reader, of)]
    [entry] = audit.entries
    assert entry[1:] == ("personal.read", "records of a draft", ("student", "s00"))
    permit_draft(WantedDraft(course_id="C"), noting, reader)
    assert audit.entries[1][3] == ("course", "C")
