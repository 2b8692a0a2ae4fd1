"""Texts that were read before are read again from their stored rows: those that the graph has now, and no others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edugraph_common.contracts.findings import (
    ErrorFinding,
    FoundErrorType,
    Origin,
    RecordFinding,
    kind_to_read,
)
from edugraph_common.contracts.messages import AnalysisBatch, Findings, ImportRights, ReadAgain
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import FindingReview, text_hash
from edugraph_common.runtime.shared_state.analysis_window import pack_of
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import frames_key, load_rows
from edugraph_common.sources.keyed import keyed
from edugraph_importer import reading_again
from edugraph_importer.batching import read_batch
from edugraph_importer.graph import Graph
from edugraph_importer.reading_again import TextsToRead, sample, texts_to_read
from edugraph_importer.undo import undo_import

from .imports import graph_with_rows, import_rows, split
from .test_graph_points import write

ORIGIN = Origin(analyser="model", model="m", prompt_version="1")
Row = dict[str, Any]


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path))


@pytest.fixture
def graph(room: Any, blobs: Blobs) -> Iterator[Graph]:
    room.empty()
    with graph_with_rows(room, blobs) as graph:
        yield graph


def row(kind: str, record_id: str, day: int = 1, **data: Any) -> Row:
    at = f"2026-03-0{day}T08:00:00Z"
    return {"type": kind, "timestamp": at, "record_id": record_id, "data": data}


def mistake(record_id: str, text: str = "1/2 + 1/3 = 2/5", day: int = 1, **data: Any) -> Row:
    given = {"student_id": "a", "course_id": "c", "error_text": text, **data}
    return row("error_record", record_id, day, **given)


def text(record_id: str, **data: Any) -> Row:
    return row("course_content", record_id, **{"course_id": "c", "content": "Sums.", **data})


def read(graph: Graph, *rows: Row, kind: str = "mixed up", again: bool = False) -> None:
    """Write findings of these mistakes, as an analyzer sends them. A later call is a later job."""
    found = ErrorFinding(
        error_types=(FoundErrorType(name=kind, confidence=0.5),),
        confidence=0.5,
    )
    findings = [RecordFinding(record=each, finding=found, origin=ORIGIN) for each in rows]
    asked_at = 2_000_000.0 if again else 1_000_000.0
    message = Findings(
        job_id=f"reading {kind}", pack="error-0-0", findings=tuple(findings), asked_at=asked_at
    )
    graph.write_findings(message.model_copy(update={"again": again}))


def read_texts(graph: Graph, *rows: Row) -> None:
    finding = {"kind": "knowledge_points", "confidence": 1}
    findings = [
        {"record": each, "finding": finding, "origin": ORIGIN.model_dump()} for each in rows
    ]
    body = {"version": 1, "job_id": "texts", "pack": "knowledge_points-0-0", "findings": findings}
    graph.write_findings(Findings.model_validate(body))


def to_read(graph: Graph, blobs: Blobs, *sources: str) -> TextsToRead:
    message = ReadAgain(job_id="again", course_id="c", sources=sources or ("default",))
    return texts_to_read(graph, blobs, message)


def as_analyzed(blobs: Blobs, request: AnalysisBatch) -> list[str]:
    """Return the ids of the records that the analyzer reads for a request. See `StoredBatches`."""
    assert request.rows is not None
    ids = []
    for line, each in load_rows(blobs, request.rows, request.accepted_at):
        if not isinstance(each, Record) or line in request.left_out:
            continue
        if kind_to_read(each) == request.kind:
            ids.append(keyed(each, request.rows.source_name).record_id)
    assert len(ids) == request.expected
    return ids


def ids_to_read(blobs: Blobs, found: TextsToRead) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for request in found.requests:
        ids.setdefault(request.kind, []).extend(as_analyzed(blobs, request))
    return {kind: sorted(of_kind) for kind, of_kind in ids.items()}


def test_the_texts_that_were_read_are_read_again_course_texts_first(
    graph: Graph, blobs: Blobs
) -> None:
    """Out: `finding IS NOT NULL` in texts_read; the course in it; `left_out`; the sort by `order_of`."""
    mistakes = [mistake(f"m{number}") for number in range(4)]
    texts = [text("t0"), text("t1")]
    of_other_course = mistake("other", course_id="d")
    import_rows(graph, blobs, [*mistakes, of_other_course, *texts])
    read(graph, *mistakes[1:], of_other_course)
    read_texts(graph, texts[1])
    found = to_read(graph, blobs)
    assert ids_to_read(blobs, found) == {"knowledge_points": ["t1"], "error": ["m1", "m2", "m3"]}
    assert found.counts() == {"error": 3, "knowledge_points": 1}
    assert [request.kind for request in found.requests] == ["knowledge_points", "error", "error"]
    assert [request.batch for request in found.requests] == [0, 1, 2]
    packs = [pack_of(request, "error-0-0", 0, 1) for request in found.requests]
    assert all(pack.again for pack in packs)
    assert (found.not_kept, found.left) == (0, 0)


def test_the_version_that_is_in_the_graph_is_read(graph: Graph, blobs: Blobs) -> None:
    """Out: the comparison with the content hash. The first file has an older text of the same record."""
    old, new = mistake("m", "first"), mistake("m", "corrected", day=2)
    import_rows(graph, blobs, [old, mistake("n")])
    import_rows(graph, blobs, [mistake("m", "never counted"), new])
    read(graph, new, mistake("n"))
    found = to_read(graph, blobs)
    assert ids_to_read(blobs, found) == {"error": ["m", "n"]}
    texts = {each.record_id: each.data.error_text for each in found.records["error"]}  # type: ignore[union-attr]
    assert texts["m"] == "corrected"


def test_rows_that_are_not_kept_are_counted(graph: Graph, blobs: Blobs) -> None:
    """Out: `not_kept` in `_stored_batches`, for a deleted job, or where rows are read, for lost rows."""
    inline, deleted, lost, kept = map(mistake, ("inline", "deleted", "lost", "kept"))
    write(graph, "inline", parse_record(inline))
    of_deleted = import_rows(graph, blobs, [deleted])
    of_lost = import_rows(graph, blobs, [lost])
    import_rows(graph, blobs, [kept])
    read(graph, inline, deleted, lost, kept)
    blobs.delete(f"jobs/{of_deleted}")
    blobs.delete(frames_key(of_lost))
    found = to_read(graph, blobs)
    assert ids_to_read(blobs, found) == {"error": ["kept"]}
    assert found.not_kept == 3


def test_texts_of_other_sources_are_left_out(graph: Graph, blobs: Blobs) -> None:
    """A key of another school has sources of its own. Out: the comparison with `sources`."""
    _, [batch] = split(blobs, [mistake("m")], rights=ImportRights(source="north"))
    graph.write_batch(read_batch(blobs, batch).graph)
    import_rows(graph, blobs, [mistake("m")])
    read(graph, mistake("m"), mistake("@north/m"))
    assert ids_to_read(blobs, to_read(graph, blobs)) == {"error": ["m"]}
    assert ids_to_read(blobs, to_read(graph, blobs, "north")) == {"error": ["@north/m"]}
    assert to_read(graph, blobs, "south").requests == []


def test_restricted_and_erased_students_are_left_out(graph: Graph, blobs: Blobs) -> None:
    """Out: `_may_be_read`. An erased student's row is in the file until its job is cleaned, and not in the graph."""
    rows = [mistake(student, student_id=student) for student in ("a", "b", "gone")]
    import_rows(graph, blobs, rows)
    read(graph, *rows)
    assert graph.restrict_student("b", restricted=True)
    graph.erase_student("gone")
    found = to_read(graph, blobs)
    assert ids_to_read(blobs, found) == {"error": ["a"]}
    assert found.not_kept == 0


def test_a_request_has_a_bound_and_begins_with_the_oldest_findings(
    graph: Graph, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `ORDER BY` in texts_read, or the bound."""
    monkeypatch.setattr(reading_again, "MOST_TEXTS", 2)
    rows = [mistake("a"), mistake("b"), mistake("c")]
    import_rows(graph, blobs, rows)
    read(graph, *rows)
    first = to_read(graph, blobs)
    assert (ids_to_read(blobs, first), first.left) == ({"error": ["a", "b"]}, 1)
    read(graph, *rows[:2], kind="signs", again=True)
    assert "c" in ids_to_read(blobs, to_read(graph, blobs))["error"]


def test_an_estimate_takes_a_part_of_many_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: `step`, or `SAMPLED_BYTES`."""
    records = [parse_record(mistake(f"m{number}")) for number in range(250)]
    ids = [value["record_id"] for value in sample(records)]
    assert (len(ids), ids[0], ids[-1]) == (84, "m0", "m249")
    monkeypatch.setattr(reading_again, "SAMPLED_BYTES", 1)
    assert len(sample(records)) == 1


def types(room: Any) -> list[str]:
    rows = room.query("MATCH (n:ErrorRecord)-[:OF_TYPE]->(t) RETURN t.id AS id ORDER BY id")
    return [each["id"] for each in rows]


def test_a_finding_of_a_second_reading_replaces_the_first_and_a_review_stays(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    import_rows(graph, blobs, [mistake("m")])
    read(graph, mistake("m"))
    verdict = {"of": "finding", "record_id": "m", "aspect": "error_type", "verdict": "accepted"}
    said = {**verdict, "target": "by hand", "by": "ann", "at": "2026-04-01T00:00:00Z"}
    said["text_hash"] = text_hash(parse_record(mistake("m")))
    graph.write_reviews([FindingReview.model_validate(said)])
    assert types(room) == ["by hand", "mixed up"]
    read(graph, mistake("m"), kind="signs", again=True)
    assert types(room) == ["by hand", "signs"]


def test_a_second_reading_writes_no_record(room: Any, graph: Graph, blobs: Blobs) -> None:
    """Its import may be undone before the findings come. Out: `adds_versions` in `write_findings`."""
    first = import_rows(graph, blobs, [mistake("m", "first")])
    second = import_rows(graph, blobs, [mistake("m", "corrected", day=2), mistake("n")])
    read(graph, mistake("m", "corrected", day=2), mistake("n"))
    undo_import(graph, blobs, second)
    read(graph, mistake("m", "corrected", day=2), mistake("n"), kind="signs", again=True)
    rows = room.query("MATCH (n:ErrorRecord) RETURN n.id AS id, n.error_text AS text")
    assert rows == [{"id": "m", "text": "first"}]
    assert types(room) == []
    undo_import(graph, blobs, first)
    read(graph, mistake("m", "first"), kind="third", again=True)
    assert room.query("MATCH (n:ErrorRecord) RETURN n.id AS id") == []
