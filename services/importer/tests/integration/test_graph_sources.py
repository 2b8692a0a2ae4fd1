"""No source changes the records of another, whatever ids they send, and whatever is withdrawn or undone."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.messages import ImportRights
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.batching import read_batch
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_importer.undo import undo_import

from .imports import graph_with_rows, split
from .random_imports import EXAMPLES
from .test_version_order import MOMENTS, Import, fold, likes, row_lists

# (source, id that it sends) -> key in the graph
KEYS = {
    ("default", "r"): "r",
    ("default", "lms/r"): "lms/r",
    ("default", "@lms/r"): "@default/@lms/r",
    ("default", "@default/r"): "@default/@default/r",
    ("lms", "r"): "@lms/r",
    ("lms", "lms/r"): "@lms/lms/r",
    ("lms", "@lms/r"): "@lms/@lms/r",
    ("lms", "@default/r"): "@lms/@default/r",
    ("forum", "r"): "@forum/r",
    ("forum", "lms/r"): "@forum/lms/r",
    ("forum", "@lms/r"): "@forum/@lms/r",
    ("forum", "@default/r"): "@forum/@default/r",
}
SOURCES = sorted({source for source, _ in KEYS})
IDS = sorted({an_id for _, an_id in KEYS})


@pytest.fixture(scope="module")
def graph(room: Any, blobs: Blobs) -> Iterator[Graph]:
    with graph_with_rows(room, blobs) as graph:
        yield graph


@st.composite
def import_lists(draw: st.DrawFn) -> list[Import]:
    found = []
    for number in range(1, draw(st.integers(2, 5)) + 1):
        rows = [row | {"record_id": draw(st.sampled_from(IDS))} for row in draw(row_lists())]
        rights = ImportRights(
            learning=draw(st.booleans()),
            roster=draw(st.booleans()),
            source=draw(st.sampled_from(SOURCES)),
        )
        is_undone = draw(st.integers(0, 2)) == 0
        found.append(Import(rows, number, draw(st.integers(1, 3)), is_undone, rights))
    return found


def expected_digest(room: Any, imports: Sequence[Import]) -> str:
    """Return the digest of a graph in which each source was imported alone, and its ids are the keys of `KEYS`."""
    records = []
    for source in SOURCES:
        own = [each for each in imports if each.rights.source == source]
        for row in fold(own):
            content = {name: row[name] for name in ("type", "timestamp", "data")}
            key = KEYS[source, row["record_id"]]
            records.append(parse_record({"record_id": key, **content}))
    room.empty()
    lines = list(enumerate(records, start=1))
    room.graph.write_batch(RecordBatch("reference", 0, lines, (), len(lines), accepted=1))
    digest: str = room.digest()
    return digest


@EXAMPLES
@given(data=st.data())
def test_no_source_changes_the_records_of_another(
    room: Any, graph: Graph, blobs: Blobs, data: st.DataObject
) -> None:
    """Out, one at a time: `keyed` of records or of withdrawals in `read_batch`; the escape in `key_in_source`."""
    imports = data.draw(import_lists())
    expected = expected_digest(room, imports)
    room.empty()
    for name in blobs.folders("jobs"):
        blobs.delete(f"jobs/{name}")
    jobs = []
    waiting = []
    for each in imports:
        job_id, messages = split(
            blobs, each.rows, each.batch_size, each.accepted, rights=each.rights
        )
        jobs.append(job_id)
        waiting += messages
    for message in data.draw(st.permutations(waiting)):
        graph.write_batch(read_batch(blobs, message).graph)
    undone = [number for number, each in enumerate(imports) if each.is_undone]
    for number in data.draw(st.permutations(undone)):
        undo_import(graph, blobs, jobs[number])
    assert room.digest() == expected


@pytest.mark.parametrize("source", ["default", "lms"])
def test_a_withdrawal_reaches_only_its_source(
    room: Any, graph: Graph, blobs: Blobs, source: str
) -> None:
    room.empty()
    rows = [likes(1), likes(2, record_id="@lms/r")]
    for number, each in enumerate(("default", "lms"), start=1):
        rights = ImportRights(source=each)
        for message in split(blobs, rows, 3, number, rights=rights)[1]:
            assert graph.write_batch(read_batch(blobs, message).graph).written == 2
    withdrawals = [
        {"record_id": record_id, "timestamp": MOMENTS[0], "withdrawn": True}
        for record_id in ("r", "@lms/r", "@lms/@lms/r")
    ]
    [message] = split(blobs, withdrawals, 3, 3, rights=ImportRights(source=source))[1]
    assert graph.write_batch(read_batch(blobs, message).graph).rejected == 0
    left = {
        "default": {"@lms/r", "@lms/@lms/r"},
        "lms": {"r", "@default/@lms/r"},
    }
    found = room.query("MATCH (record:Interaction) RETURN record.id AS id")
    assert {row["id"] for row in found} == left[source]
