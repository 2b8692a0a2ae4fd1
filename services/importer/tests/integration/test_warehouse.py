"""The tables of a warehouse equal the records, whatever changes the graph and wherever a sync is killed."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from arro3.core import Table
from arro3.io import read_parquet
from deltalake import DeltaTable, QueryBuilder
from hypothesis import given
from hypothesis import strategies as st
from rooms import Room

from edugraph_cli.warehouse.delta import Delta
from edugraph_cli.warehouse.schema import NAME_TABLES, RECORD_TABLES, STUDENTS
from edugraph_cli.warehouse.sync import sync
from edugraph_common.contracts.api import WarehouseRecords
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.graph import Graph
from edugraph_importer.undo import read_stored_rows
from edugraph_insights import warehouse
from edugraph_insights.graph import Graph as ReadGraph

from .random_imports import SLOW_EXAMPLES, batch
from .test_words_of_changes import RETENTION, STEPS, School, attempt_in

ALL_TABLES = {**RECORD_TABLES, **NAME_TABLES, "students": STUDENTS}


class Killed(BaseException):
    """The process of a sync ends here."""


@dataclass
class Insights:
    """The API of insights without HTTP. `asked` has the students of each request for records."""

    graph: ReadGraph
    asked: list[Sequence[str]]

    @contextmanager
    def warehouse_changes(self, since: int | None) -> Iterator[Iterator[str]]:
        yield (json.dumps(value) for value in warehouse.changes(self.graph, since))

    def warehouse_records(self, students: Sequence[str]) -> WarehouseRecords:
        self.asked.append(students)
        first, tables = warehouse.records_of(self.graph, students)
        return WarehouseRecords(students=tuple(first), tables=tables)


@pytest.fixture
def insights(room: Room) -> Iterator[Insights]:
    with room.reading() as read_graph:
        yield Insights(read_graph, [])


@pytest.fixture
def graph(room: Room, blobs: Blobs) -> Iterator[Graph]:
    room.empty()
    read_rows = partial(read_stored_rows, blobs)
    with closing(Graph(room.settings, RETENTION, read_rows=read_rows)) as graph:
        graph.prepare()
        yield graph


@pytest.fixture
def school(graph: Graph, blobs: Blobs) -> School:
    """A school without records. A test sets `draw`."""

    def draw(_: Any) -> Any:
        raise NotImplementedError

    return School(graph, blobs, draw)


@pytest.fixture
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return partial(tmp_path_factory.mktemp, "warehouse")


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Without looking back, a sync reads only what was written since the last one."""
    with patch.object(warehouse, "LOOK_BACK", timedelta(0)):
        yield


def run(insights: Any, folder: Path, *, whole: bool = False) -> Mapping[str, int]:
    return sync(insights, str(folder), whole=whole)


def rows_of(folder: Path, table: str) -> list[str]:
    """Return the rows of a table as any reader of Delta finds them, in one order."""
    query = QueryBuilder().register("t", DeltaTable(str(folder / table)))
    found = query.execute("SELECT * FROM t").read_all()
    columns = [found[name].to_pylist() for name in found.column_names]
    return sorted(
        repr(dict(zip(found.column_names, row, strict=True))) for row in zip(*columns, strict=True)
    )


def all_rows(folder: Path) -> dict[str, list[str]]:
    return {name: rows_of(folder, name) for name in ALL_TABLES}


def key_rows(folder: Path, table: str, *columns: str) -> list[tuple[Any, ...]]:
    rows = Delta(str(folder / table), ALL_TABLES[table]).rows(columns, {})
    return sorted(tuple(row[name] for name in columns) for row in rows)


def records(*values: dict[str, Any]) -> list[Record]:
    return [parse_record({"timestamp": "2026-01-01T08:00Z", **each}) for each in values]


def tried(record: str, student: str, *courses: str, **data: Any) -> dict[str, Any]:
    given_data = {"student_id": student, "item_id": "i", "correct": True, **data}
    if courses:
        given_data["course_ids"] = list(courses)
    return {"type": "attempt_record", "record_id": record, "data": given_data}


def chat(record: str, sender: str, receiver: str) -> dict[str, Any]:
    data = {"student_id_from": sender, "student_id_to": receiver, "interaction_type": "chat"}
    return {"type": "student_interaction", "record_id": record, "data": {**data, "text": "Hello"}}


@pytest.mark.timeout(900)
@SLOW_EXAMPLES
@given(data=st.data())
def test_synced_tables_equal_new_ones_after_each_change(
    room: Room,
    school: School,
    insights: Insights,
    new_folder: Callable[[], Path],
    data: st.DataObject,
) -> None:
    """Out, each alone: `changed` of students, `remove`, the keys of `gone` in `put`, `_written_since`."""
    room.empty()
    school.graph.prepare()
    folder = new_folder()
    school.draw = data.draw
    school.jobs.clear()
    school.bring()
    school.find()
    run(insights, folder)
    steps = st.sampled_from([*STEPS, "restrict"])
    for step in data.draw(st.lists(steps, min_size=2, max_size=5)):
        if step == "restrict":
            restricted = data.draw(st.booleans())
            school.graph.restrict_student(
                data.draw(st.sampled_from(["a", "b"])), restricted=restricted
            )
        else:
            getattr(school, step)()
        if data.draw(st.booleans()):
            continue
        counts = run(insights, folder)
        new = new_folder()
        assert run(insights, new) == counts
        assert all_rows(folder) == all_rows(new)
        check(room, counts)


COUNTS = {
    "attempts": "MATCH (s:Student)-[:TRIED]->(n:Attempt) WHERE s.restricted IS NULL",
    "progress": "MATCH (s:Student)-[:HAS_RECORD]->(n:CourseRecord) WHERE s.restricted IS NULL",
    "activity": "MATCH (s:Student)-[:ACTIVE_ON]->(n:ActiveDay) WHERE s.restricted IS NULL",
    "memberships": "MATCH (s:Student)-[:HAS_MEMBERSHIP]->(n:Membership) WHERE s.restricted IS NULL",
}


def check(room: Room, counts: Mapping[str, int]) -> None:
    """Compare the counts of tables with those of the graph, where a row is a record in a course or in none."""
    for table, match in COUNTS.items():
        query = f"{match} RETURN COUNT {{ (n)-[:IN_COURSE]->() }} AS courses"
        expected = sum(max(1, row["courses"]) for row in room.query(query))
        assert counts[table] == expected, table


def test_rows_are_those_of_the_input(graph: Graph, insights: Insights, tmp_path: Path) -> None:
    values = [
        tried("r1", "a", "c", "d", score=0.25, attempt_number=2, correct=None),
        tried("r2", "b", correct=False, response="7", knowledge_points=["Fractions"]),
        chat("r3", "a", "b"),
        {
            "type": "error_record",
            "record_id": "r4",
            "data": {"student_id": "b", "course_id": "c", "error_text": "x", "error_type": "sign"},
        },
        {
            "type": "membership_record",
            "record_id": "r5",
            "data": {"student_id": "a", "group_id": "g", "role": "member"},
        },
        {
            "type": "course_record",
            "record_id": "r6",
            "data": {"student_id": "a", "course_id": "c", "progress": 40, "student_name": "Ann"},
        },
    ]
    graph.write_batch(batch(records(*values), "job", 0))
    counts = run(insights, tmp_path)
    found = key_rows(tmp_path, "attempts", "record", "course", "student", "outcome")
    assert found == [("r1", "c", "a", 250), ("r1", "d", "a", 250), ("r2", "", "b", 0)]
    assert key_rows(tmp_path, "mistakes", "record", "student") == [("r2", "b"), ("r4", "b")]
    assert key_rows(tmp_path, "messages", "record", "student", "other_student") == [
        ("r3", "a", "b")
    ]
    assert key_rows(tmp_path, "progress", "student", "course", "progress") == [("a", "c", 40.0)]
    assert key_rows(tmp_path, "memberships", "student", "group_id", "leads") == [("a", "g", False)]
    assert key_rows(tmp_path, "students", "id", "name") == [("a", "Ann"), ("b", None)]
    assert key_rows(tmp_path, "item_points", "item", "point") == [("i", "fractions")]
    assert key_rows(tmp_path, "courses", "id") == [("c",), ("d",)]
    assert counts["attempts"] == 3


def test_a_sync_reads_only_new_records_and_students_who_lost_one(
    graph: Graph, insights: Insights, tmp_path: Path
) -> None:
    """Out: the comparison of `changed`, or the condition of `everybody`."""
    graph.write_batch(
        batch(records(tried("r1", "a"), tried("r2", "b"), tried("r3", "c")), "job", 0)
    )
    run(insights, tmp_path)
    graph.write_batch(batch(records(tried("r4", "a")), "job", 1))
    graph.write_batch(batch([], "back", 0, ["r2"]))
    graph.write_batch(batch(records(tried("r5", "b")), "job", 2))
    insights.asked.clear()
    run(insights, tmp_path)
    assert insights.asked == [["b"]]
    assert key_rows(tmp_path, "attempts", "record") == [("r1",), ("r3",), ("r4",), ("r5",)]
    insights.asked.clear()
    run(insights, tmp_path, whole=True)
    assert insights.asked == [["a", "b", "c"]]
    assert key_rows(tmp_path, "attempts", "record") == [("r1",), ("r3",), ("r4",), ("r5",)]


def test_an_answer_has_the_first_students_up_to_a_number_of_records(
    graph: Graph, insights: Insights, tmp_path: Path
) -> None:
    """Out: `_first_students`, or the comparison in it."""
    values = [*(tried(f"a{n}", "a") for n in range(3)), tried("b1", "b"), tried("c1", "c")]
    graph.write_batch(batch(records(*values), "job", 0))
    with patch.object(warehouse, "RECORDS_AT_ONCE", 2):
        assert insights.warehouse_records(["a", "b", "c"]).students == ("a",)
        assert insights.warehouse_records(["b", "unknown", "c", "a"]).students == (
            "b",
            "unknown",
            "c",
        )
        assert run(insights, tmp_path)["attempts"] == 5


def test_a_transaction_that_ends_late_is_read_by_the_next_sync(
    room: Room, graph: Graph, insights: Insights, tmp_path: Path
) -> None:
    """Its word is older than the last one that a sync has read. Out: `LOOK_BACK`."""
    graph.write_batch(batch(records(tried("r1", "a")), "job", 0))
    [late] = room.query("MATCH (n:Attempt) RETURN n.written AS word")
    graph.write_batch(batch(records(tried("r2", "a")), "job", 1))
    run(insights, tmp_path)
    graph.write_batch(batch(records(tried("r3", "a")), "job", 2))
    move = "MATCH (n:Attempt {id: 'r3'}) SET n.written = $word"
    room.driver.execute_query(move, word=late["word"])
    with patch.object(warehouse, "LOOK_BACK", timedelta(minutes=1)):
        run(insights, tmp_path)
    assert key_rows(tmp_path, "attempts", "record") == [("r1",), ("r2",), ("r3",)]


@contextmanager
def killed_after(commits: int) -> Iterator[None]:
    """Kill the process before the commit with this number, counted from 0."""
    left = iter(range(commits))
    put = Delta.put
    add = Delta.add
    keep_number = Delta.keep_number

    def die() -> None:
        if next(left, None) is None:
            raise Killed

    def put_or_die(table: Delta, rows: Any, gone: Any = ()) -> None:
        gone = list(gone)
        if rows or gone:
            die()
        put(table, rows, gone)

    def add_or_die(table: Delta, portions: Any) -> None:
        die()
        add(table, portions)

    def keep_or_die(table: Delta, number: int) -> None:
        die()
        keep_number(table, number)

    with (
        patch.object(Delta, "put", put_or_die),
        patch.object(Delta, "add", add_or_die),
        patch.object(Delta, "keep_number", keep_or_die),
    ):
        yield


@pytest.mark.parametrize("commits", range(6))
def test_a_killed_sync_is_completed_by_the_next_one(
    graph: Graph, insights: Insights, tmp_path: Path, commits: int
) -> None:
    """Somebody new is erased before the next sync. Out: `register` before the records, or the number in the log."""
    graph.write_batch(batch(records(tried("r1", "a"), chat("r2", "a", "b")), "job", 0))
    kept = tmp_path / "kept"
    run(insights, kept)
    graph.write_batch(batch(records(tried("r3", "new"), chat("r4", "new", "a")), "job", 1))
    graph.write_batch(batch(records(tried("r5", "b"), tried("r1", "b")), "job", 2))
    graph.erase_student("a")
    with killed_after(commits), pytest.raises(Killed):
        run(insights, kept)
    graph.erase_student("new")
    run(insights, kept)
    new = tmp_path / "new"
    run(insights, new)
    assert all_rows(kept) == all_rows(new)


def texts_in(folder: Path) -> str:
    """Return all values of all Parquet files below a folder, and the bytes of all other files.

    Files that no version of a table has are there as well. The pages of a Parquet file are compressed.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            for batch_of_rows in read_parquet(path):
                found.append(
                    repr(Table.from_batches([batch_of_rows]).to_struct_array().to_pylist())
                )
        if path.is_file():
            found.append(path.read_bytes().decode("latin-1"))
    return "\n".join(found)


@pytest.mark.parametrize("cause", ["erased", "restricted"])
def test_who_is_erased_or_restricted_is_in_no_file_after_the_next_sync(
    graph: Graph, insights: Insights, tmp_path: Path, cause: str
) -> None:
    """Other students are written meanwhile, so that there are several files. A sync was killed before its commit.

    Out, each alone: `vacuum`, its `full`, `cleanup_metadata`, `remove`.
    """
    marked = "marked-student"
    name = {"student_name": "Marked Name"}
    values = [
        tried("r1", marked, "c", **name),
        tried("r2", "b"),
        chat("r3", marked, "b"),
        chat("r4", "b", marked),
    ]
    graph.write_batch(batch(records(*values), "job", 0))
    run(insights, tmp_path)
    graph.write_batch(batch(records(tried("r5", marked), tried("r6", "c")), "job", 1))
    run(insights, tmp_path)
    assert marked in texts_in(tmp_path)
    assert "Marked Name" in texts_in(tmp_path)
    # A process that is killed while it writes leaves a file that no log names.
    table = tmp_path / "attempts"
    [file, *_] = table.glob("*.parquet")
    (table / f"killed-{file.name}").write_bytes(file.read_bytes())
    if cause == "erased":
        graph.erase_student(marked)
    else:
        graph.restrict_student(marked, restricted=True)
    run(insights, tmp_path)
    left = texts_in(tmp_path)
    assert marked not in left
    assert "Marked Name" not in left
    assert key_rows(tmp_path, "attempts", "record") == [("r2",), ("r6",)]
    if cause == "restricted":
        graph.restrict_student(marked, restricted=False)
        run(insights, tmp_path)
        assert len(key_rows(tmp_path, "attempts", "record")) == 4
        assert len(key_rows(tmp_path, "messages", "record")) == 2


def test_an_answer_that_was_cut_off_removes_nobody(
    graph: Graph, insights: Insights, tmp_path: Path
) -> None:
    """Out: `is_whole`."""
    graph.write_batch(batch(records(tried("r1", "a"), tried("r2", "b")), "job", 0))
    before = run(insights, tmp_path)

    @contextmanager
    def cut(since: int | None) -> Iterator[Iterator[str]]:
        lines = [json.dumps(value) for value in warehouse.changes(insights.graph, since)]
        yield iter(line for line in lines if "end" not in line and "students" not in line)

    with (
        patch.object(insights, "warehouse_changes", cut),
        pytest.raises(Rejected, match="cut off"),
    ):
        run(insights, tmp_path)
    assert key_rows(tmp_path, "students", "id") == [("a",), ("b",)]
    assert run(insights, tmp_path) == before


def test_an_older_graph_is_read_whole(
    room: Room, graph: Graph, insights: Insights, tmp_path: Path
) -> None:
    """A backup was restored. Out: `is_older_graph`."""
    graph.write_batch(batch(records(tried("r1", "a")), "job", 0))
    graph.write_batch(batch([attempt_in("c", record_id="r2")], "job", 1))
    run(insights, tmp_path)
    room.driver.execute_query("MATCH (n:Attempt {id: 'r2'}) DETACH DELETE n")
    earlier = "MATCH (n:Attempt) SET n.written = '00000000-0000-7000-8000-000000000000'"
    room.driver.execute_query(earlier)
    run(insights, tmp_path)
    assert key_rows(tmp_path, "attempts", "record") == [("r1",)]
