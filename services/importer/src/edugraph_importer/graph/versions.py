"""The version rule: of several versions of one record, the latest is the record (docs/adr/0003).

A record that was taken back has no version any more, whatever arrives later.

`classify` says which records of a transaction are new, which are unchanged, which versions in the graph they
supersede, and which records the graph cannot take. A superseded version is removed as if it had never come: its node
goes, and the aggregates that it had a part in are recomputed from the records that stay.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import neo4j
from neo4j.time import DateTime

from edugraph_common.contracts.graph_schema import IDENTIFIED_LABELS, RECORD_LABELS
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record, iso
from edugraph_importer.graph import aggregates, finding_facts, groups, record_facts
from edugraph_importer.graph.aggregates import InteractionTotal, Outdated, RelatedSums
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.finding_facts import FindingFacts
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import LABEL_OF_TYPE, Called, GroupCounts, ItemNames, Mention, Node, Pair
from edugraph_importer.graph.tombstones import Tombstones, plain_hash
from edugraph_importer.graph.unit_of_work import NEVER, Fields, UnitOfWork, run_rows

# Type of the interaction -> the relationship that has its total. A teacher's interaction has no type.
_INTERACTION_TOTAL: Mapping[str | None, InteractionTotal] = {"chat": "chat_with", "like": "likes", None: "teaches"}


REFUSED = "belongs to a student who was forgotten"
TOO_OLD = "is older than the graph keeps records"
# Records about students, which have a retention.
AGEING_LABELS = ("Attempt", "CourseRecord", "ErrorRecord", "Interaction")


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """The version that the graph has under a record's id; the one with the greatest `version` is the record."""

    label: str
    timestamp: str
    content_hash: str
    reading: int

    @classmethod
    def read(cls, label: str, timestamp: DateTime | None, content_hash: str, reading: int | None) -> "StoredVersion":
        """Raise StaleRead for a record that another transaction deletes at this moment: it has no properties."""
        if timestamp is None:
            raise StaleRead
        return cls(label, iso(timestamp.to_native()), content_hash, reading or 0)

    @property
    def version(self) -> tuple[str, int, str]:
        return self.timestamp, self.reading, self.content_hash

    def has_content_of(self, other: "StoredVersion") -> bool:
        return self.content_hash == other.content_hash  # which is made of the timestamp, too


@dataclass(slots=True)
class Classified:
    """The records of a transaction, by what happens to them.

    `events`: by id, the records to write. `superseded`: by id, the version in the graph that a newer one replaces.
    `superseded_here`: versions that are new, but not the latest of their id in this transaction. `stale`: versions
    older than the graph's, and records that were taken back. `withdrawn`: the ids that are taken back now;
    `unknown_withdrawn`: those of them that the graph does not have. `reread`: by id, versions in the graph whose
    content a newer reading confirms. `activities`: records without versions, to be added.
    """

    events: dict[str, Record] = field(default_factory=dict)
    activities: list[Record] = field(default_factory=list)
    unchanged: list[Record] = field(default_factory=list)
    superseded: dict[str, StoredVersion] = field(default_factory=dict)
    superseded_here: list[Record] = field(default_factory=list)
    stale: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    unknown_withdrawn: list[str] = field(default_factory=list)
    reread: dict[str, StoredVersion] = field(default_factory=dict)

    @property
    def records(self) -> list[Record]:
        """The records to write."""
        return [*self.events.values(), *self.activities]


@dataclass(frozen=True, slots=True)
class Removals:
    """How many students had been erased, and records taken back or reviewed, when the transaction began."""

    erased: int
    withdrawn: int
    reviewed: int = 0

    def check(self, tx: neo4j.Transaction, unreviewed: Sequence[str] = ()) -> None:
        """Raise StaleRead if there are more by now. To be called under the locks, when all records are written.

        `unreviewed`: records of this transaction of which nothing was said before.

        An erasure locks the student before it creates the tombstone. So if the number of tombstones is the same now,
        no student of this transaction can be erased before it ends.

        Whoever takes back or reviews a record that the graph does not have holds its key. So either that transaction
        has ended before a record could be written here, and is seen now, or it waits and finds the record.
        """
        # Where nothing was ever reviewed, to look for any review costs nothing.
        first_reviews = 0 if self.reviewed else 1
        grown = tx.run(
            CYPHER["more_removals"],
            erased=self.erased,
            withdrawn=self.withdrawn,
            first_reviews=first_reviews,
            unreviewed=() if first_reviews else unreviewed,
        )
        if list(grown):
            raise StaleRead


class ErasedStudents:
    """The students that were erased before this transaction began. `number`: of all tombstones then."""

    def __init__(self, tx: neo4j.Transaction, records: Iterable[Record], number: int, tombstones: Tombstones) -> None:
        self._students: AbstractSet[str] = frozenset()
        if number:
            named = {student for each in records for _, student in record_facts.students(each)}
            self._students = erased_among(tx, named, tombstones)

    def field_naming_one(self, record: Record) -> str | None:
        """Return the field that names an erased student."""
        if not self._students:
            return None
        return next((name for name, student in record_facts.students(record) if student in self._students), None)


def erased_among(tx: neo4j.Transaction, student_ids: Iterable[str], tombstones: Tombstones) -> frozenset[str]:
    """Return those of the students that were erased."""
    by_hash = {form: each for each in student_ids for form in tombstones.forms(each)}
    rows = tx.run(CYPHER["tombstones"], ids=sorted(by_hash)) if by_hash else ()
    return frozenset(by_hash[row["id"]] for row in rows)


class WithdrawnRecords:
    """The records that were taken back before this transaction, and those that it takes back itself.

    `number`: of all that were taken back before.
    """

    def __init__(
        self, tx: neo4j.Transaction, records: Iterable[Record], number: int, withdrawn: Collection[str] = ()
    ) -> None:
        self._tx = tx
        self._before: AbstractSet[str] = frozenset()
        self._now = frozenset(withdrawn)
        if number:
            by_hash = {
                plain_hash(record_id): record_id for record_id in (*(r.record_id for r in records), *withdrawn)
            }
            rows = tx.run(CYPHER["withdrawn"], ids=sorted(by_hash))
            self._before = frozenset(by_hash[row["id"]] for row in rows)

    def __contains__(self, record_id: str) -> bool:
        return record_id in self._before or record_id in self._now

    @property
    def new(self) -> list[str]:
        return sorted(self._now - self._before)

    def write(self, unknown: Sequence[str]) -> None:
        """Keep what is taken back now. `unknown`: ids that the graph had no record of."""
        hold_keys(self._tx, unknown)
        run_rows(self._tx, "create_withdrawn", [{"id": each} for each in sorted(map(plain_hash, self.new))])


def hold_keys(tx: neo4j.Transaction, record_ids: Sequence[str]) -> None:
    """Keep others from creating these records before the transaction ends. Raise StaleRead if one is there by now."""
    for label in RECORD_LABELS if record_ids else ():
        row = tx.run(CYPHER[f"hold_keys_{label}"], ids=record_ids).single(strict=True)
        if row["held"] != len(record_ids):
            raise StaleRead
        tx.run(CYPHER[f"delete_records_{label}"], ids=record_ids).consume()


def stored_versions(tx: neo4j.Transaction, ids: Collection[str]) -> dict[str, StoredVersion]:
    """Return what the graph holds under the ids of these records."""
    rows = tx.run(CYPHER["stored_versions"], ids=sorted(ids)) if ids else ()
    return {
        record_id: StoredVersion.read(row["label"], *version)
        for row in rows
        for record_id, *version in row["versions"]
    }


def _refusal(line: int, record: Record, erased: ErasedStudents, kept_from: str) -> Reject | None:
    if field_name := erased.field_naming_one(record):
        # The id is left out: nothing of an erased student may be kept.
        expected = "a student who was not forgotten"
        return Reject(line=line, field=field_name, expected=expected, found="", reason=REFUSED)
    day = record.time[:10]
    # Activity is kept by the day.
    ages = LABEL_OF_TYPE.get(record.type) in AGEING_LABELS and record.time < kept_from
    if ages or (record.type == "activity_record" and day < kept_from[:10]):
        expected = f"{kept_from[:10]} or later"
        return Reject(line=line, field="timestamp", expected=expected, found=day, reason=TOO_OLD)
    return None


def classify(
    records: Sequence[tuple[int, Record]],
    stored: Mapping[str, StoredVersion],
    erased: ErasedStudents,
    withdrawn: WithdrawnRecords,
    kept_from: str = "",
) -> Classified:
    """Classify records that come with their lines. `kept_from`: older ones about students are refused."""
    new_ids = withdrawn.new
    classified, latest = Classified(withdrawn=new_ids), dict(stored)
    classified.superseded |= {record_id: stored[record_id] for record_id in new_ids if record_id in stored}
    classified.unknown_withdrawn += [record_id for record_id in new_ids if record_id not in stored]
    for line, record in records:
        record_id, refusal = record.record_id, _refusal(line, record, erased, kept_from)
        if refusal is not None:
            classified.rejects.append(refusal)
            continue
        if record.type not in LABEL_OF_TYPE or record_id in withdrawn:
            (classified.stale if record.type in LABEL_OF_TYPE else classified.activities).append(record)
            continue
        new = StoredVersion(LABEL_OF_TYPE[record.type], record.time, record.content_hash, record.reading)
        current = latest.get(record_id)
        if current is not None and current.has_content_of(new):
            # The same record came again, perhaps by another file, or read in a newer way.
            classified.unchanged.append(record)
            if new.reading > current.reading:
                latest[record_id] = new
                if record_id in classified.events:
                    classified.events[record_id] = record
                else:
                    classified.reread[record_id] = new
        elif current is None or current.version < new.version:
            # This is the latest version so far. It supersedes one of this transaction, or the one in the graph.
            if record_id in classified.events:
                classified.superseded_here.append(classified.events[record_id])
            elif current is not None:
                classified.superseded[record_id] = current
            classified.events[record_id], latest[record_id] = record, new
            classified.reread.pop(record_id, None)
        else:
            (classified.superseded_here if record_id in classified.events else classified.stale).append(record)
    return classified


@dataclass(slots=True)
class SupersededVersions:
    """The ids of the superseded versions by label, what was found in them by id, and all that they are linked to.

    `spellings`, `related`, `item_names`, `group_counts` and `called`: how they spell names, what they relate, what
    they say of items and groups, and how they call ids, to be taken back.
    `claims`: what they themselves say that points require.
    """

    records: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    findings: dict[str, FindingFacts] = field(default_factory=dict)
    nodes: set[Node] = field(default_factory=set)
    spellings: Counter[Mention] = field(default_factory=Counter)
    related: RelatedSums = field(default_factory=Counter)
    item_names: ItemNames = field(default_factory=ItemNames)
    group_counts: GroupCounts = field(default_factory=GroupCounts)
    called: Counter[Called] = field(default_factory=Counter)
    claims: set[Pair] = field(default_factory=set)
    outdated: Outdated = field(default_factory=Outdated)


def lock_superseded(tx: neo4j.Transaction, superseded: Mapping[str, StoredVersion]) -> SupersededVersions:
    """Lock the versions and read what they are linked to.

    Raise StaleRead if one of them is not what the transaction saw before.
    """
    locked = SupersededVersions()
    for label in RECORD_LABELS:
        expected = {key: each.content_hash for key, each in superseded.items() if each.label == label}
        if expected:
            row = tx.run(CYPHER[f"lock_records_{label}"], ids=sorted(expected)).single(strict=True)
            # The versions were classified before they were locked, so another transaction may have replaced one.
            if {record_id: content_hash for record_id, _, content_hash, *_ in row["records"]} != expected:
                raise StaleRead
            locked.records[label] = sorted(expected)
            for record_id, _, _, _, finding, verdicts, *_ in row["records"]:
                locked.findings[record_id] = finding_facts.facts_of_stored(finding, label, verdicts)
    for label, record_ids in locked.records.items():
        locked.nodes |= _read_links(tx, locked, label, record_ids)
    locked.outdated.fields = locked.nodes
    # What an item tests is counted, so to take it back is to subtract, and reads nothing of the knowledge point.
    locked.item_names = aggregates.item_names(tx, locked.records)
    locked.nodes.update(locked.item_names.nodes())
    locked.group_counts = groups.group_counts(tx, locked.records)
    locked.nodes.update(locked.group_counts.nodes())
    locked.nodes.update((each.label, each.name) for each in locked.called)
    return locked


def note_readings(tx: neo4j.Transaction, reread: Mapping[str, StoredVersion]) -> None:
    for label in RECORD_LABELS:
        rows: list[Row] = [
            {"id": record_id, "hash": version.content_hash, "reading": version.reading}
            for record_id, version in sorted(reread.items())
            if version.label == label
        ]
        run_rows(tx, f"raise_reading_{label}", rows)


def _read_links(tx: neo4j.Transaction, locked: SupersededVersions, label: str, record_ids: list[str]) -> set[Node]:
    """Read what the versions are linked to, and note which aggregates they had a part in. Return the linked nodes."""
    outdated, nodes = locked.outdated, set[Node]()
    links: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    people: dict[str, set[Node]] = defaultdict(set)
    interaction_types: dict[str, Any] = {}
    rows = list(tx.run(CYPHER[f"links_of_{label}"], ids=record_ids))
    locked.related.update(aggregates.related_by_links(rows))
    for row in rows:
        links[row["record"]][row["type"]].add(row["end"])
        interaction_types[row["record"]] = row["interaction_type"]
        if row["label"] in IDENTIFIED_LABELS and row["stated"] is not None:
            locked.called.update(record_facts.called(row["label"], row["end"], row["stated"]))
        nodes.add((row["label"], row["end"]))
        locked.spellings.update(aggregates.mentions(row))
        if row["type"] == "HAS_MEMBERSHIP":
            people[row["record"]].add((row["label"], row["end"]))
        outdated.version_keys |= aggregates.version_keys(row)
    # The ends of a record's links, combined, are the aggregates that it had a part in.
    for record_id, ends in links.items():
        if label == "Interaction":
            pairs = {(sender, receiver) for sender in ends["SENT"] for receiver in ends["RECEIVED_BY"]}
            outdated.interactions[_INTERACTION_TOTAL[interaction_types[record_id]]] |= pairs
        elif label in ("Attempt", "ErrorRecord"):
            outdated.mistakes |= {
                (student_id, error_type, course_id)
                for student_id in ends["MADE"] | ends["TRIED"]
                for error_type in ends["OF_TYPE"]
                for course_id in ends["IN_COURSE"]
            }
            outdated.practised |= {(student_id, item) for student_id in ends["TRIED"] for item in ends["OF_ITEM"]}
        elif label == "CourseRecord":
            outdated.learns |= {
                (student_id, course_id) for student_id in ends["HAS_RECORD"] for course_id in ends["IN_COURSE"]
            }
        elif label in ("CourseContent", "Definition"):
            # A definition of an item or a term is in a course as well, which does not contain them.
            points = {each for each in ends["DESCRIBES"] | ends["DEFINES"] if ("KnowledgePoint", each) in nodes}
            outdated.descriptions |= ends["DESCRIBES"]
            outdated.contains |= {(course_id, point) for course_id in ends["IN_COURSE"] for point in points}
            locked.claims |= {(point, required) for point in ends["DEFINES"] for required in ends["REQUIRES"]}
        elif label == "Membership":
            outdated.memberships |= {
                (*person, group_id) for person in people[record_id] for group_id in ends["IN_GROUP"]
            }
    return nodes


def remove_superseded(
    tx: neo4j.Transaction, unit: UnitOfWork, superseded: SupersededVersions, newer: Mapping[Node, Fields]
) -> None:
    """Remove the versions and recompute what they had a part in. `superseded.nodes` must be locked.

    `newer`: what the records that are written next say of fields. The caller sees to prerequisites, and to nodes that
    nothing names any more.
    """
    if not superseded.records:
        return
    # Most corrections say again what they correct. A field that a removed version decided and a later record gives
    # has that one's value, whatever the others say: they are older than both, and are not read.
    for node in superseded.outdated.fields & newer.keys():
        fields = unit.fields.get(node, {})
        for name, (_, decided_by) in list(fields.items()):
            _, given_by = newer[node].get(name, (None, NEVER))
            if decided_by in superseded.outdated.version_keys and given_by >= decided_by:
                del fields[name]
                unit.changed_nodes.add(node)
    # The nodes go first: the newer versions are created under the same ids, and must not be counted with them.
    for label in RECORD_LABELS:
        if superseded.records[label]:
            tx.run(CYPHER[f"delete_records_{label}"], ids=superseded.records[label]).consume()
    aggregates.recompute(tx, unit, superseded.outdated)
    unit.called.subtract(superseded.called)
