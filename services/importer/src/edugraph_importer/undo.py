"""Undoing an import. Its stored rows say which records it wrote. Each record returns to its greatest other version.

A record remembers the keys of its versions (`graph.history`). The content of the version that comes back is read from
the stored row of that version's import. No other file is read.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import structlog

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.records import Record
from edugraph_common.contracts.school_records import ActivityRecord
from edugraph_common.runtime.shared_state.object_store import (
    UNDOS,
    Blobs,
    Changed,
    undo_key,
    undone_job_of,
)
from edugraph_common.runtime.shared_state.stored_jobs import load_job
from edugraph_importer.batching import count_batches, read_batch, window
from edugraph_importer.graph import NOBODY, Cause, Entry, Graph, RecordBatch, batch_of_row, entry_of

JOBS_FOLDER = "jobs"
log = structlog.get_logger("edugraph.importer")


def undo_import(
    graph: Graph,
    blobs: Blobs,
    job_id: str,
    cause: Cause = NOBODY,
    after_batch: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Take back the records of an import that has ended. A second call continues after the last undone batch.

    Return the numbers of records by what happened to them:
    `taken_back`: the record was removed.
    `came_back`: another version of the record replaced it.
    `not_restored`: the stored row of the other version is not kept. `not_restored_ids` has some of their ids.
    `activities_left`: active minutes of a day are a union, and nothing can be taken out of a union
    (docs/adr/0038-activity-is-minutes-of-a-day.md).

    Raises Rejected for an import whose rows are not kept, and CallerWouldLead at the first batch whose undo would
    make the caller's own person the leader of a group.
    """
    job = load_job(blobs, job_id)
    if job is None:
        raise Rejected(
            "the source of this import is not kept: take its records back by their ids (withdrawn: true)"
        )
    if job.acceptance is None:
        raise Rejected(
            "this import has no acceptance number: take its records back by their ids (withdrawn: true)"
        )
    # This raises if the ledger rows of the import are deleted. Nothing may be changed before.
    graph.written_batches(job_id)
    # The note in the blob store comes before the mark in the graph: even if this process dies between them, a graph
    # that is restored from a backup can be undone again.
    _note(blobs, job)
    progress = graph.begin_undo(job_id)
    # A late message may have been written until the mark counted, so the batches are read after it.
    written = graph.written_batches(job_id)
    activities = 0
    for batch in _batches(blobs, job, written):
        activities += sum(isinstance(record.data, ActivityRecord) for _, record in batch.records)
        if batch.batch >= progress.next_batch:
            progress = graph.undo_batch(batch, progress, cause)
            after_batch()
    graph.end_undo(job_id, progress)
    return {
        "taken_back": progress.taken_back,
        "came_back": progress.came_back,
        "not_restored": progress.not_restored,
        "not_restored_ids": list(progress.not_restored_ids),
        "activities_left": activities,
    }


def replay_undos(
    graph: Graph, blobs: Blobs, cause: Cause = NOBODY
) -> tuple[dict[str, int], dict[str, str]]:
    """After a backup was restored, undo again each import whose undo is unknown to the graph or unfinished.

    Return two dictionaries: the numbers of imports and records, and job id -> reason why it could not be undone.
    """
    counts = {"imports": 0, "taken_back": 0, "came_back": 0, "not_restored": 0}
    left: dict[str, str] = {}
    for key in blobs.keys(UNDOS):
        job_id = undone_job_of(key)
        if graph.is_undone(job_id):
            continue
        try:
            progress = graph.begin_undo(job_id)
            if graph.written_batches(job_id):
                report = undo_import(graph, blobs, job_id, cause)
            else:
                # The graph has no batch of this import, so only the job has to be marked as undone.
                report = {}
                graph.end_undo(job_id, progress)
        except Rejected as problem:
            left[job_id] = str(problem)
            continue
        counts["imports"] += 1
        for name in ("taken_back", "came_back", "not_restored"):
            counts[name] += report.get(name, 0)
    return counts, left


def _note(blobs: Blobs, job: ImportJob) -> None:
    """Note the undo in the blob store too. It is repeated from there if an older backup of the graph is restored."""
    key = undo_key(job.job_id)
    if blobs.exists(key):
        return
    with blobs.write(key) as file:
        file.write(json.dumps({"acceptance": job.acceptance}).encode())


def read_stored_rows(
    blobs: Blobs, graph: Graph, entries: Mapping[str, Entry]
) -> dict[Entry, Record | None]:
    """Return the record of each version, read from the stored rows of its import, or None if its row is not kept.

    `entries` has the sought version of each record id.
    """
    found: dict[Entry, Record | None] = dict.fromkeys(entries.values())
    jobs = graph.jobs_accepted({entry.accepted for entry in entries.values()})
    # (job, batch) -> the ids of the records to find in its rows
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
    """Yield these batches of a job, read from its stored rows. Raises the errors of `read_batch`."""
    if not numbers:
        return
    first, end = min(numbers), max(numbers) + 1
    wanted = job.model_copy(update={"next_batch": first})
    for message in window(blobs, wanted, min(end, count_batches(blobs, job))):
        if message.batch in numbers:
            yield read_batch(blobs, message).graph
