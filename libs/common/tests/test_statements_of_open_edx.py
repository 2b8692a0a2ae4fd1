"""The log of Open edX and the statements that its router (event-routing-backends) makes of the same events."""

import json
from collections import Counter
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.records import AttemptRecord, Record
from edugraph_common.sources import NotRelevant, Platforms
from edugraph_common.sources.openedx import read_event
from edugraph_common.sources.xapi import read_statement

LMS = "https://lms.school.example"
OWN = Platforms({"lms.school.example": ""})
COURSE_ID = "course-v1:School+P1+2026"
AT = "2026-03-04T05:06:07+00:00"
EXTENSIONS = {
    "https://w3id.org/xapi/openedx/extension/transformer-version": "event-routing-backends@9"
}
COURSE = {
    "id": f"{LMS}/course/{COURSE_ID}",
    "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
}


def block(number: int, kind: str = "problem") -> str:
    return f"block-v1:School+P1+2026+type@{kind}+block@{number:032x}"


def routed(
    verb: str, iri: str, kind: str, result: dict[str, Any] | None = None, **definition: Any
) -> dict[str, Any]:
    """A statement in the form of the router."""
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{verb} {iri} {json.dumps(result)}")),
        "version": "1.0.3",
        "actor": {
            "objectType": "Agent",
            "account": {"homePage": LMS, "name": "32e08e30-f8ae-4ce2-94a8-c2bfe38a70cb"},
        },
        "verb": {"id": f"https://w3id.org/xapi/acrossx/verbs/{verb}", "display": {"en": verb}},
        "object": {
            "objectType": "Activity",
            "id": iri,
            "definition": {"type": f"http://adlnet.gov/expapi/activities/{kind}", **definition},
        },
        **({"result": result} if result else {}),
        "context": {"contextActivities": {"parent": [COURSE]}, "extensions": EXTENSIONS},
        "timestamp": AT,
    }


def checked(number: int, parts: list[bool], tries: int) -> dict[str, Any]:
    """The event of a submission to a problem with these parts, right or wrong, in the form of the log."""
    submission = {
        f"p{number}_{place}": {
            "question": f"Question {place}?",
            "answer": "yes" if right else ["no", "perhaps"],
            "correct": right,
            "response_type": "choiceresponse",
        }
        for place, right in enumerate(parts, start=2)
    }
    data = {
        "problem_id": block(number),
        "success": "correct" if all(parts) else "incorrect",
        "grade": sum(parts),
        "max_grade": len(parts),
        "attempts": tries,
        "submission": submission,
    }
    module = {"display_name": f"Problem {number}", "usage_key": block(number)}
    context = {"user_id": 7, "course_id": COURSE_ID, "module": module}
    return {"name": "problem_check", "timestamp": AT, "context": context, "data": data}


def statements_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements that the router makes of a submission: one for the problem, and one for each of several parts."""
    data = event["data"]
    score = {
        "min": 0,
        "max": data["max_grade"],
        "raw": data["grade"],
        "scaled": data["grade"] / data["max_grade"],
    }
    iri = f"{LMS}/xblock/{data['problem_id']}"
    tries = {"http://id.tincanapi.com/extension/attempt-id": data["attempts"]}
    answers = [
        json.dumps(part["answer"]) if isinstance(part["answer"], list) else part["answer"]
        for part in data["submission"].values()
    ]
    parts = list(data["submission"].values())
    if len(parts) == 1:
        result = {"success": parts[0]["correct"], "score": score, "response": answers[0]}
        asked = {"en-US": parts[0]["question"]}
        return [
            routed("evaluated", iri, "cmi.interaction", result, description=asked, extensions=tries)
        ]
    whole = routed(
        "evaluated",
        iri,
        "cmi.interaction",
        {"success": data["success"] == "correct", "score": score},
        name={"en-US": event["context"]["module"]["display_name"]},
    )
    whole["object"]["objectType"] = "GroupActivity"
    made = [whole]
    for (name, part), answer in zip(data["submission"].items(), answers, strict=True):
        asked = {"en-US": part["question"]}
        result = {"success": part["correct"], "response": answer}
        each = routed("evaluated", f"{iri}_{name}", "cmi.interaction", result, description=asked)
        each["context"] = {
            "statement": {"objectType": "StatementRef", "id": whole["id"]},
            "contextActivities": {"parent": [whole["object"]], "grouping": [COURSE]},
            "extensions": EXTENSIONS,
        }
        made.append(each)
    return made


def figures(records: list[Any]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Return, for each item, the attempts, the thousandths that were right, and the mistakes."""
    tries: Counter[str] = Counter()
    right: Counter[str] = Counter()
    mistakes: Counter[str] = Counter()
    for record in records:
        if not isinstance(record, Record):
            continue
        data = record.data
        assert isinstance(data, AttemptRecord)
        tries[data.item_id] += 1
        right[data.item_id] += data.outcome_thousandths or 0
        mistakes[data.item_id] += data.is_mistake
    return tries, right, mistakes


@given(
    st.lists(
        st.tuples(
            st.integers(1, 4), st.lists(st.booleans(), min_size=1, max_size=4), st.integers(1, 9)
        ),
        max_size=12,
    )
)
def test_a_log_and_the_statements_of_its_events_have_the_same_figures(made: list[Any]) -> None:
    """Out: `_is_part_of_a_problem`, or the name of a problem as its question. The reference is counted from the input."""
    events = [checked(*each) for each in made]
    by_log = [read_event(event, OWN) for event in events]
    by_statements = [read_statement(each, OWN) for event in events for each in statements_of(event)]
    expected: tuple[Counter[str], Counter[str], Counter[str]] = (Counter(), Counter(), Counter())
    for number, parts, _ in made:
        is_right = all(parts)
        for counter, count in zip(expected, (1, 1_000 * is_right, not is_right), strict=True):
            counter[block(number)] += count
    assert figures(by_log) == figures(by_statements) == expected


def test_an_answer_with_several_choices_reads_as_in_the_log() -> None:
    """Out: `_plain_list`."""
    event = checked(1, [False], 3)
    in_log = read_event(event, OWN)
    [statement] = statements_of(event)
    sent = read_statement(statement, OWN)
    assert isinstance(in_log, Record)
    assert isinstance(sent, Record)
    for name in (
        "response",
        "question",
        "attempt_number",
        "item_id",
        "score",
        "correct",
        "course_id",
    ):
        assert getattr(sent.data, name) == getattr(in_log.data, name), name


@pytest.mark.parametrize(
    "response", ["[1, 2]", "[not json", "[" * 50_000, '["a", ["b"]]', "plain", ""]
)
def test_an_answer_that_only_begins_like_a_list_stays_as_it_is(response: str) -> None:
    [statement] = statements_of(checked(1, [False], 3))
    statement["result"]["response"] = response
    found = read_statement(statement, OWN)
    assert isinstance(found, Record)
    assert found.data.model_dump()["response"] == (response or None)


def test_the_length_of_a_video_is_not_the_time_of_a_pupil() -> None:
    """Out: `_time_spent`. The router sends the length of the video as the duration."""
    iri = f"{LMS}/xblock/{block(5, 'video')}"
    value = routed("completed", iri, "video", {"completion": True, "duration": "PT2H"})
    found = read_statement(value, OWN)
    assert isinstance(found, Record)
    assert found.time == "2026-03-04T05:06:07.000000Z"
    assert "duration_seconds" not in found.data.model_dump(exclude_unset=True)
    elsewhere = read_statement(
        {**value, "context": {"contextActivities": {"parent": [COURSE]}}}, OWN
    )
    assert isinstance(elsewhere, Record)
    assert elsewhere.data.model_dump()["duration_seconds"] == 7_200


@pytest.mark.parametrize("part", ["/answer", "/hint/1", "/hint/12"])
def test_an_answer_or_a_hint_is_used_at_its_problem(part: str) -> None:
    """Out: `_PART_OF_A_BLOCK`. The log names the problem."""
    used = read_statement(routed("asked", f"{LMS}/xblock/{block(6)}{part}", "solution"), OWN)
    module = {"display_name": "P", "usage_key": block(6)}
    context = {"user_id": 7, "course_id": COURSE_ID, "module": module}
    in_log = read_event(
        {"name": "showanswer", "timestamp": AT, "context": context, "data": {}}, OWN
    )
    assert isinstance(used, Record)
    assert isinstance(in_log, Record)
    assert (
        used.data.model_dump()["activity_id"] == in_log.data.model_dump()["activity_id"] == block(6)
    )


def test_a_statement_about_a_part_needs_the_router() -> None:
    """Other senders refer to a statement as well, and do not send the whole."""
    part = statements_of(checked(1, [True, False], 1))[1]
    assert read_statement(part, OWN) == NotRelevant("evaluated (part of a problem)")
    part["context"]["extensions"] = {}
    assert isinstance(read_statement(part, OWN), Record)


def test_a_new_discussion_has_its_title_as_its_text_and_the_discussion_of_the_log() -> None:
    """Out: `_begun`, or the folders of discussions in `platforms.py`."""
    thread = f"{LMS}/api/discussion/v1/threads/64abcdfee68f35002fd013c6"
    value = routed("posted", thread, "discussion", name={"en": "Levers"})
    value["object"]["definition"]["type"] = "http://id.tincanapi.com/activitytype/discussion"
    found = read_statement(value, OWN)
    assert isinstance(found, Record)
    assert found.type == "post_record"
    data = {"id": "64abcdfee68f35002fd013c6", "title": "Levers", "body": "<p>Why?</p>"}
    context = {"user_id": 7, "course_id": COURSE_ID}
    in_log = read_event(
        {"name": "edx.forum.thread.created", "timestamp": AT, "context": context, "data": data}, OWN
    )
    assert isinstance(in_log, Record)
    assert (
        found.data.model_dump()["thread_id"] == in_log.data.model_dump()["thread_id"] == data["id"]
    )
    assert found.data.model_dump()["text"] == "Levers"
    comment = routed("posted", f"{LMS}/api/discussion/v1/comments/64d2", "discussion")
    used = read_statement(comment, OWN)
    assert isinstance(used, Record)
    assert used.data.model_dump()["activity_id"] == "64d2"


def test_a_comment_in_a_course_is_a_post_whoever_sends_it() -> None:
    article = {"id": "https://other.example/article/1", "definition": {"name": {"en": "Levers"}}}
    value = routed(
        "commented", "https://other.example/article/1#c1", "comment", {"response": "Nice"}
    )
    value["context"] = {"contextActivities": {"parent": [article], "grouping": [COURSE]}}
    found = read_statement(value, OWN)
    assert isinstance(found, Record)
    data = found.data.model_dump()
    assert (found.type, data["text"], data["thread_id"]) == ("post_record", "Nice", article["id"])
