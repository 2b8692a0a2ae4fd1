"""An import that is undone leaves the graph of the others: the versions before it come back, and no tombstone stays."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.platform.object_store import Blobs
from edugraph_common.platform.stored_jobs import store_job
from edugraph_importer.batching import count_batches, read_batch, window
from edugraph_importer.graph import Graph
from edugraph_importer.undo import undo_import

from .random_imports import EXAMPLES, record_lists

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Blobs(str(tmp_path_factory.mktemp("blobs")))


def import_rows(graph: Graph, blobs: Blobs, rows: Sequence[dict[str, Any]], batch_size: int = 3) -> str:
    """Import a file as a job does; return the job's id."""
    job_id = uuid4().hex
    job = ImportJob(job_id=job_id, source=f"jobs/{job_id}/source.ndjson", batch_size=batch_size)
    with blobs.write(str(job.source)) as file:
        file.write("".join(f"{json.dumps(row)}\n" for row in rows).encode())
    total = count_batches(blobs, job)
    store_job(blobs, job)
    for message in window(blobs, job, total):
        graph.write_batch(read_batch(blobs, message).graph)
    return job_id


@st.composite
def imports(draw: st.DrawFn, records: Sequence[Record], later: Sequence[Record]) -> Rows:
    """Some records of two lists, whose ids are the same, and withdrawals of some."""
    some = draw(st.lists(st.sampled_from([*records, *later]), min_size=1, max_size=8))
    gone = draw(st.lists(st.sampled_from([*(each.record_id for each in records), "never"]), max_size=2))
    rows: Rows = [each.to_json() for each in some]
    rows += [{"timestamp": "2026-01-01T00:00:00Z", "record_id": each, "withdrawn": True} for each in gone]
    return draw(st.permutations(rows))


@pytest.mark.thorough
@EXAMPLES
@given(data=st.data())
def test_what_is_left_is_the_graph_of_the_other_imports(room: Any, blobs: Blobs, data: st.DataObject) -> None:
    """To take the guards out: let `undo` have no events, or `_portion` take back what was not written."""
    records = data.draw(record_lists())
    values = [each.to_json() for each in data.draw(record_lists())]
    later = [parse_record(value | {"record_id": one.record_id}) for value, one in zip(values, records, strict=False)]
    files = [data.draw(imports(records, later)) for _ in range(data.draw(st.integers(1, 3)))]
    undone = data.draw(st.integers(0, len(files) - 1))
    for name in blobs.folders("jobs"):
        blobs.delete(f"jobs/{name}")
    room.empty()
    for number, rows in enumerate(files):
        # Minutes of activity are a union, from which nothing can be taken.
        if stays := [row for row in rows if number != undone or row.get("type") == "activity_record"]:
            import_rows(room.graph, blobs, stays)
    expected, tombstones = room.digest(), withdrawn(room)
    room.empty()
    for name in blobs.folders("jobs"):
        blobs.delete(f"jobs/{name}")
    jobs = [import_rows(room.graph, blobs, rows) for rows in files]
    report = undo_import(room.graph, blobs, jobs[undone])
    if not report["withdrawals_left"]:
        assert room.digest() == expected
        assert withdrawn(room) == tombstones
    assert report["not_restored"] == 0
    digest = room.digest()
    assert undo_import(room.graph, blobs, jobs[undone])["taken_back"] == 0
    assert room.digest() == digest
    assert room.graph.derive_anew(repair=False)["wrong"] == {}


def withdrawn(room: Any) -> set[str]:
    return {row["id"] for row in room.query("MATCH (n:Withdrawn) RETURN n.id AS id") if ":" not in row["id"]}


def like(record_id: str, likes: int, day: int = 1) -> dict[str, Any]:
    data = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "like", "like_count": likes}
    at = f"2026-03-0{day}T08:00:00Z"
    return {"type": "student_interaction", "timestamp": at, "record_id": record_id, "data": data}


def likes(room: Any) -> int:
    [row] = room.query("MATCH ()-[r:LIKES]->() RETURN coalesce(sum(r.like_count), 0) AS likes")
    return int(row["likes"])


def test_a_record_that_was_there_before_stays_though_its_source_is_gone(room: Any, blobs: Blobs) -> None:
    """To take the guard out: let `_portion` heed no `unwritten`."""
    room.empty()
    first = import_rows(room.graph, blobs, [like("r", 1)])
    second = import_rows(room.graph, blobs, [like("r", 1), like("s", 2)])
    blobs.delete(f"jobs/{first}")
    assert undo_import(room.graph, blobs, second)["taken_back"] == 1
    assert likes(room) == 1


def test_it_is_told_of_how_many_the_version_before_is_not_kept(room: Any, blobs: Blobs) -> None:
    room.empty()
    first = import_rows(room.graph, blobs, [like("r", 1)])
    second = import_rows(room.graph, blobs, [like("r", 2, day=2), like("s", 2)])
    blobs.delete(f"jobs/{first}")
    report = undo_import(room.graph, blobs, second)
    assert (report["taken_back"], report["came_back"], report["not_restored"]) == (2, 0, 1)


def test_the_version_before_comes_back_and_a_later_one_stays(room: Any, blobs: Blobs) -> None:
    room.empty()
    import_rows(room.graph, blobs, [like("r", 1), like("s", 10)])
    second = import_rows(room.graph, blobs, [like("r", 2, day=2), like("s", 20, day=2)])
    import_rows(room.graph, blobs, [like("s", 40, day=3)])
    report = undo_import(room.graph, blobs, second)
    assert (report["taken_back"], report["came_back"]) == (1, 1)
    assert likes(room) == 41


def test_nobody_who_was_erased_comes_back(room: Any, blobs: Blobs) -> None:
    """To take the guard out: let `undo` ask for no erased students."""
    room.empty()
    import_rows(room.graph, blobs, [like("r", 1)])
    second = import_rows(
        room.graph, blobs, [{"record_id": "r", "withdrawn": True, "timestamp": "2026-03-01T08:00:00Z"}]
    )
    room.graph.erase_student("a")
    assert undo_import(room.graph, blobs, second)["came_back"] == 0
    assert likes(room) == 0


def test_an_import_whose_source_is_gone_is_not_undone(room: Any, blobs: Blobs) -> None:
    room.empty()
    job = import_rows(room.graph, blobs, [like("r", 1)])
    blobs.delete(f"jobs/{job}")
    with pytest.raises(Rejected, match="source of this import is not kept"):
        undo_import(room.graph, blobs, job)
    assert likes(room) == 1
