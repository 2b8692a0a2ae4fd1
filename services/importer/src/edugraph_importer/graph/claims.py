"""The edges between knowledge points, as all texts claim them, kept free of cycles.

Only one transaction at a time works on them (`lock`). What has to change is planned before any other lock is taken,
so that the points of all edges that change can be locked in the one order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import neo4j

from edugraph_importer.graph import prerequisites
from edugraph_importer.graph.finding_facts import Found
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.revision import Revision
from edugraph_importer.graph.writing import run

Edge = tuple[float, bool]  # confidence, set aside


@dataclass(frozen=True, slots=True)
class Plan:
    """`changed`: edges to write anew; None removes one. `aside`: to be reported, as "a > b"."""

    changed: Mapping[Pair, Edge | None] = field(default_factory=dict)
    aside: tuple[str, ...] = ()

    def nodes(self) -> Iterable[Node]:
        return (("KnowledgePoint", point) for pair in self.changed for point in pair)


def lock(tx: neo4j.ManagedTransaction) -> None:
    tx.run(CYPHER["lock_prerequisites"]).consume()


def plan(tx: neo4j.ManagedTransaction, revisions: list[Revision], taken_back: Mapping[str, Found]) -> Plan:
    """`taken_back`: what was found in records that go, by their ids."""
    old = {pair for revision in revisions for pair in revision.old.prerequisites}
    old |= {pair for said in taken_back.values() for pair in said.prerequisites}
    new = _strongest(claim for revision in revisions for claim in revision.new.prerequisites.items())
    if not old and not new:
        return Plan()
    edges = _edges(tx)
    claims = {pair: confidence for pair, (confidence, _) in edges.items() if pair not in old}
    claims |= _others(tx, old, {revision.record.record_id for revision in revisions} | set(taken_back))
    claims = _strongest([*claims.items(), *new.items()])
    return _difference(edges, claims, new)


def write(tx: neo4j.ManagedTransaction, planned: Plan) -> None:
    kept = {pair: edge for pair, edge in planned.changed.items() if edge is not None}
    run(tx, "remove_prerequisites", [{"from": start, "to": end} for start, end in planned.changed])
    for name, aside in (("create_depends_on", False), ("create_set_aside", True)):
        rows = [
            {"from": start, "to": end, "confidence": confidence}
            for (start, end), (confidence, set_aside) in kept.items()
            if set_aside is aside
        ]
        run(tx, name, rows)


def _difference(edges: Mapping[Pair, Edge], claims: Mapping[Pair, float], new: Iterable[Pair]) -> Plan:
    aside = prerequisites.set_aside(claims)
    wanted: dict[Pair, Edge] = {pair: (confidence, pair in aside) for pair, confidence in claims.items()}
    changed = {pair: wanted.get(pair) for pair in {*edges, *wanted} if edges.get(pair) != wanted.get(pair)}
    reported = aside & {*new, *changed}
    return Plan(changed, tuple(sorted(f"{point} > {requires}" for point, requires in reported)))


def _edges(tx: neo4j.ManagedTransaction) -> dict[Pair, Edge]:
    return {
        (start, end): (confidence, row["aside"])
        for row in tx.run(CYPHER["prerequisites"])
        for start, end, confidence in row["claims"]
    }


def _others(tx: neo4j.ManagedTransaction, pairs: set[Pair], without: set[str]) -> dict[Pair, float]:
    """What the records outside of this transaction claim of these pairs."""
    if not pairs:
        return {}
    rows = tx.run(CYPHER["claims"], ids=sorted({point for point, _ in pairs}))
    return _strongest(
        ((row["id"], requires), confidence)
        for row in rows
        if row["record"] not in without
        for requires, confidence in zip(row["requires"], row["confidence"], strict=True)
        if (row["id"], requires) in pairs
    )


def _strongest(claims: Iterable[tuple[Pair, float]]) -> dict[Pair, float]:
    strongest: dict[Pair, float] = {}
    for pair, confidence in claims:
        strongest[pair] = max(confidence, strongest.get(pair, 0.0))
    return strongest
