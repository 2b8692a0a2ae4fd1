"""The prerequisite edges between knowledge points. Texts and definitions claim them; the edges never form a cycle.

Edges are taken in this order: first those that reviewers accepted, by the time of the review, whether they are
claimed or not; then the claims that a definition or two texts say, the strongest first. An edge that would close a
cycle with the edges before it is excluded: it is kept as SET_ASIDE, so that people see it, and is never followed. A
claim that reviewers rejected is excluded as well, and so is a claim that too few say (`claims`). The property
`reason` of SET_ASIDE says which of these it is. The result depends only on the claims and verdicts, and not on the
order in which they arrive (docs/adr/0078-people-decide-about-prerequisites.md).

The transaction that writes a text stores its claims, and notes that claims changed. A settler derives the edges later
(`settle`): it reads all claims without a lock, and writes only the differences, a portion at a time. If two settlers
run, the later one continues and the earlier one stops at its next portion, so that claims read at different times are
never mixed (docs/adr/0028-prerequisites-are-settled-later.md).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Literal, TypeVar

import neo4j
import rustworkx

from edugraph_importer.graph import migrations
from edugraph_importer.graph.claims import (
    proposals,
    read_canonical_points,
    read_claims,
    read_digests,
)
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.finding_facts import FindingFacts, FindingUpdate
from edugraph_importer.graph.model import Pair, time_of
from edugraph_importer.graph.statements import CYPHER, Row, run_rows
from edugraph_importer.graph.unit_of_work import delete_orphans

T = TypeVar("T")

EDGES_AT_ONCE = 1_000  # in one transaction, since other transactions wait for its points
SHOWN_EXCLUSIONS = 100

CERTAIN = 1.0  # the confidence of an edge that people accepted, the same as that of a definition
# Why a prerequisite is not followed: it would close a cycle, a reviewer rejected it, or fewer than two texts say it.
Reason = Literal["cycle", "rejected", "proposed"]
Edge = tuple[float, Reason | None]  # (confidence, why it is not followed, or None if it is)
Write = Callable[..., int]
"""(work, arguments of it after the transaction) -> what the work returns, done in a transaction."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The last verdicts of reviewers about prerequisites. `accepted` is in the order of the reviews' times."""

    accepted: tuple[Pair, ...] = ()
    rejected: frozenset[Pair] = frozenset()


NO_VERDICTS = Verdicts()


@dataclass(frozen=True, slots=True)
class EdgeChanges:
    """The differences between stored and derived edges.

    `gone` has the edges to remove, including the edges that are written again with other values. `new` has the edges
    to write after that.
    """

    gone: tuple[Pair, ...] = ()
    new: Mapping[Pair, Edge] = field(default_factory=dict)

    @property
    def pairs(self) -> list[Pair]:
        return sorted({*self.gone, *self.new})

    @property
    def excluded(self) -> list[Pair]:
        """Return the edges that close a cycle or are rejected from now on. Proposals are not among them."""
        return sorted(
            pair for pair, (_, reason) in self.new.items() if reason in ("cycle", "rejected")
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """The changes of a settler. If it is not `finished`, a later settler continues in its place."""

    finished: bool
    changes: EdgeChanges = EdgeChanges()

    @property
    def set_aside(self) -> tuple[str, ...]:
        """Some of the prerequisites that are excluded from now on, as "a > b"."""
        return tuple(
            f"{point} > {required}" for point, required in self.changes.excluded[:SHOWN_EXCLUSIONS]
        )


class _Overtaken(Exception):
    """A later settler has begun."""


def note_changes(
    tx: neo4j.Transaction,
    updates: Iterable[FindingUpdate],
    superseded: Mapping[str, FindingFacts],
    *claims: Iterable[Pair],
    moved_points: Iterable[str] = (),
    job_id: str,
) -> bool:
    """Return whether a transaction changes claims, and if so, leave a note, so that a settler derives the edges.

    `superseded` has the findings of the removed records by their ids. `claims` has the claims of added and of removed
    point_records. `moved_points` are the points for which another point stands from now on. `job_id` names the job
    that waits for the edges, if there is one.
    """
    in_updates = any(update.old.prerequisites != update.new.prerequisites for update in updates)
    in_superseded = any(facts.prerequisites for facts in superseded.values())
    in_point_records = any(chain.from_iterable(claims))
    is_changed = in_updates or in_superseded or in_point_records
    if not is_changed:
        return note_moved_points(tx, moved_points, job_id=job_id)
    tx.run(CYPHER["note_claim_change"], job_id=job_id).consume()
    return True


def note_moved_points(tx: neo4j.Transaction, points: Iterable[str], *, job_id: str) -> bool:
    """Return whether claims are about points that mean something else from now on, and if so, leave a note.

    Two texts may say the same from now on, because they named one point in two ways. Or they no longer do.
    """
    ids = sorted(points)
    if not ids or not list(tx.run(CYPHER["points_with_claims"], ids=ids)):
        return False
    tx.run(CYPHER["note_claim_change"], job_id=job_id).consume()
    return True


def settle(connection: Connection, write: Write, *, always: bool = False) -> Settled:
    """Derive the edges if claims changed since the last time, or `always`. A second call changes nothing.

    If the process dies in the middle, the notes remain and the next settler does the rest.
    """
    if not always and not connection.read(CYPHER["claim_changes"]):
        return Settled(finished=True)
    epoch = write(_begin)
    # The notes are read before the claims. A later change of claims leaves a new note, which is not deleted here.
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
    """Return how the stored edges differ from the edges that follow from all claims and verdicts."""
    edges: dict[Pair, Edge] = {}
    for row in connection.read(CYPHER["prerequisites"]):
        for point, required, confidence, reason in row["claims"]:
            edges[point, required] = (confidence, reason)

    claims = read_claims(connection)
    accepted: list[tuple[str, Pair]] = []  # (time of the review, pair)
    rejected: set[Pair] = set()
    for row in connection.read(CYPHER["judged_needs"]):
        pair = (row["from"], row["to"])
        if row["accepted"]:
            accepted.append((time_of(row["stamp"]), pair))
        else:
            rejected.add(pair)
    verdicts = Verdicts(tuple(pair for _, pair in sorted(accepted)), frozenset(rejected))
    proposed = proposals(
        claims,
        verdicts.accepted,
        read_canonical_points(connection),
        partial(read_digests, connection),
    )
    return differences(edges, claims.confidence, verdicts, proposed)


def differences(
    edges: Mapping[Pair, Edge],
    claims: Mapping[Pair, float],
    verdicts: Verdicts = NO_VERDICTS,
    proposed: AbstractSet[Pair] = frozenset(),
) -> EdgeChanges:
    """Return how the stored `edges` differ from the edges that follow from claims and verdicts.

    `proposed` are the claims that too few say. They exclude no other edge.
    """
    claims = {**claims, **dict.fromkeys(verdicts.accepted, CERTAIN)}
    confirmed = {pair: confidence for pair, confidence in claims.items() if pair not in proposed}
    excluded = excluded_edges(confirmed, verdicts)
    wanted: dict[Pair, Edge] = {}
    for pair, confidence in claims.items():
        reason: Reason | None = None
        if pair in verdicts.rejected:
            reason = "rejected"
        elif pair in proposed:
            reason = "proposed"
        elif pair in excluded:
            reason = "cycle"
        wanted[pair] = (confidence, reason)
    gone = [pair for pair, edge in edges.items() if wanted.get(pair) != edge]
    new = {pair: edge for pair, edge in wanted.items() if edges.get(pair) != edge}
    return EdgeChanges(tuple(sorted(gone)), new)


def _portions(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while portion := list(islice(rest, EDGES_AT_ONCE)):
        yield portion


def _begin(tx: neo4j.Transaction) -> int:
    """Return the number of this settler. Settlers with a smaller number write nothing from now on."""
    migrations.check_graph(tx)
    return int(tx.run(CYPHER["begin_settling"]).single(strict=True)["epoch"])


def _hold(tx: neo4j.Transaction, epoch: int) -> None:
    """Keep other settlers away until the transaction ends. Raises _Overtaken if a later settler has begun."""
    if tx.run(CYPHER["hold_settling"]).single(strict=True)["epoch"] != epoch:
        raise _Overtaken


def _remove(tx: neo4j.Transaction, pairs: Sequence[Pair], epoch: int) -> int:
    """Remove edges, and also their points if nothing else links to them."""
    _hold(tx, epoch)
    points = sorted(set(chain.from_iterable(pairs)))
    tx.run(CYPHER["lock_points"], ids=points).consume()
    run_rows(
        tx, "remove_prerequisites", [{"from": point, "to": required} for point, required in pairs]
    )
    delete_orphans(tx, {("KnowledgePoint", point) for point in points})
    return len(pairs)


def _create(tx: neo4j.Transaction, edges: Sequence[tuple[Pair, Edge]], epoch: int) -> int:
    """Create edges. An edge is left out if one of its points was deleted meanwhile; the deletion has left a note."""
    _hold(tx, epoch)
    points = sorted(set(chain.from_iterable(pair for pair, _ in edges)))
    tx.run(CYPHER["lock_points"], ids=points).consume()
    followed: list[Row] = []
    set_aside: list[Row] = []
    for (point, required), (confidence, reason) in edges:
        row: Row = {"from": point, "to": required, "confidence": confidence}
        if reason is None:
            followed.append(row)
        else:
            set_aside.append(row | {"reason": reason})
    run_rows(tx, "create_depends_on", followed)
    run_rows(tx, "create_set_aside", set_aside)
    return len(edges)


def _forget_notes(tx: neo4j.Transaction, notes: Sequence[str], epoch: int) -> int:
    _hold(tx, epoch)
    tx.run(CYPHER["delete_claim_changes"], ids=notes).consume()
    return len(notes)


def excluded_edges(claims: Mapping[Pair, float], verdicts: Verdicts = NO_VERDICTS) -> set[Pair]:
    """Return the edges that were rejected or would close a cycle.

    `claims` maps (point, required point) to the confidence. It includes the accepted edges.
    """
    rejected = claims.keys() & verdicts.rejected
    accepted = list(dict.fromkeys(verdicts.accepted))
    claims = {pair: confidence for pair, confidence in claims.items() if pair not in rejected}
    all_claims = rustworkx.PyDiGraph[str, None]()
    indices: dict[str, int] = {}
    for point in sorted(set(chain.from_iterable(claims))):
        indices[point] = all_claims.add_node(point)
    for point, required in claims:
        all_claims.add_edge(indices[point], indices[required], None)

    # A cycle lies within one strongly connected component. Edges between components need no check, so the time below
    # grows with the size of the cycles and not with the size of the graph.
    component_of: dict[int, int] = {}
    for component, members in enumerate(rustworkx.strongly_connected_components(all_claims)):
        component_of.update(dict.fromkeys(members, component))

    taken = rustworkx.PyDiGraph[str, None](check_cycle=True)
    taken.add_nodes_from(all_claims.nodes())
    excluded = set(rejected)
    not_accepted = claims.keys() - set(accepted)
    strongest_first = sorted(not_accepted, key=lambda pair: (-claims[pair], pair))
    for point, required in (*accepted, *strongest_first):
        start = indices[point]
        end = indices[required]
        if component_of[start] != component_of[end]:
            continue
        try:
            taken.add_edge(start, end, None)
        except rustworkx.DAGWouldCycle:
            excluded.add((point, required))
    return excluded
