"""What an undo says of the records that it takes back, and what it leaves. See `test_version_order` for the rule."""

from collections.abc import Iterator
from typing import Any

import pytest

from edugraph_common.contracts.errors import Rejected
from edugraph_common.platform.object_store import Blobs
from edugraph_common.platform.stored_jobs import load_job, store_job
from edugraph_importer.batching import read_batch
from edugraph_importer.graph import Graph
from edugraph_importer.undo import undo_import

from .imports import graph_with_rows, import_rows, split


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Blobs(str(tmp_path_factory.mktemp("blobs")))


@pytest.fixture
def graph(room: Any, blobs: Blobs) -> Iterator[Graph]:
    """The graph of an importer that can read the rows of other imports."""
    room.empty()
    with graph_with_rows(room, blobs) as graph:
        yield graph


def like(record_id: str, likes: int, day: int = 1) -> dict[str, Any]:
    data = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "like", "like_count": likes}
    at = f"2026-03-0{day}T08:00:00Z"
    return {"type": "student_interaction", "timestamp": at, "record_id": record_id, "data": data}


def likes(room: Any) -> int:
    [row] = room.query("MATCH ()-[r:LIKES]->() RETURN coalesce(sum(r.like_count), 0) AS likes")
    return int(row["likes"])


def test_a_record_that_another_import_brought_too_stays_though_its_source_is_gone(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    """Out: `others` in `settle` (let it remember nothing). An inline import is never kept as a source."""
    first = import_rows(graph, blobs, [like("r", 1)])
    second = import_rows(graph, blobs, [like("r", 1), like("s", 2)])
    blobs.delete(f"jobs/{first}")
    report = undo_import(graph, blobs, second)
    assert (report["taken_back"], report["came_back"], report["not_restored"]) == (1, 0, 0)
    assert likes(room) == 1


def test_a_twin_that_is_imported_while_the_other_is_undone_has_all_its_rows(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    """Out: the entry that a repeat leaves (let `settle` note nothing)."""
    rows = [like(f"r{number}", 1) for number in range(8)]
    first = import_rows(graph, blobs, rows, batch_size=2)
    _, twin = split(blobs, rows, batch_size=2)
    original, undone = graph.undo_batch, []

    def undo_batch(batch: Any, progress: Any) -> Any:
        if len(undone) == 2:
            for message in twin[:3]:
                graph.write_batch(read_batch(blobs, message).graph)
        undone.append(batch.batch)
        return original(batch, progress)

    graph.undo_batch = undo_batch  # type: ignore[method-assign]
    undo_import(graph, blobs, first)
    graph.write_batch(read_batch(blobs, twin[3]).graph)
    assert likes(room) == 8


def test_a_version_whose_row_is_not_kept_is_removed_and_listed(room: Any, graph: Graph, blobs: Blobs) -> None:
    """Out: `lost` in `settle` (let a lesser version take its place). It comes back when its file comes again."""
    import_rows(graph, blobs, [like("r", 8)])
    second = import_rows(graph, blobs, [like("r", 1, day=2)])
    third = import_rows(graph, blobs, [like("r", 2, day=3), like("s", 2)])
    blobs.delete(f"jobs/{second}")
    report = undo_import(graph, blobs, third)
    assert (report["taken_back"], report["came_back"], report["not_restored"]) == (2, 0, 1)
    assert report["not_restored_ids"] == ["r"]
    assert likes(room) == 0
    import_rows(graph, blobs, [like("r", 1, day=2)])
    assert likes(room) == 1


def test_the_version_before_comes_back_and_a_later_one_stays(room: Any, graph: Graph, blobs: Blobs) -> None:
    import_rows(graph, blobs, [like("r", 1), like("s", 10)])
    second = import_rows(graph, blobs, [like("r", 2, day=2), like("s", 20, day=2)])
    import_rows(graph, blobs, [like("s", 40, day=3)])
    report = undo_import(graph, blobs, second)
    assert (report["taken_back"], report["came_back"]) == (1, 1)
    assert likes(room) == 41


def test_nobody_who_was_erased_comes_back(room: Any, graph: Graph, blobs: Blobs) -> None:
    """To take the guard out: let `_may_return` ask for no erased students."""
    import_rows(graph, blobs, [like("r", 1)])
    second = import_rows(graph, blobs, [{"record_id": "r", "withdrawn": True, "timestamp": "2026-03-01T08:00:00Z"}])
    graph.erase_student("a")
    assert undo_import(graph, blobs, second)["came_back"] == 0
    assert likes(room) == 0


def test_nothing_is_written_of_a_job_once_its_undo_has_begun(room: Any, graph: Graph, blobs: Blobs) -> None:
    """Out: `mark_undone` in `begin_undo`."""
    job_id, messages = split(blobs, [like("r", 1), like("s", 2)], batch_size=1)
    graph.write_batch(read_batch(blobs, messages[0]).graph)
    graph.begin_undo(job_id)
    with pytest.raises(Rejected, match="was undone"):
        graph.write_batch(read_batch(blobs, messages[1]).graph)
    undo_import(graph, blobs, job_id)
    assert likes(room) == 0


@pytest.mark.parametrize("kept", ["", "acceptance"])
def test_an_import_without_rows_or_number_is_not_undone(room: Any, graph: Graph, blobs: Blobs, kept: str) -> None:
    job_id = import_rows(graph, blobs, [like("r", 1)])
    if kept:
        job = load_job(blobs, job_id)
        assert job
        store_job(blobs, job.model_copy(update={"acceptance": None}))
    else:
        blobs.delete(f"jobs/{job_id}")
    with pytest.raises(Rejected, match="take its records back by their ids"):
        undo_import(graph, blobs, job_id)
    assert likes(room) == 1
