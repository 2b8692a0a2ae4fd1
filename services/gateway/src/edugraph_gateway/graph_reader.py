"""The gateway's read-only look at the graph: the one module here that knows Neo4j."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import neo4j
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from edugraph_common.contracts.api import Edge, GraphPicture, GraphSummary, Mistakes, Node
from edugraph_common.contracts.errors import Retryable, what
from edugraph_common.contracts.graph_schema import ENTITY_LABELS, RECORD_LABELS, RELATIONSHIPS
from edugraph_gateway.graph_digest import graph_digest
from edugraph_gateway.settings import GatewaySettings

MOST_FREQUENT = 20
TIMEOUT = 30.0  # seconds one query may take

# A mistake concerns a point by its finding; how often it was made is the record's own count.
_MISTAKES = """
MATCH (e:ErrorRecord)-[:CONCERNS]->(k:KnowledgePoint)
OPTIONAL MATCH (s:Student)-[:MADE]->(e)
RETURN k.id AS id, k.name AS name, count(DISTINCT e) AS mistakes, count(DISTINCT s.id) AS students
ORDER BY mistakes DESC, id ASC LIMIT $limit
"""
_EDGES = """
MATCH (a)-[r]->(b)
WHERE type(r) IN $types
RETURN labels(a)[0] AS a_label, a.id AS a, coalesce(a.name, a.title, a.id) AS a_name, type(r) AS type,
       labels(b)[0] AS b_label, b.id AS b, coalesce(b.name, b.title, b.id) AS b_name
LIMIT $limit
"""
# What a picture shows: people, courses and what they learn, not the provenance of each record.
SHOWN_RELATIONSHIPS = (
    "CHAT_WITH", "LIKES", "TEACHES", "LEARNS", "CONTAINS", "HAS_ERROR", "RELATES_TO", "DEPENDS_ON",
)  # fmt: skip


class GraphReading:
    """Raises Retryable when the graph does not answer, or when no address is set."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings

    def digest(self) -> str:
        """One hash over everything but the ledger; reads the whole graph."""
        with _driver_errors(), self._session() as session:
            return graph_digest(lambda query: _rows(session, query))

    def summary(self) -> GraphSummary:
        """Counts by label and type, those that are not there left out."""
        with _driver_errors(), self._session() as session:
            nodes = {label: _count(session, f"MATCH (n:{label})", "n") for label in RECORD_LABELS + ENTITY_LABELS}
            edges = {kind: _count(session, f"MATCH ()-[r:{kind}]->()", "r") for kind in RELATIONSHIPS}
            mistakes = [_mistakes(row) for row in _rows(session, _MISTAKES, limit=MOST_FREQUENT)]
        return GraphSummary(nodes=_present(nodes), relationships=_present(edges), frequent_mistakes=tuple(mistakes))

    def picture(self, limit: int) -> GraphPicture:
        """At most `limit` relationships and the nodes at their ends."""
        with _driver_errors(), self._session() as session:
            rows = list(_rows(session, _EDGES, types=list(SHOWN_RELATIONSHIPS), limit=limit))
        nodes = {node.id: node for row in rows for node in (_node(row, "a"), _node(row, "b"))}
        edges = (Edge(source=_node(r, "a").id, target=_node(r, "b").id, type=r["type"]) for r in rows)
        return GraphPicture(nodes=tuple(nodes.values()), edges=tuple(edges))

    def constrained_labels(self) -> set[str]:
        """Labels with a constraint of uniqueness."""
        with _driver_errors(), self._session() as session:
            rows = list(_rows(session, "SHOW CONSTRAINTS YIELD labelsOrTypes RETURN labelsOrTypes AS labels"))
        return {label for row in rows for label in row["labels"] or ()}

    def close(self) -> None:
        if "_driver" in self.__dict__:
            self._driver.close()

    def _session(self) -> neo4j.Session:
        return self._driver.session(
            database=self._settings.neo4j_database, default_access_mode=neo4j.READ_ACCESS, fetch_size=1_000
        )

    @cached_property
    def _driver(self) -> neo4j.Driver:
        uri, user, password = (getattr(self._settings, f"neo4j_{name}") for name in ("uri", "user", "password"))
        if uri is None:
            raise Retryable("the gateway knows no graph: set EDUGRAPH_NEO4J_URI, …_USER and …_PASSWORD")
        return neo4j.GraphDatabase.driver(
            uri,
            auth=(user, password.get_secret_value()) if user and password else None,
            connection_timeout=3.0,
            connection_acquisition_timeout=5.0,
            notifications_min_severity="OFF",
            telemetry_disabled=True,
            user_agent="edugraph-gateway",
        )


def _rows(session: neo4j.Session, query: str, **parameters: Any) -> Iterator[Mapping[str, Any]]:
    """Queries are put together from this project's own labels and types only."""
    for record in session.run(neo4j.Query(query, timeout=TIMEOUT), parameters):
        yield {name: record[name] for name in record.keys()}  # noqa: SIM118 - a Record iterates over its values


def _count(session: neo4j.Session, pattern: str, name: str) -> int:
    return next(int(row["found"]) for row in _rows(session, f"{pattern} RETURN count({name}) AS found"))


def _mistakes(row: Mapping[str, Any]) -> Mistakes:
    return Mistakes(knowledge_point=row["id"], name=row["name"], mistakes=row["mistakes"], students=row["students"])


def _node(row: Mapping[str, Any], end: str) -> Node:
    label = str(row[f"{end}_label"])
    return Node(id=f"{label}:{row[end]}", label=label, name=str(row[f"{end}_name"]))


def _present(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in sorted(counts.items()) if number}


@contextmanager
def _driver_errors() -> Iterator[None]:
    """The cause is left out on purpose: its message may quote a record."""
    try:
        yield
    except AuthError:
        raise Retryable("the graph database refuses the gateway's user or password") from None
    except Neo4jError as error:
        raise Retryable(f"the graph database could not answer ({error.code})") from None
    except (DriverError, OSError) as error:
        raise Retryable(f"the graph database does not answer ({what(error)})") from None
