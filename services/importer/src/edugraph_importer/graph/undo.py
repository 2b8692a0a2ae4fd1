"""Taking back what an import wrote (docs/adr/0085). Each record returns to the greatest of its other versions."""

import json
from dataclasses import asdict, dataclass
from typing import NamedTuple

import neo4j

from edugraph_common.contracts.records import Record
from edugraph_importer.graph.apply import Beside, Kept, RecordBatch, apply, begin, updates_of
from edugraph_importer.graph.leaders import Cause, LeaderNotes
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import LABEL_OF_TYPE, Node
from edugraph_importer.graph.verdicts import RecordVerdicts
from edugraph_importer.graph.versions import (
    Classified,
    ErasedStudents,
    Ids,
    stored_versions,
    withdrawn_entries,
)

SHOWN_IDS = 100  # the most ids of records that were not restored


@dataclass(frozen=True)
class UndoProgress:
    """How far the undo of a job is.

    `next_batch` is the first batch that is not undone yet. `taken_back` is the number of records of the job that were
    removed or replaced, and `came_back` the number of those that were replaced by another version. `not_restored` is
    the number of records whose other version has no stored row any more. `not_restored_ids` has some of their ids,
    only from the batches of this call. `finished` says whether all batches are undone.
    """

    next_batch: int = 0
    taken_back: int = 0
    came_back: int = 0
    not_restored: int = 0
    not_restored_ids: tuple[str, ...] = ()
    finished: bool = False


class UndoBatch(NamedTuple):
    """A batch whose versions have to be dropped, how far the undo of its job is, and who undoes it."""

    batch: RecordBatch
    progress: UndoProgress
    cause: Cause


def begin_undo(tx: neo4j.Transaction, job_id: str) -> None:
    """Refuse later writes of the job."""
    begin(tx, "ImportBatch", "")
    tx.run(CYPHER["mark_undone"], id=job_id).consume()


def undo_batch(
    tx: neo4j.Transaction,
    undoing: UndoBatch,
    beside: Beside,
    wanted: set[Node],
) -> UndoProgress:
    """Drop the versions of one batch from its records, and note that it is done.

    `wanted` receives the nodes that still have to be locked when StaleRead is raised. Raises the errors of
    `migrations.check_version`, RowsNeeded if records are needed from the stored rows of other imports, and
    CallerWouldLead if the undo would make the caller's own person the leader of a group.
    """
    batch = undoing.batch
    tombstones, kept, rows = beside
    before, _ = begin(tx, "ImportBatch", "")
    ids = {record.record_id for _, record in batch.records if record.type in LABEL_OF_TYPE}
    ids.update(each.record_id for _, each in batch.withdrawn)
    found = [record for record in rows.values() if record is not None]
    erased = ErasedStudents(tx, found, before.erased, tombstones)
    may_return = {
        entry: record if record is not None and _may_return(record, erased, kept) else None
        for entry, record in rows.items()
    }
    known = Ids(stored_versions(tx, ids), withdrawn_entries(tx, ids, before.withdrawn), may_return)
    for record_id in ids:
        entries = known.of(record_id)
        entries -= {each for each in entries if each.accepted == batch.accepted}
    classified = Classified()
    lost = known.settle(classified, kept.undoable_from)
    verdicts = RecordVerdicts(tx, list(classified.events), before.reviewed)
    updates = updates_of(classified, verdicts)
    leaders = LeaderNotes(undoing.cause, tombstones)
    apply(
        tx, classified, updates, before, unreviewed=verdicts.without, wanted=wanted, leaders=leaders
    )
    progress = UndoProgress(
        next_batch=batch.batch + 1,
        taken_back=undoing.progress.taken_back + len(classified.superseded),
        came_back=undoing.progress.came_back + len(classified.events),
        not_restored=undoing.progress.not_restored + len(lost),
        not_restored_ids=(*undoing.progress.not_restored_ids, *sorted(lost))[:SHOWN_IDS],
    )
    note_progress(tx, batch.job_id, progress)
    return progress


def note_progress(tx: neo4j.Transaction, job_id: str, progress: UndoProgress) -> None:
    """Note how far the undo of a job is. The ids of records are left out."""
    noted = asdict(progress)
    del noted["not_restored_ids"]
    tx.run(CYPHER["set_undo_progress"], id=job_id, progress=json.dumps(noted)).consume()


def _may_return(record: Record, erased: ErasedStudents, kept: Kept) -> bool:
    return erased.field_naming_one(record) is None and record.time >= kept.records_from
