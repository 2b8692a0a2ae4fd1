"""What an attempt leaves behind when another version of it comes, or when its export is read in a newer way."""

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import FindingReview, text_hash
from edugraph_common.sources import Platforms, openedx
from edugraph_importer.graph import Graph, RecordBatch

SCHOOL = Platforms({"lms": ""})


def write(graph: Graph, job: str, *records: Record) -> None:
    graph.write_batch(RecordBatch(job, 0, list(enumerate(records, start=1)), (), len(records)))


def digest_of(room: Any, *jobs: Sequence[Record]) -> str:
    room.empty()
    for number, records in enumerate(jobs):
        write(room.graph, f"job-{number}", *records)
    digest: str = room.digest()
    return digest


def attempt(record_id: str, timestamp: str, *points: str, item: str = "i") -> Record:
    data = {"student_id": "a", "item_id": item, "correct": False, "knowledge_points": points}
    return parse_record(
        {
            "type": "attempt_record",
            "timestamp": timestamp,
            "record_id": record_id,
            "data": {**data, "response": "5"},
        }
    )


def test_a_spelling_that_a_corrected_attempt_no_longer_gives_is_forgotten(room: Any) -> None:
    """To take the guard out: let `apply` take back `superseded.item_names` by `count_item_names`."""
    old, new = (
        attempt("r", "2026-01-01", "Sign-errors", "加法"),
        attempt("r", "2026-01-02", "sign errors"),
    )
    other = attempt("s", "2026-01-01", "SIGN ERRORS", item="j")
    assert digest_of(room, [old, other], [new]) == digest_of(room, [other, new])
    [point] = room.query("MATCH (k:KnowledgePoint) RETURN k.name AS name, k.aliases AS aliases")
    assert (point["name"], point["aliases"]) == ("SIGN ERRORS", ["sign errors"])


def checked(number: int, success: str) -> dict[str, Any]:
    context = {"user_id": 7, "course_id": "c", "module": {"display_name": "Sums"}}
    told = {
        "success": success,
        "problem_id": "p",
        "attempts": number,
        "answers": {"p_2_1": f"answer {number}"},
    }
    time = f"2026-03-04T05:06:0{number}Z"
    return {"name": "problem_check", "time": time, "context": context, "event": told}


def as_read_before(event: dict[str, Any]) -> Record:
    """The record that the first reading made of a wrong submission: an error_record under the event's own id."""
    data = {
        "student_id": "7",
        "course_id": "c",
        "question": "Sums",
        "error_text": event["event"]["answers"]["p_2_1"],
    }
    record = {"type": "error_record", "timestamp": event["time"], "data": data}
    return parse_record({**record, **SCHOOL.envelope(1, event)})


def test_an_export_that_is_read_in_a_newer_way_counts_each_mistake_once(room: Any) -> None:
    """To take the guard out: let the adapter keep `READING` as it was. Either content may then win."""
    events = [checked(number, "incorrect") for number in range(1, 7)]
    events.append(checked(7, "correct"))
    before = [as_read_before(event) for event in events[:-1]]
    now = [
        found for event in events if isinstance(found := openedx.read_event(event, SCHOOL), Record)
    ]
    expected = digest_of(room, now)
    for jobs in permutations((before, now)):
        assert digest_of(room, *jobs) == expected
    assert room.query("MATCH (e:ErrorRecord) RETURN count(e) AS found") == [{"found": 0}]
    [practised] = room.query("MATCH (:Student)-[r:PRACTISED]->(:Item) RETURN properties(r) AS p")
    assert {name: practised["p"][name] for name in ("tries", "right", "first")} == {
        "tries": 7,
        "right": 1000,
        "first": 0,
    }
    assert len({json.dumps(event) for event in events}) == len(now)


def answer(record_id: str, day: int, **data: Any) -> Record:
    given = {"student_id": "a", "item_id": "i", "course_id": "c", "response": "An essay.", **data}
    value = {
        "type": "attempt_record",
        "timestamp": f"2026-01-0{day}",
        "record_id": record_id,
        "data": given,
    }
    return parse_record(value)


def sums_in(room: Any) -> list[Any]:
    rows = room.query(
        "MATCH (a)-[r:PRACTISED|HAS_ERROR]->(b) RETURN type(r) AS t, a.id AS a, b.id AS b, properties(r) AS p"
    )
    return sorted(rows, key=str)


def test_an_answer_without_an_outcome_is_not_a_try_until_its_outcome_comes(room: Any) -> None:
    """Out: `outcome is not None` in `record_facts.py`, or `n.outcome IS NOT NULL` in `recompute_practised`."""
    open_answer = answer("r1", 1, knowledge_points=["加法"])
    right, wrong = answer("r2", 2, correct=True), answer("r3", 3, correct=False)
    judged = answer("r1", 4, score=0.25, knowledge_points=["加法"])
    digest_of(room, [right, wrong])
    without = sums_in(room)
    digest_of(room, [open_answer, right, wrong])
    assert sums_in(room) == without
    [tests] = room.query("MATCH (i:Item)-[r:TESTS]->(k) RETURN i.id AS item, k.name AS point")
    assert tests == {"item": "i", "point": "加法"}
    [handed_in] = room.query(
        "MATCH (:Student {id: 'a'})-[:TRIED]->(n:Attempt {id: 'r1'}) RETURN n.outcome AS outcome"
    )
    assert handed_in["outcome"] is None
    digests = {
        digest_of(room, *order) for order in permutations([[open_answer], [judged], [right, wrong]])
    }
    assert len(digests) == 1
    [row] = room.query(
        "MATCH ()-[r:PRACTISED]->() RETURN r.tries AS tries, r.right AS right, r.first AS first"
    )
    assert row == {"tries": 3, "right": 1250, "first": 1000}


def test_the_sums_of_the_others_stay_when_an_answer_without_an_outcome_goes(room: Any) -> None:
    right, later = answer("r2", 2, correct=True), answer("r1", 5, response="Another essay.")
    digest_of(room, [right])
    without = sums_in(room)
    digest_of(room, [answer("r1", 1), right], [later])
    assert sums_in(room) == without
    assert room.graph.derive_anew(repair=False)["wrong"] == {}


def test_nobody_can_make_a_mistake_of_an_answer_without_an_outcome(room: Any) -> None:
    """Out: `ASPECTS_OF_KIND` in `applied_verdicts`. With an outcome the same verdict counts."""
    open_answer, judged = answer("r1", 1), answer("r1", 2, correct=False)
    said = {
        "kind": "finding",
        "record_id": "r1",
        "text_hash": text_hash(open_answer),
        "verdict": "accepted",
    }
    said |= {"by": "ann", "at": "2026-02-01T00:00:00Z"}
    reviews = [
        FindingReview.model_validate({**said, "aspect": aspect, "target": target})
        for aspect, target in (
            ("error_type", "sign errors"),
            ("topic", "essays"),
            ("sentiment", "positive"),
        )
    ]
    digest_of(room, [open_answer])
    room.graph.write_reviews(reviews)
    assert sums_in(room) == []
    [row] = room.query(
        "MATCH (n:Attempt)-[:ABOUT]->(t) RETURN t.id AS topic, n.found_sentiment AS mood"
    )
    assert row == {"topic": "essays", "mood": "positive"}
    write(room.graph, "later", judged)
    assert [row["t"] for row in sums_in(room)] == ["HAS_ERROR", "PRACTISED"]
    assert room.query("MATCH (:Attempt)-[:ABOUT]->(t) RETURN t") == []
