"""The constraints, made before anything is loaded."""

from edugraph_common.contracts.graph_schema import LABELS
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.queries import CYPHER


def prepare(connection: Connection) -> None:
    """Idempotent; each constraint in a transaction of its own. The server answers when it holds."""
    for label in LABELS:
        connection.define(CYPHER[f"constraint_{label}"])
