"""Rows of live messages in compressed form, and the one function that makes them plain."""

import base64
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import LivePart
from edugraph_common.runtime.messaging.dead_letter_store import made_letter
from edugraph_common.runtime.messaging.packed_rows import (
    LARGEST_ROWS_BYTES,
    pack_rows,
    rows_of,
    unpack_rows,
    with_plain_rows,
)
from edugraph_common.sources import Platforms
from edugraph_common.sources.live_statements import statement_row
from edugraph_common.sources.person import Person, Scrubbed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
ROWS: Any = st.lists(st.dictionaries(st.text(), JSON, max_size=4), min_size=1, max_size=5)


def packed(value: Any) -> str:
    return base64.b64encode(zstd.compress(json.dumps(value).encode())).decode()


@given(ROWS)
def test_packed_rows_are_the_same_rows(rows: list[dict[str, Any]]) -> None:
    assert list(unpack_rows(pack_rows(rows))) == rows


def test_statements_take_a_fraction_of_their_size() -> None:
    rows = []
    for number in range(50):
        actor = {"account": {"homePage": "https://lms.example", "name": f"student-{number}"}}
        verb = {"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en": "answered"}}
        rows.append(
            {"actor": actor, "verb": verb, "object": {"id": f"https://lms.example/q/{number}"}}
        )
    assert len(pack_rows(rows)) < len(json.dumps(rows)) / 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "é",
        "AAAA",
        packed({}),
        packed([1]),
        packed(None),
        pack_rows([{"a": "b"}])[:-8],
        base64.b64encode(zstd.compress(b"[")).decode(),
        base64.b64encode(zstd.compress(b"[" * 100_000)).decode(),
    ],
)
def test_another_text_is_rejected(text: str) -> None:
    with pytest.raises(Rejected):
        unpack_rows(text)


def test_a_small_text_cannot_fill_the_memory() -> None:
    """Out: the limit of `decompress`."""
    bomb = b'[{"a": "' + b"x" * (2 * LARGEST_ROWS_BYTES) + b'"}]'
    text = base64.b64encode(zstd.compress(bomb)).decode()
    assert len(text) < 100_000
    with pytest.raises(Rejected):
        unpack_rows(text)


def test_a_body_gets_plain_rows_in_each_packed_part() -> None:
    """Out: the loop over the parts, or a dead letter that keeps packed rows."""
    rows = [{"record_id": "r1", "student_id": "ann"}]
    plain = {"acceptance": 1, "records": rows}
    message = {"job_id": "j", "parts": [{"acceptance": 1, "packed": pack_rows(rows)}, plain]}
    body = json.dumps([[message], {}, {"chord": None}]).encode()
    [[found], keywords, embed] = json.loads(with_plain_rows(body))
    assert found == {"job_id": "j", "parts": [plain, plain]}
    assert (keywords, embed) == ({}, {"chord": None})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b'"packed"',
        b'[[{"packed": 1}], {}, {}]',
        b'[[{"parts": [{"packed": "x"}]}], {}, {}]',
        b'[[{"parts": 7, "packed": 1}], {}, {}]',
        b'[[], "packed"]',
    ],
)
def test_another_body_is_unchanged(body: bytes) -> None:
    assert with_plain_rows(body) == body


def test_a_part_has_packed_or_plain_rows() -> None:
    """Out: `has_rows`."""
    rows = ({"a": 1},)
    assert rows_of(LivePart(acceptance=1, packed=pack_rows(rows))) == rows
    assert rows_of(LivePart(acceptance=1, records=rows)) == rows
    for wrong in ({}, {"packed": pack_rows(rows), "records": rows}):
        with pytest.raises(ValueError, match="exactly one"):
            LivePart(acceptance=1, **wrong)  # type: ignore[arg-type]


def test_a_dead_letter_has_plain_records_that_an_erasure_finds() -> None:
    """Out: `with_plain_rows` in `made_letter`: an erasure would leave the person in the letter."""
    statement = {"actor": {"account": {"name": "ann"}}, "verb": {"id": "https://v.example"}}
    rows = [statement_row(statement, Platforms()), {"data": {"student_id": "ben"}}]
    message = {"job_id": "j", "parts": [{"acceptance": 1, "packed": pack_rows(rows)}]}
    body = json.dumps([[message], {}, {}]).encode()
    now = datetime(2026, 9, 21, tzinfo=UTC)
    headers = {"task": "import_live_task", "id": "t"}
    letter = made_letter("live_records", {}, headers, body, now)
    [found] = letter.arguments()
    assert found["parts"][0]["records"] == rows
    assert made_letter("live_records", {}, headers, body, now).name == letter.name
    for name, left in (("ann", "ben"), ("ben", "ann")):
        scrubbed = Scrubbed(Person(frozenset({name})), letter.content)
        assert scrubbed.removed == 1
        assert f'"{name}"' not in scrubbed.text
        assert f'"{left}"' in scrubbed.text


def test_a_statement_that_names_a_person_without_an_id_is_found_by_the_name() -> None:
    """Out: STATEMENT_ROW in `_TYPES_OF_ROWS`."""
    statement = {"actor": {"name": "Ann Lee"}, "verb": {"id": "https://v.example"}}
    row = statement_row(statement, Platforms())
    assert row["students"] == []
    for names, removed in (({"Ann Lee"}, 1), ({"Ben Lee"}, 0)):
        person = Person(frozenset({"s-1"}), names=frozenset(names))
        assert Scrubbed(person, json.dumps({"records": [row]})).removed == removed
