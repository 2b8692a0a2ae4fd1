"""The graph repository on every engine: the tests' Neo4j, and the embedded one, started here."""

import importlib.util
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import guard
import neo4j
from engines import PRIVACY_SECRET, given, missing
from pydantic import SecretStr

from edugraph_importer.graph import Graph, GraphSettings
from edugraph_insights.graph import Graph as ReadGraph
from edugraph_insights.settings import InsightsSettings
from edugraph_insights.whole_graph import graph_digest

_LABEL_OR_TYPE = re.compile(r"[(\[]\w:(\w+)[)\]]")  # the one that a statement of the digest reads


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
        guard.ask(_address(self.settings))
        self.driver.execute_query("MATCH (n) DETACH DELETE n", database_=self.settings.database)

    def query(self, cypher: str, **parameters: Any) -> list[dict[str, Any]]:
        """Ask in one round trip: a transaction of its own would take three, and properties ask thousands of times."""
        with self.driver.session(
            database=self.settings.database, default_access_mode=neo4j.READ_ACCESS
        ) as session:
            return session.run(cypher, parameters).data()

    @contextmanager
    def reading(self) -> Iterator[ReadGraph]:
        """The graph as insights reads it."""
        own = {
            f"neo4j_{name}": getattr(self.settings, name)
            for name in ("uri", "user", "password", "database")
        }
        settings = InsightsSettings.model_validate({"redis_url": "redis://127.0.0.1:1", **own})
        with closing(ReadGraph(settings)) as graph:
            yield graph

    def digest(self) -> str:
        """The digest of the whole graph, once prerequisites are derived, which nothing waits for while it writes.

        Of labels and types that nothing has, which are most of them, none is read.
        """
        self.graph.settle_persons()
        self.graph.settle_prerequisites()
        there = {
            row["name"]
            for row in self.query("MATCH (n) UNWIND labels(n) AS name RETURN DISTINCT name")
        }
        there |= {
            row["name"] for row in self.query("MATCH ()-[r]->() RETURN DISTINCT type(r) AS name")
        }
        return graph_digest(
            lambda cypher: self.query(cypher) if _LABEL_OR_TYPE.findall(cypher)[0] in there else []
        )


def _address(settings: GraphSettings) -> dict[str, str]:
    values = {
        "URI": settings.uri,
        "USER": settings.user,
        "PASSWORD": settings.password.get_secret_value(),
    }
    return {f"EDUGRAPH_NEO4J_{name}": value for name, value in values.items()}


def _real() -> Iterator[GraphSettings]:
    uri, user, password = given(
        "EDUGRAPH_NEO4J_URI", "EDUGRAPH_NEO4J_USER", "EDUGRAPH_NEO4J_PASSWORD"
    ).values()
    settings = GraphSettings(
        uri=uri, user=user, password=SecretStr(password), privacy_secret=SecretStr(PRIVACY_SECRET)
    )
    # The graph is emptied in portions, since an import may have left too much for one transaction.
    guard.empty_graph(_address(settings))
    yield settings


def _embedded(folder: Path) -> Iterator[GraphSettings]:
    if importlib.util.find_spec("arcadedb_embedded") is None:
        missing("the embedded graph is not installed: uv sync --all-extras")
    from edugraph_cli.embedded.graph_server import EmbeddedGraph

    with EmbeddedGraph(folder) as address:
        settings = GraphSettings(
            uri=address.uri,
            user=address.user,
            password=SecretStr(address.password),
            privacy_secret=SecretStr(PRIVACY_SECRET),
        )
        with guard.started_here(_address(settings)):
            yield settings


@contextmanager
def opened(engine: str, folder: Path) -> Iterator[Room]:
    """A room on "neo4j" or "embedded", prepared. It may hold what an earlier test left."""
    for settings in _real() if engine == "neo4j" else _embedded(folder):
        graph, auth = Graph(settings), (settings.user, settings.password.get_secret_value())
        graph.prepare()
        with neo4j.GraphDatabase.driver(
            settings.uri, auth=auth, notifications_min_severity="OFF"
        ) as driver:
            yield Room(graph, driver, settings)
        graph.close()
