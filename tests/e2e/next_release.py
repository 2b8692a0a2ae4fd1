"""The importer of a release after this one: it has one more schema version, whose step counts students.

The step adds one to a property of each student, so that a student for whom it was done twice has a 2.
"""

import time

from edugraph_common.contracts import graph_schema

PREVIOUS_VERSION = graph_schema.SCHEMA_VERSION
graph_schema.SCHEMA_VERSION = PREVIOUS_VERSION + 1

import neo4j  # noqa: E402 - the modules below take the version when they are imported

from edugraph_importer.graph import migrations  # noqa: E402
from edugraph_importer.graph.driver import Connection  # noqa: E402
from edugraph_importer.graph.statements import CYPHER  # noqa: E402
from edugraph_importer.worker import app  # noqa: E402

__all__ = ["app"]
STUDENTS_AT_ONCE = 5
# The pause after each portion lets the step last until the other workers have met the graph.
PAUSE_SECONDS = 0.2


def count_students(connection: Connection) -> None:
    after = ""
    while rows := connection.read(CYPHER["next_ids_Student"], after=after, limit=STUDENTS_AT_ONCE):
        ids = [row["id"] for row in rows]
        connection.write(_count, ids)
        after = ids[-1]
        time.sleep(PAUSE_SECONDS)


def _count(tx: neo4j.Transaction, ids: list[str]) -> None:
    tx.run(
        "UNWIND $ids AS id MATCH (s:Student {id: id}) SET s.counted = coalesce(s.counted, 0) + 1",
        ids=ids,
    ).consume()


migrations.STEPS = {**migrations.STEPS, PREVIOUS_VERSION: count_students}
