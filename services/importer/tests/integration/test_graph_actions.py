"""An action of a teacher is a record that counts in no sum, and goes with its student."""

from typing import Any

from rooms import Room

from edugraph_common.contracts.messages import ImportRights
from edugraph_common.contracts.record_keys import ACTIONS_SOURCE
from edugraph_common.contracts.records import Record, Withdrawal, parse_record
from edugraph_common.contracts.reviews import FindingReview, text_hash
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources.keyed import keyed
from edugraph_importer.graph import Graph, RecordBatch

from .random_imports import batch
from .test_person_export import exported

NOTE = "Oma liest mit"


def action(record_id: str, student: str, day: int = 1, **data: Any) -> Record:
    given = {"teacher_id": "t", "student_id": student, "course_id": "c", "spoken": True, **data}
    at = f"2026-03-0{day}T08:00:00Z"
    return parse_record(
        {"type": "action_record", "timestamp": at, "record_id": record_id, "data": given}
    )


def test_an_action_is_kept_once_and_makes_no_sum(room: Room, graph: Graph) -> None:
    """Out: a property of `create_action`; or the ledger that knows a batch."""
    sent = batch([action("a1", "s", text=NOTE, not_until="2026-03-09")], "j", 0)
    graph.write_batch(sent)
    digest = room.digest()
    graph.write_batch(sent)
    assert room.digest() == digest
    [row] = room.query(
        "MATCH (t:Teacher)-[:SENT]->(n:Interaction)-[:RECEIVED_BY]->(s:Student) "
        "MATCH (n)-[:IN_COURSE]->(c) "
        "RETURN t.id AS author, s.id AS student, c.id AS course, n.text AS text, n.spoken AS spoken, "
        "n.not_until AS not_until, n.record_type AS type"
    )
    assert row == {
        "author": "t",
        "student": "s",
        "course": "c",
        "text": NOTE,
        "spoken": True,
        "not_until": "2026-03-09",
        "type": "action_record",
    }
    types = {row["type"] for row in room.query("MATCH ()-[r]->() RETURN type(r) AS type")}
    assert types == {"SENT", "RECEIVED_BY", "IN_COURSE"}


def test_an_action_goes_with_the_student_and_does_not_come_back(room: Room, graph: Graph) -> None:
    """Out: `data.student_id` in `students`, which the refusal of a replay reads."""
    sent = batch([action("a1", "s", text=NOTE), action("a2", "other", text="stays")], "j", 0)
    graph.write_batch(sent)
    while graph.erase_student("s"):
        pass
    graph.write_batch(batch([action("a1", "s", text=NOTE), action("a3", "s", text=NOTE)], "k", 0))
    rows = room.query("MATCH (n:Interaction) RETURN n.text AS text")
    assert [row["text"] for row in rows] == ["stays"]


def test_a_review_of_an_action_keeps_no_other_review_away(room: Room, graph: Graph) -> None:
    """Out: the default of the texts in `stored_record`. No model reads an action, so nothing of it can be judged."""
    message = parse_record(
        {
            "type": "student_interaction",
            "timestamp": "2026-03-01T08:00:00Z",
            "record_id": "m1",
            "data": {
                "student_id_from": "s",
                "student_id_to": "u",
                "interaction_type": "chat",
                "course_id": "c",
                "text": "Why is it negative?",
            },
        }
    )
    note = action("a1", "s", text=NOTE)
    graph.write_batch(batch([note, message], "j", 0))
    reviews = []
    for record in (note, message):
        review = {
            "record_id": record.record_id,
            "text_hash": text_hash(message),
            "aspect": "sentiment",
            "target": "negative",
            "verdict": "accepted",
            "by": "r",
            "at": "2026-03-02T08:00:00Z",
        }
        reviews.append(FindingReview.model_validate(review))
    graph.write_reviews(reviews)
    rows = room.query("MATCH (n:Interaction) RETURN n.id AS id, n.found_sentiment AS mood")
    assert {row["id"]: row["mood"] for row in rows} == {"a1": None, "m1": "negative"}


def test_an_action_is_in_the_export_of_its_student_alone(
    room: Room, graph: Graph, tmp_path: Any
) -> None:
    """Out: RECEIVED_BY in `whole_records_of_student`."""
    room.empty()
    graph.write_batch(batch([action("a1", "s", text=NOTE), action("a2", "other")], "j", 0))
    blobs = Blobs(str(tmp_path))
    [entry] = exported(graph, blobs, "s")["graph/records.ndjson"]
    assert (entry["properties"]["text"], entry["properties"]["spoken"]) == (NOTE, True)
    assert NOTE not in str(exported(graph, blobs, "other"))


def test_no_import_withdraws_an_action(room: Room, graph: Graph) -> None:
    """Out: the source in the key of an action."""
    room.empty()
    graph.write_batch(batch([keyed(action("a1", "s", text=NOTE), ACTIONS_SOURCE)], "j", 0))
    withdrawal = keyed(Withdrawal(record_id="a1"), "default")
    rights = ImportRights(roster=True, operate=True)
    graph.write_batch(RecordBatch("k", 0, (), (), 1, withdrawn=((1, withdrawal),), rights=rights))
    rows = room.query("MATCH (n:Interaction) RETURN n.text AS text")
    assert [row["text"] for row in rows] == [NOTE]
