"""The graph repository on every engine: the tests' Neo4j, and the embedded one, started here."""

from collections.abc import Iterator

import pytest
from rooms import Room, opened

from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.graph import Graph


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("neo4j", marks=pytest.mark.real),
        pytest.param("embedded", marks=[pytest.mark.embedded, pytest.mark.twin]),
    ],
)
def room(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Room]:
    """Kept for the session; `graph` empties it for each test."""
    with opened(request.param, tmp_path_factory.mktemp("graph")) as room:
        yield room


@pytest.fixture
def graph(room: Room) -> Graph:
    room.empty()
    return room.graph


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    """Keep the stored rows of all jobs of a module."""
    return Blobs(str(tmp_path_factory.mktemp("blobs")))
