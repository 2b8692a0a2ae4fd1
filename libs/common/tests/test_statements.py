"""The form and the id of a statement: versions, missing object types, answers of receivers, and voiding."""

import io
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal
from edugraph_common.sources import NotRelevant, Platforms, RawRow, Row, open_text
from edugraph_common.sources.chunking import rows_of
from edugraph_common.sources.detection import detect_file
from edugraph_common.sources.json_source import Values
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.rows import cut_rows, read_rows
from edugraph_common.sources.statements import VOIDED, statement_id
from edugraph_common.sources.xapi import people_of_statement, read_statement

SCHOOL = Platforms({"lms": ""})
COURSE = {
    "id": "http://lms/course/C1",
    "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
}


def answered(number: int = 1, **other: Any) -> dict[str, Any]:
    """A statement without an id."""
    return {
        "actor": {"account": {"homePage": "http://lms", "name": f"u{number}"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
        "object": {"id": f"http://lms/q/{number}", "definition": {"interactionType": "numeric"}},
        "result": {"success": True, "response": "4"},
        "context": {"contextActivities": {"parent": [COURSE]}},
        "timestamp": "2026-03-04T05:06:07Z",
        **other,
    }


def record_of(value: dict[str, Any]) -> Record:
    found = read_statement(value, SCHOOL)
    assert isinstance(found, Record)
    return found


def rows_in(text: bytes) -> list[Row]:
    detected = detect_file("export.json", text)
    assert detected.format == "xapi"
    plan, blocks = open_text(io.BytesIO(text), "xapi", None, None, SCHOOL)
    return list(read_rows(plan.source, cut_rows(plan.source, blocks)))


# --- Versions and missing parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.0.0", "1.0.3", "2.0", "2.0.0", None])
def test_statements_of_both_versions_are_read(version: str | None) -> None:
    """Out: the second version in the pattern of `Statement.version`."""
    assert record_of(answered(version=version)).type == "attempt_record"


@pytest.mark.parametrize("version", ["0.95", "3.0", "1.01", "20.0", "latest"])
def test_a_statement_of_another_version_is_rejected(version: str) -> None:
    with pytest.raises(InvalidRecord) as problem:
        read_statement(answered(version=version), SCHOOL)
    assert problem.value.field == "version"


def test_the_agents_of_version_2_belong_to_the_statement() -> None:
    """Out: `contextAgents` and `contextGroups` among the places of students."""
    others = {
        "contextAgents": [{"objectType": "contextAgent", "agent": {"mbox": "mailto:a@x"}}],
        "contextGroups": [
            {
                "objectType": "contextGroup",
                "group": {"objectType": "Group", "member": [{"openid": "http://o/1"}]},
            }
        ],
        "instructor": {"mbox": "mailto:teacher@x"},
    }
    assert people_of_statement(answered(context=others), SCHOOL).ids == {"u1", "a@x", "http://o/1"}


def test_an_object_without_a_type_is_an_activity_if_it_has_an_iri_and_a_person_if_it_names_one() -> (
    None
):
    """Out: the default of `Object.kind`, which was a person."""
    liked = {"id": "http://adlnet.gov/expapi/verbs/liked"}
    activity = answered(verb=liked)
    person = answered(verb=liked, object={"mbox": "mailto:li@x", "name": "Li"})
    group = answered(verb=liked, object={"member": [{"mbox": "mailto:li@x"}]})
    assert read_statement(activity, SCHOOL) == NotRelevant("liked")
    assert record_of(person).type == "student_interaction"
    assert read_statement(group, SCHOOL) == NotRelevant("liked (of a Group)")
    by_a_group = answered(actor={"member": [{"mbox": "mailto:li@x"}]})
    assert read_statement(by_a_group, SCHOOL) == NotRelevant("answered (by a group)")


@pytest.mark.parametrize(
    ("score", "share", "possible"),
    [
        ({"raw": 1, "min": 0, "max": 2, "scaled": 0.0}, 0.5, 2),
        ({"raw": 0, "min": 0, "max": 2, "scaled": -1}, 0.0, 2),
        ({"raw": 3, "min": 2, "max": 4}, 0.5, None),
        ({"raw": 3, "max": 4, "scaled": None}, 0.75, 4),
        ({"scaled": 0.25}, 0.25, None),
        ({"max": 4, "scaled": 0.25}, 0.25, None),
        ({"raw": 3, "scaled": 0.25}, 0.25, None),
        ({"raw": 0, "min": 0, "max": 0, "scaled": 0}, None, None),
        ({"raw": 3}, None, None),
        ({"raw": 1, "max": 2e9}, 5e-10, None),
    ],
)
def test_the_share_of_a_score_is_that_of_its_points(
    score: dict[str, Any], share: float | None, possible: float | None
) -> None:
    """Out: the points before `scaled` in `Score.share`, the range without a point, or a condition of `Score.possible`."""
    found = record_of(answered(result={"score": score, "success": True}))
    assert found.data.model_dump()["score"] == share
    assert found.data.model_dump()["max_score"] == possible


def test_a_score_that_is_not_a_number_is_rejected() -> None:
    for text in ("NaN", "Infinity", "1e999"):
        value = json.loads(
            json.dumps(answered()).replace(
                '"success": true', f'"score": {{"raw": {text}, "max": 1}}'
            )
        )
        with pytest.raises(InvalidRecord):
            read_statement(value, SCHOOL)


# --- Ids ----------------------------------------------------------------------------------------------------------


def test_ids_are_compared_without_case() -> None:
    """Out: `lower` in `statement_id`, or in the withdrawal."""
    given_id = "5F1E5F9E-0000-4000-8000-00000000ABCD"
    assert record_of(answered(id=given_id)).record_id == given_id.lower()
    void = {
        **answered(),
        "verb": {"id": VOIDED},
        "object": {"objectType": "StatementRef", "id": given_id},
    }
    assert read_statement(void, SCHOOL) == Withdrawal(record_id=given_id.lower())


def test_a_statement_without_an_id_has_the_same_one_however_it_comes() -> None:
    """Out: the fields that a receiver adds, the form of the timestamp, or the order of fields in `statement_id`."""
    sent = answered()
    moment = datetime(2026, 3, 4, 13, 6, 7, tzinfo=timezone(timedelta(hours=8)))
    again = {
        **dict(reversed(sent.items())),
        "timestamp": moment.isoformat(),
        "stored": "2026-03-05T00:00:00Z",
        "authority": {"mbox": "mailto:lrs@x"},
        "version": "1.0.3",
        "id": None,
    }
    assert record_of(again).record_id == record_of(sent).record_id == statement_id(sent)
    assert record_of(again).content_hash == record_of(sent).content_hash


def test_the_id_of_a_statement_stays_over_releases() -> None:
    """Another id would double all statements that came without one. The reference was computed with `uuid5` alone."""
    assert statement_id({"timestamp": "2026-03-04T05:06:07Z", "verb": {"id": "v"}}) == REFERENCE


# uuid5 of {"timestamp":"2026-03-04T05:06:07.000000Z","verb":{"id":"v"}} in the namespace of statements.py
REFERENCE = "83dda785-97d6-501a-9e35-4930dea405c2"


def test_equal_answers_at_two_moments_are_two_statements() -> None:
    later = answered(timestamp="2026-03-05T05:06:07Z")
    assert record_of(later).record_id != record_of(answered()).record_id
    first, second = (
        {**answered(), "timestamp": None, "stored": f"2026-03-0{day}T00:00:00Z"} for day in (1, 2)
    )
    assert record_of(first).record_id != record_of(second).record_id
    assert record_of(first).timestamp == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("given_id", [5, "", " ", "x" * 129, ["a"], {"id": "a"}])
def test_a_statement_with_an_id_of_another_form_is_rejected(given_id: Any) -> None:
    """Out: the id that is not a text in `statement_id`. The statement would get an id that nobody gave it."""
    with pytest.raises(InvalidRecord):
        read_statement(answered(id=given_id), SCHOOL)


def test_a_statement_without_any_moment_is_rejected() -> None:
    value = answered()
    del value["timestamp"]
    with pytest.raises(InvalidRecord) as problem:
        read_statement(value, SCHOOL)
    assert (problem.value.field, problem.value.reason) == ("timestamp", "is missing")


@given(st.sampled_from(["actor", "verb", "object", "result", "context", "timestamp"]))
def test_another_content_is_another_statement(field: str) -> None:
    changed: dict[str, Any] = {**answered(), field: "other"}
    assert statement_id(changed) != statement_id(answered())


# --- Voiding ------------------------------------------------------------------------------------------------------

TARGET = {"objectType": "StatementRef", "id": "5f1e5f9e-0000-4000-8000-000000000001"}


@pytest.mark.parametrize(
    "verb",
    [
        "http://evil.example/voided",
        "https://adlnet.gov/expapi/verbs/voided",
        "http://adlnet.gov/expapi/verbs/voided/",
    ],
)
def test_only_the_verb_of_the_specification_voids(verb: str) -> None:
    """Out: the whole IRI in `read_statement`. The last part of it is not enough."""
    assert read_statement(
        {**answered(), "verb": {"id": verb}, "object": TARGET}, SCHOOL
    ) == NotRelevant("voided")


@pytest.mark.parametrize(
    "target",
    [
        None,
        {"id": TARGET["id"]},
        {"objectType": "Activity", "id": TARGET["id"]},
        {"objectType": "StatementRef"},
        {"objectType": "StatementRef", "id": 7},
    ],
)
def test_only_a_reference_to_a_statement_voids(target: Any) -> None:
    """Out: the object type in `_withdrawal`."""
    with pytest.raises(InvalidRecord):
        read_statement({**answered(), "verb": {"id": VOIDED}, "object": target}, SCHOOL)


def test_a_void_has_no_time_so_it_lasts() -> None:
    found = read_statement({**answered(), "verb": {"id": VOIDED}, "object": TARGET}, SCHOOL)
    assert isinstance(found, Withdrawal)
    assert found.change_time.year == 9999


# --- Answers of receivers -----------------------------------------------------------------------------------------


def answer_of(
    statements: list[dict[str, Any]], more: str | None = "", *, indent: int | None = None
) -> str:
    return json.dumps({"statements": statements, "more": more}, indent=indent)


SEVERAL = [answered(number) for number in range(1, 6)]
ANSWERS = [
    answer_of(SEVERAL),
    answer_of(SEVERAL, indent=2),
    answer_of(SEVERAL, more='/xapi/statements?cursor=\\"}]{,'),
    answer_of(SEVERAL, more=None),
    json.dumps({"more": "/x?a=1", "statements": SEVERAL}),
    json.dumps({"statements": SEVERAL}),
    "\ufeff\n " + json.dumps({"statements": SEVERAL}) + "\n",
    answer_of(SEVERAL[:2], "/next") + "\n" + answer_of(SEVERAL[2:]) + "\n",
    answer_of(SEVERAL[:2], "/next", indent=1) + answer_of([]) + answer_of(SEVERAL[2:]),
    f"[{answer_of(SEVERAL[:2])}, {answer_of(SEVERAL[2:])}]".removeprefix("["),
]


@pytest.mark.parametrize("text", ANSWERS)
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_the_statements_of_an_answer_are_rows_whatever_the_blocks(text: str, size: int) -> None:
    """Out: the layout of answers in `make_read_plan`."""
    whole = text.encode()
    expected = [record_of(each).record_id for each in SEVERAL]
    assert [row.record_id for _, row in rows_in(whole) if isinstance(row, Record)] == expected
    blocks = [whole[start : start + size] for start in range(0, len(whole), size)]
    cut = list(rows_of(Values(in_answers=True).chunks(blocks, 2)))
    assert [json.loads(row.raw) for row in cut] == SEVERAL


def test_a_wrong_statement_in_an_answer_is_set_aside_alone() -> None:
    whole = answer_of(SEVERAL).replace('"http://lms/q/3"', '"http://lms/q/3" 7', 1)
    rows = rows_in(whole.encode())
    assert [type(row) for _, row in rows] == [Record, Record, Reject, Record, Record]


def test_the_rows_of_an_answer_have_their_lines() -> None:
    text = answer_of(SEVERAL, indent=1)
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if line == "  {"]
    assert [
        row.line for row in rows_of(Values(in_answers=True).chunks([text.encode()], 10))
    ] == lines


def test_an_answer_that_is_cut_off_is_refused() -> None:
    whole = answer_of(SEVERAL).encode()
    with pytest.raises(MalformedFile):
        rows_in(whole[: whole.rindex(b'"actor"') + 20])


def test_an_answer_without_statements_has_no_rows() -> None:
    assert rows_in(answer_of([]).encode()) == []


def test_other_sources_have_no_answers() -> None:
    assert list(rows_of(Values().chunks([b'{"statements": [{"a": 1}]}'], 10))) == [
        RawRow(1, b'{"statements": [{"a": 1}]}')
    ]
