"""The prerequisite edges between knowledge points, as all texts claim them, kept free of cycles.

The strongest claim is taken first. A claim that would close a cycle with those taken before it is excluded: its edge
is kept as SET_ASIDE, to be seen, and is never followed. The result depends on the claims and not on their order.

Only one transaction at a time works on the edges (`lock_edges`). What has to change is planned before any other lock
is taken, so that the points of all edges that change can be locked in the one order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import neo4j

from edugraph_importer.graph.finding_facts import FindingFacts, FindingUpdate
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.unit_of_work import run_rows

STATED_CONFIDENCE = 1.0

Edge = tuple[float, bool]  # (confidence, whether it is excluded)


@dataclass(frozen=True, slots=True)
class EdgeChanges:
    """`changed`: the edges to write anew; None removes one. `newly_excluded`: to be reported, as "a > b"."""

    changed: Mapping[Pair, Edge | None] = field(default_factory=dict)
    newly_excluded: tuple[str, ...] = ()

    def nodes(self) -> Iterable[Node]:
        return (("KnowledgePoint", point) for pair in self.changed for point in pair)


def lock_edges(tx: neo4j.ManagedTransaction) -> None:
    tx.run(CYPHER["lock_prerequisites"]).consume()


def plan_changes(
    tx: neo4j.ManagedTransaction,
    updates: Sequence[FindingUpdate],
    superseded: Mapping[str, FindingFacts],
    stated: Iterable[Pair] = (),
    unstated: Iterable[Pair] = (),
) -> EdgeChanges:
    """Plan what findings and records change.

    `superseded`: what was found in the records that go, by their ids. `stated`: what new point_records claim, of
    which a school is sure; `unstated`: what those that go claimed.
    """
    old = {pair for update in updates for pair in update.old.prerequisites}
    old |= {pair for facts in superseded.values() for pair in facts.prerequisites}.union(unstated)
    new = _strongest(claim for update in updates for claim in update.new.prerequisites.items())
    new |= dict.fromkeys(stated, STATED_CONFIDENCE)
    if not old and not new:
        return EdgeChanges()
    edges = _stored_edges(tx)
    claims = [(pair, confidence) for pair, (confidence, _) in edges.items() if pair not in old]
    if old:
        # An edge that loses a claim has the strongest of the other claims, if there are any.
        changing_records = {update.record.record_id for update in updates} | set(superseded)
        claims += [
            ((row["id"], required), confidence)
            for row in tx.run(CYPHER["claims"], ids=sorted({point for point, _ in old}))
            if row["record"] not in changing_records
            for required, confidence in zip(row["requires"], row["confidence"], strict=True)
            if (row["id"], required) in old
        ]
    return _changes(edges, _strongest([*claims, *new.items()]), new)


def plan_rebuild(tx: neo4j.ManagedTransaction) -> EdgeChanges:
    """Plan what differs from the claims of all texts."""
    claims = (
        ((row["id"], required), confidence)
        for row in tx.run(CYPHER["all_claims"])
        for required, confidence in zip(row["requires"], row["confidence"], strict=True)
    )
    return _changes(_stored_edges(tx), _strongest(claims), ())


def _stored_edges(tx: neo4j.ManagedTransaction) -> dict[Pair, Edge]:
    return {
        (point, required): (confidence, row["excluded"])
        for row in tx.run(CYPHER["prerequisites"])
        for point, required, confidence in row["claims"]
    }


def _changes(edges: Mapping[Pair, Edge], claims: Mapping[Pair, float], new: Iterable[Pair]) -> EdgeChanges:
    excluded = excluded_edges(claims)
    wanted: dict[Pair, Edge] = {pair: (confidence, pair in excluded) for pair, confidence in claims.items()}
    changed = {pair: wanted.get(pair) for pair in {*edges, *wanted} if edges.get(pair) != wanted.get(pair)}
    reported = excluded & {*new, *changed}
    return EdgeChanges(changed, tuple(sorted(f"{point} > {required}" for point, required in reported)))


def write_changes(tx: neo4j.ManagedTransaction, changes: EdgeChanges) -> None:
    rows: dict[bool, list[Row]] = {False: [], True: []}
    for (point, required), edge in changes.changed.items():
        if edge is not None:
            confidence, is_excluded = edge
            rows[is_excluded].append({"from": point, "to": required, "confidence": confidence})
    run_rows(tx, "remove_prerequisites", [{"from": point, "to": required} for point, required in changes.changed])
    run_rows(tx, "create_depends_on", rows[False])
    run_rows(tx, "create_set_aside", rows[True])


def _strongest(claims: Iterable[tuple[Pair, float]]) -> dict[Pair, float]:
    strongest: dict[Pair, float] = {}
    for pair, confidence in claims:
        strongest[pair] = max(confidence, strongest.get(pair, 0.0))
    return strongest


def excluded_edges(claims: Mapping[Pair, float]) -> set[Pair]:
    """Return the edges that would close a cycle. `claims`: (point, what it requires) -> confidence."""
    import rustworkx  # It loads numpy, and only a worker that writes prerequisites needs it.

    all_claims, places = rustworkx.PyDiGraph[str, None](), dict[str, int]()
    for point in sorted({point for pair in claims for point in pair}):
        places[point] = all_claims.add_node(point)
    all_claims.add_edges_from_no_data([(places[point], places[required]) for point, required in claims])
    # A cycle lies within one strongly connected component. Edges between components are free, so the time below grows
    # with the size of the cycles and not of the graph.
    component = {
        place: number
        for number, members in enumerate(rustworkx.strongly_connected_components(all_claims))
        for place in members
    }
    taken, excluded = rustworkx.PyDiGraph[str, None](check_cycle=True), set[Pair]()
    taken.add_nodes_from(all_claims.nodes())
    for pair in sorted(claims, key=lambda pair: (-claims[pair], pair)):
        start, end = places[pair[0]], places[pair[1]]
        if component[start] == component[end]:
            try:
                taken.add_edge(start, end, None)
            except rustworkx.DAGWouldCycle:
                excluded.add(pair)
    return excluded
