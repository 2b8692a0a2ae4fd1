"""Gives the importer one more schema version, whose step counts in the graph how often it was done."""

from edugraph_common.contracts import graph_schema

PREVIOUS_VERSION = graph_schema.SCHEMA_VERSION
graph_schema.SCHEMA_VERSION = PREVIOUS_VERSION + 1

from edugraph_importer.graph import migrations  # noqa: E402 - it takes the version when it is imported
from edugraph_importer.graph.driver import Connection  # noqa: E402

COUNT = "MERGE (l:Lock {id: 'step of the next release'}) SET l.times = coalesce(l.times, 0) + 1"


def count(connection: Connection) -> None:
    connection.write(lambda tx: tx.run(COUNT).consume())


migrations.STEPS = {**migrations.STEPS, PREVIOUS_VERSION: count}
