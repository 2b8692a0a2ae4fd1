"""Undoing an import: its stored rows say which records it brought, and each becomes the greatest of its other
versions.

A record remembers the keys of its versions (`graph.history`). If another version is the record now, its content is
read from the stored row of its own import. No other file is read.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.outcomes import LeaderChange
from edugraph_common.contracts.records import Record
from edugraph_common.contracts.school_records import ActivityRecord
from edugraph_common.platform.object_store import UNDOS, Blobs, Changed, undo_key, undone_job_of
from edugraph_common.platform.stored_jobs import load_job
from edugraph_importer.batching import count_batches, read_batch, window
from edugraph_importer.graph import Entry, Graph, RecordBatch, batch_of_row, entry_of

JOBS_FOLDER = "jobs"
log = structlog.get_logger("edugraph.importer")


def undo_import(
    graph: Graph, blobs: Blobs, job_id: str, note: Callable[[Sequence[LeaderChange]], None] = lambda _: None
) -> dict[str, Any]:
    """Take back what an import wrote that has ended. Another try goes on after the last batch that was undone.

    `note` is called with those who lead other groups now.

    Return how many records were `taken_back`; of how many another version `came_back`; how many were `not_restored`,
    since the row of the version that is to come back is not kept, with some of their ids; and how many
    `activities_left`, since active minutes are a union, from which nothing can be taken
    (docs/adr/0038-activity-is-minutes-of-a-day.md). Raises Rejected for an import whose rows are not kept.
    """
    job = load_job(blobs, job_id)
    if job is None:
        raise Rejected("the source of this import is not kept: take its records back by their ids (withdrawn: true)")
    if job.acceptance is None:
        raise Rejected(
            "an earlier release accepted this import: take its records back by their ids (withdrawn: true)"
        )
    written = graph.written_batches(job_id)
    # The note comes before the mark, so that a graph that is restored from a backup never lacks it.
    _note(blobs, job)
    progress = graph.begin_undo(job_id)
    activities = 0
    for batch in _batches(blobs, job, written):
        activities += sum(isinstance(record.data, ActivityRecord) for _, record in batch.records)
        if batch.batch >= progress.next_batch:
            progress = graph.undo_batch(batch, progress)
            note(progress.leaders)
    graph.end_undo(job_id, progress)
    return {
        "taken_back": progress.taken_back,
        "came_back": progress.came_back,
        "not_restored": progress.not_restored,
        "not_restored_ids": list(progress.not_restored_ids),
        "activities_left": activities,
    }


def replay_undos(graph: Graph, blobs: Blobs) -> tuple[dict[str, int], dict[str, str]]:
    """Undo all imports again whose undo the graph does not know, or has not finished, after a backup was restored.

    Return counts of imports and records, and why others could not be undone, by the id of the job.
    """
    counts = {"imports": 0, "taken_back": 0, "came_back": 0, "not_restored": 0}
    left: dict[str, str] = {}
    for key in blobs.keys(UNDOS):
        job_id = undone_job_of(key)
        if graph.is_undone(job_id):
            continue
        try:
            if graph.written_batches(job_id):
                report = undo_import(graph, blobs, job_id)
            else:
                # The mark is enough, and needs no stored rows.
                report = {}
                graph.end_undo(job_id, graph.begin_undo(job_id))
        except Rejected as problem:
            left[job_id] = str(problem)
            continue
        counts["imports"] += 1
        for name in ("taken_back", "came_back", "not_restored"):
            counts[name] += report.get(name, 0)
    return counts, left


def _note(blobs: Blobs, job: ImportJob) -> None:
    """Keep the undo apart from the graph, for a graph that is restored from an older backup."""
    key = undo_key(job.job_id)
    if blobs.exists(key):
        return
    with blobs.write(key) as file:
        file.write(json.dumps({"acceptance": job.acceptance}).encode())


def read_stored_rows(blobs: Blobs, graph: Graph, entries: Mapping[str, Entry]) -> dict[Entry, Record | None]:
    """Return the records of versions, by the stored rows of their imports. None for a row that is not kept.

    `entries`: by the id of the record.
    """
    found: dict[Entry, Record | None] = dict.fromkeys(entries.values())
    jobs = graph.jobs_accepted({entry.accepted for entry in entries.values()})
    # (job, batch) -> the ids that are sought there
    places: dict[tuple[str, int], set[str]] = defaultdict(set)
    for record_id, entry in entries.items():
        if entry.accepted in jobs:
            places[jobs[entry.accepted], batch_of_row(entry.row)].add(record_id)
    for (job_id, number), record_ids in sorted(places.items()):
        job = load_job(blobs, job_id)
        if job is None:
            log.warning("source_not_kept", job=job_id)
            continue
        with suppress(Rejected, Changed):
            for batch in _batches(blobs, job, {number}):
                for _, record in batch.records:
                    if record.record_id not in record_ids:
                        continue
                    sought = entries[record.record_id]
                    if entry_of(record, sought.accepted, sought.row).has_content_of(sought):
                        found[sought] = record
    return found


def _batches(blobs: Blobs, job: ImportJob, numbers: set[int]) -> Iterator[RecordBatch]:
    """Yield these batches of a job, as its stored rows have them now. Raises what `read_batch` does."""
    if not numbers:
        return
    first, end = min(numbers), max(numbers) + 1
    wanted = job.model_copy(update={"next_batch": first})
    for message in window(blobs, wanted, min(end, count_batches(blobs, job))):
        if message.batch in numbers:
            yield read_batch(blobs, message).graph
