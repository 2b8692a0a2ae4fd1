"""Insights on a graph of each engine, which the importer's own Graph writes."""

from collections.abc import Iterator

import pytest
from rooms import Room, opened

from edugraph_insights.insights import Insights

from .schools import reading


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
    """Kept for the session; each test empties it."""
    with opened(request.param, tmp_path_factory.mktemp("graph")) as room:
        yield room


@pytest.fixture(scope="session")
def insights(room: Room) -> Iterator[Insights]:
    found = reading(room)
    yield found
    found.graph.close()
