"""Tombstones: hashes of the ids of erased students, whose records are refused.

The id of a student is short and easy to guess, so a plain hash of it would reveal who was erased. The hash is
therefore keyed with a secret of the installation, which is backed up separately from the graph (docs/adr/0032).
"""

import hmac
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime

import neo4j
from pydantic import SecretStr

from edugraph_common.contracts.records import (
    Record,
)
from edugraph_common.contracts.school_records import PersonRecord
from edugraph_common.runtime.shared_state.audit import keyed_object
from edugraph_common.sources.students import plain_hash
from edugraph_importer.graph import (
    record_facts,
)
from edugraph_importer.graph.statements import CYPHER, Row, run_rows

_PREFIX = "h1:"  # names the kind of the hash


class Tombstones:
    """Makes the tombstones of students."""

    def __init__(self, secret: SecretStr) -> None:
        self._text = secret.get_secret_value()
        self._secret = self._text.encode()

    def of(self, student_id: str) -> str:
        return self.keyed(plain_hash(student_id))

    def keyed(self, plain: str) -> str:
        """Return the tombstone of a student, given the plain hash of the student's id."""
        return _PREFIX + hmac.digest(self._secret, plain.encode(), "sha256").hex()

    def in_audit_log(self, label: str, person_id: str) -> str:
        """Return the keyed name of a person in the audit log. A log must not reveal who was erased."""
        return keyed_object(self._text, label.lower(), person_id)


class ErasedStudents:
    """The students in some records that were erased before this transaction began.

    `number` is the number of all tombstones then.
    """

    def __init__(
        self, tx: neo4j.Transaction, records: Iterable[Record], number: int, tombstones: Tombstones
    ) -> None:
        self._students: AbstractSet[str] = frozenset()
        if number:
            named = {student for each in records for _, student in record_facts.students(each)}
            self._students = erased_among(tx, named, tombstones)

    def field_naming_one(self, record: Record) -> str | None:
        """Return the name of the field that names an erased student, or None."""
        if not self._students:
            return None
        return next(
            (name for name, student in record_facts.students(record) if student in self._students),
            None,
        )

    def tied_ids(self, records: Iterable[Record]) -> dict[str, str]:
        """Return the other ids in person_records that name an erased person -> the erased id."""
        tied: dict[str, str] = {}
        for record in records:
            if not isinstance(record.data, PersonRecord):
                continue
            ids = {record.data.person_id, *record.data.claimed}
            erased = ids & self._students
            if erased:
                tied |= dict.fromkeys(ids - erased, min(erased))
        return tied


def erased_among(
    tx: neo4j.Transaction, student_ids: Iterable[str], tombstones: Tombstones
) -> frozenset[str]:
    """Return the students among these that were erased."""
    by_hash = {tombstones.of(each): each for each in student_ids}
    rows = tx.run(CYPHER["tombstones"], ids=sorted(by_hash)) if by_hash else ()
    return frozenset(by_hash[row["id"]] for row in rows)


def refuse_tied_ids(
    tx: neo4j.Transaction, tied: Mapping[str, str], tombstones: Tombstones
) -> dict[str, str]:
    """Refuse the ids that a list ties to erased persons, if the graph knows nothing of them. Return the known ids.

    `tied` and the returned mapping have other id -> erased id. The nodes of the other ids must be locked. A known id
    is left alone: a wrong list must not erase or block anybody.
    """
    if not tied:
        return {}
    rows = tx.run(CYPHER["known_ids"], ids=sorted(tied))
    known = {row["id"] for row in rows}
    new: list[Row] = []
    for other_id, erased_id in sorted(tied.items()):
        if other_id not in known:
            new.append({"id": tombstones.of(other_id), "erased": tombstones.of(erased_id)})
    run_rows(tx, "tie_tombstones", new)
    return {other_id: tied[other_id] for other_id in sorted(known)}


def tombstones_among(
    tx: neo4j.Transaction, student_ids: Iterable[str], tombstones: Tombstones
) -> dict[str, str | None]:
    """Return the tombstones of these ids -> the text that they share with others of the same person, if any."""
    ids = sorted(tombstones.of(each) for each in student_ids)
    return {row["id"]: row["person"] for row in tx.run(CYPHER["tombstones"], ids=ids)}


def create_tombstones(
    tx: neo4j.Transaction, made: Mapping[str, str | None], erased_at: datetime
) -> None:
    """Create tombstones, so that records of these students are refused from now on.

    `made` maps each tombstone to a random text that the tombstones of one person share, or to None.

    This is a transaction of its own before the erasure. From then on imports write nothing about these students, so
    that the batches of a large import cannot make the erasure start again and again.
    """
    seconds = erased_at.timestamp()
    for each, person in sorted(made.items()):
        tx.run(CYPHER["create_tombstone"], id=each).consume()
        tx.run(CYPHER["date_tombstone"], id=each, at=seconds).consume()
        if person is not None:
            tx.run(CYPHER["join_tombstones"], id=each, person=person).consume()


def delete_tombstones(tx: neo4j.Transaction, made: Collection[str]) -> list[str]:
    """Delete these tombstones, and all others of the same persons. Return what was deleted, and `made`."""
    rows = tx.run(CYPHER["tombstones_of_persons"], ids=sorted(made))
    deleted = sorted({*made, *(row["id"] for row in rows)})
    tx.run(CYPHER["delete_tombstones"], ids=deleted).consume()
    return deleted
