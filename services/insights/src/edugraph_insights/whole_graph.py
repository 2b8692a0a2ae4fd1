"""Reads of the whole graph, for callers who may see all of it: counts, reviews, an export, and one hash.

The hash covers all nodes, relationships and properties, but not the ledger. The ledger names jobs and batches, so it
differs between two ways of importing the same records. Everything else must be the same.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from edugraph_common.contracts.api import (
    Check,
    ContestedId,
    GraphSummary,
    Mistakes,
    NamedNodes,
    PersonIds,
    Persons,
)
from edugraph_common.contracts.canonical_names import canonical_name
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
from edugraph_common.contracts.id_owners import IdOwners, id_owners
from edugraph_common.contracts.reviews import LABEL_OF
from edugraph_insights.graph import STATEMENTS, Graph
from edugraph_insights.hidden_in_graph import HiddenInGraph
from edugraph_insights.small_groups import rounded

MAX_FREQUENT_MISTAKES = 20
REVIEWS_AT_ONCE = 1_000
SHOWN_CONTESTED = 1_000  # ids
SHOWN_CLAIMANTS = 10  # persons for each contested id
EXPORTED_AT_ONCE = 500  # nodes in a page; each has all relationships that begin at it
_EXPORTED = RECORD_LABELS + ENTITY_LABELS + DAY_LABELS
# Properties that the hash leaves out. `restricted`, `former_ids`, `renamed` and `missing_since` do not come from
# records. `finding_key` names a job, and `written` and `changed` name a transaction. The others hold the key of a
# version, or what a record remembers of other versions, and so they differ between two runs with the same records.
_NO_CONTENT = {
    "restricted", "finding_key", "former_ids", "missing_since", "renamed",
    "accepted", "row", "changed_at", "reading", "history", "content_hash", "restricted_by_alias",
    "written", "changed",
}  # fmt: skip


def summary(graph: Graph, at_least_students: int = 0) -> GraphSummary:
    """Return counts by label and type without zeros, and the knowledge points with the most mistakes.

    A knowledge point is left out if fewer than `at_least_students` students made mistakes at it, or if only hidden
    findings name it. Restricted students do not count for this. Raises Retryable.
    """

    def count(pattern: str, what: str) -> int:
        [row] = graph.scan(f"{pattern} RETURN count({what}) AS found")
        return int(row["found"])

    nodes = {}
    for label in RECORD_LABELS + ENTITY_LABELS + DAY_LABELS:
        # Synonyms of one node count once.
        what = "DISTINCT coalesce(n.canonical, n.id)" if label in NAMED_LABELS else "n"
        nodes[label] = count(f"MATCH (n:{label})", what)
    relationships = {name: count(f"MATCH ()-[r:{name}]->()", "r") for name in RELATIONSHIPS}
    rows = graph.scan(
        STATEMENTS["frequent_mistakes"], limit=MAX_FREQUENT_MISTAKES, at_least=at_least_students
    )
    frequent = list(rows)
    hidden = HiddenInGraph(graph).likely_names("KnowledgePoint", [row["id"] for row in frequent])
    mistakes = []
    for row in frequent:
        if row["id"] in hidden:
            continue
        point = Mistakes(
            knowledge_point=row["id"],
            name=row["name"],
            mistakes=row["mistakes"],
            students=row["students"],
        )
        mistakes.append(point)
    return GraphSummary(
        nodes={label: number for label, number in sorted(nodes.items()) if number},
        relationships={name: number for name, number in sorted(relationships.items()) if number},
        frequent_mistakes=tuple(mistakes),
    )


def rounded_summary(exact: GraphSummary) -> GraphSummary:
    """Return the summary with its counts rounded as in published answers."""

    def coarse(counts: Mapping[str, int]) -> dict[str, int]:
        all_rounded = {name: rounded(number) for name, number in counts.items()}
        return {name: number for name, number in all_rounded.items() if number}

    mistakes = []
    for each in exact.frequent_mistakes:
        coarse_counts = {"mistakes": rounded(each.mistakes), "students": rounded(each.students)}
        mistakes.append(each.model_copy(update=coarse_counts))
    return GraphSummary(
        nodes=coarse(exact.nodes),
        relationships=coarse(exact.relationships),
        frequent_mistakes=tuple(mistakes),
    )


def reviews(graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield the reviews, page by page.

    Reviews of records of restricted students are left out, and so are reviews of names that only these records have.
    Raises Retryable.
    """
    hidden = hidden_nodes(graph)
    hidden_records = {node_id for label, node_id in hidden if label in RECORD_LABELS}
    after = ""
    while True:
        rows = list(graph.scan(STATEMENTS["reviews"], after=after, limit=REVIEWS_AT_ONCE))
        for row in rows:
            review = {name: value for name, value in row["p"].items() if name != "id"}
            label = LABEL_OF[review.get("of", "knowledge_point")]
            named = {(label, name) for name in _names_of(review)}
            is_of_hidden_record = review.get("record_id") in hidden_records
            if not is_of_hidden_record and hidden.isdisjoint(named):
                yield review
        if len(rows) < REVIEWS_AT_ONCE:
            return
        after = rows[-1]["p"]["id"]


def _names_of(review: Mapping[str, Any]) -> list[str | None]:
    """Return the knowledge points or error types that a review is about."""
    pair = review.get("pair")
    if pair:
        return list(pair)
    if "item_id" in review:
        return [review.get("knowledge_point")]
    return [review.get("point"), review.get("requires")]


def export(graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield each node, followed by the relationships that begin at it, and at the end the numbers of both.

    A node is `{"label", "id", "properties"}`. A relationship is `{"type", "from", "to", "properties"}`; its ends are
    written as `LABEL:ID`. The end is `{"nodes", "relationships"}`; an export without it was cut off. Restricted
    students, their records, and names that only these records have are left out. An import that runs at the same
    time may be in the export in part. Raises Retryable.
    """
    hidden = hidden_nodes(graph)
    nodes = 0
    relationships = 0
    for label in _EXPORTED:
        nodes_of_label = STATEMENTS["exported_nodes"].replace("{label}", label)
        after = ""
        is_last = False
        while not is_last:
            page = list(graph.scan(nodes_of_label, after=after, limit=EXPORTED_AT_ONCE))
            is_last = len(page) < EXPORTED_AT_ONCE
            shown = [row for row in page if (label, row["id"]) not in hidden]
            for row in shown:
                nodes += 1
                yield {"label": label, "id": row["id"], "properties": _plain_all(row["p"])}
            statement = STATEMENTS["exported_relationships"].replace("{label}", label)
            for row in graph.scan(statement, ids=[row["id"] for row in shown]):
                is_exported = row["type"] in RELATIONSHIPS and row["label"] in _EXPORTED
                if not is_exported or (row["label"], row["id"]) in hidden:
                    continue
                relationships += 1
                yield {
                    "type": row["type"],
                    "from": f"{label}:{row['begin']}",
                    "to": f"{row['label']}:{row['id']}",
                    "properties": _plain_all(row["p"]),
                }
            if page:
                after = page[-1]["id"]
    yield {"nodes": nodes, "relationships": relationships}


def hidden_nodes(graph: Graph) -> set[tuple[str, str]]:
    """Return (label, id) of restricted students, of their records, and of names that only these records have."""
    hidden = set()
    for name in ("hidden", "hidden_names"):
        for row in graph.scan(STATEMENTS[name]):
            hidden.add((row["label"], row["id"]))
    return hidden


def known(graph: Graph, asked: NamedNodes) -> NamedNodes:
    """Return those of these nodes that are in the graph, and the titles that the graph has for the items.

    A restricted student counts as unknown, as in each read of the graph. Raises Retryable, TooLarge and Busy.
    """
    permitted = graph.read("not_restricted", students=list(asked.students))
    spellings = {point: {point, canonical_name(point)} for point in asked.points}
    point_ids = _known_ids(graph, "KnowledgePoint", set().union(*spellings.values()))
    points = [point for point, ids in spellings.items() if not ids.isdisjoint(point_ids)]
    titles = {}
    for row in graph.read("known_titles", ids=list(asked.item_titles)):
        titles[row["id"]] = row["title"]
    return NamedNodes(
        students=tuple(row["student"] for row in permitted),
        teachers=tuple(_known_ids(graph, "Teacher", asked.teachers)),
        courses=tuple(_known_ids(graph, "Course", asked.courses)),
        points=tuple(points),
        item_titles=titles,
    )


def _known_ids(graph: Graph, label: str, ids: Iterable[str]) -> list[str]:
    rows = graph.read_along("known_ids", label, (), ids=sorted(ids))
    return [row["id"] for row in rows]


def persons(graph: Graph, person_id: str | None = None) -> Persons:
    """Return what the person_records claim, the contested ids, and the ids of one person if `person_id` is given.

    All claims count. A person who is restricted under any id is left out of the answer, as if no claim named the
    person. Raises Retryable.
    """
    restricted = {node_id for label, node_id in hidden_nodes(graph) if label == "Student"}
    claims: list[tuple[str, str]] = []
    decisions: list[tuple[str, str]] = []
    for row in graph.scan(STATEMENTS["id_claims"]):
        stated = decisions if row["decides"] else claims
        stated.append((row["person"], row["claimed"]))
    found = id_owners(claims, decisions)
    hidden_owners = {found.of(each) for each in restricted}
    shown: list[ContestedId] = []
    for contested_id, owners in sorted(found.contested.items()):
        if found.of(contested_id) in hidden_owners:
            continue
        known = [each for each in owners if each not in hidden_owners]
        claimed_by = tuple(known[:SHOWN_CLAIMANTS])
        shown.append(ContestedId(id=contested_id, persons=len(owners), claimed_by=claimed_by))
    person = None
    owner_of_person = found.owners.get(person_id or "")
    if owner_of_person is not None and owner_of_person not in hidden_owners:
        person = _person_ids(found, owner_of_person)
    joined = 0
    for each, owner in found.owners.items():
        if each != owner:
            joined += 1
    return Persons(
        claims=len(claims) + len(decisions),
        joined=joined,
        contested_in_all=len(found.contested),
        contested=tuple(shown[:SHOWN_CONTESTED]),
        person=person,
    )


def _person_ids(found: IdOwners, owner: str) -> PersonIds:
    ids = []
    for each, owner_of_each in found.owners.items():
        if owner_of_each == owner:
            ids.append(each)
    contested = []
    for each, claimants in found.contested.items():
        if owner in claimants:
            contested.append(each)
    return PersonIds(owner=owner, ids=tuple(sorted(ids)), contested=tuple(sorted(contested)))


def check(graph: Graph) -> Check:
    """Return what is wrong with the graph and what to do about it, for `edugraph doctor`."""
    try:
        rows = list(graph.scan(STATEMENTS["constraints"]))
    except Failure as failure:
        advice = "Check that Neo4j runs and that EDUGRAPH_NEO4J_URI, …_USER and …_PASSWORD of insights are right."
        reason = getattr(failure, "reason", type(failure).__name__)
        return Check(name="graph", ok=False, problems=(reason,), advice=(advice,))
    constrained: set[str] = set()
    for row in rows:
        constrained.update(row["labels"] or ())
    missing = sorted(set(LABELS) - constrained)
    if not missing:
        return Check(name="graph", ok=True)
    advice = "An import makes them; import any file, then look again."
    return Check(
        name="graph",
        ok=False,
        problems=(f"no constraint on {', '.join(missing)}",),
        advice=(advice,),
    )


def graph_digest(read: Callable[[str], Iterable[Mapping[str, Any]]]) -> str:
    """Return the hash of the graph as 64 hex digits. `read` runs a Cypher query and returns its rows."""
    return digest_of(digest_rows(read))


def digest_of(rows: Iterable[str]) -> str:
    """Return the sum of the hashes of all rows, as 64 hex digits.

    The sum does not depend on the order of the rows, so they are neither sorted nor held in memory.
    """
    total = 0
    for row in rows:
        total += int.from_bytes(hashlib.sha256(row.encode()).digest(), "big")
    return f"{total % (1 << 256):064x}"


def digest_rows(read: Callable[[str], Iterable[Mapping[str, Any]]]) -> Iterator[str]:
    """Yield the rows that `digest_of` hashes: each node and each relationship as JSON, its label or type first."""

    def rows() -> Iterator[list[Any]]:
        for label in RECORD_LABELS + ENTITY_LABELS + DAY_LABELS + REVIEW_LABELS:
            for row in read(f"MATCH (n:{label}) RETURN properties(n) AS p"):
                properties = _plain_all(row["p"])
                yield [
                    label,
                    {key: value for key, value in properties.items() if key not in _NO_CONTENT},
                ]
        for name in RELATIONSHIPS:
            if name in PROPOSALS:
                continue
            query = (
                f"MATCH (a)-[r:{name}]->(b) "
                "RETURN [each IN labels(a) WHERE each <> 'Record'][0] AS la, a.id AS a, "
                "[each IN labels(b) WHERE each <> 'Record'][0] AS lb, b.id AS b, properties(r) AS p"
            )
            for row in read(query):
                properties = _plain_all(row["p"])
                properties.pop("given_id", None)  # the id that the source gives; see `_NO_CONTENT`
                yield [name, row["la"], row["a"], row["lb"], row["b"], properties]

    for row in rows():
        yield json.dumps(
            row, ensure_ascii=False, sort_keys=True, default=str, separators=(",", ":")
        )


def _plain_all(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in properties.items()}


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it. Times of all drivers get one form; a whole float and an integer differ."""
    if hasattr(value, "iso_format"):
        value = value.to_native()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
