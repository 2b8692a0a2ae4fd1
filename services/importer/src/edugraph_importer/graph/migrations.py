"""The version of the graph's form, and the steps that lead from each version to the next.

Each step is done in transactions of its own and changes nothing when it is done again, so that a process which dies
in the middle of it leaves a graph that the next one brings to its end.
"""

from collections.abc import Callable, Mapping

import neo4j

from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.queries import CYPHER

UNVERSIONED = 1  # releases that wrote no version wrote this one
NEWER_GRAPH_SECONDS = 30.0

Step = Callable[[Connection], None]
STEPS: Mapping[int, Step] = {}  # version -> what makes the next version of it


class OutdatedGraph(Exception):
    """The graph is to be migrated before anything is written to it."""


def check_version(tx: neo4j.ManagedTransaction) -> None:
    """Raise OutdatedGraph for a graph that is older than this release, or new; Wait for one that is newer."""
    row = tx.run(CYPHER["schema_version"]).single()
    if row is None or row["version"] < SCHEMA_VERSION:
        raise OutdatedGraph
    _refuse_newer(row["version"], SCHEMA_VERSION)


def migrate(connection: Connection, steps: Mapping[int, Step] = STEPS, target: int = SCHEMA_VERSION) -> None:
    """Bring the graph to the version of this release, step by step. Raise Wait for a graph that is newer."""
    version = _version(connection, target)
    _refuse_newer(version, target)
    while version < target:
        steps[version](connection)
        version += 1
        connection.write(_set_version, version)
    connection.write(_set_version, target)


def _version(connection: Connection, target: int) -> int:
    for row in connection.read(CYPHER["schema_version"]):
        return int(row["version"])
    return UNVERSIONED if connection.read(CYPHER["ledger_rows"]) else target


def _set_version(tx: neo4j.ManagedTransaction, version: int) -> None:
    tx.run(CYPHER["set_schema_version"], version=version).consume()


def _refuse_newer(version: int, known: int) -> None:
    """Another release may be about to take over, so the work is kept for it."""
    if version > known:
        raise Wait(
            f"the graph has schema version {version}, and this release knows up to {known}: "
            "run the release that wrote it, or a later one",
            NEWER_GRAPH_SECONDS,
        )
