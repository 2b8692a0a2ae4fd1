"""Removing records on request: a whole import, a course, a group, or everything about a student.

Afterwards the graph is as if the records had never been imported. A removed record may have given a name to a person,
or a spelling to a topic. These are computed again from the remaining records. Nodes that only the removed records
named are deleted too.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import NamedTuple

import neo4j

from edugraph_common.contracts.messages import Removable
from edugraph_common.contracts.outcomes import BatchOutcome, Reject, quoted
from edugraph_common.contracts.records import Record, escaped
from edugraph_common.sources.person import quoted_ids
from edugraph_importer.graph import groups, migrations, record_facts, resolver
from edugraph_importer.graph.apply import Beside, Kept, RecordBatch, apply, begin, updates_of
from edugraph_importer.graph.changes import note_kind
from edugraph_importer.graph.driver import Connection, StaleRead
from edugraph_importer.graph.groups import Cause, LeaderNotes
from edugraph_importer.graph.history import Entry
from edugraph_importer.graph.model import (
    LABEL_OF_TYPE,
    Called,
    GroupCounts,
    IdClaim,
    ItemNames,
    Mention,
    Node,
    Outdated,
    version_key,
)
from edugraph_importer.graph.owners import note_claims
from edugraph_importer.graph.retention import PAGE, RECORDS_AT_ONCE, Write, remove_days
from edugraph_importer.graph.statements import CYPHER, run_rows
from edugraph_importer.graph.stored_records import RecordVerdicts
from edugraph_importer.graph.sums import RelatedSums, related_by_links, write_related
from edugraph_importer.graph.take_back import id_claims, item_names, mentions, recompute
from edugraph_importer.graph.tombstones import ErasedStudents, Tombstones, erased_among
from edugraph_importer.graph.unit_of_work import (
    delete_orphans,
    lock_and_load,
    write_changed_state,
    write_tests,
)
from edugraph_importer.graph.versions import Classified, Ids, stored_versions, withdrawn_entries

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

    @classmethod
    def from_json(cls, noted: str | None) -> "UndoProgress":
        """Return what the node of a job notes. It notes None before the first batch is undone."""
        if noted is None:
            return cls()
        return cls(**json.loads(noted))


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
    # A record that may not return counts as a row that is not kept.
    may_return: dict[Entry, Record | None] = {}
    for entry, record in rows.items():
        may_return[entry] = None
        if record is not None and _may_return(record, erased, kept):
            may_return[entry] = record
    stored = stored_versions(tx, ids)
    withdrawn = withdrawn_entries(tx, ids, before.withdrawn)
    known = Ids(stored, withdrawn, may_return)
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
    # The node of the job is locked last, as it is when a batch is written. Another process may undo the same job and
    # have counted records, so the numbers are read under the lock.
    row = tx.run(CYPHER["lock_undo_progress"], id=batch.job_id).single(strict=True)
    so_far = UndoProgress.from_json(row["progress"])
    not_restored_ids = (*undoing.progress.not_restored_ids, *sorted(lost))
    progress = UndoProgress(
        next_batch=batch.batch + 1,
        taken_back=so_far.taken_back + len(classified.superseded),
        came_back=so_far.came_back + len(classified.events),
        not_restored=so_far.not_restored + len(lost),
        not_restored_ids=not_restored_ids[:SHOWN_IDS],
    )
    note_undo_progress(tx, batch.job_id, progress)
    return progress


def note_undo_progress(tx: neo4j.Transaction, job_id: str, progress: UndoProgress) -> None:
    """Note how far the undo of a job is. The ids of records are left out."""
    noted = asdict(progress)
    del noted["not_restored_ids"]
    tx.run(CYPHER["set_undo_progress"], id=job_id, progress=json.dumps(noted)).consume()


def _may_return(record: Record, erased: ErasedStudents, kept: Kept) -> bool:
    return erased.field_naming_one(record) is None and record.time >= kept.records_from


LABEL_OF_REMOVABLE: dict[Removable, str] = {"course": "Course", "group": "Group"}


class Removed(NamedTuple):
    """The result of a removal.

    `removed` is the number of removed records and days of activity. `left` is the number of relationships that the
    course or group still has. If it is not `finished`, the time was over.
    """

    removed: int
    left: int
    finished: bool


def remove(
    connection: Connection,
    write: Write,
    of: Removable,
    node_id: str,
    leaders: LeaderNotes,
    *,
    go_on: Callable[[], bool],
) -> Removed:
    """Remove a course or a group. Stop when `go_on` returns False; a second call continues.

    Raise CallerWouldLead if the removal would make the caller's own person the leader of a group.
    """
    label = LABEL_OF_REMOVABLE[of]
    removed = 0
    while more := write(_remove_records, label, node_id, leaders, set()):
        removed += more
        if not go_on():
            return Removed(removed, _left(connection, label, node_id), finished=False)
    if of == "course":
        # A day of activity has its course only as a property, so all days are read, in the order of their ids.
        after = ""
        while days := connection.read(CYPHER["days_after"], after=after, limit=PAGE):
            of_course = [day for day in days if day["course"] == node_id]
            for start in range(0, len(of_course), RECORDS_AT_ONCE):
                some = of_course[start : start + RECORDS_AT_ONCE]
                ids = sorted(day["id"] for day in some)
                students = {day["student"] for day in some}
                removed += write(remove_days, ids, students)
            after = max(day["id"] for day in days)
            if not go_on():
                return Removed(removed, _left(connection, label, node_id), finished=False)
    return Removed(removed, _left(connection, label, node_id), finished=True)


def _remove_records(
    tx: neo4j.Transaction, label: str, node_id: str, leaders: LeaderNotes, wanted: set[Node]
) -> int:
    """Remove the next records of the course or group. Return their number. It is 0 when there are no more.

    `wanted` receives the nodes that still have to be locked when StaleRead is raised.
    """
    before, _ = begin(tx, "ImportBatch", "")
    rows = list(tx.run(CYPHER[f"records_of_{label}"], id=node_id, limit=RECORDS_AT_ONCE))
    found = {row["id"]: row["hash"] for row in rows}
    stored = stored_versions(tx, found)
    # A record that has another version by now may belong to another course or group.
    if {record_id: version.content_hash for record_id, version in stored.items()} != found:
        raise StaleRead
    apply(
        tx, Classified(superseded=stored), (), before, unreviewed=(), wanted=wanted, leaders=leaders
    )
    return len(found)


def _left(connection: Connection, label: str, node_id: str) -> int:
    rows = connection.read(CYPHER[f"links_to_{label}"], id=node_id)
    return sum(int(row["left"]) for row in rows)


# The labels of records that name students. Definitions and the texts of a course name none.
_RECORD_LABELS = (
    "Attempt",
    "CourseRecord",
    "ErrorRecord",
    "Interaction",
    "Membership",
    "PersonRecord",
)


TEXT_FIELDS = (
    "text",
    "subject",
    "feedback",
    "question",
    "error_text",
    "response",
    "title",
    "content",
    "thread_id",
    "item_title",
    "knowledge_points",
    "group_name",
    "term",
)


class Known(NamedTuple):
    """The names and records of a person in the graph.

    `records` has the ids of the records that name the person. `erased` says whether there is a tombstone.
    """

    names: frozenset[str]
    records: frozenset[str]
    is_there: bool
    erased: bool


def look(tx: neo4j.Transaction, student_ids: Collection[str], tombstones: Tombstones) -> Known:
    names: set[str] = set()
    records: set[str] = set()
    is_there = False
    for student_id in sorted(student_ids):
        for row in tx.run(CYPHER["known_names"], id=student_id):
            is_there = True
            found = (row["name"], *row["called"], *row["stated"])
            names.update(filter(None, found))
        rows = tx.run(CYPHER["records_of_student"], id=student_id)
        records.update(row["record"] for row in rows)
    erased = bool(erased_among(tx, student_ids, tombstones))
    return Known(frozenset(names), frozenset(records), is_there, erased)


@dataclass(slots=True)
class Footprint:
    """Everything that a student's records have a part in.

    `records` has their ids by label, and `named` the nodes that they link to. `spellings`, `related`, `item_names`,
    `group_counts` and `called` have the counts of these records, which are subtracted from the graph.
    `id_claims` maps the id of a person_record to its claims.
    """

    records: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    version_keys: set[str] = field(default_factory=set)
    named: set[Node] = field(default_factory=set)
    spellings: Counter[Mention] = field(default_factory=Counter)
    item_names: ItemNames = field(default_factory=ItemNames)
    group_counts: GroupCounts = field(default_factory=GroupCounts)
    called: Counter[Called] = field(default_factory=Counter)
    related: RelatedSums = field(default_factory=Counter)
    id_claims: dict[str, set[IdClaim]] = field(default_factory=dict)
    relationships: int = 0

    @property
    def nodes(self) -> set[Node]:
        called = ((each.label, each.name) for each in self.called)
        return self.named.union(self.item_names.nodes(), self.group_counts.nodes(), called)


def erase(
    tx: neo4j.Transaction,
    student_id: str,
    tombstones: Tombstones,
    leaders: LeaderNotes,
    wanted: set[Node],
) -> dict[str, int]:
    """Erase a student. Return the numbers of removed nodes by label, and the number of removed relationships.

    `wanted` receives the nodes that still have to be locked when StaleRead is raised. Raises the errors of
    `migrations.check_graph`.
    """
    migrations.check_graph(tx)
    footprint = _read_footprint(tx, student_id)
    for label in _RECORD_LABELS:
        ids = sorted(footprint.records[label])
        tx.run(CYPHER[f"lock_records_{label}"], ids=ids).consume()
    # Imports lock the ids in a person_record. So from here to the tombstone no such record with this id is written.
    nodes = footprint.nodes | wanted | {("PersonId", student_id)}
    unit = lock_and_load(tx, nodes | {("Student", student_id)}, (), footprint.item_names.tests)
    # The footprint was read before the locks, to know what to lock. A record may have changed it meanwhile.
    if _read_footprint(tx, student_id) != footprint:
        raise StaleRead
    tx.run(CYPHER["create_tombstone"], id=tombstones.of(student_id)).consume()
    groups.note_end(tx, "Student", student_id, footprint.named, unit.leading)
    leaders.write(tx, unit.leading)
    leaders.write_claims(tx, {}, footprint.id_claims)
    note_claims(tx, {}, footprint.id_claims)

    note_kind(tx, "people")
    days = tx.run(CYPHER["delete_active_days"], id=student_id).single(strict=True)["deleted"]
    record_ids = set(chain.from_iterable(footprint.records.values()))
    # A person_record has one relationship to its person and one to each claimed id, and none to a student.
    person_records = len(footprint.records["PersonRecord"])
    of_persons = person_records + sum(map(len, footprint.id_claims.values()))
    was_there = footprint.relationships > of_persons or days > 0
    removed = Counter[str](ActiveDay=days)
    removed["relationships"] = footprint.relationships
    removed["Student"] = int(was_there)
    for label in _RECORD_LABELS:
        ids = sorted(footprint.records[label])
        tx.run(CYPHER[f"delete_records_{label}"], ids=ids).consume()
        removed[label] = len(ids)
    tx.run(CYPHER["delete_student"], id=student_id).consume()
    tx.run(CYPHER["forget_derived_student"], id=student_id).consume()

    unit.count_spellings(footprint.spellings, -1)
    unit.add_item_names(footprint.item_names, -1)
    unit.count_groups(footprint.group_counts, -1)
    groups.add_courses(tx, unit.group_counts.courses)
    write_tests(tx, unit)
    subtracted = RelatedSums()
    subtracted.subtract(footprint.related)
    write_related(tx, subtracted)
    recompute(tx, unit, Outdated(fields=footprint.named, version_keys=footprint.version_keys))
    unit.called.subtract(footprint.called)
    resolver.resolve(tx, unit, (), wanted)
    write_changed_state(tx, unit)
    removed.update(delete_orphans(tx, nodes))
    if person_records == 0:
        del removed["PersonId"]  # this transaction created it as a lock
    tx.run(CYPHER["delete_reviews"], ids=sorted(record_ids)).consume()
    _clear_ledger(tx, student_id, record_ids)
    return {name: count for name, count in sorted(removed.items()) if count}


def _read_footprint(tx: neo4j.Transaction, student_id: str) -> Footprint:
    footprint = Footprint()
    for row in tx.run(CYPHER["records_of_student"], id=student_id):
        footprint.records[row["label"]].add(row["record"])
        footprint.version_keys.add(version_key(row))
    for label in _RECORD_LABELS:
        ids = sorted(footprint.records[label])
        links = list(tx.run(CYPHER[f"links_of_{label}"], ids=ids))
        for row in links:
            footprint.relationships += 1
            footprint.named.add((row["label"], row["end"]))
            footprint.spellings.update(mentions(row))
            if row["label"] == "ErrorType" and row["stated"] is not None:
                footprint.called.update(record_facts.called("ErrorType", row["end"], row["stated"]))
        footprint.related.update(related_by_links(links))
        footprint.id_claims.update(id_claims(links))
    for row in tx.run(CYPHER["relationships_of_student"], id=student_id):
        footprint.relationships += 1
        footprint.named.add((row["label"], row["id"]))
    footprint.named.discard(("Student", student_id))
    footprint.item_names = item_names(tx, footprint.records)
    footprint.group_counts = groups.group_counts(tx, footprint.records)
    return footprint


def _clear_ledger(tx: neo4j.Transaction, student_id: str, record_ids: set[str]) -> None:
    """Clear the reports of batches. A report may quote the student's id as a faulty value."""
    values = quoted_ids((student_id,), record_ids)
    # Only the first characters of a value are quoted. An id inside a longer value is quoted as JSON.
    start = escaped(student_id)[:40]
    in_json = json.dumps(start, ensure_ascii=False)[1:-1]
    rows = []
    for row in tx.run(CYPHER["outcomes_with"], text=start, escaped=in_json):
        outcome = BatchOutcome.model_validate_json(row["outcome"])
        errors = tuple(_cleared(outcome.errors, values, student_id))
        cleared = outcome.model_copy(update={"errors": errors})
        stored = [Reject.model_validate(reject) for reject in json.loads(row["set_aside"])]
        rejects = list(_cleared(stored, values, student_id))
        set_aside = [reject.model_dump() for reject in rejects]
        rows.append(
            {
                "id": row["id"],
                "outcome": cleared.model_dump_json(),
                "set_aside": json.dumps(set_aside, ensure_ascii=False),
                "quoted": quoted(*errors, *rejects),
            }
        )
    run_rows(tx, "set_outcomes", rows)


def _cleared(
    rejects: Iterable[Reject], values: frozenset[str], student_id: str
) -> Iterator[Reject]:
    """Yield the rejects, without the found value if it names the student or is one of `values`."""
    inside = json.dumps(student_id, ensure_ascii=False)
    for reject in rejects:
        names_student = reject.found in values or inside in reject.found
        if names_student:
            yield reject.model_copy(update={"found": ""})
        else:
            yield reject
