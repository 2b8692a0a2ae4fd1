"""Batches of records and packs of findings. Each is written once, in one transaction.

The transaction also writes a ledger row, which answers when the same message is delivered again.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

import neo4j

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.findings import RecordFinding, kind_of_finding
from edugraph_common.contracts.graph_schema import RECORD_LABELS
from edugraph_common.contracts.messages import Findings, ImportRights
from edugraph_common.contracts.outcomes import (
    BATCH_SHOWN_ERRORS,
    BatchOutcome,
    FindingsOutcome,
    Reject,
    quoted,
)
from edugraph_common.contracts.records import (
    Record,
    Withdrawal,
    iso_of_microseconds,
    microseconds,
    parse_record,
)
from edugraph_common.runtime.shared_state.graph_changes import touched_by
from edugraph_common.sources.rows import as_invalid_record
from edugraph_importer.graph import (
    finding_facts,
    groups,
    migrations,
    prerequisites,
    record_facts,
    resolver,
)
from edugraph_importer.graph.changes import (
    change_for_ledger,
    change_was_in_ledger,
    note_courses,
)
from edugraph_importer.graph.finding_facts import NO_FACTS, FindingChanges, FindingUpdate, reviewed
from edugraph_importer.graph.groups import Cause, LeaderNotes
from edugraph_importer.graph.history import Entry, row_number
from edugraph_importer.graph.model import (
    LABEL_OF_TYPE,
    NO_VERSION,
    STATED_IMPORTANCE,
    IdClaim,
    Node,
    PersonInGroup,
)
from edugraph_importer.graph.owners import note_claims, read_owners
from edugraph_importer.graph.statements import CYPHER, Row, run_rows
from edugraph_importer.graph.stored_records import RecordVerdicts, stored_records
from edugraph_importer.graph.sums import raise_contains, write_days, write_related
from edugraph_importer.graph.take_back import (
    Place,
    lock_superseded,
    place_of,
    recompute,
    remove_superseded,
)
from edugraph_importer.graph.tombstones import ErasedStudents, Tombstones, refuse_tied_ids
from edugraph_importer.graph.unit_of_work import (
    UnitOfWork,
    delete_orphans,
    lock_and_load,
    write_changed_state,
    write_records,
    write_tests,
)
from edugraph_importer.graph.versions import (
    ALL_RIGHTS,
    Acceptance,
    Classified,
    Ids,
    Removals,
    StoredVersion,
    classify,
    hold_keys,
    lock_withdrawn,
    stored_versions,
    withdrawn_entries,
    write_noted,
    write_withdrawn,
)

# State of a job's node -> why nothing more of this job is written.
ENDED_JOB: Mapping[str, str] = {
    "closed": "its job ended long ago, and the graph no longer knows what of it was written: send the records again "
    "as a new import, which writes nothing twice",
    "undone": "its import was undone: send the records again as a new import to have them back",
}
# The finding of a record as JSON, the verdicts of reviewers about it as JSON, and the key of the finding.
StoredFinding = tuple[str | None, str | None, str | None]


class Kept(NamedTuple):
    """The limits of the retention.

    `records_from` is the oldest time of a record about students that the graph keeps, or "" if it keeps all.
    `undoable_from` is the smallest acceptance number of an import that can still be undone.
    """

    records_from: str = ""
    undoable_from: int = 0


class Beside(NamedTuple):
    """The input of a transaction beside its message.

    `rows` has the records that RowsNeeded asked for, read from the stored rows of other imports. A record is None if
    its row is not kept.
    """

    tombstones: Tombstones
    kept: Kept
    rows: Mapping[Entry, Record | None] = MappingProxyType({})


@dataclass(frozen=True)
class RecordBatch:
    """The parsed rows of one batch.

    `records` and `withdrawn` have (line, content). `rejects` stands for the lines that are not valid records. `read`
    is the number of all lines, including those with nothing for the graph. `accepted` is the acceptance number of the
    job. `rights` says which records its caller may take back; the right to write records was checked at reading.
    `refused` maps the id of each record whose rows are set aside to the (expected, reason) of its reject.
    """

    job_id: str
    batch: int
    records: Sequence[tuple[int, Record]]
    rejects: Sequence[Reject]
    read: int
    withdrawn: Sequence[tuple[int, Withdrawal]] = ()
    accepted: int = 0
    rights: ImportRights = ALL_RIGHTS
    refused: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def id(self) -> str:
        return f"{self.job_id}:{self.batch}"

    @property
    def cause(self) -> Cause:
        return Cause(
            self.rights.client,
            f"job {self.job_id}",
            self.job_id,
            self.rights.marks,
            may_decide=self.rights.operate,
        )


def apply(
    tx: neo4j.Transaction,
    records: Classified,
    findings: Sequence[FindingUpdate],
    before: Removals,
    *,
    unreviewed: Sequence[str],
    wanted: set[Node],
    leaders: LeaderNotes,
    job_id: str = "",
) -> bool:
    """Write records and their findings, and remove the versions that they supersede.

    `unreviewed` has the records of this transaction that had no review when it began. `wanted` receives the nodes
    that still have to be locked when StaleRead is raised. `leaders` notes changes of group leaders. `job_id` names
    the job that waits for the settler, if any. Return whether prerequisites or owners of ids have to be derived.
    Raise CallerWouldLead if the caller's own person would lead a group at new times.

    All transactions take their locks in this order: superseded records, then the nodes that records link to, then the
    nodes `Withdrawn`. Everything that needs no locks is computed before.
    """
    staged = UnitOfWork.staged()
    # id of a record -> the people and groups of its versions before and after this transaction
    memberships: dict[str, set[PersonInGroup]] = defaultdict(set)
    next_places: dict[str, Place] = {}
    id_claims: dict[str, set[IdClaim]] = {}  # id of a new person_record -> its claims
    owners = read_owners(tx, records.records, before.owners)
    for record in records.records:
        resolved = owners.resolve(record)
        facts = record_facts.facts_of(resolved, _version_properties(records, record), record)
        staged.add(facts)
        label = LABEL_OF_TYPE.get(record.type, "")  # activity has no records
        next_places[record.record_id] = place_of(label, facts.nodes)
        if facts.id_claims:
            id_claims[record.record_id] = facts.id_claims
        if facts.memberships:
            memberships[record.record_id].update(facts.memberships)
    noted = {record_id: version for record_id, (version, _) in records.noted.items()}
    superseded = lock_superseded(tx, records.superseded, noted)
    # A record may have been in other courses before.
    note_courses(tx, superseded.courses)
    note_courses(tx, touched_by(records.records))
    note_courses(tx, touched_by(update.record for update in findings))
    write_noted(tx, records.noted)
    changes = FindingChanges()
    for update in findings:
        resolved_update = update
        if update.record.record_id in records.events:
            resolved_update = replace(update, record=owners.resolve(update.record))
        staged.add(changes.add(resolved_update))
    nodes = superseded.nodes.union(staged.nodes, wanted)
    learns = superseded.outdated.learns.union(staged.learns)
    tests = {*superseded.item_names.tests, *staged.item_names.tests}
    unit = lock_and_load(tx, nodes, learns, tests)

    # Removing comes first, because it recomputes from the records that are in the graph. Aggregates of findings come
    # last, because they are recomputed from the links that were just written.
    remove_superseded(tx, unit, superseded, staged.fields, next_places)
    unit.count_spellings(superseded.spellings, -1)
    unit.add_item_names(superseded.item_names, -1)
    unit.count_groups(superseded.group_counts, -1)
    unit.merge(staged)
    write_records(tx, staged)
    write_days(tx, staged.active_days, owners.of)
    before.check(tx, unreviewed)
    # `check` counts the nodes `Withdrawn`. So this transaction creates its own ones after the check.
    hold_keys(tx, records.unknown)
    lock_withdrawn(tx, records.withdrawn)
    write_withdrawn(tx, records.withdrawn)
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
    moved_points = resolver.resolve(tx, unit, (), wanted)
    write_changed_state(tx, unit)
    delete_orphans(tx, superseded.nodes | changes.unlinked | wanted)
    new_claims = staged.prerequisites
    old_claims = superseded.claims
    claims_changed = prerequisites.note_changes(
        tx,
        findings,
        superseded.findings,
        new_claims,
        old_claims,
        moved_points=moved_points,
        job_id=job_id,
    )
    for record_id, people in superseded.memberships.items():
        memberships[record_id].update(people)
    leaders.write(tx, unit.leading, memberships)
    old_id_claims = superseded.id_claims
    leaders.refuse_changes_of_decisions(old_id_claims)
    leaders.refuse_own_claims(tx, id_claims, old_id_claims)
    leaders.write_claims(tx, id_claims, old_id_claims)
    if note_claims(tx, id_claims, old_id_claims, job_id=job_id):
        claims_changed = True
    return claims_changed


def _version_properties(records: Classified, record: Record) -> Row:
    written = records.versions.get(record.record_id)
    if written is None:
        return NO_VERSION  # activity has no versions
    changed = None
    if written.entry.changed != microseconds(record.timestamp):
        changed = iso_of_microseconds(written.entry.changed)
    return {"changed": changed, **written.properties()}


def write_batch(
    tx: neo4j.Transaction, batch: RecordBatch, beside: Beside, wanted: set[Node]
) -> BatchOutcome:
    """Write a batch and its ledger row. Return the outcome, or the earlier outcome if the batch was written before.

    Raises RowsNeeded if records are needed from the stored rows of other imports.
    """
    tombstones, kept, rows = beside
    before, earlier = begin(tx, "ImportBatch", batch.id, batch.job_id)
    if earlier is not None:
        return BatchOutcome.model_validate_json(earlier)
    start = time.monotonic()
    rows_to_write = [
        (line, each) for line, each in batch.records if each.record_id not in batch.refused
    ]
    withdrawn = [
        (line, each) for line, each in batch.withdrawn if each.record_id not in batch.refused
    ]
    records = [record for _, record in rows_to_write]
    erased = ErasedStudents(tx, records, before.erased, tombstones)
    ids = {record.record_id for record in records if record.type in LABEL_OF_TYPE}
    ids.update(each.record_id for _, each in withdrawn)
    known = Ids(stored_versions(tx, ids), withdrawn_entries(tx, ids, before.withdrawn), rows)
    first_row = row_number(batch.batch, 0)
    acceptance = Acceptance(batch.accepted, first_row, kept.records_from, kept.undoable_from)
    classified = classify(rows_to_write, known, erased, acceptance, withdrawn, rights=batch.rights)
    classified.rejects.extend(_refused_rows(batch))
    verdicts = RecordVerdicts(
        tx, [record.record_id for record in classified.records], before.reviewed
    )
    tied = erased.tied_ids(records)
    for other_id in tied:
        wanted |= {("Student", other_id), ("Teacher", other_id), ("PersonId", other_id)}
    leaders = LeaderNotes(batch.cause, tombstones)
    claims_changed = apply(
        tx,
        classified,
        updates_of(classified, verdicts),
        before,
        unreviewed=verdicts.without,
        wanted=wanted,
        leaders=leaders,
        job_id=batch.job_id,
    )
    leaders.write_ties(tx, refuse_tied_ids(tx, tied, tombstones))
    outcome = _batch_outcome(batch, classified, time.monotonic() - start)
    outcome = outcome.model_copy(update={"claims_changed": claims_changed})
    # The first batch of a job creates the node of the job. The ledger row comes last, so that no other transaction
    # waits for this node while it still has work to do.
    refused = [reject.model_dump() for reject in classified.rejects]
    ledger_row = {
        "id": batch.id,
        "job_id": batch.job_id,
        "batch": batch.batch,
        "set_aside": json.dumps(refused, ensure_ascii=False),
        "quoted": quoted(*outcome.errors, *classified.rejects),
        "accepted": batch.accepted or None,
    }
    _write_ledger(tx, "write_batch_outcome", ledger_row, outcome)
    return outcome


def _refused_rows(batch: RecordBatch) -> Iterator[Reject]:
    """Yield a reject for each row whose record the caller may not change in this way."""
    rows: list[tuple[int, Record | Withdrawal]] = [*batch.records, *batch.withdrawn]
    for line, row in rows:
        if row.record_id in batch.refused:
            # The id is left out: a withdrawal must not reveal whom the record is about.
            expected, reason = batch.refused[row.record_id]
            yield Reject(line=line, field="record_id", expected=expected, found="", reason=reason)


def updates_of(classified: Classified, verdicts: RecordVerdicts) -> list[FindingUpdate]:
    """Return a finding update for each record to write that was reviewed before. It has no finding yet."""
    updates = []
    for record in classified.records:
        said = verdicts.of(record)
        if said is not None:
            accepted = reviewed(NO_FACTS, LABEL_OF_TYPE[record.type], said)
            updates.append(FindingUpdate(record, NO_FACTS, accepted, None, said))
    return updates


def begin(
    tx: neo4j.Transaction, ledger_label: str, ledger_id: str, job_id: str = ""
) -> tuple[Removals, str | None]:
    """Begin a transaction. Return the numbers of removals so far, and the outcome of the batch or pack as JSON.

    The outcome is None if the batch or pack was not written before. Raises the errors of `migrations.check_version`,
    and Rejected if it was not written before and its job was undone or closed.
    """
    rows = tx.run(CYPHER[f"begin_{ledger_label}"], id=ledger_id, job_id=job_id)
    found = {row["name"]: row["value"] for row in rows}
    migrations.check_version(*found["schema"])
    outcome, change = found.get("outcome") or (None, None)
    change_was_in_ledger(tx, change)
    end_of_job: str | None = found.get("job")
    if outcome is None and end_of_job:
        raise Rejected(ENDED_JOB[end_of_job])
    removals = Removals(
        found["erased"], found["withdrawn"], found["reviewed"], found.get("owners") or 0
    )
    return removals, outcome


def _batch_outcome(batch: RecordBatch, classified: Classified, seconds: float) -> BatchOutcome:
    rejects = sorted([*batch.rejects, *classified.rejects], key=lambda reject: reject.line)
    reasons = Counter(reject.reason for reject in rejects)
    errors = [reject.model_copy(update={"raw": None}) for reject in rejects[:BATCH_SHOWN_ERRORS]]
    return BatchOutcome(
        job_id=batch.job_id,
        batch=batch.batch,
        state="written",
        read=batch.read,
        rejected=len(rejects),
        **classified.counts,
        by_type=dict(sorted(classified.by_type.items())),
        reasons=dict(sorted(reasons.items())),
        errors=tuple(errors),
        seconds=round(seconds, 6),
    )


def write_findings(
    tx: neo4j.Transaction, message: Findings, beside: Beside, wanted: set[Node]
) -> FindingsOutcome:
    """Write a pack of findings and its ledger row. Return the outcome, or the earlier one if it was written before.

    Raises RowsNeeded if records are needed from the stored rows of other imports.
    """
    tombstones, kept, rows = beside
    pack_id = f"{message.job_id}:{message.pack}"
    if message.edition:
        pack_id = f"{pack_id}:{message.edition}"
    before, earlier = begin(tx, "FindingsPack", pack_id, message.job_id)
    if earlier is not None:
        return FindingsOutcome.model_validate_json(earlier)
    pairs = _valid_findings(message)
    records = [record for record, _ in pairs]
    verdicts = RecordVerdicts(tx, [record.record_id for record in records], before.reviewed)
    stored, stored_findings, renamed = _lock_records(tx, records)
    erased = ErasedStudents(tx, records, before.erased, tombstones)
    withdrawn = withdrawn_entries(tx, {record.record_id for record in records}, before.withdrawn)
    acceptance = Acceptance(message.acceptance or 0, 0, kept.records_from, kept.undoable_from)
    known = Ids(stored, withdrawn, rows)
    classified = classify(
        list(enumerate(records)),
        known,
        erased,
        acceptance,
        is_analysis=True,
        adds_versions=not message.again,
    )

    staying = stored.keys() - classified.superseded.keys()
    # The finding of a superseded version was about the older text, and is removed with it.
    stored_findings = {record_id: stored_findings[record_id] for record_id in staying}
    current = {record_id: stored[record_id].content_hash for record_id in staying}
    current |= {record.record_id: record.content_hash for record in classified.records}
    updates = []
    for update in _finding_updates(
        pairs, current, stored_findings, verdicts, finding_facts.finding_key(message)
    ):
        record_id = update.record.record_id
        if record_id in renamed and record_id not in classified.superseded:
            # The analysed record may name a node by an id from before a renaming.
            updates.append(replace(update, record=renamed[record_id]))
        else:
            updates.append(update)
    claims_changed = apply(
        tx,
        classified,
        updates,
        before,
        unreviewed=verdicts.without,
        wanted=wanted,
        leaders=LeaderNotes(Cause(by=f"job {message.job_id}"), tombstones),
        job_id=message.job_id,
    )

    invalid = len(message.findings) - len(pairs)
    refused = classified.rejects
    error = message.error or None
    if not error and invalid:
        error = "a finding came without a valid record of its kind"
    if not error and refused:
        error = f"the record {refused[0].reason}"
    outcome = FindingsOutcome(
        job_id=message.job_id,
        pack=message.pack,
        state="written",
        findings=len(pairs) - len(refused),
        failed=message.failed + invalid + len(refused),
        claims_changed=claims_changed,
        error=error,
    )
    ledger_row = {"id": pack_id, "job_id": message.job_id, "pack": message.pack}
    _write_ledger(tx, "write_pack_outcome", ledger_row, outcome)
    return outcome


def _valid_findings(message: Findings) -> list[tuple[Record, RecordFinding]]:
    """Return the findings that come with a valid record of their kind, each with this record."""
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
    return pairs


def _lock_records(
    tx: neo4j.Transaction, records: Sequence[Record]
) -> tuple[dict[str, StoredVersion], dict[str, StoredFinding], dict[str, Record]]:
    """Lock the records that are in the graph. Return three dictionaries by the id of the record.

    They have the versions, the findings stored with the records, and the stored records in which a node was renamed:
    such a record has another id for that node than its source.
    """
    versions: dict[str, StoredVersion] = {}
    findings: dict[str, StoredFinding] = {}
    renamed: dict[str, Record] = {}
    ids = sorted({record.record_id for record in records})
    if not ids:
        return versions, findings, renamed
    for label in RECORD_LABELS:
        row = tx.run(CYPHER[f"lock_records_{label}"], ids=ids).single(strict=True)
        renamed_ids = []
        for record_id, properties, finding, verdicts, key, is_renamed in row["records"]:
            versions[record_id] = StoredVersion.read(label, properties)
            findings[record_id] = (finding, verdicts, key)
            if is_renamed:
                renamed_ids.append(record_id)
        if renamed_ids:
            renamed |= stored_records(tx, label, renamed_ids)
    return versions, findings, renamed


def _finding_updates(
    pairs: Sequence[tuple[Record, RecordFinding]],
    current: Mapping[str, str],
    stored_findings: Mapping[str, StoredFinding],
    verdicts: RecordVerdicts,
    key: str | None,
) -> list[FindingUpdate]:
    """Return one update for each record whose finding changes. If a record comes twice, its last finding counts.

    `current` maps the id of a record to the content hash that it has in the graph at the end of this transaction.
    A finding with a smaller key than the stored finding changes nothing.
    """
    last: dict[str, tuple[Record, RecordFinding]] = {}
    for record, finding in pairs:
        if current.get(record.record_id) == record.content_hash:
            last[record.record_id] = (record, finding)
    updates: list[FindingUpdate] = []
    for record_id, (record, finding) in last.items():
        old_text, old_verdicts, old_key = stored_findings.get(record_id, (None, None, None))
        is_older = old_key is not None and (key is None or key < old_key)
        if is_older:
            continue
        text = finding_facts.stored_text(finding)
        said = verdicts.of(record)
        if (text, said, key) == (old_text, old_verdicts, old_key):
            continue
        label = LABEL_OF_TYPE[record.type]
        old = finding_facts.facts_of_stored(old_text, label, old_verdicts)
        new = finding_facts.facts_of_stored(text, label, said)
        updates.append(FindingUpdate(record, old, new, text, said, key))
    return updates


def _write_ledger(
    tx: neo4j.Transaction,
    statement: str,
    row: Row,
    outcome: BatchOutcome | FindingsOutcome,
) -> None:
    row = {**row, **change_for_ledger(tx)}
    tx.run(CYPHER[statement], outcome=outcome.model_dump_json(), **row).consume()
