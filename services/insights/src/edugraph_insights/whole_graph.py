"""What is read of the whole graph, for who may see all of it: counts, reviews, all of it, and one hash of everything.

The hash is over all nodes, relationships and properties, without the ledger. The ledger names jobs and batches, so it
differs between two ways of importing the same records; everything else must not.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from edugraph_common.contracts.api import Check, GraphSummary, Mistakes
from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.graph_schema import (
    DAY_LABELS,
    ENTITY_LABELS,
    LABELS,
    NAMED_LABELS,
    PROPOSALS,
    RECORD_LABELS,
    RELATIONSHIPS,
    REVIEW_LABELS,
)
from edugraph_common.contracts.reviews import LABEL_OF
from edugraph_insights.graph import STATEMENTS, Graph
from edugraph_insights.small_groups import rounded

MAX_FREQUENT_MISTAKES = 20
REVIEWS_AT_ONCE = 1_000
EXPORTED_AT_ONCE = 500  # nodes, each with all relationships that begin at it
_EXPORTED = RECORD_LABELS + ENTITY_LABELS + DAY_LABELS
# A restriction, a new id and since when a record is missing are said of a node, and come from no record; a finding's
# key names the job that asked. The key of a version and what a record remembers of others differ between two runs
# with the same records.
_NO_CONTENT = {
    "restricted", "finding_key", "former_ids", "missing_since", "renamed",
    "accepted", "row", "changed_at", "reading", "history", "content_hash",
}  # fmt: skip


def summary(graph: Graph, at_least_students: int = 0) -> GraphSummary:
    """Return counts by label and type without zeros, and the knowledge points with the most mistakes.

    Points behind the mistakes of fewer students are left out. Students who are restricted do not count there. Raises
    Retryable.
    """

    def count(pattern: str, what: str) -> int:
        return next(int(row["found"]) for row in graph.scan(f"{pattern} RETURN count({what}) AS found"))

    labels = RECORD_LABELS + ENTITY_LABELS + DAY_LABELS
    nodes = {label: count(f"MATCH (n:{label})", "n") for label in labels}
    # Several names of one thing are one thing.
    nodes |= {label: count(f"MATCH (n:{label})", "DISTINCT coalesce(n.canonical, n.id)") for label in NAMED_LABELS}
    edges = {name: count(f"MATCH ()-[r:{name}]->()", "r") for name in RELATIONSHIPS}
    rows = graph.scan(STATEMENTS["frequent_mistakes"], limit=MAX_FREQUENT_MISTAKES, at_least=at_least_students)
    mistakes = [
        Mistakes(knowledge_point=row["id"], name=row["name"], mistakes=row["mistakes"], students=row["students"])
        for row in rows
    ]
    return GraphSummary(
        nodes={label: number for label, number in sorted(nodes.items()) if number},
        relationships={name: number for name, number in sorted(edges.items()) if number},
        frequent_mistakes=tuple(mistakes),
    )


def rounded_summary(exact: GraphSummary) -> GraphSummary:
    """Return the summary with counts as coarse as those of answers that are published."""

    def coarse(counts: Mapping[str, int]) -> dict[str, int]:
        return {name: shown for name, number in counts.items() if (shown := rounded(number))}

    mistakes = tuple(
        each.model_copy(update={"mistakes": rounded(each.mistakes), "students": rounded(each.students)})
        for each in exact.frequent_mistakes
    )
    return GraphSummary(
        nodes=coarse(exact.nodes), relationships=coarse(exact.relationships), frequent_mistakes=mistakes
    )


def reviews(graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield the reviews, page by page, without those of records of who is restricted, or of what only these name.

    Raises Retryable.
    """
    hidden = _hidden(graph)
    records = {node_id for label, node_id in hidden if label in RECORD_LABELS}
    after = ""
    while True:
        rows = list(graph.scan(STATEMENTS["reviews"], after=after, limit=REVIEWS_AT_ONCE))
        for row in rows:
            review = {name: value for name, value in row["p"].items() if name != "id"}
            named = ("knowledge_point",) if "item_id" in review else ("point", "requires")
            points = review.get("pair") or [review.get(name) for name in named]
            label = LABEL_OF[review.get("of", "knowledge_point")]
            if review.get("record_id") not in records and hidden.isdisjoint((label, each) for each in points):
                yield review
        if len(rows) < REVIEWS_AT_ONCE:
            return
        after = rows[-1]["p"]["id"]


def export(graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield each node with the relationships that begin at it, and at the end how many there were of both.

    A node is `{"label", "id", "properties"}`, a relationship `{"type", "from", "to", "properties"}` between nodes
    `LABEL:ID`, the end `{"nodes", "relationships"}`: without it the export was cut off. Nobody who is
    restricted is in it, nor their records, nor what only these name. What an import writes meanwhile may be in it in
    part. Raises Retryable.
    """
    hidden = _hidden(graph)
    nodes = relationships = 0
    for label in _EXPORTED:
        nodes_of_label = STATEMENTS["exported_nodes"].replace("{label}", label)
        after, is_last = "", False
        while not is_last:
            page = list(graph.scan(nodes_of_label, after=after, limit=EXPORTED_AT_ONCE))
            is_last = len(page) < EXPORTED_AT_ONCE
            shown = [row for row in page if (label, row["id"]) not in hidden]
            for row in shown:
                nodes += 1
                yield {"label": label, "id": row["id"], "properties": _plain_all(row["p"])}
            statement = STATEMENTS["exported_relationships"].replace("{label}", label)
            for row in graph.scan(statement, ids=[row["id"] for row in shown]):
                end = (row["label"], row["id"])
                if row["type"] in RELATIONSHIPS and row["label"] in _EXPORTED and end not in hidden:
                    relationships += 1
                    ends = {"from": f"{label}:{row['begin']}", "to": ":".join(end)}
                    yield {"type": row["type"], **ends, "properties": _plain_all(row["p"])}
            after = page[-1]["id"] if page else ""
    yield {"nodes": nodes, "relationships": relationships}


def _hidden(graph: Graph) -> set[tuple[str, str]]:
    """Return labels and ids of who is restricted, of their records, and of what only these name."""
    statements = (STATEMENTS[name] for name in ("hidden", "hidden_names"))
    return {(row["label"], row["id"]) for statement in statements for row in graph.scan(statement)}


def check(graph: Graph) -> Check:
    """Say what is wrong with the graph, and what to do, for `edugraph doctor`."""
    try:
        rows = list(graph.scan(STATEMENTS["constraints"]))
    except Failure as failure:
        advice = "Check that Neo4j runs and that EDUGRAPH_NEO4J_URI, …_USER and …_PASSWORD of insights are right."
        reason = getattr(failure, "reason", type(failure).__name__)
        return Check(name="graph", ok=False, problems=(reason,), advice=(advice,))
    missing = sorted(set(LABELS) - {label for row in rows for label in row["labels"] or ()})
    if not missing:
        return Check(name="graph", ok=True)
    advice = "An import makes them; import any file, then look again."
    return Check(name="graph", ok=False, problems=(f"no constraint on {', '.join(missing)}",), advice=(advice,))


def graph_digest(read: Callable[[str], Iterable[Mapping[str, Any]]]) -> str:
    """Return 64 hex digits. `read` runs a Cypher query and gives its rows; tests read from other engines too."""
    return digest_of(digest_rows(read))


def digest_of(rows: Iterable[str]) -> str:
    """Return the digest that `digest_rows` is made for.

    The sum of the rows' hashes does not depend on their order, so nothing is sorted or held in memory.
    """
    total = 0
    for row in rows:
        total += int.from_bytes(hashlib.sha256(row.encode()).digest(), "big")
    return f"{total % (1 << 256):064x}"


def digest_rows(read: Callable[[str], Iterable[Mapping[str, Any]]]) -> Iterator[str]:
    """Yield what a digest is made of: each node and each relationship as JSON, with its label or type first."""

    def rows() -> Iterator[list[Any]]:
        for label in RECORD_LABELS + ENTITY_LABELS + DAY_LABELS + REVIEW_LABELS:
            # What was carried over from an older release stands beside the records, and is none.
            only = " WHERE n.carried IS NULL" if label == "CourseRecord" else ""
            for row in read(f"MATCH (n:{label}){only} RETURN properties(n) AS p"):
                yield [label, {key: value for key, value in _plain_all(row["p"]).items() if key not in _NO_CONTENT}]
        for name in (each for each in RELATIONSHIPS if each not in PROPOSALS):
            only = "WHERE a.carried IS NULL AND b.carried IS NULL " if name in {"HAS_RECORD", "IN_COURSE"} else ""
            query = (
                f"MATCH (a)-[r:{name}]->(b) {only}"
                "RETURN labels(a)[0] AS la, a.id AS a, labels(b)[0] AS lb, b.id AS b, properties(r) AS p"
            )
            for row in read(query):
                yield [name, row["la"], row["a"], row["lb"], row["b"], _plain_all(row["p"])]

    for row in rows():
        yield json.dumps(row, ensure_ascii=False, sort_keys=True, default=str, separators=(",", ":"))


def _plain_all(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in properties.items()}


def _plain(value: Any) -> Any:
    """Give temporal values of both engines one form. A whole float and an integer stay different."""
    if hasattr(value, "iso_format"):
        value = value.to_native()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
