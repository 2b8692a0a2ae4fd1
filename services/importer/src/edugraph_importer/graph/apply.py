"""Batches of records and packs of findings, each written in one transaction, once.

A ledger row is written with each of them and answers for it when the same message is delivered again.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import neo4j

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.findings import RecordFinding, kind_of_finding
from edugraph_common.contracts.graph_schema import RECORD_LABELS
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.outcomes import (
    BATCH_SHOWN_ERRORS,
    WITHDRAWAL,
    BatchOutcome,
    FindingsOutcome,
    Reject,
    quoted,
)
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.sources.rows import as_invalid_record
from edugraph_importer.graph import (
    active_days,
    finding_facts,
    groups,
    migrations,
    prerequisites,
    record_facts,
    resolver,
)
from edugraph_importer.graph.aggregates import delete_orphans, raise_contains, recompute, write_related
from edugraph_importer.graph.finding_facts import NO_FACTS, FindingChanges, FindingUpdate, reviewed
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import LABEL_OF_TYPE, STATED_IMPORTANCE, Node
from edugraph_importer.graph.stored_records import stored_records
from edugraph_importer.graph.tombstones import Tombstones
from edugraph_importer.graph.unit_of_work import (
    UnitOfWork,
    lock_and_load,
    run_rows,
    write_changed_state,
    write_records,
    write_tests,
)
from edugraph_importer.graph.verdicts import RecordVerdicts
from edugraph_importer.graph.versions import (
    Classified,
    ErasedStudents,
    Removals,
    StoredVersion,
    WithdrawnRecords,
    classify,
    lock_superseded,
    note_readings,
    remove_superseded,
    stored_versions,
)

# Why nothing more is written of a job, by what its node says.
ENDED_JOB: Mapping[str, str] = {
    "closed": "its job ended long ago, and the graph no longer knows what of it was written: send the records again "
    "as a new import, which writes nothing twice",
    "undone": "its import was undone: send the records again as a new import to have them back",
}
# What was found in a record, what reviewers said of it, and the key of the finding.
StoredFinding = tuple[str | None, str | None, str | None]


@dataclass(frozen=True)
class RecordBatch:
    """`records`: (line, record). `rejects`: lines that were no valid records. `withdrawn`: ids that are taken back.

    `read`: the number of lines of all these, and of what means nothing to the graph.
    """

    job_id: str
    batch: int
    records: Sequence[tuple[int, Record]]
    rejects: Sequence[Reject]
    read: int
    withdrawn: Sequence[str] = ()

    @property
    def id(self) -> str:
        return f"{self.job_id}:{self.batch}"


def apply(
    tx: neo4j.Transaction,
    records: Classified,
    findings: Sequence[FindingUpdate],
    before: Removals,
    withdrawn: WithdrawnRecords,
    *,
    unreviewed: Sequence[str],
    wanted: set[Node],
    job_id: str = "",
) -> bool:
    """Write records and what was found in them, in place of what they supersede.

    `unreviewed`: as `Removals.check` has it. `wanted`: as `resolver.resolve` has it. `job_id`: of the job that waits
    for the prerequisites which follow, if there is one. Return whether there is anything to be derived of that.

    All transactions take their locks in this order: superseded records, then all other nodes. What can be computed
    without locks is computed before.
    """
    staged, changes = UnitOfWork.staged(), FindingChanges()
    for record in records.records:
        staged.add(record_facts.facts_of(record))
    superseded = lock_superseded(tx, records.superseded)
    note_readings(tx, records.reread)
    for update in findings:
        staged.add(changes.add(update))
    unit = lock_and_load(
        tx,
        superseded.nodes.union(staged.nodes, wanted),
        superseded.outdated.learns.union(staged.learns),
        {*superseded.item_names.tests, *staged.item_names.tests},
    )

    # Removing comes first, because it recomputes from the records that are in the graph. Aggregates of findings come
    # last, because they are recomputed from the links that were just written.
    remove_superseded(tx, unit, superseded, staged.fields)
    unit.count_spellings(superseded.spellings, -1)
    unit.add_item_names(superseded.item_names, -1)
    unit.count_groups(superseded.group_counts, -1)
    unit.merge(staged)
    write_records(tx, staged)
    active_days.write_days(tx, staged.active_days)
    before.check(tx, unreviewed)
    withdrawn.write(records.unknown_withdrawn)
    for name in sorted(changes.rows):
        run_rows(tx, name, changes.rows[name])
    for pair in staged.contains:
        _, order = changes.raised_contains.get(pair, (None, None))
        changes.raised_contains[pair] = (STATED_IMPORTANCE, order)
    changes.related.subtract(superseded.related)
    write_related(tx, changes.related)
    raise_contains(tx, changes.raised_contains)
    write_tests(tx, unit)
    changes.outdated.memberships |= staged.memberships
    groups.add_courses(tx, unit.group_counts.courses)
    recompute(tx, unit, changes.outdated)
    resolver.resolve(tx, unit, (), wanted)
    write_changed_state(tx, unit)
    delete_orphans(tx, superseded.nodes | changes.unlinked | wanted)
    claims = staged.prerequisites, superseded.claims
    return prerequisites.note_changes(tx, findings, superseded.findings, *claims, job_id=job_id)


def write_batch(
    tx: neo4j.Transaction, batch: RecordBatch, tombstones: Tombstones, wanted: set[Node], kept_from: str = ""
) -> BatchOutcome:
    """`kept_from`: older records about students are refused."""
    before, earlier = begin(tx, "ImportBatch", batch.id, batch.job_id)
    if earlier is not None:
        return BatchOutcome.model_validate_json(earlier)
    start = time.monotonic()
    records = [record for _, record in batch.records]
    erased = ErasedStudents(tx, records, before.erased, tombstones)
    withdrawn = WithdrawnRecords(tx, records, before.withdrawn, batch.withdrawn)
    versioned = (record.record_id for record in records if record.type in record_facts.LABEL_OF_TYPE)
    stored = stored_versions(tx, {*batch.withdrawn, *versioned})
    classified = classify(batch.records, stored, erased, withdrawn, kept_from)
    verdicts = RecordVerdicts(tx, [record.record_id for record in classified.records], before.reviewed)
    claims_changed = apply(
        tx,
        classified,
        updates_of(classified, verdicts),
        before,
        withdrawn,
        unreviewed=verdicts.without,
        wanted=wanted,
        job_id=batch.job_id,
    )
    by_type = Counter[str](record.type for record in classified.records)
    by_type.update(record.type for record in classified.superseded_here)
    by_type += Counter({WITHDRAWAL: len(classified.withdrawn)})
    outcome = _batch_outcome(batch, classified, by_type, time.monotonic() - start)
    outcome = outcome.model_copy(update={"claims_changed": claims_changed})
    # The node of the job is created by the first of its batches. It comes last of all, so that nobody who still has
    # work to do waits for it.
    refused = json.dumps([reject.model_dump() for reject in classified.rejects], ensure_ascii=False)
    written = {id(record): record.record_id in classified.superseded for record in classified.records}
    ledger_row = {
        "id": batch.id,
        "job_id": batch.job_id,
        "batch": batch.batch,
        "set_aside": refused,
        "quoted": quoted(*outcome.errors, *classified.rejects),
        "unwritten": as_ranges(line for line, record in batch.records if id(record) not in written),
        "replacing": as_ranges(line for line, record in batch.records if written.get(id(record))),
    }
    _write_ledger(tx, "write_batch_outcome", ledger_row, outcome)
    return outcome


def updates_of(classified: Classified, verdicts: RecordVerdicts) -> list[FindingUpdate]:
    """Return what reviewers say is found in the records to write, of which nothing was found yet."""
    return [
        FindingUpdate(record, NO_FACTS, reviewed(NO_FACTS, LABEL_OF_TYPE[record.type], said), None, said)
        for record in classified.records
        if (said := verdicts.of(record)) is not None
    ]


def begin(tx: neo4j.Transaction, ledger_label: str, ledger_id: str, job_id: str = "") -> tuple[Removals, str | None]:
    """Return what had been removed before, and the outcome of a batch or pack that was written before, as JSON.

    Raises what `migrations.check_version` raises, and Rejected for what was not written before, of a job that was
    undone or closed.
    """
    rows = tx.run(CYPHER[f"begin_{ledger_label}"], id=ledger_id, job_id=job_id)
    found = {row["name"]: row["value"] for row in rows}
    migrations.check_version(*found["schema"])
    if (job := found.get("job")) and "outcome" not in found:
        raise Rejected(ENDED_JOB[job])
    return Removals(found["erased"], found["withdrawn"], found["reviewed"]), found.get("outcome")


def as_ranges(lines: Iterable[int]) -> list[int] | None:
    """Return lines in their order as first and last of each stretch, one after the other; None for no lines."""
    ends: list[int] = []
    for line in lines:
        if ends and ends[-1] == line - 1:
            ends[-1] = line
        else:
            ends += [line, line]
    return ends or None


def _batch_outcome(batch: RecordBatch, classified: Classified, by_type: Counter[str], seconds: float) -> BatchOutcome:
    rejects = sorted([*batch.rejects, *classified.rejects], key=lambda reject: reject.line)
    return BatchOutcome(
        job_id=batch.job_id,
        batch=batch.batch,
        state="written",
        read=batch.read,
        written=by_type.total(),
        unchanged=len(batch.records) + len(batch.withdrawn) - len(classified.rejects) - by_type.total(),
        rejected=len(rejects),
        by_type=dict(sorted(by_type.items())),
        reasons=dict(sorted(Counter(reject.reason for reject in rejects).items())),
        errors=tuple(reject.model_copy(update={"raw": None}) for reject in rejects[:BATCH_SHOWN_ERRORS]),
        seconds=round(seconds, 6),
    )


def write_findings(
    tx: neo4j.Transaction, message: Findings, tombstones: Tombstones, wanted: set[Node], kept_from: str = ""
) -> FindingsOutcome:
    pack_id = f"{message.job_id}:{message.pack}" + (f":{message.edition}" if message.edition else "")
    before, earlier = begin(tx, "FindingsPack", pack_id, message.job_id)
    if earlier is not None:
        return FindingsOutcome.model_validate_json(earlier)
    pairs: list[tuple[Record, RecordFinding]] = []
    for finding in message.findings:
        try:
            record = parse_record(finding.record)
            record_facts.derive_facts(record)
        except Exception as fault:  # noqa: BLE001 - this is the boundary of the row
            as_invalid_record(fault)
            continue
        if kind_of_finding(record) == finding.finding.kind:
            pairs.append((record, finding))
    records = [record for record, _ in pairs]
    verdicts = RecordVerdicts(tx, [record.record_id for record in records], before.reviewed)
    stored, stored_findings, renamed = _lock_records(tx, records)
    erased = ErasedStudents(tx, records, before.erased, tombstones)
    withdrawn = WithdrawnRecords(tx, records, before.withdrawn)
    classified = classify(list(enumerate(records)), stored, erased, withdrawn, kept_from)
    updates = _finding_updates(pairs, classified, stored_findings, verdicts, finding_facts.finding_key(message))
    # What was analysed may name somebody by an id from before a renaming.
    updates = [
        replace(update, record=renamed[update.record.record_id])
        if update.record.record_id in renamed.keys() - classified.superseded.keys()
        else update
        for update in updates
    ]
    claims_changed = apply(
        tx,
        classified,
        updates,
        before,
        withdrawn,
        unreviewed=verdicts.without,
        wanted=wanted,
        job_id=message.job_id,
    )
    invalid, refused = len(message.findings) - len(pairs), classified.rejects
    error = message.error or ("a finding came without a valid record of its kind" if invalid else None)
    outcome = FindingsOutcome(
        job_id=message.job_id,
        pack=message.pack,
        state="written",
        findings=len(pairs) - len(refused),
        failed=message.failed + invalid + len(refused),
        claims_changed=claims_changed,
        error=error or (f"the record {refused[0].reason}" if refused else None),
    )
    ledger_row = {"id": pack_id, "job_id": message.job_id, "pack": message.pack}
    _write_ledger(tx, "write_pack_outcome", ledger_row, outcome)
    return outcome


def _lock_records(
    tx: neo4j.Transaction, records: Sequence[Record]
) -> tuple[dict[str, StoredVersion], dict[str, StoredFinding], dict[str, Record]]:
    """Lock the records that are in the graph. Return, by id, their versions and the findings stored with them.

    Return beside them, as the graph has them, those that name something by an id that their source does not have.
    """
    ids, versions, findings = sorted({record.record_id for record in records}), dict[str, StoredVersion](), {}
    renamed = dict[str, Record]()
    for label in RECORD_LABELS if ids else ():
        row = tx.run(CYPHER[f"lock_records_{label}"], ids=ids).single(strict=True)
        for record_id, *version, finding, verdicts, key, _ in row["records"]:
            versions[record_id] = StoredVersion.read(label, *version)
            findings[record_id] = (finding, verdicts, key)
        if others := [record_id for record_id, *_, is_renamed in row["records"] if is_renamed]:
            renamed |= stored_records(tx, label, others)
    return versions, findings, renamed


def _finding_updates(
    pairs: Sequence[tuple[Record, RecordFinding]],
    classified: Classified,
    stored_findings: Mapping[str, StoredFinding],
    verdicts: RecordVerdicts,
    key: str | None,
) -> list[FindingUpdate]:
    """Return one update for each record whose finding changes. If a record comes twice, its last finding counts.

    One with a smaller key than the finding that is there changes nothing, whenever it comes.
    """
    # Records to write come last: an older version of one of them may have been unchanged until here.
    current = {record.record_id: record.content_hash for record in (*classified.unchanged, *classified.records)}
    last = {
        record.record_id: (record, finding)
        for record, finding in pairs
        if current.get(record.record_id) == record.content_hash
    }
    updates: list[FindingUpdate] = []
    for record_id, (record, finding) in last.items():
        # The finding of a superseded version was about the older text, and goes with it.
        is_stored = record_id in stored_findings and record_id not in classified.superseded
        *before, stored_key = stored_findings[record_id] if is_stored else (None, None, None)
        if stored_key is not None and (key is None or key < stored_key):
            continue
        after, label = (finding_facts.stored_text(finding), verdicts.of(record)), LABEL_OF_TYPE[record.type]
        if after != tuple(before) or key != stored_key:
            old = finding_facts.facts_of_stored(before[0], label, before[1])
            new = finding_facts.facts_of_stored(after[0], label, after[1])
            updates.append(FindingUpdate(record, old, new, *after, key))
    return updates


def _write_ledger(
    tx: neo4j.Transaction,
    statement: str,
    row: Row,
    outcome: BatchOutcome | FindingsOutcome,
) -> None:
    tx.run(CYPHER[statement], outcome=outcome.model_dump_json(), **row).consume()
