"""Taking back what an import wrote: the versions before it come back, and no tombstone stays."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import neo4j

from edugraph_common.contracts.outcomes import WITHDRAWAL, BatchOutcome
from edugraph_common.contracts.records import Record
from edugraph_importer.graph.apply import apply, begin, updates_of
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node
from edugraph_importer.graph.tombstones import Tombstones, plain_hash
from edugraph_importer.graph.unit_of_work import run_rows
from edugraph_importer.graph.verdicts import RecordVerdicts
from edugraph_importer.graph.versions import Classified, ErasedStudents, WithdrawnRecords, stored_versions


@dataclass(frozen=True)
class WrittenBatch:
    """What a batch did: which lines it did not write, which replaced a version, and how many records it took back."""

    unwritten: frozenset[int]
    replacing: frozenset[int]
    withdrawals: int

    @classmethod
    def read(cls, row: Mapping[str, Any] | neo4j.Record) -> "WrittenBatch":
        by_type = BatchOutcome.model_validate_json(row["outcome"]).by_type
        return cls(_lines(row["unwritten"]), _lines(row["replacing"]), by_type.get(WITHDRAWAL, 0))


def _lines(ends: Sequence[int] | None) -> frozenset[int]:
    """Read what `apply.as_ranges` wrote."""
    firsts, lasts = (ends or ())[::2], (ends or ())[1::2]
    return frozenset(line for first, last in zip(firsts, lasts, strict=True) for line in range(first, last + 1))


@dataclass(frozen=True)
class Portion:
    """`written`: by the id of a record, the content hashes of the versions that the import wrote.

    `withdrawn`: the ids that it took back. `others`: the latest versions that other imports have of all these.
    """

    written: Mapping[str, Collection[str]]
    withdrawn: Sequence[str]
    others: Mapping[str, Record]


@dataclass(frozen=True)
class Undone:
    """How many records were `taken_back`, of how many a version `came_back`, and the ids of those that are `gone`."""

    taken_back: int
    came_back: int
    gone: frozenset[str]


def mark_undone(tx: neo4j.Transaction, job_id: str) -> None:
    tx.run(CYPHER["mark_undone"], id=job_id).consume()


def undo(tx: neo4j.Transaction, portion: Portion, job_id: str, tombstones: Tombstones, wanted: set[Node]) -> Undone:
    """Put other versions in the place of those that the import wrote and that are still there, or nothing.

    `wanted`: as `resolver.resolve` has it. Raises what `migrations.check_version` raises.
    """
    before, _ = begin(tx, "ImportBatch", "")
    # The number of these nodes never gets smaller, since other transactions tell by it that one came.
    hashes = sorted(map(plain_hash, portion.withdrawn))
    run_rows(tx, "forget_withdrawn", [{"id": each, "undone": f"undone:{job_id}:{each}"} for each in hashes])
    others = list(portion.others.values())
    erased = ErasedStudents(tx, others, before.erased, tombstones)
    withdrawn = WithdrawnRecords(tx, others, before.withdrawn)
    candidates = {
        each.record_id: each
        for each in others
        if each.record_id not in withdrawn and erased.field_naming_one(each) is None
    }
    stored = stored_versions(tx, {*portion.written, *portion.withdrawn})
    classified = Classified()
    for record_id, version in stored.items():
        other = candidates.get(record_id)
        is_the_imports = version.content_hash in portion.written.get(record_id, ())
        if is_the_imports and (other is None or other.content_hash != version.content_hash):
            classified.superseded[record_id] = version
    come_back = classified.superseded.keys() | (set(portion.withdrawn) - stored.keys())
    classified.events = {record_id: candidates[record_id] for record_id in come_back if record_id in candidates}
    verdicts = RecordVerdicts(tx, list(classified.events), before.reviewed)
    updates = updates_of(classified, verdicts)
    apply(tx, classified, updates, before, withdrawn, unreviewed=verdicts.without, wanted=wanted)
    gone = frozenset(classified.superseded.keys() - classified.events.keys())
    return Undone(len(classified.superseded), len(classified.events), gone)
