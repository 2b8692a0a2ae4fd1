"""The prerequisite edges between knowledge points, as all texts claim them, kept free of cycles.

The strongest claim is taken first. A claim that would close a cycle with those taken before it is excluded: its edge
is kept as SET_ASIDE, to be seen, and is never followed. The result depends on the claims and not on their order.

Only one transaction at a time works on the edges (`lock_edges`). What has to change is planned before any other lock
is taken, so that the points of all edges that change can be locked in the one order.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import neo4j

from edugraph_importer.graph.aggregates import FindingUpdate
from edugraph_importer.graph.finding_facts import FindingFacts
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import Node, Pair
from edugraph_importer.graph.unit_of_work import Row, run_rows

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
    tx: neo4j.ManagedTransaction, updates: Sequence[FindingUpdate], superseded: Mapping[str, FindingFacts]
) -> EdgeChanges:
    """Plan what the findings change. `superseded`: what was found in the records that go, by their ids."""
    old = {pair for update in updates for pair in update.old.prerequisites}
    old |= {pair for facts in superseded.values() for pair in facts.prerequisites}
    new = _strongest(claim for update in updates for claim in update.new.prerequisites.items())
    if not old and not new:
        return EdgeChanges()
    edges: dict[Pair, Edge] = {
        (point, required): (confidence, row["excluded"])
        for row in tx.run(CYPHER["prerequisites"])
        for point, required, confidence in row["claims"]
    }
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
    strongest = _strongest([*claims, *new.items()])
    excluded = excluded_edges(strongest)
    wanted: dict[Pair, Edge] = {pair: (confidence, pair in excluded) for pair, confidence in strongest.items()}
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
    """Return the edges that would close a cycle. `claims`: (point, what it requires) -> confidence.

    The time grows with the size of the cycles and not of the graph, since a cycle lies within one strongly connected
    component.
    """
    component = _components(claims)
    within = [pair for pair in claims if component[pair[0]] == component[pair[1]]]
    within.sort(key=lambda pair: (-claims[pair], pair))
    order = _TopologicalOrder()
    return {pair for pair in within if not order.add(*pair)}


class _TopologicalOrder:
    """A topological order that is kept while edges come in (Pearce and Kelly, 2006).

    An edge that fits into the order costs nothing. For another one, only the nodes between its ends are visited.
    """

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._after: defaultdict[str, list[str]] = defaultdict(list)
        self._before: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, start: str, end: str) -> bool:
        """Return False, and add nothing, if the edge would close a cycle."""
        for node in (start, end):
            self._place.setdefault(node, len(self._place))
        low, high = self._place[end], self._place[start]
        if high > low:
            later = self._reach(end, self._after, low, high)
            if start in later:
                return False
            earlier = self._reach(start, self._before, low, high)
            # What leads to `start` moves in front of what follows `end`; together they keep their places.
            moved = sorted(earlier, key=self._place.__getitem__) + sorted(later, key=self._place.__getitem__)
            places = sorted(self._place[node] for node in moved)
            self._place.update(zip(moved, places, strict=True))
        self._after[start].append(end)
        self._before[end].append(start)
        return True

    def _reach(self, start: str, step: Mapping[str, list[str]], low: int, high: int) -> set[str]:
        """Return the nodes that can be reached from `start` within the places low to high."""
        seen, waiting = {start}, [start]
        while waiting:
            for node in step.get(waiting.pop(), ()):
                if node not in seen and low <= self._place[node] <= high:
                    seen.add(node)
                    waiting.append(node)
        return seen


def _components(claims: Mapping[Pair, float]) -> dict[str, int]:
    """Return the strongly connected component of each node (Kosaraju's two walks)."""
    after, before = defaultdict(list), defaultdict(list)
    for start, end in claims:
        after[start].append(end)
        before[end].append(start)
    finished: list[str] = []
    seen: set[str] = set()
    for node in {node for pair in claims for node in pair}:
        finished.extend(_walk(node, after, seen))
    component: dict[str, int] = {}
    seen = set()
    for number, node in enumerate(reversed(finished)):
        component.update(dict.fromkeys(_walk(node, before, seen), number))
    return component


def _walk(start: str, step: Mapping[str, list[str]], seen: set[str]) -> Iterator[str]:
    """Yield the nodes that were not seen before, each one after all that it leads to. It uses no recursion."""
    if start in seen:
        return
    seen.add(start)
    path = [(start, iter(step.get(start, ())))]
    while path:
        node, rest = path[-1]
        following = next((other for other in rest if other not in seen), None)
        if following is None:
            path.pop()
            yield node
        else:
            seen.add(following)
            path.append((following, iter(step.get(following, ()))))
