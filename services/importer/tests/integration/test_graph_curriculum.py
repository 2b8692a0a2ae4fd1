"""A curriculum is an import like others: its versions count, and it can be undone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.batching import read_batch
from edugraph_importer.graph import Graph
from edugraph_importer.undo import undo_import

from .graph_reference import relationships
from .imports import graph_with_rows, split


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path))


@pytest.fixture
def graph(room: Any, blobs: Blobs) -> Iterator[Graph]:
    room.empty()
    with graph_with_rows(room, blobs) as graph:
        yield graph


def package(statement: str, *links: tuple[str, str, str]) -> dict[str, Any]:
    items = []
    for identifier, said in (("top", "Number"), ("sums", statement), ("ratios", "Ratios")):
        items.append(
            {"identifier": identifier, "fullStatement": said, "humanCodingScheme": f"7.{said[0]}"}
        )
    associations = []
    for kind, origin, destination in links:
        ends = {"originNodeURI": {"identifier": origin}}
        ends["destinationNodeURI"] = {"identifier": destination}
        associations.append({"associationType": kind, **ends})
    return {
        "CFDocument": {"identifier": "doc"},
        "CFItems": items,
        "CFAssociations": associations,
    }


def bring(graph: Graph, blobs: Blobs, package: dict[str, Any]) -> str:
    job_id, messages = split(blobs, [package], batch_size=2, file_format="case")
    for message in messages:
        graph.write_batch(read_batch(blobs, message).graph)
    graph.settle_prerequisites()
    return job_id


def point(room: Any, point_id: str) -> dict[str, Any]:
    [row] = room.query("MATCH (k:KnowledgePoint {id: $id}) RETURN properties(k) AS p", id=point_id)
    return {name: row["p"].get(name) for name in ("name", "label", "statement", "parent")}


def test_a_later_version_of_a_package_corrects_the_points_and_can_be_undone(
    room: Any, graph: Graph, blobs: Blobs
) -> None:
    """Out: let `precedes` be a parent; make the record id of the row; let the timestamp be that of reading."""
    first = bring(
        graph,
        blobs,
        package("Sums", ("isChildOf", "sums", "top"), ("precedes", "sums", "ratios")),
    )
    before = room.digest()
    assert point(room, "sums") == {
        "name": "Sums",
        "label": "7.S",
        "statement": "Sums",
        "parent": "top",
    }
    assert relationships(room, "DEPENDS_ON", "confidence") == {("ratios", "sums"): 1.0}

    statement = "Sums of fractions. " * 260  # about 5,000 characters
    second = bring(graph, blobs, package(statement, ("isChildOf", "sums", "ratios")))
    assert point(room, "sums") == {
        "name": "7.S",
        "label": "7.S",
        "statement": statement.strip(),
        "parent": "ratios",
    }
    assert relationships(room, "DEPENDS_ON", "confidence") == {}

    undo_import(graph, blobs, second)
    graph.settle_prerequisites()
    assert room.digest() == before
    undo_import(graph, blobs, first)
    graph.settle_prerequisites()
    assert room.query("MATCH (k:KnowledgePoint) RETURN k.id AS id") == []
