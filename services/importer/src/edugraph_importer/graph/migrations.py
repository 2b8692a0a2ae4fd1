"""The schema version of the graph, and the steps that migrate it from each version to the next.

Each step has separate transactions, and a repeated step changes nothing. So if a process dies in the middle of a
step, the next process can finish it.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import ClassVar
from uuid import uuid4

import neo4j

from edugraph_common.contracts.errors import Awaited, Failure, OtherVersion, Wait
from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_importer.graph.changes import note_kind
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.statements import CYPHER

UNVERSIONED = 1  # the version of a graph that has records and no stored version
MIGRATION_RUNNING_SECONDS = 5.0
# If a process dies while it migrates, the others wait for this time.
LEASE_MILLISECONDS = 60_000
RENEWAL_SECONDS = 15.0

Step = Callable[[Connection], None]


class OutdatedGraph(Exception):
    """The graph has to be migrated before anything is written to it."""


class NewerGraph(OtherVersion):
    """A later release has written the graph, or begun to migrate it."""


class MigrationRunning(Wait):
    """Another process migrates the graph."""

    awaited: ClassVar[Awaited] = "schema version"


class MigrationNotAllowed(OtherVersion):
    """The graph is of an earlier release, and this process may not migrate it."""


class OlderGraph(OtherVersion):
    """No step leads from the graph's version to the version of this release."""


def check_graph(tx: neo4j.Transaction) -> None:
    """Raise OutdatedGraph if the graph is new or not yet migrated, and NewerGraph if a later release has written it.

    Every transaction that writes calls this first, or `check_version` with the result of the statement `begin`.
    """
    schema = tx.run(CYPHER["schema_version"]).single(strict=True)
    check_version(schema["version"], schema["unfinished_from"])


def check_version(version: int | None, unfinished_from: int | None) -> None:
    """Raise the errors of `check_graph`. The arguments are the properties of the node `Schema`."""
    if version is None:
        raise OutdatedGraph
    _refuse_newer(version, SCHEMA_VERSION)
    if version < SCHEMA_VERSION or unfinished_from is not None:
        raise OutdatedGraph


def migrate(
    connection: Connection,
    steps: Mapping[int, Step] | None = None,
    target: int = SCHEMA_VERSION,
    *,
    up_to: int | None = None,
    new_owner: Callable[[], str] = lambda: uuid4().hex,
) -> None:
    """Bring the graph to the version of this release, step by step. A new graph gets the version only.

    One process migrates at a time. It holds a lease, which ends by itself when the process dies. `up_to` is the
    latest version to which this process may migrate a graph; None for any version. `new_owner` names a holder of the
    lease.

    Raises Wait if the graph is newer, if it is too old, if another process migrates it, or if this process may not
    migrate it.
    """
    if steps is None:
        steps = STEPS
    connection.make_schema_unique()
    reached = _reached(connection, target)
    if reached is None:
        connection.write(_begin_graph, target)
        return
    if reached == target:
        return
    refuse_too_old(reached, target, steps)
    if up_to is not None and target > up_to:
        raise MigrationNotAllowed(
            f"the graph has schema version {reached}, and this importer writes version {target}: make a backup, "
            "then allow the migration (docs/operations.md, Upgrade and rollback)",
            reached,
        )
    owner = new_owner()
    connection.write(_take_lease, owner)
    with _lease_renewed(connection, owner), connection.fenced(partial(_renew_lease, owner=owner)):
        _do_steps(connection, steps, target)
    connection.write(_end_lease, owner)


def _do_steps(connection: Connection, steps: Mapping[int, Step], target: int) -> None:
    # Another process may have migrated the graph before the lease was taken.
    reached = _reached(connection, target)
    if reached is None or reached == target:
        return
    # From here on importers of earlier releases write nothing. Their open transactions are waited for.
    connection.write(_set_progress, target, reached)
    connection.wait_for_older_transactions()
    while reached < target:
        steps[reached](connection)
        reached += 1
        connection.write(_set_progress, target, reached)


def _reached(connection: Connection, target: int) -> int | None:
    """Return the version that the whole graph has reached, or None if nothing was ever written to the graph."""
    version, reached = stored_version(connection)
    if version is not None:
        _refuse_newer(version, target)
    return reached


def stored_version(connection: Connection) -> tuple[int | None, int | None]:
    """Return the schema version and the version that the whole graph has reached. Both are None for a new graph.

    The second version is lower while a migration runs.
    """
    # The order matters. A new graph gets its version before its first row. If the version were read first, another
    # process could begin the graph in between, and the graph would be taken for one without a version.
    is_written = bool(connection.read(CYPHER["ledger_rows"]))
    [schema] = connection.read(CYPHER["schema_version"])
    if schema["version"] is None:
        return (UNVERSIONED, UNVERSIONED) if is_written else (None, None)
    version = int(schema["version"])
    unfinished_from = schema["unfinished_from"]
    return version, version if unfinished_from is None else int(unfinished_from)


def _begin_graph(tx: neo4j.Transaction, version: int) -> None:
    # Readers may still have what they have read in another graph.
    note_kind(tx, "whole")
    tx.run(CYPHER["set_schema_version"], version=version).consume()


def _set_progress(tx: neo4j.Transaction, target: int, reached: int) -> None:
    unfinished_from = None if reached == target else reached
    if reached == target:
        note_kind(tx, "whole")
    tx.run(
        CYPHER["set_migration_progress"], version=target, unfinished_from=unfinished_from
    ).consume()


def _refuse_newer(version: int, known: int) -> None:
    """Raise NewerGraph for an unknown version. The work waits, since a later release may be about to take over."""
    if version > known:
        raise NewerGraph(
            f"the graph has schema version {version}, and this importer knows up to {known}",
            version,
        )


def refuse_too_old(reached: int, target: int, steps: Mapping[int, Step]) -> None:
    """Raise OlderGraph if a step between the reached version and the target is missing."""
    for version in range(reached, target):
        if version not in steps:
            raise OlderGraph(
                f"the graph has schema version {reached}, which this importer cannot migrate to version {target}: "
                "import the files again into an empty graph",
                reached,
            )


def _take_lease(tx: neo4j.Transaction, owner: str) -> None:
    taken = tx.run(CYPHER["take_migration_lease"], owner=owner, milliseconds=LEASE_MILLISECONDS)
    if not taken.single(strict=True)["taken"]:
        raise MigrationRunning("another process migrates the graph", MIGRATION_RUNNING_SECONDS)


def _renew_lease(tx: neo4j.Transaction, owner: str) -> None:
    """Hold the lease until the transaction ends, and for a minute more. Raises MigrationRunning if it was lost."""
    if (
        tx.run(
            CYPHER["renew_migration_lease"], owner=owner, milliseconds=LEASE_MILLISECONDS
        ).single()
        is None
    ):
        raise MigrationRunning(
            "another process has taken the migration of the graph over", MIGRATION_RUNNING_SECONDS
        )


def _end_lease(tx: neo4j.Transaction, owner: str) -> None:
    tx.run(CYPHER["end_migration_lease"], owner=owner).consume()


@contextmanager
def _lease_renewed(connection: Connection, owner: str) -> Iterator[None]:
    """Renew the lease while the block runs. One statement may take long, for example one that builds an index."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWAL_SECONDS):
            # If the renewal fails, the next transaction of the step finds the reason.
            with suppress(Failure):
                connection.write(_renew_lease, owner)

    renewing = threading.Thread(target=renew, name="migration-lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()


def _derive_prerequisites_again(connection: Connection) -> None:
    connection.write(lambda tx: tx.run(CYPHER["note_claim_change"], job_id="").consume())


# Version -> the step to the next version. Graphs of earlier versions are imported again.
# 12: prerequisites without a quote count as said. The next settler derives all of them again.
# 13: no graph had sentences about mistakes. Importers of version 13 must write nothing more, since they would leave
# such a sentence behind when its last mistake goes.
STEPS: Mapping[int, Step] = {12: _derive_prerequisites_again, 13: lambda _: None}
