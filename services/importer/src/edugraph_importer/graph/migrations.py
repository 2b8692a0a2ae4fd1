"""The schema version of the graph, and the steps that migrate it from each version to the next.

Each step has separate transactions, and a repeated step changes nothing. So if a process dies in the middle of a
step, the next process can finish it.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import ClassVar
from uuid import uuid4

import neo4j

from edugraph_common.contracts.errors import Awaited, Failure, OtherVersion, Wait
from edugraph_common.contracts.graph_schema import IDENTIFIED_LABELS, NAMED_LABELS, SCHEMA_VERSION
from edugraph_common.contracts.outcomes import BatchOutcome, Reject, quoted
from edugraph_importer.graph import aggregates, resolver
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import (
    COURSE_RECORD_FIELDS,
    KEYS_IN_COURSE,
    LEARNS_FIELDS,
    Pair,
    course_key,
    dated_properties,
    time_of,
)
from edugraph_importer.graph.unit_of_work import (
    NEVER,
    field_properties,
    learns_row,
    lock_and_load,
    read_fields,
    run_rows,
    write_changed_state,
)

UNVERSIONED = 1  # the version of a graph from a release that stored no version
MIGRATION_RUNNING_SECONDS = 5.0
# If a process dies while it migrates, the others wait for this time.
LEASE_MILLISECONDS = 60_000
RENEWAL_SECONDS = 15.0

Step = Callable[[Connection], None]
CARRIED_STUDENTS = 500  # in one transaction
RESOLVED_AT_ONCE = 500


class OutdatedGraph(Exception):
    """The graph has to be migrated before anything is written to it."""


class NewerGraph(OtherVersion):
    """A later release has written the graph, or begun to migrate it."""


class MigrationRunning(Wait):
    """Another process migrates the graph."""

    awaited: ClassVar[Awaited] = "schema version"


class MigrationNotAllowed(OtherVersion):
    """The graph is of an earlier release, and this process may not migrate it."""


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

    Raises Wait if the graph is newer, if another process migrates it, or if this process may not migrate it.
    """
    connection.make_schema_unique()
    reached = _reached(connection, target)
    if reached is None:
        connection.write(_begin_graph, target)
        return
    if reached == target:
        return
    if up_to is not None and target > up_to:
        raise MigrationNotAllowed(
            f"the graph has schema version {reached}, and this importer writes version {target}: make a backup, "
            "then allow the migration (docs/operations.md, Upgrade and rollback)",
            reached,
        )
    owner = new_owner()
    connection.write(_take_lease, owner)
    with _lease_renewed(connection, owner), connection.fenced(partial(_renew_lease, owner=owner)):
        _do_steps(connection, STEPS if steps is None else steps, target)
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
    # The order matters. A new graph gets its version before its first row. If the version were read first, another
    # process could begin the graph in between, and the graph would be taken for one without a version and migrated.
    is_written = bool(connection.read(CYPHER["ledger_rows"]))
    [schema] = connection.read(CYPHER["schema_version"])
    if schema["version"] is None:
        return UNVERSIONED if is_written else None
    version = int(schema["version"])
    _refuse_newer(version, target)
    unfinished_from = schema["unfinished_from"]
    return version if unfinished_from is None else int(unfinished_from)


def _begin_graph(tx: neo4j.Transaction, version: int) -> None:
    tx.run(CYPHER["set_schema_version"], version=version).consume()


def _set_progress(tx: neo4j.Transaction, target: int, reached: int) -> None:
    unfinished_from = None if reached == target else reached
    tx.run(CYPHER["set_migration_progress"], version=target, unfinished_from=unfinished_from).consume()


def _refuse_newer(version: int, known: int) -> None:
    """Raise NewerGraph for an unknown version. The work waits, since a later release may be about to take over."""
    if version > known:
        raise NewerGraph(f"the graph has schema version {version}, and this importer knows up to {known}", version)


def _take_lease(tx: neo4j.Transaction, owner: str) -> None:
    taken = tx.run(CYPHER["take_migration_lease"], owner=owner, milliseconds=LEASE_MILLISECONDS)
    if not taken.single(strict=True)["taken"]:
        raise MigrationRunning("another process migrates the graph", MIGRATION_RUNNING_SECONDS)


def _renew_lease(tx: neo4j.Transaction, owner: str) -> None:
    """Hold the lease until the transaction ends, and for a minute more. Raises MigrationRunning if it was lost."""
    if tx.run(CYPHER["renew_migration_lease"], owner=owner, milliseconds=LEASE_MILLISECONDS).single() is None:
        raise MigrationRunning("another process has taken the migration of the graph over", MIGRATION_RUNNING_SECONDS)


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


def carry_course_records(connection: Connection) -> None:
    """Version 2: course_records are nodes, and LEARNS is derived from them.

    Version 1 stored only LEARNS. Each LEARNS becomes a CourseRecord that is marked as carried, so that its values are
    not lost when a later record is taken back.
    """
    after = ""
    while students := [
        row["id"] for row in connection.read(CYPHER["next_ids_Student"], after=after, limit=CARRIED_STUDENTS)
    ]:
        connection.write(_carry, students)
        after = students[-1]


def _carry(tx: neo4j.Transaction, students: list[str]) -> None:
    carried, learns = list[Row](), list[Row]()
    for old in list(tx.run(CYPHER["lock_old_learns"], ids=students)):
        pair = (old["student"], old["course"])
        fields = read_fields(old["properties"], COURSE_RECORD_FIELDS)
        # Earlier releases wrote 0 if no record gave the progress.
        _, progress_stamp = fields.get("progress", (None, NEVER))
        if progress_stamp == NEVER:
            fields.pop("progress", None)
        properties = field_properties(fields, COURSE_RECORD_FIELDS)
        row = {
            "student": pair[0],
            "course": pair[1],
            "id": carried_id(pair),
            "at": time_of(properties["stamp"]) or None,
        }
        carried.append(
            row | dated_properties({name: value for name, value in properties.items() if value is not None})
        )
        learns.append(learns_row(pair, {name: each for name, each in fields.items() if name in LEARNS_FIELDS}))
    run_rows(tx, "create_carried", carried)
    run_rows(tx, "replace_learns", learns)


def carried_id(pair: Pair) -> str:
    return f"carried:{hashlib.sha256(json.dumps(pair).encode()).hexdigest()}"


def resolve_names(connection: Connection) -> None:
    """Version 5: the names of ids are counted, and each id and name has its canonical node."""
    connection.create_constraints()
    for label in NAMED_LABELS:
        after = ""
        while rows := connection.read(CYPHER[f"next_ids_{label}"], after=after, limit=RESOLVED_AT_ONCE):
            connection.write(_count_names, label, [row["id"] for row in rows])
            after = rows[-1]["id"]
    for label in NAMED_LABELS:
        connection.write(resolver.derive_classes, label, {})


def _count_names(tx: neo4j.Transaction, label: str, ids: list[str]) -> None:
    nodes = {(label, node_id) for node_id in ids}
    is_stated = label in IDENTIFIED_LABELS
    lock_and_load(tx, nodes | (resolver.stated_names(tx, label, ids) if is_stated else set()), ())
    tx.run(CYPHER[f"stand_alone_{label}"], ids=ids).consume()
    if is_stated:
        resolver.write_stated(tx, label, ids)


def count_spellings(connection: Connection) -> None:
    """Version 7: spellings are counted and the most frequent one is the name. RELATES_TO has sums of its records."""
    for label in NAMED_LABELS:
        after = ""
        while rows := connection.read(CYPHER[f"next_ids_{label}"], after=after, limit=RESOLVED_AT_ONCE):
            connection.write(_count_spellings, label, [row["id"] for row in rows])
            after = rows[-1]["id"]


def _count_spellings(tx: neo4j.Transaction, label: str, ids: list[str]) -> None:
    nodes = {(label, node_id) for node_id in ids}
    outdated = aggregates.Outdated(spellings=set(nodes))
    for row in tx.run(CYPHER["derived_relationships_ErrorType"], ids=ids) if label == "ErrorType" else ():
        if row["type"] == "RELATES_TO":
            outdated.relates_to.add((row["from"], row["to"]))
            nodes.add(("KnowledgePoint", row["to"]))
    unit = lock_and_load(tx, nodes, ())
    aggregates.recompute(tx, unit, outdated)
    write_changed_state(tx, unit)
    tx.run(CYPHER[f"remove_name_stamp_{label}"], ids=ids).consume()
    aggregates.delete_orphans(tx, nodes)


def index_reports_and_courses(connection: Connection) -> None:
    """Version 9: indexes find the quotes in reports, and the records that name, describe or rate a course."""
    connection.create_constraints()
    for label in ("ImportBatch", "CourseContent", "CourseRecord", "ErrorRecord"):
        after = ""
        while rows := connection.read(CYPHER[f"next_ids_{label}"], after=after, limit=RESOLVED_AT_ONCE):
            ids = [row["id"] for row in rows]
            if label == "ImportBatch":
                connection.write(_note_quotes, ids)
            else:
                connection.write(_note_said_of_courses, label, ids)
            after = ids[-1]


def _note_quotes(tx: neo4j.Transaction, ids: list[str]) -> None:
    rows = list[Row]()
    for row in list(tx.run(CYPHER["reports"], ids=ids)):
        set_aside = row["set_aside"] or "[]"  # early releases did not write this property
        rejects = [Reject.model_validate(reject) for reject in json.loads(set_aside)]
        text = quoted(*BatchOutcome.model_validate_json(row["outcome"]).errors, *rejects)
        if text is not None:
            rows.append({"id": row["id"], "outcome": row["outcome"], "set_aside": row["set_aside"], "quoted": text})
    run_rows(tx, "set_outcomes", rows)


def _note_said_of_courses(tx: neo4j.Transaction, label: str, ids: list[str]) -> None:
    rows = list[Row]()
    for row in list(tx.run(CYPHER[f"said_of_courses_{label}"], ids=ids)):
        if label == "CourseRecord":
            said = aggregates.given_fields(row, KEYS_IN_COURSE)
        else:
            named = row["name"] is not None
            said = {"course_name": (row["name"], aggregates.version_key(row))} if named else {}
        rows.append(
            {"record": row["record"], "course": row["course"]}
            | {
                name: course_key(row["course"], said[field][1]) if field in said else None
                for field, name in KEYS_IN_COURSE.items()
            }
        )
    run_rows(tx, f"set_said_of_courses_{label}", rows)


def index_texts_of_courses(connection: Connection) -> None:
    """Version 10: an index finds the texts of a course."""
    connection.create_constraints()
    after = ""
    while rows := connection.read(CYPHER["next_ids_CourseContent"], after=after, limit=RESOLVED_AT_ONCE):
        ids = [row["id"] for row in rows]
        connection.write(_set_course_of_texts, ids)
        after = ids[-1]


def _set_course_of_texts(tx: neo4j.Transaction, ids: list[str]) -> None:
    tx.run(CYPHER["set_course_of_texts"], ids=ids).consume()


# Version -> the step to the next version.
# Version 3 adds attempts and items, and version 4 groups and terms. An earlier release would not delete them when it
# erases a student.
# Version 6 adds point_records. An earlier release would refuse such records, and could not remove them completely.
# Version 8 derives prerequisites separately from their claims. An earlier release would write them with the claims.
# Version 10 adds reviews of prerequisites. An earlier release would derive prerequisites without these reviews.
STEPS: Mapping[int, Step] = {
    1: carry_course_records,
    2: Connection.create_constraints,
    3: Connection.create_constraints,
    4: resolve_names,
    5: Connection.create_constraints,
    6: count_spellings,
    7: Connection.create_constraints,
    8: index_reports_and_courses,
    9: index_texts_of_courses,
}
