"""Removing a course or a group from the graph. Its records are removed, and all sums are as if they had never come.

Records that also belong to other courses stay. A second import of a file brings its removed records back. Each
transaction takes a few records, so that imports at the same time hardly wait.
"""

from collections.abc import Callable
from typing import NamedTuple

import neo4j

from edugraph_common.contracts.messages import Removable
from edugraph_importer.graph.apply import apply, begin
from edugraph_importer.graph.driver import Connection, StaleRead
from edugraph_importer.graph.leaders import LeaderNotes
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node
from edugraph_importer.graph.retention import PAGE, RECORDS_AT_ONCE, Write, remove_days
from edugraph_importer.graph.versions import Classified, stored_versions

LABEL: dict[Removable, str] = {"course": "Course", "group": "Group"}


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
    label, removed, after = LABEL[of], 0, ""
    while more := write(_remove_records, label, node_id, leaders, set()):
        removed += more
        if not go_on():
            return Removed(removed, _left(connection, label, node_id), finished=False)
    # A day of activity has its course only as a property, so all days are read, in the order of their ids.
    while (
        days := connection.read(CYPHER["days_after"], after=after, limit=PAGE)
        if of == "course"
        else ()
    ):
        of_course = [day for day in days if day["course"] == node_id]
        for start in range(0, len(of_course), RECORDS_AT_ONCE):
            some = of_course[start : start + RECORDS_AT_ONCE]
            removed += write(
                remove_days, sorted(day["id"] for day in some), {day["student"] for day in some}
            )
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
    return sum(int(row["left"]) for row in connection.read(CYPHER[f"links_to_{label}"], id=node_id))
