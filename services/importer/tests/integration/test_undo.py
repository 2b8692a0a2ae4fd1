"""What an undo says of the records that it takes back, and what it leaves. See `test_version_order` for the rule."""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from threads import at_once
from waiting import until

from edugraph_common.contracts.errors import Rejected
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.stored_jobs import load_job, store_job
from edugraph_importer.batching import count_batches, read_batch, window
from edugraph_importer.graph import Graph
from edugraph_importer.graph import apply as apply_module
from edugraph_importer.graph.versions import withdrawn_entries
from edugraph_importer.undo import replay_undos, undo_import

from .imports import graph_with_rows, import_rows, split


@pytest.fixture
def graph(room: Any, blobs: Blobs) -> Iterator[Graph]:
    """The graph of an importer that can read the rows of other imports."""
    room.empty()
    with graph_with_rows(room, blobs) as graph:
        yield graph


def like(record_id: str, likes: int, day: int = 1) -> dict[str, Any]:
    data = {
        "student_id_from": "a",
        "student_id_to": "b",
        "interaction_type": "like",
        "like_count": likes,
    }
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

    def undo_batch(batch: Any, progress: Any, cause: Any) -> Any:
        if len(undone) == 2:
            for message in twin[:3]:
                graph.write_batch(read_batch(blobs, message).graph)
        undone.append(batch.batch)
        return original(batch, progress, cause)

    graph.undo_batch = undo_batch  # type: ignore[method-assign, assignment]
    undo_import(graph, blobs, first)
    graph.write_batch(read_batch(blobs, twin[3]).graph)
    assert likes(room) == 8


def test_a_version_whose_row_is_not_kept_is_removed_and_listed(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
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


def test_the_version_before_comes_back_and_a_later_one_stays(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    import_rows(graph, blobs, [like("r", 1), like("s", 10)])
    second = import_rows(graph, blobs, [like("r", 2, day=2), like("s", 20, day=2)])
    import_rows(graph, blobs, [like("s", 40, day=3)])
    report = undo_import(graph, blobs, second)
    assert (report["taken_back"], report["came_back"]) == (1, 1)
    assert likes(room) == 41


def test_a_batch_that_was_undone_is_not_undone_again(room: Any, graph: Graph, blobs: Blobs) -> None:
    """Another try goes on after the last batch. Out: `progress.next_batch` in `undo_import`."""
    job_id = import_rows(graph, blobs, [like("r", 1), like("s", 2), like("t", 4)], batch_size=1)
    original, undone = graph.undo_batch, []

    def undo_batch(batch: Any, progress: Any, cause: Any) -> Any:
        if len(undone) == 2:
            raise RuntimeError("the process ends here")
        undone.append(batch.batch)
        return original(batch, progress, cause)

    graph.undo_batch = undo_batch  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError, match="ends here"):
        undo_import(graph, blobs, job_id)
    undone.clear()
    assert undo_import(graph, blobs, job_id)["taken_back"] == 3
    assert (undone, likes(room)) == ([2], 0)


def test_nobody_who_was_erased_comes_back(room: Any, graph: Graph, blobs: Blobs) -> None:
    """To take the guard out: let `_may_return` ask for no erased students."""
    import_rows(graph, blobs, [like("r", 1)])
    second = import_rows(
        graph, blobs, [{"record_id": "r", "withdrawn": True, "timestamp": "2026-03-01T08:00:00Z"}]
    )
    graph.erase_student("a")
    assert undo_import(graph, blobs, second)["came_back"] == 0
    assert likes(room) == 0


def test_nothing_is_written_of_a_job_once_its_undo_has_begun(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    """Out: `mark_undone` in `begin_undo`."""
    job_id, messages = split(blobs, [like("r", 1), like("s", 2)], batch_size=1)
    graph.write_batch(read_batch(blobs, messages[0]).graph)
    graph.begin_undo(job_id)
    with pytest.raises(Rejected, match="was undone"):
        graph.write_batch(read_batch(blobs, messages[1]).graph)
    undo_import(graph, blobs, job_id)
    assert likes(room) == 0


@pytest.mark.parametrize("way", ["an undo", "a replay of undos"])
def test_a_batch_that_is_written_while_the_undo_begins_is_taken_back(
    room: Any, graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Out: `wait_for_older_transactions` in `begin_undo`, or let `undo_import` or `replay_undos` read the batches
    before the mark.

    The message may be a dead letter that was sent again, or come from a restored broker. The embedded engine refuses
    the batch.
    """
    blobs = Blobs(str(tmp_path))
    job_id, [message] = split(blobs, [like("r", 1)])
    if way == "a replay of undos":
        # The graph is restored from a backup that is older than the import. Only the note of its undo is left.
        graph.write_batch(read_batch(blobs, message).graph)
        undo_import(graph, blobs, job_id)
        room.empty()
    ways: dict[str, Callable[[], Any]] = {
        "an undo": lambda: undo_import(graph, blobs, job_id),
        "a replay of undos": lambda: replay_undos(graph, blobs),
    }
    undoing: list[Future[Any]] = []

    def is_marked() -> bool:
        return room.query("MATCH (j:ImportJob {undone: true}) RETURN j.id AS id") == [
            {"id": job_id}
        ]

    with ThreadPoolExecutor(1) as pool:

        def read(*arguments: Any) -> Any:
            monkeypatch.setattr(apply_module, "withdrawn_entries", withdrawn_entries)
            undoing.append(pool.submit(ways[way]))
            until(is_marked)
            wait(undoing, timeout=1)
            return withdrawn_entries(*arguments)

        monkeypatch.setattr(apply_module, "withdrawn_entries", read)
        with suppress(Rejected):
            room.graph.write_batch(read_batch(blobs, message).graph)
        undoing[0].result(30)
    assert likes(room) == 0
    assert graph.is_undone(job_id)


def test_two_processes_that_undo_one_import_report_each_record_once(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    """Out: `so_far` in `removal.undo_batch` (let it be the progress of the caller). A broker may deliver one task to two
    processes.
    """
    import_rows(graph, blobs, [like("s", 16)])
    job_id = import_rows(graph, blobs, [like("r", 1), like("s", 2, day=2), like("t", 4)], 1)
    original, reports = graph.undo_batch, []

    def undo_batch(batch: Any, progress: Any, cause: Any) -> Any:
        if batch.batch == 1 and not reports:
            reports.append({})
            reports[0] = undo_import(graph, blobs, job_id)
        return original(batch, progress, cause)

    graph.undo_batch = undo_batch  # type: ignore[method-assign, assignment]
    reports.append(undo_import(graph, blobs, job_id))
    assert [(each["taken_back"], each["came_back"]) for each in reports] == [(3, 1), (3, 1)]
    assert likes(room) == 16
    assert graph.is_undone(job_id)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)])
def test_the_later_batch_of_an_import_counts_and_comes_back_whichever_is_written_first(
    room: Any, graph: Graph, blobs: Blobs, order: Sequence[int], numbers: Sequence[int]
) -> None:
    """Out: `first_row` in `classify`. By it the stored row of the version that comes back is found, too."""
    _, messages = split(blobs, [like("r", number) for number in numbers], batch_size=1)
    for number in order:
        graph.write_batch(read_batch(blobs, messages[number]).graph)
    assert likes(room) == numbers[1]
    second = import_rows(graph, blobs, [like("r", 8, day=2)])
    assert likes(room) == 8
    assert undo_import(graph, blobs, second)["came_back"] == 1
    assert likes(room) == numbers[1]


@pytest.mark.parametrize("kept", ["", "acceptance"])
def test_an_import_without_rows_or_number_is_not_undone(
    room: Any, graph: Graph, blobs: Blobs, kept: str
) -> None:
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


def import_again(graph: Graph, blobs: Blobs, jobs: Sequence[str]) -> None:
    """Write jobs whose rows are stored, as their first import did. What is undone is refused."""
    for job_id in jobs:
        job = load_job(blobs, job_id)
        assert job
        for message in window(blobs, job, count_batches(blobs, job)):
            with suppress(Rejected):
                graph.write_batch(read_batch(blobs, message).graph)


def versions(rng: random.Random) -> list[dict[str, Any]]:
    return [
        like(f"r{rng.randrange(5)}", rng.randrange(1, 5), rng.randrange(1, 4))
        for _ in range(rng.randrange(1, 8))
    ]


@pytest.mark.parametrize("seed", range(6))
def test_a_restored_graph_is_without_the_imports_that_were_undone(
    room: Any, tmp_path: Path, seed: int
) -> None:
    """Out: the blob of an undo; the replay; or `finished`, by which an undo that broke off is not done again.

    The reference is a graph that never had these imports. A graph as it was at the backup is written again from the
    same rows: a part of the imports, and the beginning of one undo.
    """
    rng = random.Random(seed)
    blobs = Blobs(str(tmp_path))
    room.empty()
    with graph_with_rows(room, blobs) as graph:
        jobs = [import_rows(graph, blobs, versions(rng), batch_size=2) for _ in range(4)]
        undone = rng.sample(jobs, rng.randrange(1, 4))
        for job_id in undone:
            undo_import(graph, blobs, job_id)
        after_the_undos = room.digest()

        room.empty()
        import_again(graph, blobs, [job_id for job_id in jobs if job_id not in undone])
        assert room.digest() == after_the_undos

        room.empty()
        import_again(graph, blobs, jobs[: rng.randrange(5)])
        if rng.random() < 0.5:
            undo_some_batches(graph, blobs, undone[0], rng.randrange(2))
        to_do = sum(not graph.is_undone(job_id) for job_id in undone)
        counts, left = replay_undos(graph, blobs)
        import_again(graph, blobs, jobs)
        assert room.digest() == after_the_undos
        assert (counts["imports"], left) == (to_do, {})
        assert replay_undos(graph, blobs)[0]["imports"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_undos_are_replayed_beside_other_work(room: Any, tmp_path: Path, seed: int) -> None:
    """Out: `mark_undone` or `wait_for_older_transactions` in `begin_undo`.

    Two requests replay the undos of a restored graph, a third process undoes one of the imports, and a restored
    broker delivers all messages again. The reference is a graph that never had the undone imports.
    """
    rng = random.Random(seed)
    blobs = Blobs(str(tmp_path))
    room.empty()
    with graph_with_rows(room, blobs) as graph:
        jobs = [import_rows(graph, blobs, versions(rng), batch_size=2) for _ in range(5)]
        undone = rng.sample(jobs, 3)
        for job_id in undone:
            undo_import(graph, blobs, job_id)
        room.empty()
        import_again(graph, blobs, [job_id for job_id in jobs if job_id not in undone])
        expected = room.digest()

        room.empty()
        import_again(graph, blobs, jobs[: rng.randrange(6)])
        works: list[Callable[[], Any]] = [partial(replay_undos, graph, blobs)] * 2
        works.append(partial(undo_import, graph, blobs, undone[0]))
        for _ in range(2):
            shuffled = rng.sample(jobs, len(jobs))
            works.append(partial(import_again, graph, blobs, shuffled))
        at_once(works)
        import_again(graph, blobs, jobs)
        assert room.digest() == expected
        counts, left = replay_undos(graph, blobs)
        assert (counts["imports"], left) == (0, {})


def undo_some_batches(graph: Graph, blobs: Blobs, job_id: str, batches: int) -> None:
    """Begin the undo of a job as a process that is killed after some batches."""
    whole = graph.undo_batch
    left = iter(range(batches))

    def undo_batch(batch: Any, progress: Any, cause: Any) -> Any:
        if next(left, None) is None:
            raise SystemExit
        return whole(batch, progress, cause)

    graph.undo_batch = undo_batch  # type: ignore[method-assign, assignment]
    with suppress(SystemExit):
        undo_import(graph, blobs, job_id)
    graph.undo_batch = whole  # type: ignore[method-assign]


def test_an_undo_whose_rows_are_gone_is_told_and_keeps_no_other_from_being_done(
    room: Any, tmp_path: Path
) -> None:
    """Out: the `except Rejected` of `replay_undos`."""
    room.empty()
    blobs = Blobs(str(tmp_path))
    with graph_with_rows(room, blobs) as graph:
        jobs = [import_rows(graph, blobs, [like(f"r{number}", 1)]) for number in range(2)]
        for job_id in jobs:
            undo_import(graph, blobs, job_id)
        room.empty()
        import_again(graph, blobs, jobs)
        blobs.delete(f"jobs/{jobs[0]}")
        counts, left = replay_undos(graph, blobs)
    assert counts == {"imports": 1, "taken_back": 1, "came_back": 0, "not_restored": 0}
    assert list(left) == [jobs[0]]
    assert "source of this import is not kept" in left[jobs[0]]
    assert likes(room) == 1


def test_an_import_of_after_the_backup_stays_undone_without_its_rows(
    room: Any, tmp_path: Path
) -> None:
    """Out: the mark of a job of which the graph has nothing. Its message may come again from a restored broker."""
    room.empty()
    blobs = Blobs(str(tmp_path))
    with graph_with_rows(room, blobs) as graph:
        job_id, messages = split(blobs, [like("r", 1)])
        batch = read_batch(blobs, messages[0]).graph
        graph.write_batch(batch)
        undo_import(graph, blobs, job_id)
        room.empty()
        blobs.delete(f"jobs/{job_id}")
        assert replay_undos(graph, blobs)[1] == {}
        with pytest.raises(Rejected, match="was undone"):
            graph.write_batch(batch)
