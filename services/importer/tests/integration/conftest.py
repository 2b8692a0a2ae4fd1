"""The graph room on every engine: a Neo4j given by EDUGRAPH_NEO4J_URI, and the embedded one, started here."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neo4j
import pytest
from engines import empty_graph
from pydantic import SecretStr

from edugraph_gateway.graph_reader import graph_digest
from edugraph_importer.graph import Graph, GraphSettings


@dataclass(frozen=True)
class Room:
    """A graph on one engine, and a way to look at it from outside."""

    graph: Graph
    driver: neo4j.Driver
    settings: GraphSettings

    @property
    def has_locks(self) -> bool:
        """The embedded engine has none: there, a transaction that came too late is refused and repeated."""
        return "ArcadeDB" not in self.driver.get_server_info().agent

    def empty(self) -> None:
        self.driver.execute_query("MATCH (n) DETACH DELETE n", database_=self.settings.database)

    def query(self, cypher: str, **parameters: Any) -> list[dict[str, Any]]:
        with self.driver.session(database=self.settings.database) as session:
            return session.execute_read(lambda tx: tx.run(cypher, parameters).data())

    def digest(self) -> str:
        return graph_digest(self.query)


def _real() -> Iterator[GraphSettings]:
    if not os.environ.get("EDUGRAPH_NEO4J_URI"):
        if os.environ.get("CI") == "true":
            pytest.fail("no Neo4j is given: set EDUGRAPH_NEO4J_URI, or run make servers")
        pytest.skip("no Neo4j is given: set EDUGRAPH_NEO4J_URI, or run make servers")
    empty_graph(os.environ)  # in portions: what a benchmark left may be too much for one transaction
    yield GraphSettings()  # from the environment


def _embedded(folder: Path) -> Iterator[GraphSettings]:
    pytest.importorskip("arcadedb_embedded")
    from edugraph_cli.embedded.graph_server import EmbeddedGraph

    with EmbeddedGraph(folder) as address:
        yield GraphSettings(uri=address.uri, user=address.user, password=SecretStr(address.password))


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("neo4j", marks=pytest.mark.real),
        pytest.param("embedded", marks=pytest.mark.embedded),
    ],
)
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Kept for the session; `graph` empties it for each test."""
    engine = _real() if request.param == "neo4j" else _embedded(tmp_path_factory.mktemp("graph"))
    for settings in engine:
        graph, auth = Graph(settings), (settings.user, settings.password.get_secret_value())
        graph.prepare()
        with neo4j.GraphDatabase.driver(settings.uri, auth=auth, notifications_min_severity="OFF") as driver:
            yield Room(graph, driver, settings)
        graph.close()


@pytest.fixture
def graph(room: Room) -> Graph:
    room.empty()
    return room.graph
