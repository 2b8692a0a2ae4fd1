"""The version rule: the greatest version of a record is the record (`history`, docs/adr/0085).

`classify` decides which records of a transaction are written, which versions in the graph they supersede, how the
remembered versions of records change, and which records the graph cannot take.

A withdrawn record has no node. The hash of its id is the key of a node `Withdrawn`, which remembers its versions.
When a later version brings the record back, that node stays and remembers nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import neo4j

from edugraph_common.contracts.graph_schema import RECORD_LABELS
from edugraph_common.contracts.messages import ImportRights
from edugraph_common.contracts.outcomes import WITHDRAWAL, Reject
from edugraph_common.contracts.records import (
    Record,
    Withdrawal,
    iso,
    iso_of_microseconds,
    microseconds,
)
from edugraph_common.sources.students import plain_hash
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.history import (
    NUMBER_OF_TYPE,
    Entry,
    decide,
    entry_of,
    entry_of_withdrawal,
    from_numbers,
    remembered,
    short_hash,
    to_numbers,
    type_of,
)
from edugraph_importer.graph.model import (
    LABEL_OF_TYPE,
)
from edugraph_importer.graph.statements import CYPHER, Row, run_rows
from edugraph_importer.graph.tombstones import ErasedStudents

REFUSED = "belongs to a student who was forgotten"

TOO_OLD = "is older than the graph keeps records"

OTHER_TYPE = "is the id of a record of another type, which counts for more"

OTHER_CONTENT = "is other content of a known statement"

NOT_ALLOWED = "is the id of a record that the caller of this import may not take back"

# Outcome that sets a row aside -> (what was expected, the reason).
_SET_ASIDE: Mapping[str, tuple[str, str]] = {
    "other_type": ("an id that no record of another type has", OTHER_TYPE),
    "other_content": ("the content that was accepted first", OTHER_CONTENT),
}

# The rights of a batch without a known caller.
ALL_RIGHTS = ImportRights(roster=True, operate=True)

# The labels of records about students. They have a retention.
AGEING_LABELS = ("Attempt", "CourseRecord", "ErrorRecord", "Interaction")


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """The record that the graph has under an id. `others` has the other versions that it remembers."""

    label: str
    timestamp: str
    content_hash: str
    entry: Entry
    others: tuple[Entry, ...] = ()

    @classmethod
    def read(cls, label: str, properties: Sequence[Any]) -> "StoredVersion":
        """Read the properties that `stored_versions` and `lock_records` return.

        Raise StaleRead if another transaction deletes the record at this moment. Then some or all of its properties
        are missing.
        """
        record_type, timestamp, content_hash, reading, changed_at, accepted, row, history = (
            properties
        )
        if None in (record_type, timestamp, content_hash):
            raise StaleRead
        moment: datetime = timestamp.to_native()
        changed = moment
        if changed_at is not None:
            changed = changed_at.to_native()
        # A number that is 0 is not stored.
        entry = Entry(
            changed=microseconds(changed),
            type=NUMBER_OF_TYPE[record_type],
            reading=reading or 0,
            accepted=accepted or 0,
            row=row or 0,
            hash=short_hash(content_hash),
        )
        return cls(label, iso(moment), content_hash, entry, from_numbers(history))

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.entry, *self.others


@dataclass(frozen=True, slots=True)
class Remembered:
    """The change of the versions that an id remembers. `before` is compared with the graph under the lock."""

    before: tuple[Entry, ...]
    after: tuple[Entry, ...]


class WrittenVersion(NamedTuple):
    """The key of a version to write, and the other versions that its record remembers."""

    entry: Entry
    others: tuple[Entry, ...] = ()

    def properties(self) -> Row:
        """Return the properties of the key in the graph, without the change time. None is not stored."""
        return {
            "reading": self.entry.reading or None,
            "accepted": self.entry.accepted or None,
            "row": self.entry.row or None,
            "history": to_numbers(self.others),
        }


@dataclass(slots=True)
class Classified:
    """The records of a transaction, by what happens to them.

    `events` maps ids to the records to write, and `versions` maps ids to their keys. `activities` has the records to
    add that have no versions. `superseded` maps ids to the versions in the graph to remove. `noted` maps ids to the
    version that stays in the graph and its new key. `withdrawn` maps the hash of an id to the change of its node
    `Withdrawn`. `unknown` has the ids that have neither a record nor such a node in the graph. `counts` has the
    number of rows by outcome, and `by_type` the number of written and replaced records by type.
    """

    events: dict[str, Record] = field(default_factory=dict)
    versions: dict[str, WrittenVersion] = field(default_factory=dict)
    activities: list[Record] = field(default_factory=list)
    superseded: dict[str, StoredVersion] = field(default_factory=dict)
    noted: dict[str, tuple[StoredVersion, WrittenVersion]] = field(default_factory=dict)
    withdrawn: dict[str, Remembered] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    by_type: Counter[str] = field(default_factory=Counter)

    @property
    def records(self) -> list[Record]:
        """The records to write."""
        return [*self.events.values(), *self.activities]


class RowsNeeded(Exception):
    """A version of another import becomes the record, and its content has to be read from that import's stored rows.

    `entries` maps the ids of such records to these versions.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        super().__init__()
        self.entries = entries


@dataclass(frozen=True, slots=True)
class Removals:
    """The numbers of erased students, withdrawn records, reviewed records and changes of owners at the beginning."""

    erased: int
    withdrawn: int
    reviewed: int = 0
    owners: int = 0

    def check(self, tx: neo4j.Transaction, unreviewed: Sequence[str] = ()) -> None:
        """Raise StaleRead if a number has grown. Call this under the locks, after all records are written.

        `unreviewed` has the records of this transaction that had no review when it began.

        An erasure locks the student before it creates the tombstone. So if the number of tombstones is the same now,
        no student of this transaction can be erased before it ends. In the same way, a change of owners locks the
        nodes of the old owners and of the new ones.

        A transaction that withdraws or reviews a record that is not in the graph holds the key of the record. Either
        it has ended before this transaction wrote the record, and is seen now, or it waits and finds the record.
        """
        # If no record was ever reviewed, a search for any review costs nothing.
        first_reviews = 0 if self.reviewed else 1
        grown = tx.run(
            CYPHER["more_removals"],
            erased=self.erased,
            withdrawn=self.withdrawn,
            owners=self.owners,
            first_reviews=first_reviews,
            unreviewed=() if first_reviews else unreviewed,
        )
        if list(grown):
            raise StaleRead


def withdrawn_entries(
    tx: neo4j.Transaction, ids: Iterable[str], number: int
) -> dict[str, tuple[Entry, ...]]:
    """Return id -> the versions that its node `Withdrawn` remembers. `number` is the number of all such nodes."""
    if number == 0:
        return {}
    by_hash = {plain_hash(record_id): record_id for record_id in ids}
    if not by_hash:
        return {}
    rows = tx.run(CYPHER["withdrawn"], ids=sorted(by_hash))
    return {by_hash[row["id"]]: from_numbers(row["history"]) for row in rows}


def lock_withdrawn(tx: neo4j.Transaction, changes: Mapping[str, Remembered]) -> None:
    """Lock the nodes `Withdrawn`, and create the missing ones. Raise StaleRead if one changed after it was read."""
    if not changes:
        return
    row = tx.run(CYPHER["lock_withdrawn"], ids=sorted(changes)).single(strict=True)
    for hashed, history in row["withdrawn"]:
        if from_numbers(history) != changes[hashed].before:
            raise StaleRead


def write_withdrawn(tx: neo4j.Transaction, changes: Mapping[str, Remembered]) -> None:
    rows: list[Row] = []
    for hashed, change in sorted(changes.items()):
        if change.after != change.before:
            rows.append({"id": hashed, "history": to_numbers(change.after) or []})
    run_rows(tx, "set_withdrawn", rows)


def hold_keys(tx: neo4j.Transaction, record_ids: Sequence[str]) -> None:
    """Keep others from creating these records before the transaction ends. Raise StaleRead if one exists by now."""
    if not record_ids:
        return
    for label in RECORD_LABELS:
        row = tx.run(CYPHER[f"hold_keys_{label}"], ids=record_ids).single(strict=True)
        if row["held"] != len(record_ids):
            raise StaleRead
        tx.run(CYPHER[f"delete_replaced_{label}"], ids=record_ids).consume()


def stored_versions(tx: neo4j.Transaction, ids: Collection[str]) -> dict[str, StoredVersion]:
    """Return id -> the record that the graph has under the id."""
    stored: dict[str, StoredVersion] = {}
    if not ids:
        return stored
    for row in tx.run(CYPHER["stored_versions"], ids=sorted(ids)):
        for record_id, properties in row["versions"]:
            stored[record_id] = StoredVersion.read(row["label"], properties)
    return stored


def _refusal(line: int, record: Record, erased: ErasedStudents, kept_from: str) -> Reject | None:
    """Return a reject for a record that names an erased student or is older than its retention, or else None."""
    field_name = erased.field_naming_one(record)
    if field_name is not None:
        # The id is left out, since nothing about an erased student may be stored.
        expected = "a student who was not forgotten"
        return Reject(line=line, field=field_name, expected=expected, found="", reason=REFUSED)
    day = record.time[:10]
    if record.type == "activity_record":
        is_too_old = day < kept_from[:10]  # Activity is stored by day.
    else:
        has_retention = LABEL_OF_TYPE[record.type] in AGEING_LABELS
        is_too_old = has_retention and record.time < kept_from
    if is_too_old:
        expected = f"{kept_from[:10]} or later"
        return Reject(line=line, field="timestamp", expected=expected, found=day, reason=TOO_OLD)
    return None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The place of a batch among imports, and the limits of the retention.

    `accepted` is the acceptance number of the import. `first_row` is the `row_number` of the batch's first record.
    Records about students that are older than `kept_from` are refused. `undoable_from` is the smallest acceptance
    number of an import that can still be undone.
    """

    accepted: int = 0
    first_row: int = 0
    kept_from: str = ""
    undoable_from: int = 0


class Ids:
    """The versions under the ids of a transaction, and how they change.

    `entries` maps an id to its versions so far. `contents` maps (id, type, hash) to the records of this transaction.
    `rows` has the records that were read from the stored rows of other imports, or None for a row that is not kept.
    """

    def __init__(
        self,
        stored: Mapping[str, StoredVersion],
        withdrawn: Mapping[str, tuple[Entry, ...]],
        rows: Mapping[Entry, Record | None] = MappingProxyType({}),
    ) -> None:
        self._stored = stored
        self._withdrawn = withdrawn
        self._rows = dict(rows)
        self.entries: dict[str, set[Entry]] = {}
        self.contents: dict[tuple[str, int, int], Record] = {}
        self._brought: set[str] = set()

    def of(self, record_id: str) -> set[Entry]:
        """Return the versions of an id. The caller may change the set."""
        if record_id not in self.entries:
            entries = set(self._withdrawn.get(record_id, ()))
            version = self._stored.get(record_id)
            if version is not None:
                entries.update(version.entries)
            self.entries[record_id] = entries
        return self.entries[record_id]

    def add(self, record: Record, entry: Entry) -> None:
        """Add a version from this transaction."""
        self.of(record.record_id).add(entry)
        self.contents[record.record_id, entry.type, entry.hash] = record
        self._brought.add(record.record_id)

    def is_there(self, record_id: str) -> bool:
        """Return whether the graph or this transaction has a record with this id."""
        return record_id in self._stored or record_id in self._brought

    def settle(self, classified: Classified, undoable_from: int) -> list[str]:
        """Put each id whose versions may have changed into `classified`. Return the ids whose content is not kept.

        Raise RowsNeeded if a version of another import is the record now, and its row was not read yet.
        """
        needed: dict[str, Entry] = {}
        lost: list[str] = []
        for record_id, entries in self.entries.items():
            entry = decide(entries)
            if entry is None or entry.is_withdrawal:
                self._leave(classified, record_id, remembered(entries, undoable_from))
                continue
            written = WrittenVersion(entry, remembered(entries - {entry}, undoable_from))
            version = self._stored.get(record_id)
            if version is not None and version.entry.has_content_of(entry):
                if WrittenVersion(version.entry, version.others) != written:
                    classified.noted[record_id] = (version, written)
                self._remember(classified, record_id, ())
                continue
            record = self._content(record_id, entry)
            if record is not None:
                if version is not None:
                    classified.superseded[record_id] = version
                classified.events[record_id] = record
                classified.versions[record_id] = written
                self._remember(classified, record_id, ())
            elif entry not in self._rows:
                needed[record_id] = entry
            else:
                # The content of the greatest version is not kept. A smaller version must not take its place.
                lost.append(record_id)
                self._leave(classified, record_id, remembered(entries, undoable_from))
        if needed:
            raise RowsNeeded(needed)
        return lost

    def _content(self, record_id: str, entry: Entry) -> Record | None:
        """Return the record of a version, or None if its row was not read or is not kept."""
        key = (record_id, entry.type, entry.hash)
        if key in self.contents:
            return self.contents[key]
        return self._rows.get(entry)

    def _leave(self, classified: Classified, record_id: str, entries: tuple[Entry, ...]) -> None:
        """Remove the record of an id, and keep its versions in a node `Withdrawn`."""
        version = self._stored.get(record_id)
        if version is not None:
            classified.superseded[record_id] = version
        self._remember(classified, record_id, entries)
        if version is None and record_id not in self._withdrawn and entries:
            classified.unknown.append(record_id)

    def _remember(self, classified: Classified, record_id: str, entries: tuple[Entry, ...]) -> None:
        """Store versions in the node `Withdrawn` of an id. An existing node is locked in any case."""
        is_new = record_id not in self._withdrawn
        if is_new and not entries:
            return
        before = self._withdrawn.get(record_id, ())
        classified.withdrawn[plain_hash(record_id)] = Remembered(before, entries)


def classify(
    records: Sequence[tuple[int, Record]],
    ids: Ids,
    erased: ErasedStudents,
    acceptance: Acceptance = Acceptance(),
    withdrawals: Sequence[tuple[int, Withdrawal]] = (),
    *,
    rights: ImportRights = ALL_RIGHTS,
    is_analysis: bool = False,
    adds_versions: bool = True,
) -> Classified:
    """Classify the records and withdrawals of a transaction. Each comes with its line.

    `rights` says which records the withdrawals may withdraw. With `is_analysis` the records come with findings, and a
    record with known content does not count as another version. Unless it `adds_versions`, no record does. Raise
    RowsNeeded if a version of another import
    becomes the record and its row was not read yet.
    """
    classified = Classified()
    versions: list[tuple[int, Record, Entry]] = []
    for index, (line, record) in enumerate(records):
        refusal = _refusal(line, record, erased, acceptance.kept_from)
        if refusal is not None:
            classified.rejects.append(refusal)
        elif record.type not in LABEL_OF_TYPE:
            classified.activities.append(record)
            classified.counts["written"] += 1
            classified.by_type[record.type] += 1
        else:
            entry = entry_of(record, acceptance.accepted, acceptance.first_row + index)
            versions.append((line, record, entry))
    for index, (line, withdrawal) in enumerate(withdrawals):
        row = acceptance.first_row + len(records) + index
        entry = entry_of_withdrawal(
            withdrawal, acceptance.accepted, row, learning=rights.learning, roster=rights.roster
        )
        _add_withdrawal(classified, ids.of(withdrawal.record_id), entry, line)
    if not adds_versions:
        versions = []
    for line, record, entry in versions:
        entries = ids.of(record.record_id)
        if is_analysis and any(each.has_content_of(entry) for each in entries):
            continue
        _add_version(classified, ids, line, record, entry)
    ids.settle(classified, acceptance.undoable_from)
    return classified


def _add_version(classified: Classified, ids: Ids, line: int, record: Record, entry: Entry) -> None:
    """Add a version to its id, and count its outcome or set its row aside."""
    outcome = _outcome_of(ids.of(record.record_id), entry)
    if outcome in ("unchanged", "replaced") and not ids.is_there(record.record_id):
        outcome = "written"  # The id has a version, but the row of that version was not kept.
    ids.add(record, entry)
    if outcome in _SET_ASIDE:
        expected, reason = _SET_ASIDE[outcome]
        # The id is left out. It may belong to another person's record, and the row itself contains it.
        reject = Reject(line=line, field="record_id", expected=expected, found="", reason=reason)
        classified.rejects.append(reject)
        return
    classified.counts[outcome] += 1
    if outcome in ("written", "replaced"):
        classified.by_type[record.type] += 1


def _outcome_of(before: AbstractSet[Entry], entry: Entry) -> str:
    """Return the outcome of a new version, given the versions before it.

    `other_type`: the version has another type than the record. `other_content`: the version belongs to a statement,
    and another content of the statement was accepted first.
    """
    if not before:
        return "written"
    after = before | {entry}
    old = decide(before)
    new = decide(after)
    has_content_of_new = entry.has_content_of(new)
    is_known_statement = entry.is_statement and new is not None and new.reading == entry.reading
    if is_known_statement and not has_content_of_new:
        return "other_content"
    if type_of(after) != entry.type:
        return "other_type"
    if new is not None and new.is_withdrawal:
        return "taken_back"
    if not has_content_of_new:
        return "older"
    if old is None or old.is_withdrawal:
        return "written"
    if entry.has_content_of(old):
        return "unchanged"
    return "replaced"


def _add_withdrawal(classified: Classified, entries: set[Entry], entry: Entry, line: int) -> None:
    """Add a withdrawal to the versions of its id, and count its outcome or reject it."""
    old = decide(entries)
    is_unknown = not entries
    record_type = type_of(entries)
    entries.add(entry)
    new = decide(entries)
    is_not_allowed = record_type is not None and not entry.counts_for(record_type)
    if is_not_allowed:
        # The reject does not say what the record is: the caller may not even know that the record exists.
        expected = "the id of a record that the caller may write"
        reject = Reject(
            line=line, field="record_id", expected=expected, found="", reason=NOT_ALLOWED
        )
        classified.rejects.append(reject)
    elif new is None or not new.is_withdrawal:
        classified.counts["older"] += 1
    elif old is not None and old.is_withdrawal:
        classified.counts["unchanged"] += 1
    else:
        classified.counts["written"] += 1
        classified.by_type[WITHDRAWAL] += 1
        classified.counts["unknown"] += int(is_unknown)


def write_noted(
    tx: neo4j.Transaction, noted: Mapping[str, tuple[StoredVersion, WrittenVersion]]
) -> None:
    """Write the keys of records whose content stays, and their remembered versions. The records must be locked."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for record_id, (version, written) in sorted(noted.items()):
        changed_at: str | None = iso_of_microseconds(written.entry.changed)
        if changed_at == version.timestamp:
            changed_at = None
        rows[version.label].append({"id": record_id, "changed": changed_at, **written.properties()})
    for label in RECORD_LABELS:
        run_rows(tx, f"set_version_{label}", rows[label])
