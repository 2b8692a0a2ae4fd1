"""The owner of an id of a person, when a record is written: the person whose node the record links to.

The claims in person_records say which ids belong to one person (docs/adr/0110). A settler stores the owner of each
claimed id on its node `PersonId` (`persons`). A transaction that writes records reads the owners, links the records
to them, and keeps the id of the source on the link as `given_id` (docs/adr/0111).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import neo4j

from edugraph_common.contracts.records import Record
from edugraph_common.contracts.school_records import PersonRecord
from edugraph_importer.graph.model import IdClaim
from edugraph_importer.graph.statements import CYPHER

# The fields of all records that hold the id of a person, except those of a person_record.
_PERSON_FIELDS = ("student_id", "student_id_from", "student_id_to", "teacher_id")


@dataclass(frozen=True)
class Owners:
    """The owners of some ids. `others` has the ids whose owner has another id."""

    others: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, person_id: str) -> str:
        return self.others.get(person_id, person_id)

    def resolve(self, record: Record) -> Record:
        """Return the record with the owners of its ids in place of these ids.

        The content hash of a record with another id in it is not that of the source.
        """
        if not self.others or isinstance(record.data, PersonRecord):
            return record
        changed: dict[str, str] = {}
        for name in _PERSON_FIELDS:
            person_id: str | None = getattr(record.data, name, None)
            if person_id is not None and person_id in self.others:
                changed[name] = self.others[person_id]
        if not changed:
            return record
        data = record.data.model_copy(update=changed)
        return record.model_copy(update={"data": data})


def read_owners(tx: neo4j.Transaction, records: Iterable[Record], changes: int) -> Owners:
    """Return the owners of all ids in the records.

    `changes` is the number of changes of owners when the transaction began. If it is 0, all ids own themselves.
    """
    if changes == 0:
        return Owners()
    ids: set[str] = set()
    for record in records:
        for name in _PERSON_FIELDS:
            person_id = getattr(record.data, name, None)
            if person_id is not None:
                ids.add(person_id)
    rows = tx.run(CYPHER["owners_of"], ids=sorted(ids))
    return Owners({row["id"]: row["owner"] for row in rows})


def ids_of_persons(tx: neo4j.Transaction, person_ids: Collection[str]) -> dict[str, frozenset[str]]:
    """Return, for each of these ids, all ids of the same person."""
    found: dict[str, frozenset[str]] = {}
    for row in tx.run(CYPHER["ids_of_persons"], ids=sorted(person_ids)):
        found[row["id"]] = frozenset({row["id"], row["owner"], *row["others"]})
    return found


def ids_claimed_with(tx: neo4j.Transaction, person_id: str) -> set[str]:
    """Return all ids that claims tie to an id, directly or by other ids, whoever owns them."""
    found = set[str]()
    new = {person_id}
    while new:
        found |= new
        tied = set[str]()
        for row in tx.run(CYPHER["claims_of_persons"], ids=sorted(new)):
            tied.add(row["claimed"])
        for row in tx.run(CYPHER["claimants_of"], ids=sorted(new)):
            tied.add(row["person"])
        new = tied - found
    return found


Claims = Mapping[str, Collection[IdClaim]]
"""The id of a person_record -> its claims."""


def changed_claims(new: Claims, old: Claims) -> dict[IdClaim, bool]:
    """Return the claims that records begin to state (True), and those that they end to state (False).

    `new` has the claims of written records, and `old` those of removed ones.
    """
    numbers = Counter[IdClaim]()
    for claims in new.values():
        numbers.update(claims)
    for claims in old.values():
        numbers.subtract(claims)
    return {claim: number > 0 for claim, number in sorted(numbers.items()) if number != 0}


def note_claims(tx: neo4j.Transaction, new: Claims, old: Claims, job_id: str = "") -> bool:
    """Return whether a transaction changes claims, and if so, leave a note, so that a settler derives the owners.

    `new` has the claims of written records, and `old` those of removed ones. `job_id` names the job that waits for
    the settler, if there is one.
    """
    is_changed = bool(changed_claims(new, old))
    if is_changed:
        tx.run(CYPHER["note_change_of_id_claims"], job_id=job_id).consume()
    return is_changed
