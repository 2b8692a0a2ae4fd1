"""Changes of who leads a group (docs/adr/0095).

Each change is noted for the audit log, and nobody makes themselves a leader.
A note is a node of the graph, which is written in the transaction of the change. The service moves it into the audit
log afterwards. So a change is in the log even if the process dies between the two.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import neo4j

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import person_mark
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import PersonInGroup
from edugraph_importer.graph.tombstones import Tombstones
from edugraph_importer.graph.unit_of_work import Leading, run_rows

NOTES_AT_ONCE = 1_000
_OWN_LEADER_ELSEWHERE = (
    "this would make the caller the leader of a group: another caller has to do it"
)


@dataclass(frozen=True)
class Cause:
    """The reason for a change of the graph, and the callers who have a part in it.

    `client` names the caller in the audit log, and `by` what they asked for, for example "job 12". `marks` has the
    `person_mark` of the own id in the graph of each caller with a part in it, made with `mark_id`.
    """

    client: str = ""
    by: str = ""
    mark_id: str = ""
    marks: tuple[str, ...] = ()

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


class CallerWouldLead(Rejected):
    """A transaction would make the caller's own person the leader of a group.

    `record_ids` has the records of the transaction that have a part in it.
    """

    def __init__(self, record_ids: Iterable[str]) -> None:
        super().__init__(_OWN_LEADER_ELSEWHERE)
        self.record_ids = frozenset(record_ids)


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
        own = {each for each in leading.gains() if self.cause.is_caller(each[1])}
        if own:
            raise CallerWouldLead(
                record_id for record_id, pairs in memberships.items() if not own.isdisjoint(pairs)
            )
        rows = [
            {
                "client": self.cause.client,
                "by": self.cause.by,
                "group": group_id,
                "person": self._tombstones.in_audit_log(label, person_id),
                "leads": leads,
            }
            for (label, person_id, group_id), leads in leading.changes()
        ]
        run_rows(tx, "note_leader_changes", rows)


def forget_notes(tx: neo4j.Transaction, note_ids: Collection[str]) -> None:
    """Delete notes that are in the audit log."""
    tx.run(CYPHER["forget_leader_changes"], ids=sorted(note_ids)).consume()
