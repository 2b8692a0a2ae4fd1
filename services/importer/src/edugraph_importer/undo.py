"""Undoing an import: its source is read again, and what it wrote is taken back.

Which versions come back is told by the sources of the other imports, as long as they are kept: of each record, the
latest version that one of them has. They are read once, whatever their number, and what they have of the records in
question is put into a file meanwhile, since that may be more than fits into memory.
"""

import json
import sqlite3
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import structlog

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.records import parse_record
from edugraph_common.contracts.school_records import ActivityRecord
from edugraph_common.platform.object_store import Blobs, Changed
from edugraph_common.platform.stored_jobs import load_job
from edugraph_importer.batching import count_batches, read_batch, window
from edugraph_importer.graph import Graph, Portion, RecordBatch, WrittenBatch

JOBS_FOLDER = "jobs"
# `is_first`: whether the import wrote a version where there was none.
_ASK = """
INSERT INTO versions VALUES (?, ?, '', NULL)
ON CONFLICT (id) DO UPDATE SET is_first = max(is_first, excluded.is_first)
"""
_WITHDRAWN = "~"  # in the place of a version: it sorts after all of them
log = structlog.get_logger("edugraph.importer")


def undo_import(graph: Graph, blobs: Blobs, job_id: str) -> dict[str, int]:
    """Take back what an import wrote that has ended. Doing it again goes on where it ended.

    Return how many records were `taken_back`; of how many another version `came_back`; how many were `not_restored`,
    since a version that was there before is in no source that is kept; how many `withdrawals_left`, since the import
    was not the first to take them all back; and how many `activities_left`, since active minutes are a union, from
    which nothing can be taken (docs/adr/0038-activity-is-minutes-of-a-day.md). Raises Rejected for an import whose
    source is gone.
    """
    job = load_job(blobs, job_id)
    if job is None:
        raise Rejected("the source of this import is not kept: take its records back by their ids (withdrawn: true)")
    written = graph.written_batches(job_id)
    counts = Counter[str](taken_back=0, came_back=0, not_restored=0, withdrawals_left=0, activities_left=0)
    with _versions() as versions:
        for batch in _batches(blobs, job, written):
            done = written[batch.batch]
            first = [
                (record.record_id, line not in done.replacing)
                for line, record in batch.records
                if line not in done.unwritten and not isinstance(record.data, ActivityRecord)
            ]
            counts["activities_left"] += sum(isinstance(record.data, ActivityRecord) for _, record in batch.records)
            versions.executemany(_ASK, [*first, *((each, False) for each in batch.withdrawn)])
        for other in blobs.folders(JOBS_FOLDER):
            if other != job_id:
                _note_versions(versions, graph, blobs, other)
        for batch in _batches(blobs, job, written):
            portion = _portion(versions, batch, written[batch.batch])
            outcome = graph.undo(portion, job_id)
            counts.update(taken_back=outcome.taken_back, came_back=outcome.came_back)
            counts["withdrawals_left"] += len(batch.withdrawn) - len(portion.withdrawn)
            counts["not_restored"] += sum(
                versions.execute("SELECT is_first FROM versions WHERE id = ?", (each,)).fetchone() == (0,)
                for each in outcome.gone
            )
    graph.mark_undone(job_id)
    return dict(counts)


@contextmanager
def _versions() -> Iterator[sqlite3.Connection]:
    """Yield a table of the records that the import wrote or took back, with the latest version of another import."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(sqlite3.connect(Path(folder) / "versions.db", isolation_level=None)) as versions,
    ):
        versions.execute("PRAGMA synchronous = OFF")
        versions.execute("CREATE TABLE versions (id TEXT PRIMARY KEY, is_first INTEGER, version TEXT, record TEXT)")
        yield versions


def _batches(blobs: Blobs, job: ImportJob, written: Mapping[int, WrittenBatch]) -> Iterator[RecordBatch]:
    """Yield the batches of a job that are in the graph, as its source has them now. Raises what `read_batch` does."""
    messages = window(blobs, job.model_copy(update={"next_batch": 0}), count_batches(blobs, job)) if written else ()
    for message in messages:
        if message.batch in written:
            yield read_batch(blobs, message).graph


def _note_versions(versions: sqlite3.Connection, graph: Graph, blobs: Blobs, job_id: str) -> None:
    """Note what another import says of the records in question. One whose source is gone says nothing."""
    job = load_job(blobs, job_id)
    if job is None:
        return
    put = "UPDATE versions SET version = ?, record = ? WHERE id = ? AND version < ?"
    try:
        for batch in _batches(blobs, job, graph.written_batches(job_id)):
            said = [
                (each.record_id, f"{each.time}|{each.reading:07d}|{each.content_hash}", each.to_json())
                for _, each in batch.records
                if not isinstance(each.data, ActivityRecord)
            ]
            said += [(each, _WITHDRAWN, {}) for each in batch.withdrawn]
            rows = [(version, json.dumps(record), each, version) for each, version, record in said]
            versions.executemany(put, rows)
    except (Rejected, Changed):
        log.warning("source_not_kept", job=job_id)


def _portion(versions: sqlite3.Connection, batch: RecordBatch, done: WrittenBatch) -> Portion:
    written: dict[str, set[str]] = defaultdict(set)
    for line, record in batch.records:
        if line not in done.unwritten and not isinstance(record.data, ActivityRecord):
            written[record.record_id].add(record.content_hash)
    # Which of them were the first to take their records back is known where all were.
    withdrawn = list(batch.withdrawn) if len(set(batch.withdrawn)) == done.withdrawals else []
    others = {}
    for record_id in {*written, *withdrawn}:
        row = versions.execute("SELECT version, record FROM versions WHERE id = ?", (record_id,)).fetchone()
        if row[0] == _WITHDRAWN:
            withdrawn = [each for each in withdrawn if each != record_id]
        elif row[1] is not None:
            others[record_id] = parse_record(json.loads(row[1]))
    return Portion(written, withdrawn, others)
