"""Records of the ids of persons: their id, their table, and whom an erasure finds in them."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record, parse_record
from edugraph_common.contracts.school_records import PersonRecord
from edugraph_common.sources import (
    RawRow,
    Source,
    open_text,
    parse_mapping,
    read_rows,
    students_of_record,
)
from edugraph_common.sources.person import Person, Scrubbed
from edugraph_common.sources.persons import people_of
from edugraph_common.sources.rows import cut_rows
from edugraph_common.sources.students import people_of_record

LATEST = datetime(2027, 1, 1, tzinfo=UTC)
MAPPING = """
type: person_record
columns: {Student no: person_id, Other ids: also, Name: name}
constants: {timestamp: "2026-07-03"}
encoding: utf-8
"""


def person(person_id: str, *also: str, at: str = "2026-03-01", **data: Any) -> dict[str, Any]:
    given = {"person_id": person_id, "also": list(also), **data}
    return {"type": "person_record", "timestamp": at, "data": given}


def opened(text: str) -> tuple[Source, list[RawRow]]:
    """Return the source and the rows of a table."""
    plan, lines = open_text(io.BytesIO(text.encode()), "csv", None, parse_mapping(MAPPING))
    return plan.source, list(cut_rows(plan.source, lines))


def rows_of(text: str) -> list[Any]:
    source, rows = opened(text)
    return [row for _, row in read_rows(source, rows, LATEST)]


def test_the_default_id_is_of_the_person_alone() -> None:
    """Out: the case of PersonRecord in `default_id`."""
    first = parse_record(person("S05", "17"))
    corrected = parse_record(person("S05", "18", at="2026-04-01", name="Ana"))
    other = parse_record(person("S06", "17"))
    assert first.record_id == corrected.record_id
    assert first.content_hash != corrected.content_hash
    assert first.record_id not in (other.record_id, "S05")
    assert parse_record({**person("S05"), "record_id": "mine"}).record_id == "mine"


def test_own_and_repeated_ids_are_no_claims() -> None:
    data = parse_record(person(" S05 ", "17", "S05", "17", " 17 ", "18")).data
    assert isinstance(data, PersonRecord)
    assert data.claimed == ("17", "18")


def test_thousands_of_ids_are_not_of_one_person() -> None:
    with pytest.raises(InvalidRecord) as refused:
        parse_record(person("S05", *map(str, range(5_000))))
    assert (refused.value.field, refused.value.expected) == ("data.also", "length at most 100")
    assert len(refused.value.found) <= 80


@pytest.mark.parametrize(
    "value",
    [
        person("S05", "17"),
        person("17", "S05"),
        {"type": "person_record", "data": {"person_id": "S05", "also": "17"}},
        {"type": "person_record", "data": {"also": [5, None, {"student_id": "17"}, " 17 "]}},
    ],
)
def test_an_erasure_finds_each_id_of_a_record_of_any_form(value: dict[str, Any]) -> None:
    """Out: `person_id` or `also` in STUDENT_FIELDS, or the lists in `ids_in`."""
    assert "17" in set(students_of_record(value))
    assert "17" in people_of_record(value).ids
    scrubbed = Scrubbed(Person(frozenset({"17"})), json.dumps({"records": [value, person("S06")]}))
    assert json.loads(scrubbed.text) == {"records": [{}, person("S06")]}


def test_a_table_has_a_row_for_each_person_and_a_missing_value_is_no_id() -> None:
    """Out: `also` in IDS: then the word NULL is an id that all such rows claim."""
    text = "Student no,Other ids,Name\nS05, lti-1 ; 17;,Ana\nS06,,Ben\nS07,NULL,Eva\nS08,9; 4.7E+12,Kim\nS09,0,Li\n"
    first, without, missing, rounded, zero = rows_of(text)
    assert isinstance(first, Record)
    assert first.data == PersonRecord(person_id="S05", also=("lti-1", "17"), name="Ana")
    assert isinstance(without.data, PersonRecord)
    assert without.data.claimed == ()
    for reject in (missing, rounded):
        assert isinstance(reject, Reject)
        assert reject.field == "Other ids (data.also)"
    assert zero.data.claimed == ("0",)


def test_an_erasure_finds_each_id_in_a_row_of_a_table() -> None:
    """Out: `ids_in` or `_parse_list` in `CellReader.people`."""
    source, rows = opened("Student no,Other ids,Name\nS05,lti-1; 17,Ana\nS06,NULL; 9,Ben\n")
    found = [people_of(source, row) for row in rows]
    assert [each.ids for each in found if each is not None] == [
        {"S05", "lti-1", "17"},
        {"S06", "NULL", "9"},  # this row is set aside, and its reject has both ids
    ]
