"""Taking a course or a group out of the graph: its records go, with their part of every sum, as if they never came.

What is of other courses, too, stays. Nothing keeps the records from coming again: a file that is imported once more
brings them back. Each transaction takes a few records, so that imports beside it hardly wait.
"""

from collections.abc import Callable
from typing import NamedTuple

import neo4j

from edugraph_common.contracts.messages import Removable
from edugraph_importer.graph.apply import apply, begin
from edugraph_importer.graph.driver import Connection, StaleRead
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node
from edugraph_importer.graph.retention import PAGE, RECORDS_AT_ONCE, Write, remove_days
from edugraph_importer.graph.versions import Classified, stored_versions

LABEL: dict[Removable, str] = {"course": "Course", "group": "Group"}


class Removed(NamedTuple):
    """How many records and days of activity went, and how many records, groups and others still name it.

    Not `finished`: there was no more time.
    """

    removed: int
    left: int
    finished: bool


def remove(
    connection: Connection, write: Write, of: Removable, node_id: str, *, go_on: Callable[[], bool]
) -> Removed:
    """Take a course or a group out. It stops when `go_on` says no; doing it again goes on."""
    label, removed, after = LABEL[of], 0, ""
    while more := write(_remove_records, label, node_id, set()):
        removed += more
        if not go_on():
            return Removed(removed, _left(connection, label, node_id), finished=False)
    # A day of activity has its course as a property, so all days are looked at, in the order of their ids.
    while days := connection.read(CYPHER["days_after"], after=after, limit=PAGE) if of == "course" else ():
        of_course = [day for day in days if day["course"] == node_id]
        for start in range(0, len(of_course), RECORDS_AT_ONCE):
            some = of_course[start : start + RECORDS_AT_ONCE]
            removed += write(remove_days, sorted(day["id"] for day in some), {day["student"] for day in some})
        after = max(day["id"] for day in days)
        if not go_on():
            return Removed(removed, _left(connection, label, node_id), finished=False)
    return Removed(removed, _left(connection, label, node_id), finished=True)


def _remove_records(tx: neo4j.Transaction, label: str, node_id: str, wanted: set[Node]) -> int:
    """Remove some of its records. Return how many; there are no more when that is none.

    `wanted`: as `resolver.resolve` has it.
    """
    before, _ = begin(tx, "ImportBatch", "")
    rows = list(tx.run(CYPHER[f"records_of_{label}"], id=node_id, limit=RECORDS_AT_ONCE))
    found = {row["id"]: row["hash"] for row in rows}
    stored = stored_versions(tx, found)
    # What is another version by now may be of another course or group.
    if {record_id: version.content_hash for record_id, version in stored.items()} != found:
        raise StaleRead
    apply(tx, Classified(superseded=stored), (), before, unreviewed=(), wanted=wanted)
    return len(found)


def _left(connection: Connection, label: str, node_id: str) -> int:
    return sum(int(row["left"]) for row in connection.read(CYPHER[f"links_to_{label}"], id=node_id))
