"""A wrong statement or event is set aside, or its record has values that stand in it.

`make fuzz` tries that no hostile statement takes another with it. EDUGRAPH_EXAMPLES sets the number of examples here.
"""

import html
import json
import os
from datetime import datetime
from fractions import Fraction
from typing import Any

import pytest
from hostile_rows import EVENTS, STATEMENTS, as_text, nearly, places, value
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal
from edugraph_common.sources import Platforms
from edugraph_common.sources.openedx import people_of_event, read_event
from edugraph_common.sources.students import students_of_record, texts_in
from edugraph_common.sources.xapi import people_of_statement, read_statement

EXAMPLES = int(os.environ.get("EDUGRAPH_EXAMPLES", "300"))
OWN = Platforms({"lms": ""})
ANSWER = "http://learninglocker.net/xapi/cmi/choice/response"


def record_of(text: str) -> tuple[dict[str, Any], Record] | None:
    """Return a statement and its record, or None for a text without a record."""
    try:
        statement = json.loads(text)
        found = read_statement(statement, OWN)
    except (ValueError, RecursionError, InvalidRecord):
        return None
    if isinstance(found, Withdrawal):
        assert statement["verb"]["id"] == "http://adlnet.gov/expapi/verbs/voided"
        assert statement["object"]["objectType"] == "StatementRef"
        return None
    return (statement, found) if isinstance(found, Record) else None


INVISIBLE = "\u00ad"
WITH_INVISIBLE_PARTS = [
    {"homePage": INVISIBLE, "name": "u7"},
    {"homePage": " ", "name": "u7"},
    {"homePage": "https://other.example", "name": INVISIBLE},
    {"homePage": INVISIBLE, "name": INVISIBLE},
]


@pytest.mark.parametrize("account", WITH_INVISIBLE_PARTS)
def test_an_account_with_invisible_parts_is_the_same_for_a_record_and_an_erasure(
    account: dict[str, str],
) -> None:
    """Out: `normal_id` in `Agent.id` or in `Platforms.account_id`."""
    agent = {"account": account, "mbox": "mailto:mei@school.example"}
    statement = {**STATEMENTS[0], "actor": agent}
    made = record_of(json.dumps(statement))
    assert made is not None
    students = students_of_record(made[1].to_json()["data"])
    assert set(students) == people_of_statement(statement, OWN).ids


@given(nearly(STATEMENTS))
@example(as_text(STATEMENTS[5], {}))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_record_says_what_its_statement_says(text: str) -> None:
    made = record_of(text)
    if made is None:
        return
    statement, record = made
    data = record.to_json()["data"]

    # Otherwise an erasure would not find the row.
    assert set(students_of_record(data)) <= people_of_statement(statement, OWN).ids

    texts = {each.strip() for each in texts_in(statement)}
    for field in ("text", "question", "response", "student_name", "item_title", "course_name"):
        assert field not in data or data[field].strip() in texts, field

    moment = datetime.fromisoformat(statement["timestamp"])
    if record.type != "activity_record" and moment.tzinfo is not None:
        assert record.timestamp == moment

    result = statement.get("result") or {}
    score = result.get("score") or {}
    if (
        data.get("score") is not None
        and score.get("raw") is not None
        and score.get("max") is not None
    ):
        least = Fraction(score.get("min") or 0)
        share = (Fraction(score["raw"]) - least) / (Fraction(score["max"]) - least)
        assert abs(data["score"] - min(1, max(0, share))) < 1e-6
    if data.get("correct") is not None and isinstance(result.get("success"), bool):
        assert data["correct"] == result["success"]


@given(st.sampled_from(STATEMENTS), st.data())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_only_the_parts_that_are_read_decide(
    statement: dict[str, Any], data: st.DataObject
) -> None:
    """A field that nobody reads changes the id of a statement without one, and nothing else."""
    extra = data.draw(value)
    text = as_text(statement, {})
    other = text[:-1] + f', "attachments": {extra}}}'
    before = record_of(text)
    after = record_of(other)
    try:
        json.loads(other)
    except (ValueError, RecursionError):
        return
    if before is None:
        assert after is None
        return
    if after is None:
        return  # Nested too deeply to be written again.
    assert after[1].content_hash == before[1].content_hash


def test_each_form_of_a_statement_has_a_record() -> None:
    """Without a record, the tests above would say nothing about a form."""
    with_records = [
        statement for statement in STATEMENTS if record_of(as_text(statement, {})) is not None
    ]
    without = [
        each["verb"]["id"].rsplit("/", 1)[-1] for each in STATEMENTS if each not in with_records
    ]
    assert sorted(without) == ["evaluated", "progressed", "voided"]
    assert all(places(statement) for statement in STATEMENTS)


@given(nearly(EVENTS))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_record_says_what_its_event_says(text: str) -> None:
    try:
        event = json.loads(text)
        record = read_event(event, OWN)
    except (ValueError, RecursionError, InvalidRecord):
        return
    if not isinstance(record, Record):
        return
    data = record.to_json()["data"]
    assert set(students_of_record(data)) <= people_of_event(event, OWN).ids
    given = event["event"]
    if record.type == "attempt_record":
        assert data["correct"] == (given["success"] == "correct")
        assert data["item_id"] == given["problem_id"].strip()
    if record.type == "post_record":
        assert data["text"] in html.unescape(given["body"])
    if data.get("progress") is not None and isinstance(given["percent_grade"], int | float):
        assert abs(data["progress"] - min(1, given["percent_grade"]) * 100) < 1e-3
    moment = datetime.fromisoformat(event["time"])
    if moment.tzinfo is not None:
        assert record.timestamp == moment
