"""A post is a text without a receiver, and what it answers is a hash alone."""

import json
from itertools import permutations
from typing import Any

from rooms import Room

from edugraph_common.contracts.findings import InteractionFinding, RecordFinding
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph

from .random_imports import ORIGIN, batch, pack

PARTS_OF_A_POST = {"interaction_type", "message_count", "like_count", "feedback", "subject"}


def post(record_id: str, student: str, day: int = 1, **data: Any) -> Record:
    given = {"student_id": student, "course_id": "c", "text": "Why?", **data}
    at = f"2026-03-0{day}T08:00:00Z"
    return parse_record(
        {"type": "post_record", "timestamp": at, "record_id": record_id, "data": given}
    )


def test_a_post_is_of_its_student_and_course_and_makes_no_sum(room: Room, graph: Graph) -> None:
    """Out: a property of `create_post`."""
    said = {"student_name": "Ana", "thread_id": "w1", "title": "Slope", "reply_to": "p0"}
    graph.write_batch(batch([post("p1", "a", **said)], "j", 0))
    [row] = room.query(
        "MATCH (s:Student)-[r:SENT]->(n:Interaction)-[:IN_COURSE]->(c) "
        "RETURN s.id AS student, s.name AS name, r.name AS called, c.id AS course, properties(n) AS p"
    )
    assert (row["student"], row["name"], row["called"], row["course"]) == ("a", "Ana", "Ana", "c")
    properties = row["p"]
    assert (properties["thread_id"], properties["title"], properties["text"]) == (
        "w1",
        "Slope",
        "Why?",
    )
    assert properties["record_type"] == "post_record"
    assert PARTS_OF_A_POST.isdisjoint(properties)
    types = {row["type"] for row in room.query("MATCH ()-[r]->() RETURN type(r) AS type")}
    assert types == {"SENT", "IN_COURSE"}


def test_a_later_version_of_a_post_is_the_post(room: Room, graph: Graph) -> None:
    first = post("p1", "a", 1, title="Slope", text="Why is it negative?", reply_to="p0")
    second = post("p1", "a", 2, text="Solved.")
    digests = set()
    for order in permutations([first, second]):
        room.empty()
        for number, record in enumerate(order):
            graph.write_batch(batch([record], "j", number))
        [row] = room.query(
            "MATCH (n:Interaction) RETURN n.text AS text, n.title AS title, n.reply_mark AS answers"
        )
        assert row == {"text": "Solved.", "title": None, "answers": None}
        digests.add(room.digest())
    assert len(digests) == 1


def test_nothing_of_an_erased_post_stays_in_its_answers(room: Room, graph: Graph) -> None:
    """Out: the hash of `reply_to` in `record_facts.py` (let it keep the id)."""
    posts = [
        post("alice-4711-post", "alice-4711", title="Mine"),
        post("p2", "b", 2, reply_to="alice-4711-post"),
    ]
    for order in permutations(posts):
        room.empty()
        graph.write_batch(batch(order, "j", 0))
        graph.erase_student("alice-4711")
        rows = room.query("MATCH (n) RETURN labels(n) AS labels, properties(n) AS p")
        rows += room.query("MATCH ()-[r]->() RETURN type(r) AS type, properties(r) AS p")
        assert "alice-4711" not in json.dumps(rows, default=str)
        assert room.query("MATCH (n:Interaction) RETURN n.id AS id") == [{"id": "p2"}]
        refused = graph.write_batch(batch(posts, "again", 0))
        assert (refused.rejected, refused.unchanged) == (1, 1)


def test_a_post_that_answers_an_erased_one_makes_no_difference(room: Room, graph: Graph) -> None:
    """An answer reads and locks no other post, so it may come before the post, after it, or without it."""
    question, answer = post("p1", "a"), post("p2", "b", 2, reply_to="p1")
    graph.write_batch(batch([answer], "j", 0))
    alone = room.digest()
    room.empty()
    graph.write_batch(batch([question, answer], "j", 0))
    graph.erase_student("a")
    assert room.digest() == alone


def test_what_was_found_in_a_post_goes_with_its_text(room: Room, graph: Graph) -> None:
    first, second = post("p1", "a"), post("p1", "a", 2, text="Solved.")
    found = InteractionFinding(sentiment="negative", topics=("Fractions",), confidence=0.8)
    graph.write_batch(batch([first], "j", 0))
    graph.write_findings(
        pack([RecordFinding(record=first.to_json(), finding=found, origin=ORIGIN)], "j", 0)
    )
    [row] = room.query(
        "MATCH (n:Interaction)-[:ABOUT]->(t) RETURN n.found_sentiment AS mood, t.name AS topic"
    )
    assert row == {"mood": "negative", "topic": "Fractions"}
    graph.write_batch(batch([second], "k", 0))
    assert room.query("MATCH (t:Topic) RETURN t") == []
    assert room.query("MATCH (n:Interaction) WHERE n.found_sentiment IS NOT NULL RETURN n") == []
