"""The settler of persons: it derives the owner of each id from the claims, and moves the records to their owners.

A transaction that changes claims leaves a note. The settler reads all claims without a lock, and stores the owners
that changed. Then it moves the records that stand elsewhere than at their owner, a portion at a time. A killed
settler leaves its notes and the `places` of the ids, and the next one goes on. If two settlers run, the earlier one
stops at its next portion (docs/adr/0111).

A record never stays behind. A transaction that writes records reads the owners, locks their nodes, and reads them
again if the number of changes of owners has grown by then. A change of owners locks the nodes of the id, of its old
owner and of its new owner, for it to be seen by all transactions that lock one of these nodes later, and to wait for
those that hold one. Records that such a transaction has written are there when the settler looks for them.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import neo4j

from edugraph_common.contracts.graph_schema import RECORD_LABELS
from edugraph_common.contracts.id_owners import id_owners
from edugraph_importer.graph import migrations
from edugraph_importer.graph.driver import Connection, StaleRead
from edugraph_importer.graph.groups import LeaderNotes
from edugraph_importer.graph.model import Node, Outdated, Pair
from edugraph_importer.graph.owners import ids_of_persons
from edugraph_importer.graph.statements import CYPHER, Row
from edugraph_importer.graph.take_back import read_parts, recompute
from edugraph_importer.graph.unit_of_work import (
    delete_orphans,
    lock_and_load,
    write_changed_state,
)

IDS_AT_ONCE = 100  # whose owners change, or whose records are moved, in one transaction
RECORDS_AT_ONCE = 1_000  # to move in one transaction

_PERSON_LABELS = ("Student", "Teacher")
# Label of a person -> label of a record -> the statements that move the record's links.
_MOVES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "Student": {
        "Interaction": ("move_sent_Student", "move_received"),
        "ErrorRecord": ("move_made",),
        "Attempt": ("move_tried",),
        "CourseRecord": ("move_has_record",),
        "Membership": ("move_membership_Student",),
    },
    "Teacher": {"Interaction": ("move_sent_Teacher",), "Membership": ("move_membership_Teacher",)},
}
Write = Callable[..., int]
"""(work, arguments of it after the transaction) -> what the work returns, done in a transaction."""


@dataclass(frozen=True, slots=True)
class SettledPersons:
    """The result of a settler. If it is not `finished`, a later settler continues in its place.

    `changed` is the number of ids that got another owner, and `moved` the number of records and days that were moved.
    """

    finished: bool
    changed: int = 0
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """The stored owner of an id. `places` has the other nodes at which records with this id may stand."""

    owner: str
    places: frozenset[str] = frozenset()

    @classmethod
    def read(cls, row: neo4j.Record) -> "Placed":
        return cls(row["owner"] or row["id"], frozenset(row["places"] or ()))

    def with_owner(self, owner: str) -> "Placed":
        """Return the id after a change of its owner. Nothing has been moved yet."""
        return Placed(owner, (self.places | {self.owner}) - {owner})

    def row(self, person_id: str) -> Row:
        owner: str | None = self.owner
        if owner == person_id:
            owner = None
        return {"id": person_id, "owner": owner, "places": sorted(self.places) or None}


class _Overtaken(Exception):
    """A later settler has begun."""


def settle(connection: Connection, write: Write, leaders: LeaderNotes) -> SettledPersons:
    """Derive the owners and move the records, if claims changed. A second call changes nothing."""
    if not connection.read(CYPHER["id_claims_to_settle"]):
        return SettledPersons(finished=True)
    epoch = write(_begin)
    # The notes are read before the claims. A later change of claims leaves a new note, which is not deleted here.
    notes = [row["id"] for row in connection.read(CYPHER["id_claims_to_settle"])]
    changes = _changes(connection)
    moved = 0
    try:
        for ids in _portions(sorted(changes)):
            write(_change_owners, {each: changes[each] for each in ids}, epoch)
        to_move: list[str] = []
        for row in connection.read(CYPHER["placed_ids"]):
            if row["places"]:
                to_move.append(row["id"])
        for ids in _portions(sorted(to_move)):
            while more := write(_move, ids, epoch, leaders):
                moved += more
            while more := write(_move_days, ids, epoch):
                moved += more
            write(_end_moving, ids, epoch)
        write(_forget_notes, notes, epoch)
    except _Overtaken:
        return SettledPersons(finished=False, changed=len(changes), moved=moved)
    return SettledPersons(finished=True, changed=len(changes), moved=moved)


def _changes(connection: Connection) -> dict[str, str]:
    """Return id -> its owner, for the ids whose stored owner is another one."""
    claims: list[Pair] = []
    decisions: list[Pair] = []
    for row in connection.read(CYPHER["claims_to_ids"]):
        found = decisions if row["decides"] else claims
        for claimed in row["claimed"]:
            found.append((row["person"], claimed))
    owners = id_owners(claims, decisions)
    stored: dict[str, str] = {}
    for row in connection.read(CYPHER["placed_ids"]):
        stored[row["id"]] = Placed.read(row).owner
    changes: dict[str, str] = {}
    for person_id in {*owners.owners, *stored}:
        owner = owners.of(person_id)
        if stored.get(person_id, person_id) != owner:
            changes[person_id] = owner
    return changes


def _portions(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE))


def _begin(tx: neo4j.Transaction) -> int:
    """Return the number of this settler. Settlers with a smaller number write nothing from now on."""
    migrations.check_graph(tx)
    return int(tx.run(CYPHER["begin_settling_persons"]).single(strict=True)["epoch"])


def hold_persons(tx: neo4j.Transaction) -> int:
    """Keep settlers away until the transaction ends. Return the number of the latest one, or 0."""
    return int(tx.run(CYPHER["hold_settling_persons"]).single(strict=True)["epoch"] or 0)


def _hold(tx: neo4j.Transaction, epoch: int) -> None:
    """Keep other settlers away until the transaction ends. Raises _Overtaken if a later settler has begun."""
    if hold_persons(tx) != epoch:
        raise _Overtaken


def _forget_notes(tx: neo4j.Transaction, notes: Sequence[str], epoch: int) -> int:
    _hold(tx, epoch)
    tx.run(CYPHER["delete_claim_changes"], ids=notes).consume()
    return len(notes)


def _placed(tx: neo4j.Transaction, ids: Collection[str]) -> dict[str, Placed]:
    rows = tx.run(CYPHER["places_of"], ids=sorted(ids))
    return {row["id"]: Placed.read(row) for row in rows}


def _change_owners(tx: neo4j.Transaction, owners: Mapping[str, str], epoch: int) -> int:
    """Store new owners, and which nodes may have records that have to be moved."""
    _hold(tx, epoch)
    before = _placed(tx, owners)
    persons: set[str] = set()
    for person_id, owner in owners.items():
        stored = before.get(person_id, Placed(person_id))
        persons |= {person_id, owner, stored.owner}
    nodes: set[Node] = {("PersonId", person_id) for person_id in owners}
    for person_id in persons:
        nodes |= {(label, person_id) for label in _PERSON_LABELS}
    lock_and_load(tx, nodes, ())
    tx.run(CYPHER["count_change_of_owners"]).consume()
    rows: list[Row] = []
    for person_id, owner in sorted(owners.items()):
        stored = before.get(person_id, Placed(person_id))
        rows.append(stored.with_owner(owner).row(person_id))
    tx.run(CYPHER["set_owners"], rows=rows).consume()
    write_restrictions(tx, persons)
    delete_orphans(tx, nodes)
    return len(owners)


def _rows_to_move(tx: neo4j.Transaction, ids: Sequence[str]) -> list[Row]:
    """Return a row for each of these ids and each node that may have records of it."""
    rows: list[Row] = []
    for person_id, placed in sorted(_placed(tx, ids).items()):
        # The beginning of the id of each day of this person: see `model.Day`.
        day = f"[{json.dumps(person_id, ensure_ascii=False)},"
        for place in sorted(placed.places):
            rows.append({"given": person_id, "place": place, "owner": placed.owner, "day": day})
    return rows


def _move(tx: neo4j.Transaction, ids: Sequence[str], epoch: int, leaders: LeaderNotes) -> int:
    """Move the next records with these ids to their owners. Return their number. It is 0 when there are no more."""
    _hold(tx, epoch)
    rows = _rows_to_move(tx, ids)
    found: dict[str, list[Row]] = {}  # label of the person -> rows
    named: dict[str, str] = {}  # id of a record -> its content hash
    for label in _PERSON_LABELS:
        limit = RECORDS_AT_ONCE - len(named)
        found[label] = []
        result = tx.run(CYPHER[f"links_to_move_{label}"], rows=rows, limit=limit)
        for link in result.single(strict=True)["links"]:
            found[label].append(link)
            named[link["record"]] = link["hash"]
    if not named:
        return 0
    # The sums of both persons change, as if the records were removed from one and written for the other.
    records: dict[str, set[str]] = defaultdict(set)  # label of a record -> ids
    owners: dict[Node, set[str]] = defaultdict(
        set
    )  # a node from which records go -> the owners of these records
    persons: set[Node] = set()
    for label, links in found.items():
        for link in links:
            records[link["label"]].add(link["record"])
            owners[label, link["place"]].add(link["owner"])
            persons |= {(label, link["place"]), (label, link["owner"])}
    ids_of_label = {label: sorted(record_ids) for label, record_ids in sorted(records.items())}
    _lock_records(tx, ids_of_label, named)
    before, nodes = read_parts(tx, ids_of_label)
    outdated = _at_both(before, owners)
    outdated.fields = persons
    outdated.any_field = True
    unit = lock_and_load(tx, nodes | persons, outdated.learns)
    for label, links in found.items():
        _move_links(tx, label, links)
    recompute(tx, unit, outdated)
    leaders.write(tx, unit.leading)
    write_changed_state(tx, unit)
    delete_orphans(tx, persons)
    return len(named)


def _move_links(tx: neo4j.Transaction, label: str, links: Iterable[Row]) -> None:
    """Move the links of records from one person of this label to another. All their nodes must be locked."""
    of_label: dict[str, list[Row]] = defaultdict(list)  # label of a record -> its links
    for link in links:
        of_label[link["label"]].append(link)
    for record_label, rows in of_label.items():
        for statement in _MOVES[label][record_label]:
            tx.run(CYPHER[statement], rows=rows).consume()


def _lock_records(
    tx: neo4j.Transaction, records: Mapping[str, list[str]], hashes: Mapping[str, str]
) -> None:
    """Lock records. Raises StaleRead if one has another content by now, or is missing.

    `records` maps a label to sorted ids, and `hashes` an id to the content hash that was read.
    """
    found: dict[str, str] = {}
    for label in RECORD_LABELS:
        if label not in records:
            continue
        result = tx.run(CYPHER[f"lock_contents_{label}"], ids=records[label])
        for record_id, content_hash in result.single(strict=True)["records"]:
            found[record_id] = content_hash
    if found != hashes:
        raise StaleRead


def _at_both(before: Outdated, owners: Mapping[Node, Collection[str]]) -> Outdated:
    """Return the sums and memberships that change when records move to other persons.

    `before` has those of the records before they move, and `owners` says where records of each node go. If several
    owners get records of one node, some of the returned pairs have no record.
    """

    def at(label: str, person_id: str) -> set[str]:
        return {person_id, *owners.get((label, person_id), ())}

    both = Outdated()
    for student_id, error_type, course_id in before.mistakes:
        both.mistakes |= {(each, error_type, course_id) for each in at("Student", student_id)}
    for student_id, item_id in before.practised:
        both.practised |= {(each, item_id) for each in at("Student", student_id)}
    for student_id, course_id in before.learns:
        both.learns |= {(each, course_id) for each in at("Student", student_id)}
    for label, person_id, group_id in before.memberships:
        both.memberships |= {(label, each, group_id) for each in at(label, person_id)}
    for name, pairs in before.interactions.items():
        sender = "Student"
        if name == "teaches":
            sender = "Teacher"
        for from_id, to_id in pairs:
            both.interactions[name].update(product(at(sender, from_id), at("Student", to_id)))
    return both


def _move_days(tx: neo4j.Transaction, ids: Sequence[str], epoch: int) -> int:
    """Move the next days of activity of these ids to their owners. Return their number."""
    _hold(tx, epoch)
    rows = _rows_to_move(tx, ids)
    persons: set[Node] = set()
    for row in rows:
        persons |= {("Student", row["place"]), ("Student", row["owner"])}
    lock_and_load(tx, persons, ())
    result = tx.run(CYPHER["move_days"], rows=rows, limit=RECORDS_AT_ONCE).single(strict=True)
    delete_orphans(tx, persons)
    return int(result["moved"])


def _end_moving(tx: neo4j.Transaction, ids: Sequence[str], epoch: int) -> int:
    """Note that all records with these ids stand at their owners."""
    _hold(tx, epoch)
    nodes: set[Node] = {("PersonId", person_id) for person_id in ids}
    lock_and_load(tx, nodes, ())
    rows: list[Row] = []
    for person_id, placed in sorted(_placed(tx, ids).items()):
        rows.append(Placed(placed.owner).row(person_id))
    tx.run(CYPHER["set_owners"], rows=rows).consume()
    delete_orphans(tx, nodes)
    return len(ids)


def restrict(tx: neo4j.Transaction, person_id: str, *, restricted: bool) -> bool:
    """Restrict all ids of a person, or lift their restriction. Return False if nobody has one of these ids."""
    migrations.check_graph(tx)
    hold_persons(tx)
    ids = sorted(ids_of_persons(tx, [person_id])[person_id])
    if not tx.run(CYPHER["students_among"], ids=ids).single():
        return False
    nodes: set[Node] = {("Student", each) for each in ids}
    lock_and_load(tx, nodes, ())
    mark = True if restricted else None
    tx.run(CYPHER["restrict_students"], ids=ids, restricted=mark).consume()
    delete_orphans(tx, nodes)
    return True


def write_restrictions(tx: neo4j.Transaction, persons: Collection[str]) -> None:
    """Restrict each owner among these persons if one of their ids is restricted, and no other owner.

    A restriction belongs to an id and stays on the node with this id. The node of an owner that is restricted only
    because of another id has the mark `restricted_by_alias`. The nodes of `persons` must be locked.
    """
    if not tx.run(CYPHER["any_restricted"]).single():
        return
    ids_of = ids_of_persons(tx, persons)
    named = frozenset[str]().union(*ids_of.values())
    own: set[str] = set()
    for row in tx.run(CYPHER["restricted_among"], ids=sorted(named)):
        own.add(row["id"])
    owners = {row["id"]: row["owner"] for row in tx.run(CYPHER["owners_of"], ids=sorted(persons))}
    rows: list[Row] = []
    for person_id in sorted(persons):
        is_owner = person_id not in owners
        has_restricted_id = is_owner and not own.isdisjoint(ids_of[person_id])
        by_alias = has_restricted_id and person_id not in own
        rows.append({"id": person_id, "by_alias": by_alias or None})
    tx.run(CYPHER["set_restricted_by_alias"], rows=rows).consume()
