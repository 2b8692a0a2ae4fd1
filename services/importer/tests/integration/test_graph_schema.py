"""The version of the graph's form: migrated step by step, and never by an older release."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from edugraph_common.contracts.errors import Retryable, Wait
from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.migrations import UNVERSIONED, migrate


@pytest.fixture
def connection(room: Any) -> Iterator[Connection]:
    with closing(Connection(room.settings)) as opened:
        yield opened


def version(room: Any) -> int | None:
    rows = room.query("MATCH (s:Schema) RETURN s.version AS version")
    return rows[0]["version"] if rows else None


def like(record_id: str) -> Record:
    data = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "like"}
    value = {"type": "student_interaction", "timestamp": "2026-03-01T08:00:00Z", "record_id": record_id, "data": data}
    return parse_record(value)


def batch(number: int) -> RecordBatch:
    return RecordBatch("job", number, [(1, like(f"r{number}"))], (), 1)


def test_the_first_write_to_a_graph_gives_it_the_version_of_this_release(graph: Graph, room: Any) -> None:
    graph.write_batch(batch(1))
    assert version(room) == SCHEMA_VERSION


def test_a_graph_is_migrated_step_by_step_from_where_it_stands(
    graph: Graph, room: Any, connection: Connection
) -> None:
    """To take the guard out: let `migrate` begin at `UNVERSIONED`, whatever the graph says."""
    graph.write_batch(batch(1))
    room.driver.execute_query("MATCH (s:Schema) SET s.version = 5", database_=room.settings.database)
    done: list[tuple[int, int | None]] = []
    steps = {number: lambda _, number=number: done.append((number, version(room))) for number in range(1, 8)}
    migrate(connection, steps, 8)
    assert done == [(5, 5), (6, 6), (7, 7)]
    assert version(room) == 8
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


def test_a_step_that_was_not_finished_is_done_again(graph: Graph, room: Any, connection: Connection) -> None:
    """To take the guard out: set the target's version before the steps."""
    graph.write_batch(batch(1))
    room.driver.execute_query("MATCH (s:Schema) SET s.version = 5", database_=room.settings.database)
    done: list[int] = []

    def dies(_: Connection) -> None:
        done.append(6)
        if done.count(6) == 1:
            raise Retryable("the database is away")

    steps = {5: lambda _: done.append(5), 6: dies}
    with pytest.raises(Retryable):
        migrate(connection, steps, 7)
    assert version(room) == 6
    migrate(connection, steps, 7)
    assert (done, version(room)) == ([5, 6, 6], 7)


def test_a_graph_of_a_later_release_is_left_alone(graph: Graph, room: Any) -> None:
    """To take the guard out: let `check_version` refuse nothing."""
    graph.write_batch(batch(1))
    later = SCHEMA_VERSION + 1
    room.driver.execute_query(
        "MATCH (s:Schema) SET s.version = $later", later=later, database_=room.settings.database
    )
    before = room.digest()
    for write in (graph.prepare, lambda: graph.write_batch(batch(2)), lambda: graph.erase_student("a")):
        with pytest.raises(Wait, match=f"has schema version {later}, and this release knows up to {SCHEMA_VERSION}"):
            write()
    assert (room.digest(), version(room)) == (before, later)
