"""The gateway's read-only look at the graph: the one module here that knows Neo4j.

It also has the digest of a graph: one hash over all nodes, relationships and properties, without the ledger. The
ledger names jobs and batches, so it differs between two ways of importing the same records; everything else must not.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import neo4j
from neo4j.exceptions import AuthError, DriverError, Neo4jError

from edugraph_common.contracts.api import Edge, GraphPicture, GraphSummary, Mistakes, Node
from edugraph_common.contracts.errors import Retryable, what
from edugraph_common.contracts.graph_schema import (
    DAY_LABELS,
    ENTITY_LABELS,
    NAMED_LABELS,
    RECORD_LABELS,
    RELATIONSHIPS,
    REVIEW_LABELS,
)
from edugraph_gateway.settings import GatewaySettings

MAX_FREQUENT_MISTAKES = 20
REVIEWS_AT_ONCE = 1_000
QUERY_TIMEOUT_SECONDS = 30.0

# A mistake is an ErrorRecord or an attempt that went wrong; it concerns a point by its finding. One that concerns
# several names of a point counts once.
_MISTAKES = """
MATCH (e)-[:CONCERNS]->(k:KnowledgePoint)
OPTIONAL MATCH (s:Student)-[:MADE|TRIED]->(e)
WITH e, k, s WHERE s.restricted IS NULL
WITH coalesce(k.canonical, k.id) AS id, count(DISTINCT e) AS mistakes, count(DISTINCT s.id) AS students
WHERE students >= $at_least
WITH id, mistakes, students ORDER BY mistakes DESC, id ASC LIMIT $limit
OPTIONAL MATCH (k:KnowledgePoint {id: id})
RETURN id, k.name AS name, mistakes, students ORDER BY mistakes DESC, id ASC
"""
_RESTRICTED = "MATCH (s:Student) WHERE s.restricted RETURN s.id AS id"
_EDGES = """
MATCH (a)-[r]->(b)
WHERE type(r) IN $types AND a.restricted IS NULL AND b.restricted IS NULL AND ($all OR NOT any(n IN [a, b] WHERE
  (n:ErrorType OR n:KnowledgePoint OR n:Topic) AND NOT EXISTS {
    MATCH (n)--(m) WHERE (m:Attempt OR m:CourseContent OR m:Definition OR m:ErrorRecord OR m:Interaction OR m:Item)
      AND NOT EXISTS { MATCH (m)--(s:Student) WHERE s.restricted }
  }
))
RETURN DISTINCT labels(a)[0] AS a_label, coalesce(a.canonical, a.id) AS a, type(r) AS type,
       labels(b)[0] AS b_label, coalesce(b.canonical, b.id) AS b,
       CASE WHEN a.canonical <> a.id THEN null ELSE coalesce(a.name, a.title, a.id) END AS a_name,
       CASE WHEN b.canonical <> b.id THEN null ELSE coalesce(b.name, b.title, b.id) END AS b_name
LIMIT $limit
"""
_REVIEWS = "MATCH (v:Review) WHERE v.id > $after RETURN properties(v) AS p ORDER BY v.id LIMIT $limit"
_NAMES = "MATCH (n:{label}) WHERE n.id IN $ids RETURN n.id AS id, coalesce(n.name, n.id) AS name"
# A picture shows people, courses and what they learn, not the provenance of each record.
SHOWN_RELATIONSHIPS = (
    "CHAT_WITH", "LIKES", "TEACHES", "LEARNS", "CONTAINS", "HAS_ERROR", "RELATES_TO", "DEPENDS_ON",
)  # fmt: skip


class GraphReader:
    """Every method raises Retryable when the graph does not answer, or when no address is set."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings

    def digest(self) -> str:
        """Return one hash over everything but the ledger. It reads the whole graph."""
        with _driver_errors(), self._session() as session:
            return graph_digest(lambda query: _rows(session, query))

    def summary(self, at_least_students: int = 0) -> GraphSummary:
        """Return counts by label and type without zeros, and the knowledge points with the most mistakes.

        Points behind the mistakes of fewer students are left out. Students who are restricted do not count there.
        """
        with _driver_errors(), self._session() as session:
            nodes = {
                label: _count(session, f"MATCH (n:{label})", "n")
                for label in RECORD_LABELS + ENTITY_LABELS + DAY_LABELS
            }
            # Several names of one thing are one thing.
            nodes |= {
                label: _count(session, f"MATCH (n:{label})", "DISTINCT coalesce(n.canonical, n.id)")
                for label in NAMED_LABELS
            }
            edges = {name: _count(session, f"MATCH ()-[r:{name}]->()", "r") for name in RELATIONSHIPS}
            mistakes = [
                Mistakes(
                    knowledge_point=row["id"], name=row["name"], mistakes=row["mistakes"], students=row["students"]
                )
                for row in _rows(session, _MISTAKES, limit=MAX_FREQUENT_MISTAKES, at_least=at_least_students)
            ]
        return GraphSummary(
            nodes={label: number for label, number in sorted(nodes.items()) if number},
            relationships={name: number for name, number in sorted(edges.items()) if number},
            frequent_mistakes=tuple(mistakes),
        )

    def picture(self, limit: int) -> GraphPicture:
        """Return at most `limit` relationships and the nodes at their ends.

        Nobody who is restricted is shown, nor what only their records name.
        """
        nobody = not self.restricted()
        with _driver_errors(), self._session() as session:
            rows = list(_rows(session, _EDGES, types=list(SHOWN_RELATIONSHIPS), limit=limit, all=nobody))
            ends = [(row, end) for row in rows for end in ("a", "b")]
            # Names of one thing are one node, which is called as what stands for all of them.
            for label in NAMED_LABELS:
                of_label = [(row, end) for row, end in ends if row[f"{end}_label"] == label]
                ids = sorted({row[end] for row, end in of_label if row[f"{end}_name"] is None})
                query = _NAMES.replace("{label}", label)
                names = {row["id"]: row["name"] for row in _rows(session, query, ids=ids)} if ids else {}
                for row, end in of_label:
                    row[f"{end}_name"] = row[f"{end}_name"] or names.get(row[end], row[end])
        nodes = {node.id: node for row, end in ends for node in (_node(row, end),)}
        edges = dict.fromkeys(Edge(source=_node(r, "a").id, target=_node(r, "b").id, type=r["type"]) for r in rows)
        return GraphPicture(nodes=tuple(nodes.values()), edges=tuple(edges))

    def restricted(self) -> frozenset[str]:
        """Return the ids of the students of whom nothing is to be shown."""
        with _driver_errors(), self._session() as session:
            return frozenset(row["id"] for row in _rows(session, _RESTRICTED))

    def reviews(self) -> Iterator[dict[str, Any]]:
        """Yield all reviews, page by page."""
        after = ""
        while True:
            with _driver_errors(), self._session() as session:
                rows = list(_rows(session, _REVIEWS, after=after, limit=REVIEWS_AT_ONCE))
            yield from ({name: value for name, value in row["p"].items() if name != "id"} for row in rows)
            if len(rows) < REVIEWS_AT_ONCE:
                return
            after = rows[-1]["p"]["id"]

    def constrained_labels(self) -> set[str]:
        """Return the labels that have a constraint of uniqueness."""
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


def graph_digest(read: Callable[[str], Iterable[Mapping[str, Any]]]) -> str:
    """Return 64 hex digits. `read` runs a Cypher query and gives its rows; tests read from other engines too.

    The sum of the rows' hashes does not depend on their order, so nothing is sorted or held in memory.
    """

    def rows() -> Iterator[list[Any]]:
        for label in RECORD_LABELS + ENTITY_LABELS + DAY_LABELS + REVIEW_LABELS:
            # What was carried over from an older release stands beside the records, and is none.
            only = " WHERE n.carried IS NULL" if label == "CourseRecord" else ""
            for row in read(f"MATCH (n:{label}){only} RETURN properties(n) AS p"):
                # A restriction is said of a student, and comes from no record.
                yield [label, {key: _plain(value) for key, value in row["p"].items() if key != "restricted"}]
        for name in RELATIONSHIPS:
            only = "WHERE a.carried IS NULL AND b.carried IS NULL " if name in {"HAS_RECORD", "IN_COURSE"} else ""
            query = (
                f"MATCH (a)-[r:{name}]->(b) {only}"
                "RETURN labels(a)[0] AS la, a.id AS a, labels(b)[0] AS lb, b.id AS b, properties(r) AS p"
            )
            for row in read(query):
                properties = {key: _plain(value) for key, value in row["p"].items()}
                yield [name, row["la"], row["a"], row["lb"], row["b"], properties]

    total = 0
    for row in rows():
        canonical = json.dumps(row, ensure_ascii=False, sort_keys=True, default=str, separators=(",", ":"))
        total += int.from_bytes(hashlib.sha256(canonical.encode()).digest(), "big")
    return f"{total % (1 << 256):064x}"


def _plain(value: Any) -> Any:
    """Give temporal values of both engines one form. A whole float and an integer stay different."""
    if hasattr(value, "iso_format"):
        value = value.to_native()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _rows(session: neo4j.Session, query: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    """Queries are put together from this project's own labels and types only."""
    for record in session.run(neo4j.Query(query, timeout=QUERY_TIMEOUT_SECONDS), parameters):
        yield {name: record[name] for name in record.keys()}  # noqa: SIM118 - a Record iterates over its values


def _count(session: neo4j.Session, pattern: str, name: str) -> int:
    return next(int(row["found"]) for row in _rows(session, f"{pattern} RETURN count({name}) AS found"))


def _node(row: Mapping[str, Any], end: str) -> Node:
    label = str(row[f"{end}_label"])
    return Node(id=f"{label}:{row[end]}", label=label, name=str(row[f"{end}_name"]))


@contextmanager
def _driver_errors() -> Iterator[None]:
    """Translate the driver's errors. The cause is left out on purpose: its message may quote a record."""
    try:
        yield
    except AuthError:
        raise Retryable("the graph database refuses the gateway's user or password") from None
    except Neo4jError as error:
        raise Retryable(f"the graph database could not answer ({error.code})") from None
    except (DriverError, OSError) as error:
        raise Retryable(f"the graph database does not answer ({what(error)})") from None
