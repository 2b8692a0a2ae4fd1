"""The prerequisite edges between knowledge points, as all texts and definitions claim them, kept free of cycles.

What reviewers accepted is taken first, in the order in which they said so, whether it is claimed or not; then the
strongest claim. What would close a cycle with those taken before it is excluded: its edge is kept as SET_ASIDE, to be
seen, and is never followed. So is a claim that reviewers rejected. The result depends on the claims and verdicts, and
not on the order in which they arrive (docs/adr/0078-people-decide-about-prerequisites.md).

Whoever writes a text stores its claims, and notes in the same transaction that claims changed. A settler derives the
edges later (`settle`): it reads all claims without a lock, and writes only what differs, a portion at a time. Of two
settlers the later one goes on, and the earlier one stops at its next portion, so that no two of them mix what they
read at different times (docs/adr/0028-prerequisites-are-settled-later.md).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import neo4j

from edugraph_importer.graph import migrations
from edugraph_importer.graph.aggregates import delete_orphans
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.finding_facts import FindingFacts, FindingUpdate
from edugraph_importer.graph.queries import CYPHER, Row
from edugraph_importer.graph.record_facts import Pair, time_of
from edugraph_importer.graph.unit_of_work import run_rows

T = TypeVar("T")

EDGES_AT_ONCE = 1_000  # in one transaction, whose points others wait for
SHOWN_EXCLUSIONS = 100

CERTAIN = 1.0  # the confidence of what people say, as of a definition
Edge = tuple[float, bool]  # (confidence, whether it is excluded)
Write = Callable[..., int]
"""(work, arguments of it after the transaction) -> what the work returns, done in a transaction."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What reviewers say last of prerequisites. `accepted` are in the order in which that was said."""

    accepted: tuple[Pair, ...] = ()
    rejected: frozenset[Pair] = frozenset()


NO_VERDICTS = Verdicts()


@dataclass(frozen=True, slots=True)
class EdgeChanges:
    """`gone`: edges to remove, also those that come back as another. `new`: edges to write once these are removed."""

    gone: tuple[Pair, ...] = ()
    new: Mapping[Pair, Edge] = field(default_factory=dict)

    @property
    def pairs(self) -> list[Pair]:
        return sorted({*self.gone, *self.new})

    @property
    def excluded(self) -> list[Pair]:
        return sorted(pair for pair, (_, is_excluded) in self.new.items() if is_excluded)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a settler changed. Not `finished`: a later one goes on in its place."""

    finished: bool
    changes: EdgeChanges = EdgeChanges()

    @property
    def set_aside(self) -> tuple[str, ...]:
        """Some of the prerequisites that are excluded from now on, as "a > b"."""
        return tuple(f"{point} > {required}" for point, required in self.changes.excluded[:SHOWN_EXCLUSIONS])


class _Overtaken(Exception):
    """A later settler has begun."""


def note_changes(
    tx: neo4j.Transaction,
    updates: Iterable[FindingUpdate],
    superseded: Mapping[str, FindingFacts],
    *claims: Iterable[Pair],
    job_id: str,
) -> bool:
    """Note whether a transaction changes what is claimed, so that it is settled, and return that.

    `superseded`: what was found in the records that go, by their ids. `claims`: of point_records that come and go.
    `job_id`: of the job that waits for it, if there is one.
    """
    is_changed = (
        any(update.old.prerequisites != update.new.prerequisites for update in updates)
        or any(facts.prerequisites for facts in superseded.values())
        or any(any(True for _ in pairs) for pairs in claims)
    )
    if is_changed:
        tx.run(CYPHER["note_claim_change"], job_id=job_id).consume()
    return is_changed


def settle(connection: Connection, write: Write, *, always: bool = False) -> Settled:
    """Derive the edges, if claims changed since that was done, or `always`. Doing it again changes nothing.

    A process that dies in the middle of it leaves the notes, so that whoever settles next finds the rest.
    """
    if not always and not connection.read(CYPHER["claim_changes"]):
        return Settled(finished=True)
    epoch = write(_begin)
    # Read before the claims: what changes them later leaves a note that is not among these.
    notes = [row["id"] for row in connection.read(CYPHER["claim_changes"])]
    changes = plan(connection)
    try:
        for gone in _portions(changes.gone):
            write(_remove, gone, epoch)
        for new in _portions(sorted(changes.new.items())):
            write(_create, new, epoch)
        write(_forget_notes, notes, epoch)
    except _Overtaken:
        return Settled(finished=False)
    return Settled(finished=True, changes=changes)


def plan(connection: Connection) -> EdgeChanges:
    """Return how the edges differ from the claims of all texts and definitions, and the verdicts about them."""
    edges: dict[Pair, Edge] = {
        (point, required): (confidence, row["excluded"])
        for row in connection.read(CYPHER["prerequisites"])
        for point, required, confidence in row["claims"]
    }
    claims = _strongest(
        ((row["id"], required), confidence)
        for row in connection.read(CYPHER["all_claims"])
        for required, confidence in zip(row["requires"], row["confidence"], strict=True)
    )
    said = sorted(
        (time_of(row["stamp"]), (row["from"], row["to"]), row["accepted"])
        for row in connection.read(CYPHER["judged_needs"])
    )
    verdicts = Verdicts(
        accepted=tuple(pair for _, pair, is_accepted in said if is_accepted),
        rejected=frozenset(pair for _, pair, is_accepted in said if not is_accepted),
    )
    return differences(edges, claims, verdicts)


def differences(
    edges: Mapping[Pair, Edge], claims: Mapping[Pair, float], verdicts: Verdicts = NO_VERDICTS
) -> EdgeChanges:
    claims = {**claims, **dict.fromkeys(verdicts.accepted, CERTAIN)}
    excluded = excluded_edges(claims, verdicts)
    wanted: dict[Pair, Edge] = {pair: (confidence, pair in excluded) for pair, confidence in claims.items()}
    gone = tuple(sorted(pair for pair, edge in edges.items() if wanted.get(pair) != edge))
    return EdgeChanges(gone, {pair: edge for pair, edge in wanted.items() if edges.get(pair) != edge})


def _portions(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while portion := list(islice(rest, EDGES_AT_ONCE)):
        yield portion


def _begin(tx: neo4j.Transaction) -> int:
    """Return the number of this settler: those with a smaller one write nothing from now on."""
    migrations.check_graph(tx)
    return int(tx.run(CYPHER["begin_settling"]).single(strict=True)["epoch"])


def _hold(tx: neo4j.Transaction, epoch: int) -> None:
    """Keep other settlers away until the transaction ends."""
    if tx.run(CYPHER["hold_settling"]).single(strict=True)["epoch"] != epoch:
        raise _Overtaken


def _remove(tx: neo4j.Transaction, pairs: Sequence[Pair], epoch: int) -> int:
    """Remove edges, and points that nothing but these edges kept."""
    _hold(tx, epoch)
    points = sorted({point for pair in pairs for point in pair})
    tx.run(CYPHER["lock_points"], ids=points).consume()
    run_rows(tx, "remove_prerequisites", [{"from": point, "to": required} for point, required in pairs])
    delete_orphans(tx, {("KnowledgePoint", point) for point in points})
    return len(pairs)


def _create(tx: neo4j.Transaction, edges: Sequence[tuple[Pair, Edge]], epoch: int) -> int:
    """Create edges. One between points of which one is gone meanwhile is left out: who removed it left a note."""
    _hold(tx, epoch)
    tx.run(CYPHER["lock_points"], ids=sorted({point for pair, _ in edges for point in pair})).consume()
    rows: dict[bool, list[Row]] = {False: [], True: []}
    for (point, required), (confidence, is_excluded) in edges:
        rows[is_excluded].append({"from": point, "to": required, "confidence": confidence})
    run_rows(tx, "create_depends_on", rows[False])
    run_rows(tx, "create_set_aside", rows[True])
    return len(edges)


def _forget_notes(tx: neo4j.Transaction, notes: Sequence[str], epoch: int) -> int:
    _hold(tx, epoch)
    tx.run(CYPHER["delete_claim_changes"], ids=notes).consume()
    return len(notes)


def _strongest(claims: Iterable[tuple[Pair, float]]) -> dict[Pair, float]:
    strongest: dict[Pair, float] = {}
    for pair, confidence in claims:
        strongest[pair] = max(confidence, strongest.get(pair, 0.0))
    return strongest


def excluded_edges(claims: Mapping[Pair, float], verdicts: Verdicts = NO_VERDICTS) -> set[Pair]:
    """Return the edges that were rejected or would close a cycle.

    `claims`: (point, what it requires) -> confidence; what was accepted is among them.
    """
    import rustworkx  # It loads numpy, and only a worker that writes prerequisites needs it.

    rejected = claims.keys() & verdicts.rejected
    accepted = dict.fromkeys(verdicts.accepted)
    claims = {pair: confidence for pair, confidence in claims.items() if pair not in rejected}
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
    taken, excluded = rustworkx.PyDiGraph[str, None](check_cycle=True), set(rejected)
    taken.add_nodes_from(all_claims.nodes())
    for pair in (*accepted, *sorted(claims.keys() - accepted, key=lambda pair: (-claims[pair], pair))):
        start, end = places[pair[0]], places[pair[1]]
        if component[start] == component[end]:
            try:
                taken.add_edge(start, end, None)
            except rustworkx.DAGWouldCycle:
                excluded.add(pair)
    return excluded
