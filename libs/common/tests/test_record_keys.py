"""No two pairs of a source and an id have the same key, whatever stands in the id."""

import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from edugraph_common.contracts.data_sources import NewSource
from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.contracts.record_keys import key_in_source, source_and_id
from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal, parse_record
from edugraph_common.sources.keyed import keyed

NAMES = st.one_of(st.just("default"), st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True))
# Ids that look like keys are drawn often.
PARTS = st.sampled_from(
    ["@", "/", "a", "lms", "default", "-", "@lms/", "@default/", "A", "é", "学"]
)
IDS = st.lists(PARTS, min_size=1, max_size=6).map("".join)
PAIRS = st.tuples(st.one_of(NAMES, st.sampled_from(["lms", "a", "-"])), IDS)


@given(PAIRS, PAIRS)
@example(("default", "@lms/1"), ("lms", "1"))
@example(("default", "@default/1"), ("default", "1"))
@example(("default", "@default/@lms/1"), ("default", "@lms/1"))
@example(("lms", "a/1"), ("default", "lms/a/1"))
def test_a_key_belongs_to_one_source_and_id(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Out: the second condition of `key_in_source`; the `@` before the name."""
    assert (key_in_source(*one) == key_in_source(*other)) == (one == other)
    assert source_and_id(key_in_source(*one)) == one


@given(st.text(min_size=1, max_size=20))
def test_other_ids_of_the_default_source_are_their_own_keys(text: str) -> None:
    an_id = normal_id(text)
    if not an_id.startswith("@"):
        assert key_in_source("default", an_id) == an_id


@given(NAMES, st.text(min_size=1, max_size=20))
def test_a_key_is_in_the_normal_form_of_an_id(source: str, text: str) -> None:
    an_id = normal_id(text)
    key = key_in_source(source, an_id)
    if an_id:
        assert unicodedata.normalize("NFC", key) == normal_id(key) == key


def post(record_id: str = "5", **data: str) -> Record:
    return parse_record(
        {
            "type": "post_record",
            "timestamp": "2026-01-05",
            "record_id": record_id,
            "data": {"student_id": "s1", "course_id": "c1", "text": "Why?", **data},
        }
    )


def test_ids_of_records_and_threads_and_answers_belong_to_the_source() -> None:
    """Out: `_keyed_post`; a copy in place of a new record, which keeps the cached key of the version."""
    record = post(thread_id="t1", reply_to="4")
    assert record.version_key.endswith("|5")
    found = keyed(record, "forum")
    assert found.record_id == "@forum/5"
    assert found.version_key.endswith("|@forum/5")
    assert found.content_hash != record.content_hash
    data = found.to_json()["data"]
    assert (data["thread_id"], data["reply_to"]) == ("@forum/t1", "@forum/4")
    assert (data["student_id"], data["course_id"]) == ("s1", "c1")
    assert parse_record(found.to_json()) == found
    assert keyed(record, "default") is record


def test_a_withdrawal_belongs_to_the_source() -> None:
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    found = keyed(Withdrawal(record_id="5", timestamp=moment), "forum")
    assert found == Withdrawal(record_id="@forum/5", timestamp=moment)


@pytest.mark.parametrize("field", ["record_id", "thread_id", "reply_to"])
def test_an_id_that_is_too_long_for_its_source_is_refused(field: str) -> None:
    fits = {field: "x" * (128 - len("@forum/"))}
    assert "@forum/" + fits[field] in str(keyed(post(**fits), "forum").to_json())
    too_long = {field: "x" * (128 - len("@forum/") + 1)}
    with pytest.raises(InvalidRecord, match="too long for the source forum"):
        keyed(post(**too_long), "forum")
    assert keyed(post(**{field: "x" * 128}), "default")


@pytest.mark.parametrize("name", ["default", "page-actions"])
def test_nobody_makes_a_source_whose_name_is_reserved(name: str) -> None:
    """Out: each name in `_not_reserved`. An import of the source of actions could withdraw them."""
    with pytest.raises(ValidationError, match="is the source of"):
        NewSource(name=name, kind="records")
    assert NewSource(name=f"{name}-2", kind="records").name == f"{name}-2"
