"""A topic that no list has is a proposal: it is in the graph while a reviewer accepts it, and goes with its text."""

import json
from itertools import count, permutations
from pathlib import Path
from typing import Any

import pytest
from rooms import Room

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import InteractionFinding, RecordFinding
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import FindingReview, text_hash
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.graph import Graph
from edugraph_importer.undo import undo_import

from .imports import graph_with_rows, import_rows
from .random_imports import ORIGIN, batch, pack

_numbers = count()
NEW = "School trip of Alice"
TARGET = canonical_name(NEW)


def message(record_id: str, student: str, text: str = "When do we leave?") -> Record:
    data = {"student_id": student, "course_id": "c", "text": text}
    return parse_record(
        {
            "type": "post_record",
            "timestamp": "2026-03-01T08:00:00Z",
            "record_id": record_id,
            "data": data,
        }
    )


def found(record: Record, *others: str, topics: tuple[str, ...] = ("Fractions",)) -> Any:
    finding = InteractionFinding(
        sentiment="positive", topics=topics, other_topics=others, confidence=0.8
    )
    of_record = RecordFinding(record=record.to_json(), finding=finding, origin=ORIGIN)
    # A pack that comes again changes nothing.
    return pack([of_record], "j", next(_numbers))


def review(record: Record, verdict: str, day: int = 1, target: str = TARGET) -> list[FindingReview]:
    said = {
        "record_id": record.record_id,
        "text_hash": text_hash(record),
        "aspect": "topic",
        "target": target,
        "verdict": verdict,
        "at": f"2026-04-0{day}T00:00:00Z",
        "by": "ann",
    }
    return [FindingReview.model_validate(said)]


def topics(room: Room) -> dict[str, tuple[str, list[str]]]:
    """Return the topics of messages: id -> (name, spellings of the finding)."""
    rows = room.query(
        "MATCH (:Interaction)-[r:ABOUT]->(t:Topic) RETURN t.id AS id, t.name AS name, r.found_as AS s"
    )
    assert {row["id"] for row in rows} == {
        row["id"] for row in room.query("MATCH (t:Topic) RETURN t.id AS id")
    }
    return {row["id"]: (row["name"], row["s"]) for row in rows}


LISTED = {"fractions": ("Fractions", ["Fractions"])}
ACCEPTED = {**LISTED, TARGET: (NEW, [NEW])}


def test_a_proposed_topic_is_in_the_graph_while_it_is_accepted(room: Room, graph: Graph) -> None:
    """Out: `proposed` in `reviewed` of finding_facts.py, or other_topics among the links of `facts_of`."""
    record = message("p1", "a")
    graph.write_batch(batch([record], "j", 0))
    graph.write_findings(found(record, NEW))
    before = room.digest()
    assert topics(room) == LISTED

    graph.write_reviews(review(record, "accepted"))
    assert topics(room) == ACCEPTED
    graph.write_reviews(review(record, "rejected", 2))
    assert topics(room) == LISTED
    graph.write_reviews(review(record, "accepted", 3))
    assert topics(room) == ACCEPTED
    # A verdict that was taken back leaves a proposal.
    graph.write_reviews(review(record, "withdrawn", 4))
    assert topics(room) == LISTED
    room.driver.execute_query("MATCH (r:Review) DETACH DELETE r")
    room.driver.execute_query("MATCH (r:ReviewedRecord) DETACH DELETE r")
    assert room.digest() == before


def test_a_verdict_about_a_topic_counts_whenever_it_comes(room: Room, graph: Graph) -> None:
    record = message("p1", "a")
    digests = set()
    steps = [
        lambda: graph.write_batch(batch([record], "j", 0)),
        lambda: graph.write_findings(found(record, NEW)),
        lambda: graph.write_reviews(review(record, "accepted")),
    ]
    for order in permutations(steps):
        room.empty()
        for step in order:
            step()
        assert topics(room) == ACCEPTED
        digests.add(room.digest())
    assert len(digests) == 1


def test_another_analysis_loses_no_verdict_and_a_changed_text_is_judged_again(
    room: Room, graph: Graph
) -> None:
    record = message("p1", "a")
    graph.write_batch(batch([record], "j", 0))
    graph.write_findings(found(record, NEW))
    graph.write_reviews(review(record, "accepted"))
    # The topic is proposed again, is in the list now, or is not found any more.
    graph.write_findings(found(record, NEW, "Another", topics=()))
    assert topics(room) == {TARGET: (NEW, [NEW])}
    graph.write_findings(found(record, topics=(NEW,)))
    assert topics(room) == {TARGET: (NEW, [NEW])}

    changed = message("p1", "a", "Solved.")
    changed = parse_record(changed.to_json() | {"timestamp": "2026-03-02T08:00:00Z"})
    graph.write_batch(batch([changed], "k", 0))
    graph.write_findings(found(changed, NEW))
    assert topics(room) == LISTED


def test_a_proposed_topic_goes_with_an_erased_student(room: Room, graph: Graph) -> None:
    """Proposals stand in the finding of the record, and an accepted one in a node that only this record names.

    Out: the deletion of a topic that nothing names any more, in `erase`.
    """
    hers, others = message("p1", "alice-4711"), message("p2", "b")
    graph.write_batch(batch([others], "j", 0))
    graph.write_findings(found(others, "Other trip"))
    alone = room.digest()
    for verdict in (None, "accepted", "rejected"):
        room.empty()
        graph.write_batch(batch([hers, others], "j", 0))
        graph.write_findings(found(hers, NEW))
        graph.write_findings(found(others, "Other trip"))
        if verdict is not None:
            graph.write_reviews(review(hers, verdict))
        graph.erase_student("alice-4711")
        rows = room.query("MATCH (n) RETURN properties(n) AS p")
        rows += room.query("MATCH ()-[r]->() RETURN properties(r) AS p")
        left = json.dumps(rows, default=str)
        assert "alice" not in left.casefold()
        assert "Other trip" in left
        assert room.digest() == alone


def test_a_topic_that_another_text_has_too_stays_when_a_student_is_erased(
    room: Room, graph: Graph
) -> None:
    hers, others = message("p1", "alice-4711"), message("p2", "b")
    graph.write_batch(batch([hers, others], "j", 0))
    for record in (hers, others):
        graph.write_findings(found(record, "Trip", topics=()))
        graph.write_reviews(review(record, "accepted", target="trip"))
    graph.erase_student("alice-4711")
    assert topics(room) == {"trip": ("Trip", ["Trip"])}


@pytest.mark.parametrize("verdict", [None, "accepted", "rejected"])
def test_an_import_that_is_undone_takes_its_proposed_topics_along(
    room: Room, tmp_path: Path, verdict: str | None
) -> None:
    """Out: the deletion of a topic that nothing names any more, in `take_back`."""
    room.empty()
    blobs = Blobs(str(tmp_path))
    record = message("p1", "a")
    kept = message("p2", "b")
    with graph_with_rows(room, blobs) as graph:
        import_rows(graph, blobs, [kept.to_json()])
        job_id = import_rows(graph, blobs, [record.to_json()])
        graph.write_findings(found(kept, "Other trip"))
        graph.write_findings(found(record, NEW))
        if verdict is not None:
            graph.write_reviews(review(record, verdict))
        undo_import(graph, blobs, job_id)
    assert topics(room) == LISTED
    findings = room.query("MATCH (n:Interaction) RETURN n.finding AS finding")
    assert ["Other trip" in row["finding"] for row in findings] == [True]
