"""The bounds of each field of a record, and the exact words in which one that cannot be taken is told."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.records import (
    DATA_OF_TYPE,
    ONE_OF,
    RECORD_TYPES,
    InvalidRecord,
    Record,
    course_ids_of,
    iso,
    parse_record,
    shorten,
)

LEAST: dict[str, dict[str, Any]] = {
    "student_interaction": {
        "student_id_from": "a",
        "student_id_to": "b",
        "interaction_type": "chat",
    },
    "teacher_interaction": {"teacher_id": "t", "student_id": "a"},
    "course_record": {"student_id": "a", "course_id": "c"},
    "error_record": {"student_id": "a", "error_text": "1+1=3", "course_id": "c"},
    "course_content": {"course_id": "c", "content": "Lines."},
    "attempt_record": {"student_id": "a", "item_id": "q", "correct": True},
    "item_record": {"item_id": "q"},
    "membership_record": {"group_id": "g", "student_id": "a"},
    "term_record": {"term": "2026-1"},
    "activity_record": {"student_id": "a", "course_id": "c"},
    "point_record": {"point_id": "p"},
    "post_record": {"student_id": "a", "course_id": "c", "text": "Why?"},
    "person_record": {"person_id": "a"},
    "action_record": {
        "teacher_id": "t",
        "student_id": "a",
        "course_id": "c",
        "text": "x",
        "spoken": True,
    },
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "student_interaction": {"message_count": 1, "like_count": 1, "topics": ()},
    "teacher_interaction": {"interaction_count": 1},
    "course_record": {"progress": None},
    "error_record": {"course_ids": (), "occurrence_count": 1, "resolved": False},
    "course_content": {},
    "attempt_record": {"course_ids": (), "knowledge_points": ()},
    "item_record": {"knowledge_points": ()},
    "membership_record": {},
    "term_record": {"breaks": ()},
    "activity_record": {},
    "point_record": {"names": (), "requires": ()},
    "post_record": {},
    "person_record": {"also": (), "decides": False},
    "action_record": {"spoken": True},
}
IDS = (["x", "x" * 128, " x "], ["", " ", "x" * 129, "a\nb", "a\x7fb", "a\x00", "\ud800", 5])
NAMES = (["x", "x" * 500, "a\nb", None], ["", " ", "x" * 501, "a\x00", "\udfff", 5])
TEXTS = (["", " ", "x" * 100_000, "a\nb", None], ["x" * 100_001, "a\x00", "\ud800", 5])
COUNTS = ([1, 1_000_000_000], [0, -1, 1_000_000_001, 1.5, "many"])
MOMENTS = (
    ["2026-03-02", "2026-03-02T08:00:00+08:00", None],
    [0, 1.5, "20260302", "tomorrow", "2026-13-01", "9999-12-31T23:00:00-02:00"],
)


MAX_SCORES = (
    [0.5, 1_000_000_000, None],
    [0, -0.01, 1_000_000_000.5, float("nan"), float("inf"), "ten"],
)


def required(values: tuple[list[Any], list[Any]]) -> tuple[list[Any], list[Any]]:
    return [value for value in values[0] if value is not None], [*values[1], None]


def optional(values: tuple[list[Any], list[Any]]) -> tuple[list[Any], list[Any]]:
    return [*values[0], None], values[1]


def lists(values: tuple[list[Any], list[Any]]) -> tuple[list[Any], list[Any]]:
    good = [[value] for value in values[0] if value is not None]
    return [[], ["x"] * 100, *good], [["x"] * 101, "x", None, *([value] for value in values[1])]


BOUNDS: list[tuple[str, str, tuple[list[Any], list[Any]]]] = [
    *(("student_interaction", name, required(IDS)) for name in ("student_id_from", "student_id_to")),
    ("student_interaction", "interaction_type", (["chat", "like"], ["poke", None])),
    *(("student_interaction", name, NAMES) for name in ("student_name_from", "student_name_to")),
    ("student_interaction", "text", TEXTS),
    *(("student_interaction", name, COUNTS) for name in ("message_count", "like_count")),
    ("student_interaction", "course_id", optional(IDS)),
    ("student_interaction", "topics", lists(NAMES)),
    *(("teacher_interaction", name, required(IDS)) for name in ("teacher_id", "student_id")),
    *(("teacher_interaction", name, NAMES) for name in ("teacher_name", "student_name", "subject")),
    *(("teacher_interaction", name, TEXTS) for name in ("text", "feedback")),
    ("teacher_interaction", "interaction_count", COUNTS),
    ("teacher_interaction", "course_id", optional(IDS)),
    *(("course_record", name, required(IDS)) for name in ("student_id", "course_id")),
    *(("course_record", name, NAMES) for name in ("student_name", "course_name")),
    ("course_record", "course_description", TEXTS),
    ("course_record", "difficulty", (["beginner", "intermediate", "advanced", None], ["hard"])),
    *(("course_record", name, MOMENTS) for name in ("enrollment_date", "completion_date")),
    ("course_record", "progress", ([0, 100, 0.5, None], [-0.01, 100.01, float("nan"), float("inf")])),
    ("course_record", "time_spent", ([0, 1e9, None], [-0.01, float("nan"), float("inf")])),
    ("error_record", "student_id", required(IDS)),
    ("error_record", "error_text", (["x", " x", "x" * 100_000], ["", " \n", "x" * 100_001, "a\x00", None])),
    ("error_record", "course_ids", lists(IDS)),
    *(("error_record", name, NAMES) for name in ("student_name", "course_name", "error_type")),
    ("error_record", "question", TEXTS),
    ("error_record", "error_type_id", optional(IDS)),
    ("error_record", "severity", (["low", "medium", "high", None], ["bad"])),
    ("error_record", "occurrence_count", COUNTS),
    ("error_record", "resolved", ([True, False], ["perhaps", None])),
    ("course_content", "course_id", required(IDS)),
    ("course_content", "content", (["x", "x" * 100_000], ["", " ", "x" * 100_001, None])),
    *(("course_content", name, NAMES) for name in ("course_name", "title")),
    *(("attempt_record", name, required(IDS)) for name in ("student_id", "item_id")),
    ("attempt_record", "correct", ([True, False], ["perhaps"])),
    ("attempt_record", "score", ([-1, 0, 0.5, 1, None], [-1.01, 1.01, float("nan"), float("inf"), "half"])),
    *(("attempt_record", name, NAMES) for name in ("student_name", "item_title")),
    ("attempt_record", "course_id", optional(IDS)),
    ("attempt_record", "course_ids", lists(IDS)),
    ("attempt_record", "attempt_number", ([*COUNTS[0], None], COUNTS[1])),
    *(("attempt_record", name, TEXTS) for name in ("question", "response")),
    ("attempt_record", "knowledge_points", lists(NAMES)),
    ("attempt_record", "duration_seconds", ([0, 1e9, None], [-0.01, float("nan"), float("inf")])),
    ("attempt_record", "max_score", MAX_SCORES),
    ("attempt_record", "hints", ([0, 1_000_000_000, None], [-1, 1_000_000_001, 0.5, float("nan"), "many"])),
    ("attempt_record", "late", ([True, False, None], ["perhaps", 2])),
    ("item_record", "item_id", required(IDS)),
    ("item_record", "max_score", MAX_SCORES),
    # Their values together: `test_an_item_is_assigned_to_the_course_or_group_that_it_names`.
    ("item_record", "assigned_to", ([None], ["class", "", 5])),
    ("item_record", "group_id", ([None], IDS[1])),
    *(("item_record", name, MOMENTS) for name in ("opens_at", "due_at")),
    ("item_record", "title", NAMES),
    ("item_record", "question", TEXTS),
    ("item_record", "course_id", optional(IDS)),
    ("item_record", "knowledge_points", lists(NAMES)),
    ("membership_record", "group_id", required(IDS)),
    ("membership_record", "student_id", IDS),
    ("membership_record", "teacher_id", ([None], IDS[1])),
    *(("membership_record", name, NAMES) for name in ("student_name", "teacher_name", "group_name")),
    *(("membership_record", name, optional(IDS)) for name in ("term", "course_id")),
    ("membership_record", "role", (["member", "leader", None], ["head", ""])),
    *(("activity_record", name, required(IDS)) for name in ("student_id", "course_id")),
    ("activity_record", "activity_id", optional(IDS)),
    ("activity_record", "kind", (["page", "video", "exercise", "forum", "other", None], ["film", ""])),
    ("activity_record", "duration_seconds", ([0, 1e9, None], [-0.01, float("nan"), float("inf")])),
    *((kind, name, MOMENTS) for kind in ("membership_record", "term_record") for name in ("starts", "ends")),
    ("point_record", "point_id", IDS),
    ("point_record", "name", NAMES),
    ("point_record", "course_id", optional(IDS)),
    *(("point_record", name, lists(NAMES)) for name in ("names", "requires")),
    *(("point_record", name, NAMES) for name in ("label", "parent")),
    ("point_record", "description", TEXTS),
    ("point_record", "standard_id", optional(IDS)),
    *(("post_record", name, required(IDS)) for name in ("student_id", "course_id")),
    *(("post_record", name, optional(IDS)) for name in ("thread_id", "reply_to")),
    *(("post_record", name, NAMES) for name in ("student_name", "title")),
    ("person_record", "person_id", required(IDS)),
    *(("action_record", name, required(IDS)) for name in ("teacher_id", "student_id", "course_id")),
    ("action_record", "text", TEXTS),
    (
        "action_record",
        "not_until",
        (["2026-03-02", "2028-02-29", None],
         ["", "2026-3-2", "20260302", "2026-02-30", "2026-W10-1", "2026-03-02T00:00:00Z", "tomorrow", 0]),
    ),
    ("action_record", "spoken", ([True, False], ["perhaps", None])),
    ("person_record", "name", NAMES),
    ("person_record", "decides", ([True, False], ["perhaps", None])),
    (
        "person_record",
        "also",
        ([[], ["a"], ["b", "b"], ["0", "NULL"], ["x" * 128] * 100],
         [None, "b", [""], ["b", " "], ["x" * 129], ["a\nb"], [5], [["b"]], ["b"] * 101]),
    ),
    ("post_record", "text", (["x", "x" * 100_000], ["", " ", "x" * 100_001, None])),
    ("term_record", "term", required(IDS)),
    ("term_record", "name", NAMES),
    ("term_record", "breaks", (
        [[], ["2026-05-01/2026-05-06", "2026-10-01T00:00+08:00/2026-10-08"]],
        [["2026-05-01"], ["2026-05-06/2026-05-01"], ["2026-05-01/2026-05-01"], ["5/6"], "2026-05-01/2026-05-06", [5]],
    )),
]  # fmt: skip


def whole(kind: str, /, **data: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": "2026-03-02T08:00:00Z", "data": LEAST[kind] | data}


def refusal(value: Any) -> InvalidRecord:
    with pytest.raises(InvalidRecord) as caught:
        parse_record(value)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "field", "values"), BOUNDS, ids=[f"{kind}.{field}" for kind, field, _ in BOUNDS]
)
def test_the_last_value_is_taken_and_the_next_one_refused(
    kind: str, field: str, values: tuple[list[Any], list[Any]]
) -> None:
    for value in values[0]:
        assert parse_record(whole(kind, **{field: value}))
    for value in values[1]:
        assert refusal(whole(kind, **{field: value})).field.startswith(f"data.{field}")


def test_every_field_has_its_bounds_here() -> None:
    told = {(kind, field) for kind, field, _ in BOUNDS} | {("error_record", "course_id")}
    assert told == {
        (kind, field) for kind in RECORD_TYPES for field in DATA_OF_TYPE[kind].model_fields
    }


@pytest.mark.parametrize("kind", RECORD_TYPES)
def test_what_is_left_out_has_its_default_and_is_not_written(kind: str) -> None:
    record = parse_record(whole(kind))
    for field in DATA_OF_TYPE[kind].model_fields.keys() - LEAST[kind].keys():
        assert getattr(record.data, field) == DEFAULTS[kind].get(field)
    assert record.to_json()["data"] == LEAST[kind]
    for field in LEAST[kind].keys() - {"course_id", "correct", *ONE_OF.get(kind, ())}:
        without = {name: value for name, value in LEAST[kind].items() if name != field}
        assert refusal({**whole(kind), "data": without}).reason == "is missing"


def test_ids_and_names_lose_the_space_around_them_and_texts_do_not() -> None:
    record = parse_record(
        whole("error_record", student_id=" a ", student_name=" Ana ", error_text=" x ")
    )
    assert (record.data.student_id, record.data.student_name, record.data.error_text) == (
        "a",
        "Ana",
        " x ",
    )


@pytest.mark.parametrize(
    ("result", "thousandths"),
    [
        ({"correct": True, "score": 0.2}, 1000),
        ({"correct": False, "score": 1}, 0),
        ({"score": 0.3335}, 334),
        ({"score": 0.0004}, 0),
        ({"score": -0.5}, 0),
        ({"score": 1}, 1000),
        ({"response": "An essay."}, None),
        ({"response": "An essay.", "score": 0}, 0),
    ],
)
def test_the_outcome_of_an_attempt_is_in_thousandths_and_correct_decides(
    result: dict[str, Any], thousandths: int | None
) -> None:
    data = {"student_id": "a", "item_id": "q", **result}
    assert (
        parse_record({**whole("attempt_record"), "data": data}).data.outcome_thousandths
        == thousandths
    )


@pytest.mark.parametrize(
    ("fields", "assignee"),
    [
        ({}, None),
        ({"course_id": "c"}, None),
        ({"assigned_to": "course", "course_id": "c"}, ("Course", "c")),
        ({"assigned_to": "group", "group_id": " g "}, ("Group", "g")),
        ({"assigned_to": "group", "group_id": "g", "course_id": "c"}, ("Group", "g")),
    ],
)
def test_an_item_is_assigned_to_the_course_or_group_that_it_names(
    fields: dict[str, Any], assignee: tuple[str, str] | None
) -> None:
    assert parse_record(whole("item_record", **fields)).data.assignee == assignee


@pytest.mark.parametrize(
    "fields",
    [
        {"assigned_to": "course"},
        {"assigned_to": "course", "group_id": "g"},
        {"assigned_to": "course", "course_id": "c", "group_id": "g"},
        {"assigned_to": "group"},
        {"assigned_to": "group", "course_id": "c"},
        {"group_id": "g"},
    ],
)
def test_an_item_that_does_not_say_whom_it_is_assigned_to_is_refused(
    fields: dict[str, Any],
) -> None:
    problem = refusal(whole("item_record", **fields))
    assert problem.field == "data"
    assert (
        problem.expected == "assigned_to course with course_id, or assigned_to group with group_id"
    )


def test_an_item_that_is_due_before_it_opens_is_refused() -> None:
    at = "2026-03-02T08:00:00Z"
    assert parse_record(whole("item_record", opens_at=at, due_at=at))
    later = whole("item_record", opens_at="2026-03-02T08:00:00.000001Z", due_at=at)
    assert refusal(later).expected == "opens_at not later than due_at"
    # The two moments are compared, and not their texts.
    assert parse_record(
        whole("item_record", opens_at="2026-03-02T09:00:00+08:00", due_at="2026-03-02T02:00:00Z")
    )


@pytest.mark.parametrize(
    ("given", "due_at"),
    [
        ("2026-03-02", "2026-03-02T23:59:59.999999Z"),
        (" 2026-03-02 ", "2026-03-02T23:59:59.999999Z"),
        ("2026-03-02T00:00:00", "2026-03-02T00:00:00.000000Z"),
        ("2026-03-02T23:59:00+08:00", "2026-03-02T15:59:00.000000Z"),
    ],
)
def test_a_day_on_which_something_is_due_means_its_end(given: str, due_at: str) -> None:
    record = parse_record(whole("item_record", due_at=given, opens_at="2026-03-01"))
    assert iso(record.data.due_at) == due_at
    assert iso(record.data.opens_at) == "2026-03-01T00:00:00.000000Z"
    assert parse_record(record.to_json()) == record


@pytest.mark.parametrize("kind", ["error_record", "attempt_record"])
def test_courses_come_in_the_order_given_and_once(kind: str) -> None:
    without = {name: value for name, value in LEAST[kind].items() if name != "course_id"}

    def courses(**data: Any) -> tuple[str, ...]:
        record = parse_record({**whole(kind), "data": without | data})
        assert course_ids_of(record) == record.data.courses
        courses_of_record: tuple[str, ...] = record.data.courses
        return courses_of_record

    assert courses(course_id="b", course_ids=["c", "b", "a"]) == ("b", "c", "a")
    assert courses(course_ids=["c", "a"]) == ("c", "a")
    assert courses(course_id="b") == ("b",)


def test_an_attempt_and_a_text_may_be_of_no_course() -> None:
    assert parse_record(whole("attempt_record")).data.courses == ()
    assert course_ids_of(parse_record(whole("student_interaction"))) == ()
    assert course_ids_of(parse_record(whole("student_interaction", course_id="c"))) == ("c",)


@pytest.mark.parametrize(
    ("score", "words", "mistake"),
    [
        (0.499, {"question": "1+1?"}, True),
        (0.499, {"response": "3"}, True),
        (0.499, {"question": " \n"}, False),
        (0, {}, False),
        (0.5, {"question": "1+1?", "response": "2"}, False),
    ],
)
def test_an_attempt_is_a_mistake_if_it_is_more_wrong_than_right_and_has_words(
    score: float, words: dict[str, str], mistake: bool
) -> None:
    data = {"student_id": "a", "item_id": "q", "score": score, **words}
    assert parse_record({**whole("attempt_record"), "data": data}).data.is_mistake is mistake


@pytest.mark.parametrize("response", [None, "", " \n"])
def test_an_attempt_without_an_outcome_and_without_words_is_refused(response: str | None) -> None:
    data = {"student_id": "a", "item_id": "q", "question": "1+1?", "response": response}
    with pytest.raises(InvalidRecord, match="one of correct, score and response is required"):
        parse_record({**whole("attempt_record"), "data": data})


def test_an_answer_without_an_outcome_is_read_as_a_post_and_with_one_as_a_mistake() -> None:
    """Out: `has_outcome` in `kind_of_finding` or in `is_mistake`."""
    answer = {"student_id": "a", "item_id": "q", "response": "I am lost."}
    kinds = []
    for outcome in ({}, {"score": 0.2}, {"score": 0.9}, {"correct": False}):
        record = parse_record({**whole("attempt_record"), "data": {**answer, **outcome}})
        kinds.append((record.data.is_mistake, kind_to_read(record)))
    assert kinds == [(False, "interaction"), (True, "error"), (False, None), (True, "error")]


# --- ids and versions ---------------------------------------------------------------------------------------------


def test_a_record_is_identified_by_the_hash_of_its_canonical_json() -> None:
    record = parse_record(whole("course_content", title=None, course_name="é"))
    text = (
        '{"data":{"content":"Lines.","course_id":"c","course_name":"é"},'
        '"timestamp":"2026-03-02T08:00:00.000000Z","type":"course_content"}'
    )
    assert record.content_hash == record.record_id == hashlib.sha256(text.encode()).hexdigest()
    assert record.version_key == f"2026-03-02T08:00:00.000000Z|{record.record_id}"


def test_a_record_keeps_its_own_id_and_is_written_whole() -> None:
    given = {**whole("course_content"), "record_id": " r "}
    record = parse_record(given)
    assert record.version_key == "2026-03-02T08:00:00.000000Z|r"
    written = {**given, "record_id": "r", "timestamp": "2026-03-02T08:00:00.000000Z"}
    assert record.to_json() == written
    assert parse_record(written) == record
    assert isinstance(record, Record)


def test_what_a_record_is_written_as_can_be_sent_as_json() -> None:
    """Moments stand in it as text, in UTC like all that is kept."""
    given = whole("course_record", enrollment_date="2026-03-02T08:00:00+08:00") | {
        "reading": 3,
        "consent": False,
    }
    written = json.loads(json.dumps(parse_record(given).to_json()))
    assert written["data"]["enrollment_date"] == "2026-03-02T00:00:00Z"
    assert (written["reading"], written["consent"]) == (3, False)
    assert parse_record(written) == parse_record(given)


def test_a_record_that_was_built_is_one_that_was_read_without_reading_and_consent() -> None:
    read = parse_record(whole("course_content") | {"record_id": "r"})
    assert (
        Record(type="course_content", timestamp=read.timestamp, record_id="r", data=read.data)
        == read
    )


def test_moments_are_written_in_utc_and_sort_as_text() -> None:
    assert (
        iso(datetime.fromisoformat("2026-03-02T00:30:00.5+08:00")) == "2026-03-01T16:30:00.500000Z"
    )
    naive = parse_record({**whole("course_content"), "timestamp": "2026-03-02 08:00:00"})
    assert naive.timestamp == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert naive.timestamp.tzinfo is UTC


# --- what is said of one that is none -----------------------------------------------------------------------------

TYPES = "student_interaction, teacher_interaction, course_record, error_record, course_content, attempt_record, item_record, membership_record, term_record, activity_record, point_record, post_record, person_record, action_record"
WHEN = "an ISO 8601 date and time"
GOOD = whole("student_interaction")


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_an_action_says_something(text: str | None) -> None:
    """Out: `says_something`."""
    ids = {"teacher_id": "t", "student_id": "a", "course_id": "c"}
    value = {**whole("action_record"), "data": {**ids, "spoken": False, "text": text}}
    with pytest.raises(InvalidRecord, match="one of spoken, text and not_until is required"):
        parse_record(value)
    value["data"]["not_until"] = "2026-03-02"
    assert parse_record(value).record_id


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (5, ("(line)", "one JSON object", "5", "is not a JSON object")),
        ({**GOOD, "typ": 1}, ("typ", "type, timestamp, record_id, withdrawn, reading, consent, changed_at, data", "", "is not a field of a record")),
        ({"timestamp": 1, "data": {}}, ("type", f"one of {TYPES}", "", "is missing")),
        ({**GOOD, "timestamp": None}, ("timestamp", WHEN, "", "is missing")),
        ({**GOOD, "data": None}, ("data", "a JSON object with the fields of the type", "", "is missing")),
        ({**GOOD, "data": [1]}, ("data", "a JSON object with the fields of the type", "[1]", "is not a JSON object")),
        ({**GOOD, "type": "chat"}, ("type", f"one of {TYPES}", "chat", "is not a known record type")),
        ({**GOOD, "type": ["x"]}, ("type", f"one of {TYPES}", '["x"]', "is not a known record type")),
        ({**GOOD, "timestamp": "now"}, ("timestamp", WHEN, "now", "not an ISO 8601 date and time")),
        ({**GOOD, "record_id": 5}, ("record_id", "1 to 128 characters", "5", "input should be a valid string")),
        (
            whole("course_content", more=1),
            ("data.more", "one of course_id, content, course_name, title", "1", "is not a field of this type"),
        ),
        (
            {**GOOD, "type": "course_content", "data": {"course_id": "c"}},
            ("data.content", "a value", "", "is missing"),
        ),
        (
            {**whole("error_record"), "data": {"student_id": "a", "error_text": "x"}},
            ("data", "course_id or course_ids", "", "one of course_id and course_ids is required"),
        ),
        (
            {**whole("attempt_record"), "data": {"student_id": "a", "item_id": "q"}},
            (
                "data",
                "correct or score or response",
                "",
                "one of correct, score and response is required",
            ),
        ),
        (
            {**whole("membership_record"), "data": {"group_id": "g"}},
            ("data", "student_id or teacher_id", "", "one of student_id and teacher_id is required"),
        ),
        (
            whole("membership_record", teacher_id="t"),
            ("data", "student_id or teacher_id", "", "one of student_id and teacher_id is required"),
        ),
        (
            {**whole("point_record"), "data": {"names": ["sums"]}},
            ("data", "point_id or name", "", "one of point_id and name is required"),
        ),
        (
            whole("term_record", starts="2026-03-01T08:00+08:00", ends="2026-03-01"),
            ("data", "starts earlier than ends", "", "ends must be later than starts"),
        ),
        (
            whole("term_record", breaks=["2026-05-06/2026-05-01"]),
            ("data.breaks.0", "an interval like 2026-10-01/2026-10-08", "2026-05-06/2026-05-01", "ends before it starts"),
        ),
        (
            whole("student_interaction", message_count=0),
            ("data.message_count", "at least 1", "0", "input should be greater than or equal to 1"),
        ),
        (
            whole("course_record", progress=101),
            ("data.progress", "at most 100.0", "101", "input should be less than or equal to 100"),
        ),
        (
            whole("course_content", course_id=""),
            ("data.course_id", "length at least 1", "", "string should have at least 1 character"),
        ),
        (
            whole("course_content", title="x" * 501),
            ("data.title", "length at most 500", "x" * 79 + "…", "string should have at most 500 characters"),
        ),
        (
            whole("student_interaction", interaction_type="poke"),
            ("data.interaction_type", "'chat' or 'like'", "poke", "input should be 'chat' or 'like'"),
        ),
        (whole("course_content", title=5), ("data.title", "text", "5", "input should be a valid string")),
        (
            whole("course_record", progress="half"),
            ("data.progress", "a number", "half", "input should be a valid number, unable to parse string as a number"),
        ),
        (
            whole("student_interaction", message_count="many"),
            (
                "data.message_count",
                "a whole number",
                "many",
                "input should be a valid integer, unable to parse string as an integer",
            ),
        ),
        (
            whole("error_record", resolved="perhaps"),
            ("data.resolved", "true or false", "perhaps", "input should be a valid boolean, unable to interpret input"),
        ),
        (
            whole("student_interaction", topics=5),
            ("data.topics", "a list", "5", "input should be a valid tuple"),
        ),
        (
            whole("course_record", enrollment_date="soon"),
            ("data.enrollment_date", WHEN, "soon", "not an ISO 8601 date and time"),
        ),
        (
            whole("course_record", completion_date="soon"),
            ("data.completion_date", WHEN, "soon", "not an ISO 8601 date and time"),
        ),
        *(
            (whole("membership_record", **{name: "soon"}), (f"data.{name}", WHEN, "soon", "not an ISO 8601 date and time"))
            for name in ("starts", "ends")
        ),
        (
            whole("course_content", title="a\ud800"),
            ("data.title", "text", "a\\ud800", "must not hold NUL or lone surrogates"),
        ),
        (
            whole("course_content", title="a\x00"),
            ("data.title", "text", "a\x00", "must not hold NUL or lone surrogates"),
        ),
        (
            {**GOOD, "withdrawn": True},
            ("withdrawn", "a record", "true", "takes a record back, where only records are taken"),
        ),
        (
            whole("course_content", content=" "),
            ("data.content", "a value of the documented form", " ", "is blank"),
        ),
    ],
)  # fmt: skip
def test_a_wrong_record_is_told_by_field_form_value_and_reason(
    value: Any, told: tuple[str, str, str, str]
) -> None:
    refused = refusal(value)
    assert (refused.field, refused.expected, refused.found, refused.reason) == told
    assert str(refused) == f"{told[0]}: {told[3]} (expected {told[1]})"


def test_a_found_value_is_shown_in_eighty_characters_whatever_it_is() -> None:
    assert shorten("x" * 80) == "x" * 80
    assert shorten("x" * 81) == "x" * 79 + "…"
    assert shorten({"é": {1}}) == '{"é": "{1}"}'
    assert shorten("a\ud800") == "a\\ud800"
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert shorten(deep) == "(nested too deeply to be shown)"
