"""Ids that people cannot tell apart are one id, wherever they come from."""

import io
import json
import sys
import unicodedata
from typing import Any

import pytest
from arro3.core import Array, DataType
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import parquet, xlsx

from edugraph_common.contracts.messages import (
    AdmitPerson,
    ErasePerson,
    ExportStudent,
    RestrictStudent,
)
from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.contracts.records import (
    DATA_OF_TYPE,
    InvalidRecord,
    Record,
    parse_record,
    parse_row,
)
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.sources.mapping import parse_mapping
from edugraph_common.sources.person import ErasedPeople, Person
from edugraph_common.sources.read_plan import open_text
from edugraph_common.sources.rows import cut_rows
from edugraph_common.sources.students import as_id, plain_hash

INVISIBLE = [
    "\u200b",
    "\u200c",
    "\u200d",
    "\u200e",
    "\u200f",
    "\u202a",
    "\u202c",
    "\u2060",
    "\ufeff",
    "\u00ad",
]
INVISIBLE += [
    "\u00a0",
    "\u3000",
    "\u2009",
    "\u2028",
    "\u034f",
    "\u3164",
    "\ufe0f",
    "\U000e0041",
    " ",
    "\t",
]
# Signs of Arabic and other scripts that stand before a number and are seen, though Unicode calls them formats.
SEEN = {
    *range(0x0600, 0x0606),
    0x06DD,
    0x070F,
    0x0890,
    0x0891,
    0x08E2,
    0x110BD,
    0x110CD,
    *range(0x13430, 0x13440),
}

edges = st.lists(st.sampled_from(INVISIBLE), max_size=3).map("".join)
letters = st.sampled_from(["S", "0", "7", "é", "Å", "가", "ñ", "学", "ế", "-", "が", "\u200d"])
normal_ids = st.lists(letters, min_size=1, max_size=8).map("".join).map(normal_id).filter(bool)
forms = st.sampled_from(["NFC", "NFD"])


@st.composite
def disguised(draw: st.DrawFn, plain: str) -> str:
    return draw(edges) + unicodedata.normalize(draw(forms), plain) + draw(edges)


def id_fields(record_type: str) -> list[str]:
    """The fields of a type that hold one id."""
    fields = DATA_OF_TYPE[record_type].model_fields
    others = {"term", "reply_to"}
    return [
        name
        for name, field in fields.items()
        if name in others or name.endswith("_id") or "_id_" in name
    ]


# What a record of each type needs beside its ids.
REST: dict[str, dict[str, Any]] = {
    "student_interaction": {"interaction_type": "like"},
    "error_record": {"error_text": "2+2=5"},
    "course_content": {"content": "Text"},
    "attempt_record": {"correct": True},
    "post_record": {"text": "Why?"},
    "item_record": {"assigned_to": "group"},
    "action_record": {"spoken": True},
}


@given(st.data())
def test_two_forms_of_an_id_are_one_record(data: st.DataObject) -> None:
    """Out: `_normal_if_text` of `Id`."""
    record_type = data.draw(st.sampled_from(sorted(DATA_OF_TYPE)))
    fields = id_fields(record_type)
    if record_type == "membership_record":
        fields.remove(data.draw(st.sampled_from(["student_id", "teacher_id"])))
    plain = {name: data.draw(normal_ids) for name in fields}
    other = {name: data.draw(disguised(value)) for name, value in plain.items()}
    if record_type == "error_record":
        plain["course_ids"] = [plain["course_id"]]  # type: ignore[assignment]
        other["course_ids"] = [data.draw(disguised(plain["course_id"]))]  # type: ignore[assignment]
    value = {"type": record_type, "timestamp": "2026-03-02T08:00:00Z"}
    rest = REST.get(record_type, {})
    first = parse_record({**value, "data": {**rest, **plain}})
    second = parse_record({**value, "data": {**rest, **other}})
    assert second == first
    assert second.record_id == first.record_id
    for name in fields:
        assert getattr(first.data, name) == plain[name]
    own = data.draw(normal_ids)
    named = parse_record(
        {**value, "record_id": data.draw(disguised(own)), "data": {**rest, **other}}
    )
    assert named.record_id == own
    withdrawn = parse_row(
        {"record_id": data.draw(disguised(own)), "timestamp": "2026-03-02", "withdrawn": True}
    )
    assert withdrawn.record_id == own  # type: ignore[union-attr]


@given(normal_ids, st.data())
def test_an_id_in_its_form_stays_as_it_is(plain: str, data: st.DataObject) -> None:
    assert normal_id(plain) == plain
    assert normal_id(data.draw(disguised(plain))) == plain
    inside = f"a\u200d{plain}\u200db"
    assert normal_id(inside) == unicodedata.normalize("NFC", inside)


def test_every_character_that_shows_nothing_is_removed_at_the_ends() -> None:
    """Out: a range of `_INVISIBLE_RANGES`."""
    left = set()
    for code in range(sys.maxunicode + 1):
        is_hidden = unicodedata.category(chr(code)) in {"Cf", "Zs", "Zl", "Zp"} and code not in SEEN
        if is_hidden and normal_id(f"{chr(code)}S1{chr(code)}") != "S1":
            left.add(hex(code))
    assert left == set()


@pytest.mark.parametrize("empty", ["\u200b", "\ufeff \u00a0", " "])
def test_an_id_of_invisible_characters_is_empty(empty: str) -> None:
    with pytest.raises(InvalidRecord, match="at least 1 character"):
        parse_record({"type": "term_record", "timestamp": "2026-01-01", "data": {"term": empty}})


# Workbooks and Parquet files are read in processes of their own, so there are few files, with many students each.
@settings(max_examples=10)
@given(plain_ids=st.lists(normal_ids, min_size=6, max_size=14), data=st.data())
def test_all_formats_read_the_same_students(plain_ids: list[str], data: st.DataObject) -> None:
    written = {plain: data.draw(disguised(plain)) for plain in plain_ids}
    in_text = list(written.items())
    # A workbook of these tests has no tabs.
    in_tables = [(plain, text) for plain, text in in_text if "\t" not in text]
    csv_text = "who,what,right\n" + "".join(f'"{text}",q1,1\n' for _, text in in_text)
    header = ["who", "what", "right"]
    rows: list[list[Any]] = [header, *([text, "q1", True] for _, text in in_tables)]
    mapping = parse_mapping(
        "type: attempt_record\ncolumns: {who: student_id, what: item_id, right: correct}\n"
        "constants: {timestamp: 2026-03-02}\n"
    )
    columns = {
        "who": Array([text for _, text in in_tables], DataType.string()),
        "what": Array(["q1"] * len(in_tables), DataType.string()),
        "right": Array([True] * len(in_tables), DataType.bool()),
    }
    record = {"type": "attempt_record", "timestamp": "2026-03-02T00:00:00Z"}
    lines = []
    for _, text in in_text:
        given_data = {"student_id": text, "item_id": "q1", "correct": True}
        is_escaped = data.draw(st.booleans())
        lines.append(json.dumps({**record, "data": given_data}, ensure_ascii=is_escaped))
    files: list[tuple[bytes, Any, Any, Any]] = [
        (csv_text.encode(), "csv", mapping, in_text),
        ("\n".join(lines).encode(), "ndjson", None, in_text),
    ]
    if in_tables:
        files.append((xlsx({"A": rows}), "workbook", mapping, in_tables))
        files.append((parquet(columns), "parquet", mapping, in_tables))
    for file, form, with_mapping, students in files:
        plan, blocks = open_text(io.BytesIO(file), form, None, with_mapping)
        raw_rows = list(cut_rows(plan.source, blocks))
        for raw_row, (plain, _) in zip(raw_rows, students, strict=True):
            row = plan.source.read(raw_row.line, raw_row.raw)
            assert isinstance(row, Record)
            assert row.data.student_id == plain  # type: ignore[union-attr]
            assert plan.source.people(raw_row.raw).ids == {plain}


@given(plain=normal_ids, data=st.data())
def test_who_is_looked_for_is_found_in_whatever_form(plain: str, data: st.DataObject) -> None:
    """Out: `normal_id` of a message, a caller, `as_id`, or of `Person` and `ErasedPeople`."""
    written = data.draw(disguised(plain))
    assert as_id(written) == plain
    assert Person(frozenset({plain})).is_among([written])
    assert ErasedPeople(plain_hash(plain).__eq__).is_among([written])
    assert Person(frozenset({plain})).is_quoted(written)
    assert Person(frozenset({plain})).is_named_in(f"({unicodedata.normalize('NFD', plain)})")
    assert Caller("key", (), (), written).person == plain
    for message in (ExportStudent, RestrictStudent):
        assert message(job_id="j", student_id=written).student_id == plain
    for of_several in (ErasePerson, AdmitPerson):
        assert of_several(job_id="j", ids=(written,)).ids == (plain,)
