"""The check of `edugraph doctor` that compares the schema versions of the graph and of an importer."""

from collections.abc import Callable
from contextlib import closing

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_importer.graph import Graph, migrations
from edugraph_importer.graph.migrations import OlderGraph, refuse_too_old

NAME = "schema version"


def check_schema(open_graph: Callable[[], Graph]) -> Check:
    """Compare the schema version of the graph with the version that this importer writes."""
    try:
        with closing(open_graph()) as graph:
            version, reached = graph.schema_version()
    except Failure as away:
        return Check(name=NAME, ok=False, problems=(away.reason,))
    if version is None or reached is None:
        return Check(name=NAME, ok=True, detail=f"the graph is new, importer {SCHEMA_VERSION}")
    if version > SCHEMA_VERSION:
        problem = f"the graph has schema version {version}, and this importer knows up to {SCHEMA_VERSION}"
        advice = "Finish the upgrade, or restore the backup that was made before the migration."
        return Check(name=NAME, ok=False, problems=(problem,), advice=(advice,))
    try:
        refuse_too_old(reached, SCHEMA_VERSION, migrations.STEPS)
    except OlderGraph as older:
        return Check(name=NAME, ok=False, problems=(older.reason,))
    if reached < SCHEMA_VERSION:
        problem = f"the graph has schema version {reached}, and this importer writes version {SCHEMA_VERSION}"
        advice = "If no migration is running, make a backup and allow it (docs/operations.md, Upgrade and rollback)."
        return Check(name=NAME, ok=False, problems=(problem,), advice=(advice,))
    return Check(name=NAME, ok=True, detail=f"graph {version}, importer {SCHEMA_VERSION}")
