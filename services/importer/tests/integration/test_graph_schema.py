"""The schema version of the graph: migrated step by step, and never by an older release. The steps are invented."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from waiting import until

from edugraph_common.contracts.errors import Retryable, Wait
from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph, RecordBatch, migrations
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.migrations import (
    UNVERSIONED,
    MigrationNotAllowed,
    MigrationRunning,
    NewerGraph,
    OlderGraph,
    migrate,
)
from edugraph_importer.schema_check import check_schema


@pytest.fixture
def a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a step from the version before this release's. The step changes nothing."""
    monkeypatch.setattr(migrations, "STEPS", {SCHEMA_VERSION - 1: lambda _: None})


@pytest.fixture
def connection(room: Any) -> Iterator[Connection]:
    with closing(Connection(room.settings)) as opened:
        yield opened


def version(room: Any) -> int | None:
    rows = room.query("MATCH (s:Schema) RETURN s.version AS version")
    return rows[0]["version"] if rows else None


def like(record_id: str) -> Record:
    data = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "like"}
    value = {
        "type": "student_interaction",
        "timestamp": "2026-03-01T08:00:00Z",
        "record_id": record_id,
        "data": data,
    }
    return parse_record(value)


def batch(number: int) -> RecordBatch:
    return RecordBatch("job", number, [(1, like(f"r{number}"))], (), 1)


def test_the_first_write_to_a_graph_gives_it_the_version_of_this_release(
    graph: Graph, room: Any
) -> None:
    graph.write_batch(batch(1))
    assert version(room) == SCHEMA_VERSION


def test_a_graph_is_migrated_step_by_step_from_where_it_stands(
    graph: Graph, room: Any, connection: Connection
) -> None:
    """To take the guard out: let `migrate` begin at `UNVERSIONED`, whatever the graph says."""
    graph.write_batch(batch(1))
    room.driver.execute_query(
        "MATCH (s:Schema) SET s.version = 5", database_=room.settings.database
    )
    done: list[tuple[int, list[dict[str, int]]]] = []
    progress = "MATCH (s:Schema) RETURN s.version AS version, s.unfinished_from AS reached"
    steps = {
        number: lambda _, number=number: done.append((number, room.query(progress)))
        for number in range(1, 8)
    }
    migrate(connection, steps, 8)
    # Releases that do not know version 8 write nothing while the steps are done.
    assert done == [(reached, [{"version": 8, "reached": reached}]) for reached in (5, 6, 7)]
    assert room.query(progress) == [{"version": 8, "reached": None}]
    migrate(connection, steps, 8)
    assert len(done) == 3


def test_a_graph_without_a_version_is_new_or_of_the_first_version(
    graph: Graph, room: Any, connection: Connection
) -> None:
    done: list[int] = []
    steps = {number: lambda _, number=number: done.append(number) for number in (1, 2)}
    migrate(connection, steps, 3)
    assert (done, version(room)) == ([], 3)
    room.empty()
    graph.write_batch(batch(1))
    room.driver.execute_query("MATCH (s:Schema) DELETE s", database_=room.settings.database)
    migrate(connection, steps, 3)
    assert (done, version(room)) == ([UNVERSIONED, 2], 3)


def test_a_graph_that_another_process_begins_meanwhile_is_a_new_one(
    graph: Graph, room: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let `stored_version` read the ledger after the version."""
    read, others = connection.read, iter([batch(1)])

    def read_before_another_writes(query: Any, **parameters: Any) -> list[Any]:
        rows = read(query, **parameters)
        for other in others:
            graph.write_batch(other)
        return rows

    monkeypatch.setattr(connection, "read", read_before_another_writes)
    no_step_is_done: dict[int, Any] = {}
    migrate(connection, no_step_is_done)
    assert version(room) == SCHEMA_VERSION


def test_a_step_that_was_not_finished_is_done_again(
    graph: Graph, room: Any, connection: Connection
) -> None:
    """To take the guard out: set the target's version before the steps."""
    graph.write_batch(batch(1))
    room.driver.execute_query(
        "MATCH (s:Schema) SET s.version = 5", database_=room.settings.database
    )
    done: list[int] = []

    def dies(_: Connection) -> None:
        done.append(6)
        if done.count(6) == 1:
            raise Retryable("the database is away")

    steps = {5: lambda _: done.append(5), 6: dies}
    with pytest.raises(Retryable):
        migrate(connection, steps, 7)
    assert room.query("MATCH (s:Schema) RETURN s.version AS v, s.unfinished_from AS u") == [
        {"v": 7, "u": 6}
    ]
    room.driver.execute_query(
        "MATCH (l:Lock {id: 'migration'}) SET l.until = 0", database_=room.settings.database
    )
    migrate(connection, steps, 7)
    assert (done, version(room)) == ([5, 6, 6], 7)


def test_a_graph_of_a_later_release_is_left_alone(graph: Graph, room: Any) -> None:
    """To take the guard out: let `check_version` refuse nothing, or take its call out of `erase` or `_begin`."""
    graph.write_batch(batch(1))
    later = SCHEMA_VERSION + 1
    room.driver.execute_query(
        "MATCH (s:Schema) SET s.version = $later", later=later, database_=room.settings.database
    )
    before = room.digest()
    for write in (
        graph.prepare,
        lambda: graph.write_batch(batch(2)),
        lambda: graph.write_findings(Findings(job_id="job", pack="p", findings=(), failed=1)),
        lambda: graph.erase_student("a"),
    ):
        with pytest.raises(
            Wait,
            match=f"has schema version {later}, and this importer knows up to {SCHEMA_VERSION}",
        ):
            write()
    assert (room.digest(), version(room)) == (before, later)


@pytest.mark.parametrize("old", [None, 1, min(migrations.STEPS) - 1])
def test_a_graph_that_is_too_old_is_refused_and_left_alone(
    graph: Graph, room: Any, old: int | None
) -> None:
    """To take the guard out: let `migrate` not call `refuse_too_old`. With None the graph has records and no version."""
    graph.write_batch(batch(1))
    query = (
        "MATCH (s:Schema) DELETE s" if old is None else f"MATCH (s:Schema) SET s.version = {old}"
    )
    room.driver.execute_query(query, database_=room.settings.database)
    before = room.digest()
    sentence = (
        f"the graph has schema version {old or UNVERSIONED}, which this importer cannot migrate to version "
        f"{SCHEMA_VERSION}: import the files again into an empty graph"
    )
    for work in (
        graph.prepare,
        lambda: graph.write_batch(batch(2)),
        lambda: graph.erase_student("a"),
    ):
        with pytest.raises(OlderGraph) as refused:
            work()
        assert refused.value.reason == sentence
    assert (room.digest(), version(room)) == (before, old)
    told = check_schema(lambda: Graph(room.settings))
    assert (told.ok, told.problems) == (False, (sentence,))


@pytest.mark.forgets_plans
def test_preparing_the_graph_makes_the_constraint_of_all_records(graph: Graph, room: Any) -> None:
    """Out: RECORD_LABEL in `create_constraints`."""
    if not room.has_locks:
        pytest.skip("a record has one label in the embedded engine")
    room.driver.execute_query(
        "DROP CONSTRAINT edugraph_Record IF EXISTS", database_=room.settings.database
    )
    graph.prepare()
    with room.driver.session(database=room.settings.database) as session:
        named = {row["name"] for row in session.run("SHOW CONSTRAINTS YIELD name")}
    assert "edugraph_Record" in named


# --- one process migrates at a time

LATER = SCHEMA_VERSION + 1


def set_version(room: Any, number: int) -> None:
    room.driver.execute_query(
        "MATCH (s:Schema) SET s.version = $number", number=number, database_=room.settings.database
    )


def hold_lease(room: Any, owner: str, seconds: int) -> None:
    room.driver.execute_query(
        "MERGE (l:Lock {id: 'migration'}) SET l.owner = $owner, l.until = timestamp() + $milliseconds",
        owner=owner,
        milliseconds=seconds * 1_000,
        database_=room.settings.database,
    )


def test_of_many_processes_one_migrates_and_the_others_wait(graph: Graph, room: Any) -> None:
    """To take the guard out: let `migrate` take no lease."""
    graph.write_batch(batch(1))
    running: list[int] = []
    most: list[int] = []
    waited: list[str] = []
    start = threading.Barrier(5)

    def step(connection: Connection) -> None:
        running.append(1)
        for _ in range(5):
            connection.write(lambda tx: tx.run("MATCH (s:Student) SET s.seen = true").consume())
            most.append(len(running))
            time.sleep(0.05)
        running.pop()

    def process(number: int) -> None:
        with closing(Connection(room.settings)) as own:
            start.wait()
            while True:
                try:
                    migrate(
                        own, {SCHEMA_VERSION: step}, LATER, new_owner=lambda: f"process {number}"
                    )
                except MigrationRunning as wait:
                    waited.append(wait.reason)
                    time.sleep(0.05)
                else:
                    return

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(process, range(5)))
    assert (len(most), max(most)) == (5, 1)
    assert set(waited) == {"another process migrates the graph"}
    assert room.query("MATCH (s:Schema) RETURN s.version AS v, s.unfinished_from AS u") == [
        {"v": LATER, "u": None}
    ]


@pytest.mark.usefixtures("a_step")
def test_the_lease_of_a_process_that_died_ends(
    graph: Graph, room: Any, connection: Connection
) -> None:
    """To take the guard out: let the lease be held whatever `until` says."""
    graph.write_batch(batch(1))
    done: list[int] = []
    steps = {SCHEMA_VERSION: lambda _: done.append(1)}
    hold_lease(room, "another", 30)
    with pytest.raises(MigrationRunning):
        migrate(connection, steps, LATER)
    set_version(room, SCHEMA_VERSION - 1)
    with pytest.raises(MigrationRunning):  # also for a writer that meets the graph
        graph.write_batch(batch(2))
    set_version(room, SCHEMA_VERSION)
    hold_lease(room, "another", -1)
    migrate(connection, steps, LATER)
    assert (done, version(room)) == ([1], LATER)
    # Nobody waits for the lease of a migration that has ended.
    [lease] = room.query("MATCH (l:Lock {id: 'migration'}) RETURN l.until < timestamp() AS ended")
    assert lease["ended"]


def test_a_process_that_lost_its_lease_writes_nothing_more(
    graph: Graph, room: Any, connection: Connection
) -> None:
    """A process may stand still for longer than its lease lasts. To take the guard out: let `migrate` set no fence."""
    graph.write_batch(batch(1))

    def step(own: Connection) -> None:
        hold_lease(room, "another", 30)
        own.write(lambda tx: tx.run("MATCH (s:Student) SET s.seen = true").consume())

    with pytest.raises(MigrationRunning, match="taken"):
        migrate(connection, {SCHEMA_VERSION: step}, LATER)
    assert room.query("MATCH (s:Student) WHERE s.seen RETURN s.id") == []
    assert room.query("MATCH (s:Schema) RETURN s.unfinished_from AS u") == [{"u": SCHEMA_VERSION}]
    # The fence has ended.
    connection.write(lambda tx: tx.run("MATCH (s:Student) SET s.seen = false").consume())


def test_the_lease_lasts_as_long_as_a_step(
    graph: Graph, room: Any, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement that makes an index may take minutes. To take the guard out: start no thread that renews."""
    monkeypatch.setattr(migrations, "LEASE_MILLISECONDS", 1_000)
    monkeypatch.setattr(migrations, "RENEWAL_SECONDS", 0.2)
    graph.write_batch(batch(1))

    def step(_: Connection) -> None:
        time.sleep(2.5)
        with closing(Connection(room.settings)) as other, pytest.raises(MigrationRunning):
            migrate(other, {SCHEMA_VERSION: lambda _: None}, LATER)

    migrate(connection, {SCHEMA_VERSION: step}, LATER)
    assert version(room) == LATER


def test_a_step_begins_when_older_transactions_have_ended(
    graph: Graph, room: Any, connection: Connection
) -> None:
    """A worker of the release before may have looked at the version and not have written yet.

    To take the guard out: let `wait_for_older_transactions` return at once.
    """
    if not room.has_locks:
        pytest.skip("the embedded engine refuses the transaction of the older worker")
    graph.write_batch(batch(1))
    happened: list[str] = []
    with room.driver.session(database=room.settings.database) as session:
        older = session.begin_transaction()
        older.run("MATCH (s:Schema) RETURN s.version").consume()
        with ThreadPoolExecutor(1) as pool:
            steps = {SCHEMA_VERSION: lambda _: happened.append("step")}
            migrating = pool.submit(migrate, connection, steps, LATER)
            until(lambda: version(room) == LATER)
            time.sleep(1)
            happened.append("older transaction")
            older.run("CREATE (:Student {id: 'late'})").consume()
            older.commit()
            migrating.result(20)
    assert happened == ["older transaction", "step"]


def test_a_worker_of_the_release_before_writes_nothing_during_a_migration(
    graph: Graph, room: Any, connection: Connection
) -> None:
    """To take the guard out: set the progress after the steps only."""
    graph.write_batch(batch(1))

    def step(_: Connection) -> None:
        with pytest.raises(NewerGraph):
            graph.write_batch(batch(2))

    migrate(connection, {SCHEMA_VERSION: step}, LATER)
    assert room.query("MATCH (b:ImportBatch) RETURN count(b) AS number") == [{"number": 1}]


@pytest.mark.usefixtures("a_step")
def test_a_process_that_may_not_migrate_changes_nothing(graph: Graph, room: Any) -> None:
    """To take the guard out: let `migrate` not look at `up_to`."""
    graph.write_batch(batch(1))
    set_version(room, SCHEMA_VERSION - 1)
    before = room.digest()
    settings = room.settings.model_copy(update={"migrate_up_to": SCHEMA_VERSION - 1})
    with closing(Graph(settings)) as restricted:
        for work in (restricted.prepare, lambda: restricted.write_batch(batch(2))):
            with pytest.raises(
                MigrationNotAllowed,
                match=f"version {SCHEMA_VERSION - 1}.*version {SCHEMA_VERSION}:",
            ):
                work()
    assert (room.digest(), version(room)) == (before, SCHEMA_VERSION - 1)
    settings = room.settings.model_copy(update={"migrate_up_to": SCHEMA_VERSION})
    with closing(Graph(settings)) as allowed:
        allowed.write_batch(batch(2))
    assert version(room) == SCHEMA_VERSION


def test_a_process_that_may_not_migrate_begins_a_new_graph(room: Any) -> None:
    room.empty()
    settings = room.settings.model_copy(update={"migrate_up_to": 0})
    with closing(Graph(settings)) as restricted:
        restricted.write_batch(batch(1))
    assert version(room) == SCHEMA_VERSION


def test_the_version_of_the_graph_is_noted_by_each_write(graph: Graph, room: Any) -> None:
    """To take the guard out: let `_write` or `_migrate` not call `note_version`."""
    graph.write_batch(batch(1))
    seen: list[int] = []
    with closing(Graph(room.settings, note_version=seen.append)) as noting:
        noting.write_batch(batch(2))
        set_version(room, LATER)
        for work in (noting.prepare, lambda: noting.write_batch(batch(3))):
            with pytest.raises(NewerGraph):
                work()
        set_version(room, SCHEMA_VERSION)
        noting.prepare()
    assert seen == [SCHEMA_VERSION, LATER, LATER, SCHEMA_VERSION]
