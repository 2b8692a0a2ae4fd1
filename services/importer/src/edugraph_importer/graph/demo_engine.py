"""The differences between Neo4j and ArcadeDB, the graph engine of `make demo`.

All statements are written for Neo4j. Only this module and the driver know that the demo has another engine, and no
statement, index or property may be chosen for its sake (docs/adr/0097-the-engine-of-the-demo-decides-nothing.md).
"""

from typing import Any, LiteralString, cast

import neo4j

from edugraph_common.contracts.graph_schema import RECORD_LABEL
from edugraph_importer.graph.queries import CYPHER


def is_demo_engine(driver: neo4j.Driver) -> bool:
    """Ask the server for its name. Raises the errors of the driver."""
    return "ArcadeDB" in driver.get_server_info().agent


def has_index(name: str) -> bool:
    """Return whether the engine has the index that the statement of this name creates.

    It has no indexes of texts and of relationships. There all batches are read, and all records of a course.
    """
    return name != "quoted_index" and not name.startswith("latest_index_")


class DemoTransaction:
    """A transaction on this engine. Its statements are translated before they run."""

    def __init__(self, tx: neo4j.Transaction) -> None:
        self._tx = tx

    def run(self, query: LiteralString, **parameters: Any) -> neo4j.Result:
        # The engine seeks a node with two labels in no index, so a record has only its own label.
        return self._tx.run(query.replace(f":{RECORD_LABEL} {{", " {"), parameters)


def begin(tx: neo4j.Transaction) -> neo4j.Transaction:
    """Return the transaction in the form that the work receives.

    The engine has no locks. It only refuses a transaction that changed the same nodes as another one. Nodes that were
    only read, and added relationships, do not count. So each transaction changes one node that all of them share.
    """
    tx.run(CYPHER["take_turn"]).consume()
    return cast("neo4j.Transaction", DemoTransaction(tx))
