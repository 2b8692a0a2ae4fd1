"""Which records of a transaction are new, which are known, and which the graph cannot take."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import neo4j
from neo4j.time import DateTime

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import CourseRecord, Record, iso, shorten
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.driver import Overtaken
from edugraph_importer.graph.queries import CYPHER


@dataclass(frozen=True, slots=True)
class Held:
    """What is held under a record's id. A later version has a greater (timestamp, content hash)."""

    label: str
    timestamp: str
    content_hash: str

    @property
    def version(self) -> tuple[str, str]:
        return self.timestamp, self.content_hash


@dataclass(slots=True)
class Sorted:
    """`events`: by id, what is to be written. `states`: course_records with their data; they have no node.

    `replaced`: what the graph holds under the id of a newer version. `superseded`: versions that are new, but not the
    latest of their id in this transaction. `stale`: versions older than the one in the graph.
    """

    events: dict[str, tuple[Record, str]] = field(default_factory=dict)
    states: list[tuple[Record, CourseRecord]] = field(default_factory=list)
    unchanged: list[Record] = field(default_factory=list)
    replaced: dict[str, Held] = field(default_factory=dict)
    superseded: list[Record] = field(default_factory=list)
    stale: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def new(self) -> list[tuple[Record, str]]:
        """(record, content hash), to be written."""
        return list(self.events.values())

    @property
    def records(self) -> list[Record]:
        return [record for record, _ in self.events.values()] + [record for record, _ in self.states]

    @property
    def pairs(self) -> set[record_facts.Pair]:
        """Of student and course, in the states."""
        return {(data.student_id, data.course_id) for _, data in self.states}


class Forgotten:
    """The students that were forgotten before this transaction began."""

    def __init__(self, tx: neo4j.ManagedTransaction, records: Iterable[Record]) -> None:
        self._tx = tx
        self._count = self._read_count()
        self._students = self._forgotten(records) if self._count else frozenset()

    def named_by(self, record: Record) -> str | None:
        """The field that names a forgotten student."""
        if not self._students:
            return None
        return next((name for name, student in record_facts.students(record) if student in self._students), None)

    def check(self) -> None:
        """To be called under the locks: raises Overtaken if somebody was forgotten meanwhile."""
        if self._read_count() != self._count:
            raise Overtaken

    def _read_count(self) -> int:
        return int(self._tx.run(CYPHER["count_tombstones"]).single(strict=True)["forgotten"])

    def _forgotten(self, records: Iterable[Record]) -> AbstractSet[str]:
        hashed = {tombstone(student): student for record in records for _, student in record_facts.students(record)}
        rows = self._tx.run(CYPHER["tombstones"], ids=sorted(hashed))
        return frozenset(hashed[row["id"]] for row in rows)


def tombstone(student_id: str) -> str:
    return hashlib.sha256(student_id.encode()).hexdigest()


def known_records(tx: neo4j.ManagedTransaction, records: Iterable[Record]) -> dict[str, Held]:
    """What is held under the ids of these records."""
    ids = {record.record_id for record in records if record.type in record_facts.LABEL_OF_TYPE}
    rows = tx.run(CYPHER["known_records"], ids=sorted(ids)) if ids else ()
    return {known: held(row["label"], at, hashed) for row in rows for known, at, hashed in row["known"]}


def held(label: str, timestamp: DateTime, content_hash: str) -> Held:
    return Held(label, iso(timestamp.to_native()), content_hash)


def sort_out(records: Sequence[tuple[int, Record]], known: Mapping[str, Held], forgotten: Forgotten) -> Sorted:
    """Of several versions of one record, the latest is the record (docs/adr/0003)."""
    found, seen = Sorted(), dict(known)
    for line, record in records:
        field_name = forgotten.named_by(record)
        if field_name:
            found.rejects.append(_of_forgotten(line, field_name))
        elif isinstance(record.data, CourseRecord):
            found.states.append((record, record.data))
        else:
            _sort_event(found, seen, line, record)
    return found


def _sort_event(found: Sorted, seen: dict[str, Held], line: int, record: Record) -> None:
    known, content_hash = record.record_id, record.content_hash
    new = Held(record_facts.LABEL_OF_TYPE[record.type], iso(record.timestamp), content_hash)
    old = seen.get(known)
    if old is not None and old.label != new.label:
        found.rejects.append(_of_used_id(line, record))
    elif old is not None and old.version == new.version:
        found.unchanged.append(record)
    elif old is not None and old.version > new.version:
        (found.superseded if known in found.events else found.stale).append(record)
    else:
        _take(found, old, record, content_hash)
        seen[known] = new


def _take(found: Sorted, old: Held | None, record: Record, content_hash: str) -> None:
    """The latest version so far."""
    known = record.record_id
    if known in found.events:
        found.superseded.append(found.events[known][0])
    elif old is not None:
        found.replaced[known] = old
    found.events[known] = (record, content_hash)


def _of_used_id(line: int, record: Record) -> Reject:
    return Reject(
        line=line,
        field="record_id",
        expected="an id that no record of another kind has",
        found=shorten(record.record_id),
        reason="is already used by a record of another kind",
    )


def _of_forgotten(line: int, field_name: str) -> Reject:
    """Without the id: nothing of a forgotten student may be kept."""
    return Reject(
        line=line,
        field=field_name,
        expected="a student who was not forgotten",
        found="",
        reason="belongs to a student who was forgotten",
    )
