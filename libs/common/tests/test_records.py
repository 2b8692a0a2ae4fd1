"""The input contract: what is a record, and what is said of one that is not."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.records import InvalidRecord, Withdrawal, parse_record, parse_row

CHAT = {
    "type": "student_interaction",
    "timestamp": "2026-03-02T08:00:00+08:00",
    "data": {
        "student_id_from": "s1",
        "student_id_to": "s2",
        "interaction_type": "chat",
        "text": " 你好 ",
    },
}


def changed(**data: Any) -> dict[str, Any]:
    return {**CHAT, "data": {**dict(CHAT["data"]), **data}}


def test_a_timestamp_is_kept_in_utc_and_naive_means_utc() -> None:
    assert parse_record(CHAT).timestamp == datetime(2026, 3, 2, tzinfo=UTC)
    assert parse_record({**CHAT, "timestamp": "2026-03-02T08:00:00"}).timestamp.hour == 8


def test_text_is_kept_as_it_was_written() -> None:
    assert parse_record(CHAT).data.text == " 你好 "


def test_without_an_id_equal_contents_have_equal_ids() -> None:
    same = {**CHAT, "timestamp": "2026-03-02T00:00:00Z"}
    assert parse_record(CHAT).record_id == parse_record(same).record_id
    assert parse_record(CHAT).record_id != parse_record(changed(message_count=2)).record_id


def test_a_record_survives_its_own_json() -> None:
    record = parse_record(changed(topics=["力学"], message_count=3))
    again = parse_record(record.to_json())
    assert again == record
    assert again.content_hash == record.content_hash


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ([], "(line)", "is not a JSON object"),
        ({"type": "chat"}, "timestamp", "is missing"),
        ({**CHAT, "type": "poke"}, "type", "is not a known record type"),
        ({**CHAT, "timestamp": 1767225600}, "timestamp", "not an ISO 8601 date and time"),
        ({**CHAT, "timestamp": "45291.625"}, "timestamp", "not an ISO 8601 date and time"),
        ({**CHAT, "timestamp": "1735689600.5"}, "timestamp", "not an ISO 8601 date and time"),
        ({**CHAT, "timestamp": " -1e9"}, "timestamp", "not an ISO 8601 date and time"),
        ({**CHAT, "timestamp": "20260304"}, "timestamp", "not an ISO 8601 date and time"),
        ({**CHAT, "extra": 1}, "extra", "is not a field of a record"),
        (
            {**CHAT, "record_id": "x" * 129},
            "record_id",
            "string should have at most 128 characters",
        ),
        ({**CHAT, "data": []}, "data", "is not a JSON object"),
        (
            changed(student_id_to=""),
            "data.student_id_to",
            "string should have at least 1 character",
        ),
        (
            changed(student_id_to="a\nb"),
            "data.student_id_to",
            "control characters are not allowed here",
        ),
        (
            changed(interaction_type="poke"),
            "data.interaction_type",
            "input should be 'chat' or 'like'",
        ),
        (
            changed(message_count=0),
            "data.message_count",
            "input should be greater than or equal to 1",
        ),
        (changed(text="a\x00"), "data.text", "must not hold NUL or lone surrogates"),
        (changed(mood="good"), "data.mood", "is not a field of this type"),
    ],
)
def test_a_wrong_record_is_named_by_field_and_reason(value: Any, field: str, reason: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        parse_record(value)
    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert caught.value.expected


def test_a_mistake_needs_a_course() -> None:
    data = {"student_id": "s1", "error_text": "2+2=5"}
    with pytest.raises(InvalidRecord, match="one of course_id and course_ids is required"):
        parse_record({"type": "error_record", "timestamp": "2026-03-02T08:00:00Z", "data": data})


def test_a_blank_mistake_is_no_mistake() -> None:
    data = {"student_id": "s1", "error_text": " \n", "course_id": "c1"}
    with pytest.raises(InvalidRecord, match="is blank"):
        parse_record({"type": "error_record", "timestamp": "2026-03-02T08:00:00Z", "data": data})


def test_courses_of_a_mistake_are_each_named_once() -> None:
    data = {"student_id": "s1", "error_text": "x", "course_id": "b", "course_ids": ["a", "b"]}
    record = parse_record({"type": "error_record", "timestamp": "2026-03-02", "data": data})
    assert record.data.courses == ("b", "a")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
fields = st.sampled_from(["type", "timestamp", "record_id", "data"])


@given(st.dictionaries(fields, json_values) | json_values)
def test_no_value_at_all_leads_to_another_error(value: Any) -> None:
    with suppress(InvalidRecord):
        parse_record(value)


@given(
    st.dictionaries(
        st.sampled_from(["student_id_from", "student_id_to", "text", "topics", "x"]), json_values
    )
)
def test_no_data_at_all_leads_to_another_error(data: dict[str, Any]) -> None:
    with suppress(InvalidRecord):
        parse_record({**CHAT, "data": data})


def test_a_wrong_value_is_shown_shortened() -> None:
    with pytest.raises(InvalidRecord) as caught:
        parse_record(changed(student_id_to="x" * 1000))
    assert len(caught.value.found) == 80


def test_what_is_withdrawn_needs_only_an_id_or_the_content_itself() -> None:
    when = CHAT["timestamp"]

    def withdrawal(record_id: str) -> Withdrawal:
        return Withdrawal.model_validate({"record_id": record_id, "timestamp": when})

    assert parse_row({"timestamp": when, "record_id": "r", "withdrawn": True}) == withdrawal("r")
    assert parse_row({**CHAT, "record_id": "r", "withdrawn": True}) == withdrawal("r")
    assert parse_row({**CHAT, "withdrawn": True}) == withdrawal(parse_record(CHAT).record_id)
    assert parse_row({**CHAT, "withdrawn": False}) == parse_record(CHAT) == parse_row(CHAT)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"withdrawn": "perhaps"}, "withdrawn"),
        ({"withdrawn": True, "timestamp": None, "record_id": "r"}, "timestamp"),
        ({"withdrawn": True, "data": {}}, "data.student_id_from"),
        ({"withdrawn": True, "record_id": "r", "nobody_knows": 1}, "nobody_knows"),
        ({"reading": -1}, "reading"),
    ],
)
def test_a_wrong_envelope_says_where(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRecord) as problem:
        parse_row({**CHAT, **change})
    assert problem.value.field == field


def test_activity_cannot_be_taken_back() -> None:
    """The graph keeps the minutes of all records together, so nobody could say whose minutes they were."""
    activity = {
        "type": "activity_record",
        "timestamp": "2026-03-02",
        "data": {"student_id": "a", "course_id": "c"},
    }
    for id_ in ({}, {"record_id": "r"}):
        with pytest.raises(InvalidRecord) as problem:
            parse_row({**activity, **id_, "withdrawn": True})
        assert (problem.value.field, problem.value.reason) == (
            "withdrawn",
            "activity cannot be taken back",
        )
    assert parse_row({**activity, "withdrawn": False}) == parse_record(activity)


def test_where_only_records_are_taken_a_withdrawal_is_none() -> None:
    with pytest.raises(InvalidRecord, match="takes a record back"):
        parse_record({**CHAT, "withdrawn": True})


def test_the_reading_travels_with_the_record_and_is_no_part_of_its_content() -> None:
    read = parse_record({**CHAT, "reading": 2})
    assert parse_record(read.to_json()) == read
    assert (read.reading, read.content_hash) == (2, parse_record(CHAT).content_hash)
    assert "reading" not in parse_record(CHAT).to_json()
