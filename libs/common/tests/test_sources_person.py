"""Records, findings and rejects in messages: those of a person go, and nothing of anybody else changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.personal_data import record_mark
from edugraph_common.sources.person import ErasedPeople, Person, Scrubbed
from edugraph_common.sources.students import plain_hash

IDS = ("4", "S0104", "S01", "14", "2026", "学-7", '"q"', "a\\b")
ids = st.sampled_from(IDS)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    text = draw(st.sampled_from(["4", "to S0104", "2026-01-01", "学-7 said"]))
    if draw(st.booleans()):
        people = {"student_id_from": draw(ids), "student_id_to": draw(ids), "text": text}
        return {"type": "student_interaction", "timestamp": "2026-01-01", "data": people}
    return {
        "type": "error_record",
        "data": {"student_id": draw(ids), "error_text": text, "course_id": "4"},
    }


def names(record: dict[str, Any], student: str) -> bool:
    return student in {
        value for name, value in record["data"].items() if name.startswith("student_id")
    }


@given(
    given_records=st.lists(records(), max_size=8),
    student=ids,
    escaped=st.booleans(),
    known=st.booleans(),
)
def test_records_become_empty_and_keep_their_places(
    given_records: list[dict[str, Any]], student: str, escaped: bool, known: bool
) -> None:
    """To take the guard out: look for the id in the text of a record."""
    who = Person(frozenset({student})) if known else ErasedPeople(plain_hash(student).__eq__)
    text = json.dumps(
        [["task", {"job_id": student, "records": given_records}, student]], ensure_ascii=escaped
    )
    scrubbed = Scrubbed(who, text)
    expected = [{} if names(record, student) else record for record in given_records]
    assert json.loads(scrubbed.text) == [
        ["task", {"job_id": student, "records": expected}, student]
    ]
    assert scrubbed.removed == sum(names(record, student) for record in given_records)


@given(given_records=st.lists(records(), max_size=8), student=ids)
def test_findings_go_and_count_as_failed(given_records: list[dict[str, Any]], student: str) -> None:
    findings = [
        {"record": record, "finding": {"kind": "error"}, "origin": {}} for record in given_records
    ]
    scrubbed = Scrubbed(
        Person(frozenset({student})), json.dumps({"findings": findings, "failed": 2})
    )
    kept = [each for each in findings if not names(each["record"], student)]
    assert json.loads(scrubbed.text) == {"findings": kept, "failed": 2 + len(findings) - len(kept)}


def test_a_result_that_names_only_the_record_goes_by_its_mark() -> None:
    result = [
        {"record_id": name, "finding": {"kind": "error"}, "origin": {}} for name in ("r1", "r2")
    ]
    for who in (
        Person(frozenset({"4"}), frozenset({"r1"})),
        ErasedPeople(plain_hash("4").__eq__, frozenset({record_mark("r1")})),
    ):
        assert json.loads(Scrubbed(who, json.dumps({"result": result})).text) == {
            "result": [{}, result[1]]
        }


def test_what_is_no_json_stays() -> None:
    scrubbed = Scrubbed(Person(frozenset({"4"})), "4 is [no JSON")
    assert (scrubbed.text, scrubbed.removed) == ("4 is [no JSON", 0)


def test_a_reject_that_quotes_the_id_as_its_source_sent_it_goes() -> None:
    """To take the guard out: compare with the keys of the records alone."""
    who = Person(frozenset({"4"}), frozenset({"@lms/row-7"}))
    for found, left in (("row-7", ""), ("@lms/row-7", ""), ("row-70", "row-70")):
        reject = {"line": 1, "field": "record_id", "expected": "", "found": found, "reason": ""}
        assert json.loads(Scrubbed(who, json.dumps(reject)).text)["found"] == left


@pytest.mark.parametrize("begin", ['{"a":', "[", '[{"a":'])
@pytest.mark.parametrize("levels", [90, 200, 400])
@pytest.mark.parametrize("known", [True, False])
def test_what_is_nested_deeply_ends_no_erasure(begin: str, levels: int, known: bool) -> None:
    """A wrong row is kept as it was sent, for weeks, so it could keep everybody from being erased.

    Out: `levels` in `_changed`, or `is_among` in `_changed_as_a_whole`.
    """
    who = Person(frozenset({"S0104"})) if known else ErasedPeople(plain_hash("S0104").__eq__)
    end = begin[::-1].translate(str.maketrans("[{", "]}", 'a":'))
    for student, is_theirs in (("S0104", True), ("S01", False)):
        record = json.dumps({"type": "error_record", "data": {"student_id": student}})
        row = begin * levels + record + end * levels
        found = Scrubbed(who, row)
        assert bool(found.removed) is is_theirs
        assert ("S0104" in found.text) is False
        reject = {"line": 1, "field": "x", "expected": "y", "found": "", "reason": "z", "raw": row}
        rejects = Scrubbed(who, json.dumps([reject]))
        assert bool(rejects.removed) is is_theirs
        assert json.loads(rejects.text) == [{**reject, "raw": None if is_theirs else row}]
