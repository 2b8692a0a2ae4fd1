"""Groups: their members, leaders, names and courses.

MEMBER_OF and LEADS are derived from the memberships of one person. For a group only counts are stored: the group of a
large course may have a million members, and none of them is read when another member comes or goes.

Each change of who leads a group is noted for the audit log, and nobody makes themselves a leader (docs/adr/0095).
Changes of who claims an id are noted in the same way (docs/adr/0110). A note is a node of the graph, which is
written in the transaction of the change. The service moves it into the audit log afterwards. So a change is in the
log even if the process dies between the two.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import neo4j

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import person_mark
from edugraph_common.contracts.records import iso
from edugraph_common.sources.rights import NEEDS_OPERATE, OWN_LEADER
from edugraph_importer.graph.model import GroupCounts, IdClaim, Node, Pair, PersonInGroup
from edugraph_importer.graph.owners import (
    Claims,
    changed_claims,
    ids_claimed_with,
    ids_of_persons,
)
from edugraph_importer.graph.statements import CYPHER, Row, run_rows
from edugraph_importer.graph.tombstones import Tombstones
from edugraph_importer.graph.unit_of_work import Leading

NOTES_AT_ONCE = 1_000
_OWN_LEADER_ELSEWHERE = (
    "this would make the caller the leader of a group: another caller has to do it"
)


def write_memberships(
    tx: neo4j.Transaction, memberships: Iterable[PersonInGroup], leading: Leading
) -> None:
    """Derive MEMBER_OF and LEADS of these people and groups from the Membership nodes in the graph.

    If several memberships have the same term and start, the latest record counts. The people and groups must be
    locked. `leading` receives the times at which they led the groups before, and at which they lead them now.
    """
    for label, rows in _rows_by_label(memberships):
        times = _times_in_groups(tx, label, rows)
        latest = [times[time][-1] for time in sorted(times)]
        members = [row for row in latest if row["leads"] is False]
        leaders = [row for row in latest if row["leads"] is True]

        leading.note(label, rows, _led_before(tx, label, rows), leaders)

        run_rows(tx, f"remove_memberships_{label}", rows)
        run_rows(tx, f"member_of_{label}", members)
        run_rows(tx, f"leads_{label}", leaders)


def note_end(
    tx: neo4j.Transaction, label: str, person_id: str, nodes: Iterable[Node], leading: Leading
) -> None:
    """Note in `leading` that a person, who is about to be deleted, leads none of the groups among these nodes."""
    group_ids = sorted(node_id for of_label, node_id in nodes if of_label == "Group")
    rows: list[Row] = [{"person": person_id, "groups": group_ids}]
    leading.note(label, rows, _led_before(tx, label, rows), ())


def _led_before(tx: neo4j.Transaction, label: str, rows: list[Row]) -> list[Row]:
    """Return the times at which the people lead the groups, before LEADS is derived again."""
    led: list[Row] = []
    for row in tx.run(CYPHER[f"leads_of_{label}"], rows=rows):
        starts = _iso_or_none(row["starts"])
        ends = _iso_or_none(row["ends"])
        led.append(row.data() | {"starts": starts, "ends": ends})
    return led


def ended_memberships(tx: neo4j.Transaction, ids: Iterable[str], before: str) -> list[str]:
    """Return all memberships that belong to the same times in groups as `ids`, if these times ended before a moment.

    The latest record says when the time ends, or else the end of its term counts. All records of the time are
    returned: if only the record with the end were removed, the person would be in the group again.
    """
    rows_of_terms = tx.run(CYPHER["ended_terms"], before=before)
    ended_terms = {row["id"] for row in rows_of_terms}
    people: set[PersonInGroup] = set()
    for row in tx.run(CYPHER["people_of"], ids=sorted(ids)):
        people.add((row["label"], row["person"], row["group"]))
    ended: list[str] = []
    for label, rows in _rows_by_label(people):
        for stated in _times_in_groups(tx, label, rows).values():
            latest = stated[-1]
            if latest["ends"]:
                has_ended = latest["ends"] < before
            else:
                has_ended = latest["term"] in ended_terms
            if has_ended:
                ended += [row["record"] for row in stated]
    return ended


def _rows_by_label(people: Iterable[PersonInGroup]) -> Iterator[tuple[str, list[Row]]]:
    """Yield a label, and for each person of this label a row with the person's groups."""
    groups_by_label: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for label, person_id, group_id in sorted(people):
        groups_by_label[label][person_id].append(group_id)
    for label, groups_of in groups_by_label.items():
        rows: list[Row] = []
        for person_id, group_ids in groups_of.items():
            rows.append({"person": person_id, "groups": group_ids})
        yield label, rows


def _times_in_groups(
    tx: neo4j.Transaction, label: str, rows: list[Row]
) -> dict[tuple[str, ...], list[Row]]:
    """Return (person, group, term, start) -> the rows of the records about this time, ordered by version key."""
    stated: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for record in tx.run(CYPHER[f"memberships_of_{label}"], rows=rows):
        row = record.data()
        row["starts"] = _iso_or_none(record["starts"])
        row["ends"] = _iso_or_none(record["ends"])
        timestamp = iso(record["timestamp"].to_native())
        row["version_key"] = f"{timestamp}|{record['record']}"
        time_in_group = (row["person"], row["group"], row["term"] or "", row["starts"] or "")
        stated[time_in_group].append(row)
    for rows_of_time in stated.values():
        rows_of_time.sort(key=lambda each: str(each["version_key"]))
    return stated


def _iso_or_none(moment: Any) -> str | None:
    return iso(moment.to_native()) if moment else None


def group_counts(tx: neo4j.Transaction, records: Mapping[str, Iterable[str]]) -> GroupCounts:
    """Return the names and courses that these records give to groups. `records` maps a label to ids."""
    counts = GroupCounts()
    ids = sorted(records.get("Membership", ()))
    if not ids:
        return counts
    for row in tx.run(CYPHER["group_counts"], ids=ids):
        counts.add(row["group"], row["name"], row["course"])
    return counts


def add_courses(tx: neo4j.Transaction, courses: Mapping[Pair, int]) -> None:
    """Add numbers of memberships to OF_COURSE. Remove the relationships that no membership states any more.

    `courses` maps (group, course) to the number to add.
    """
    changed: list[Row] = []
    for (group_id, course_id), number in sorted(courses.items()):
        if number:
            changed.append({"group": group_id, "course": course_id, "records": number})
    run_rows(tx, "add_of_course", changed)
    run_rows(tx, "remove_of_course", [row for row in changed if row["records"] < 0])


@dataclass(frozen=True)
class Cause:
    """The reason for a change of the graph, and the callers who have a part in it.

    `client` names the caller in the audit log, and `by` what they asked for, for example "job 12". `marks` has the
    `person_mark` of the own id in the graph of each caller with a part in it, made with `mark_id`. `may_decide` says
    whether the caller may change an operator's decision about an id.
    """

    client: str = ""
    by: str = ""
    mark_id: str = ""
    marks: tuple[str, ...] = ()
    may_decide: bool = True

    def is_caller(self, person_id: str) -> bool:
        return bool(self.marks) and person_mark(self.mark_id, person_id) in self.marks


NOBODY = Cause()


@dataclass(frozen=True)
class LeaderChange:
    """A note about a change of who leads a group.

    `leads` is true if the person leads the group now, or leads it at other times than before, and false if the person
    no longer leads it. `person` is the HMAC of the person that the audit log shows.
    """

    id: str
    client: str
    by: str
    group: str
    person: str
    leads: bool


@dataclass(frozen=True)
class IdClaimChange:
    """A note about a claim of a person to an id, or about the end of the claim.

    `person` and `claimed` are the HMACs of both ids that the audit log shows. `claims` is None if the person was
    erased, so that the claim was set aside, and the claimed id is still known. `decides` is true for a decision of an
    operator.
    """

    id: str
    client: str
    by: str
    person: str
    claimed: str
    claims: bool | None
    decides: bool


class RecordsRefused(Rejected):
    """The caller may not change these records in this way. `reject` has (expected, reason) for the report of rows."""

    reject: ClassVar[tuple[str, str]]

    def __init__(self, sentence: str, record_ids: Iterable[str]) -> None:
        super().__init__(sentence)
        self.record_ids = frozenset(record_ids)


class CallerWouldLead(RecordsRefused):
    """A transaction would make the caller's own person the leader of a group.

    `record_ids` has the records of the transaction that have a part in it.
    """

    reject = ("a row that leaves the groups of the caller as they are", OWN_LEADER)

    def __init__(self, record_ids: Iterable[str]) -> None:
        super().__init__(_OWN_LEADER_ELSEWHERE, record_ids)


class CallerMayNotDecide(RecordsRefused):
    """A transaction would replace or withdraw an operator's decision about an id, and its caller is not an operator.

    `record_ids` has the decisions.
    """

    reject = ("a claim without a decision", NEEDS_OPERATE)

    def __init__(self, record_ids: Iterable[str]) -> None:
        super().__init__(NEEDS_OPERATE, record_ids)


@dataclass(frozen=True)
class LeaderNotes:
    """Writes the notes of the transactions that have the same cause."""

    cause: Cause
    _tombstones: Tombstones = field(repr=False)

    def write(
        self,
        tx: neo4j.Transaction,
        leading: Leading,
        memberships: Mapping[str, Iterable[PersonInGroup]] = MappingProxyType({}),
    ) -> None:
        """Note the changes of a transaction. Raise CallerWouldLead if the caller's own person leads at new times.

        `memberships` maps the id of each record that the transaction writes or removes to its people and groups.
        """
        gains = leading.gains()
        own_ids = self._own(tx, [person_id for _, person_id, _ in gains])
        own = {each for each in gains if each[1] in own_ids}
        if own:
            raise CallerWouldLead(
                record_id for record_id, pairs in memberships.items() if not own.isdisjoint(pairs)
            )
        rows: list[Row] = []
        for (label, person_id, group_id), leads in leading.changes():
            row: Row = {"client": self.cause.client, "by": self.cause.by, "group": group_id}
            row["person"] = self._tombstones.in_audit_log(label, person_id)
            row["leads"] = leads
            rows.append(row)
        run_rows(tx, "note_leader_changes", rows)

    def refuse_changes_of_decisions(self, old: Claims) -> None:
        """Raise CallerMayNotDecide if a removed record is a decision and the caller may not decide."""
        if self.cause.may_decide:
            return
        record_ids: set[str] = set()
        for record_id, claims in old.items():
            if any(decides for _, _, decides in claims):
                record_ids.add(record_id)
        if record_ids:
            raise CallerMayNotDecide(record_ids)

    def refuse_own_claims(self, tx: neo4j.Transaction, new: Claims, old: Claims) -> None:
        """Raise CallerWouldLead if a change of claims is about the caller's own person.

        By a claim to the id of a leader, or by the end of one, callers could make themselves leaders. When a claim
        ends, the id may go to another person who claims it, so these persons count as well. `new` has the claims of
        written records, and `old` those of removed ones.
        """
        changed = changed_claims(new, old)
        if not self.cause.marks or not changed:
            return
        claimants: dict[str, set[str]] = defaultdict(set)
        claimed_ids = sorted({claimed for _, claimed, _ in changed})
        for row in tx.run(CYPHER["claimants_of"], ids=claimed_ids):
            claimants[row["claimed"]].add(row["person"])
        own = self._own(tx, set(_ids_in(changed)).union(*claimants.values()))
        record_ids: set[str] = set()
        for claims in (new, old):
            for record_id, claims_of_record in claims.items():
                persons = set(_ids_in(claims_of_record))
                for _, claimed, _ in claims_of_record:
                    persons |= claimants[claimed]
                if not own.isdisjoint(persons):
                    record_ids.add(record_id)
        if record_ids:
            raise CallerWouldLead(record_ids)

    def write_claims(self, tx: neo4j.Transaction, new: Claims, old: Claims) -> None:
        """Note the changes of claims of a transaction. The arguments are those of `refuse_own_claims`."""
        rows: list[Row] = []
        for (person_id, claimed, decides), begins in changed_claims(new, old).items():
            row: Row = {"client": self.cause.client, "by": self.cause.by, "claims": begins}
            row["decides"] = decides
            row["person"] = self._tombstones.in_audit_log("Student", person_id)
            row["claimed"] = self._tombstones.in_audit_log("Student", claimed)
            rows.append(row)
        run_rows(tx, "note_id_claim_changes", rows)

    def write_ties(self, tx: neo4j.Transaction, tied: Mapping[str, str]) -> None:
        """Note the ids that a list ties to an erased person and that are still known: other id -> erased id."""
        rows: list[Row] = []
        for other_id, erased_id in sorted(tied.items()):
            row: Row = {"client": self.cause.client, "by": self.cause.by, "claims": None}
            row["decides"] = False
            row["person"] = self._tombstones.in_audit_log("Student", erased_id)
            row["claimed"] = self._tombstones.in_audit_log("Student", other_id)
            rows.append(row)
        run_rows(tx, "note_id_claim_changes", rows)

    def _own(self, tx: neo4j.Transaction, person_ids: Iterable[str]) -> set[str]:
        """Return those of these ids that belong to the caller's own person.

        While claims wait to be settled, the owners of ids are out of date. Then each id that claims tie to the
        caller's own counts, also one that others claim as well.
        """
        if not self.cause.marks:
            return set()
        own: set[str] = set()
        ids_by_person = ids_of_persons(tx, set(person_ids))
        for person_id, ids in ids_by_person.items():
            if any(self.cause.is_caller(each) for each in ids):
                own.add(person_id)
        others = ids_by_person.keys() - own
        if others and list(tx.run(CYPHER["id_claims_to_settle"])):
            for person_id in others:
                if any(self.cause.is_caller(each) for each in ids_claimed_with(tx, person_id)):
                    own.add(person_id)
        return own


def _ids_in(claims: Iterable[IdClaim]) -> Iterator[str]:
    for person_id, claimed, _ in claims:
        yield person_id
        yield claimed


def forget_notes(
    tx: neo4j.Transaction,
    label: Literal["IdClaimChange", "LeaderChange", "RecordChange"],
    note_ids: Collection[str],
) -> None:
    """Delete notes that are in the audit log or in the stream of changes. `label` is their kind."""
    tx.run(CYPHER[f"forget_changes_{label}"], ids=sorted(note_ids)).consume()
