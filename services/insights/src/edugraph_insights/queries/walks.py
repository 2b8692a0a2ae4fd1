"""The general queries. Each one walks, step by step, through what the caller may see and says what it left out."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edugraph_insights.problems import TooLarge
from edugraph_insights.queries.answers import (
    Details,
    Filtered,
    GraphAnswer,
    OfNode,
    OfPath,
    OfRoot,
    OfStatistics,
    OneNode,
    PathAnswer,
    RelationshipCount,
    Search,
    ShownNode,
    ShownRelationship,
    Statistics,
)
from edugraph_insights.queries.links import ADDED, SUMS, TYPES
from edugraph_insights.queries.visible_graph import MOST_FOUND, Hub, Key, Tie, VisibleGraph

# A reason in `left_out`: only hidden findings bring these relationships (docs/adr/0148).
HIDDEN = "relationships hidden, since findings like these were right too rarely"
MOST_VISITED = 5_000  # nodes of a search for a path
# Properties that serve the maintenance of the graph. Details of a node do not show them.
_KEEPING = frozenset(
    {"content_hash", "reading", "accepted", "row", "changed_at", "history",
     "reply_mark", "finding", "finding_key", "verdicts", "restricted", "canonical", "names", "claims",
     "spellings", "spelling_counts", "stamp", "stamps", "former_ids", "renamed", "named", "described", "rated",
     "shown_as", "given_id", "restricted_by_alias", "owner", "places", "written", "changed"}
)  # fmt: skip


@dataclass(frozen=True)
class Related:
    """All relationships of one type from one node to another, as one relationship."""

    source: Key
    type: str
    target: Key
    relationships: int
    weight: float | None
    confidence: float | None

    @property
    def triple(self) -> tuple[Key, str, Key]:
        return (self.source, self.type, self.target)

    def other(self, node: Key) -> Key:
        """Return the node at the other end."""
        if self.source == node:
            return self.target
        return self.source

    def shown(self) -> ShownRelationship:
        return ShownRelationship(
            source=str(self.source),
            type=self.type,
            target=str(self.target),
            relationships=self.relationships,
            weight=self.weight,
            confidence=self.confidence,
        )


def merged(ties: Iterable[Tie]) -> list[Related]:
    """Return one relationship for all ties of one type between the same two nodes, in a fixed order."""
    groups: dict[tuple[Key, str, Key], list[Tie]] = defaultdict(list)
    for tie in ties:
        groups[tie.source, tie.type, tie.target].append(tie)
    found = []
    for triple in sorted(groups):
        source, name, target = triple
        group = groups[triple]
        confidences = [tie.confidence for tie in group if tie.confidence is not None]
        found.append(
            Related(
                source,
                name,
                target,
                relationships=len(group),
                weight=_weight(name, group),
                confidence=max(confidences, default=None),
            )
        )
    return found


def _weight(name: str, ties: Collection[Tie]) -> float | None:
    """Return the weight of several ties of one type together, or None if none has a weight."""
    weights = [tie.weight for tie in ties if tie.weight is not None]
    counts_hidden_findings = name == "HAS_ERROR" and len(weights) < len(ties)
    if not weights or counts_hidden_findings:
        return None
    if name in ADDED:
        return float(sum(weights))
    return float(max(weights))


class Walk:
    """A walk along the relationships that satisfy a filter. The walk remembers what it left out."""

    def __init__(self, visible: VisibleGraph, asked: Filtered, *named: Key) -> None:
        """Start a walk. The filter on labels does not concern `named`, the nodes that the caller asked for."""
        self._visible = visible
        self._asked = asked
        self._named = frozenset(named)
        self.types = frozenset(asked.type or TYPES)
        self.hubs: set[Hub] = set()
        self.filtered: set[tuple[Key, str, Key]] = set()

    def related_to(self, nodes: Collection[Key]) -> list[Related]:
        """Return the relationships of these nodes that satisfy the filter."""
        ties, hubs = self._visible.relationships_of(nodes, self.types)
        self.hubs |= hubs
        found = []
        for related in merged(ties.values()):
            if self._is_below_minimum(related):
                self.filtered.add(related.triple)
            elif self._has_permitted_labels(related):
                found.append(related)
        return found

    def _is_below_minimum(self, related: Related) -> bool:
        min_weight = self._asked.min_weight
        if min_weight is not None and related.weight is not None and related.weight < min_weight:
            return True
        min_confidence = self._asked.min_confidence
        if min_confidence is None or related.confidence is None:
            return False
        return related.confidence < min_confidence

    def _has_permitted_labels(self, related: Related) -> bool:
        if not self._asked.label:
            return True
        ends = {related.source, related.target}
        return all(end.label in self._asked.label for end in ends - self._named)

    def left_out(self, more: Mapping[str, int]) -> dict[str, int]:
        """Return the numbers of things that are not shown, by their reasons. `more` are further reasons."""
        below_minimum = {"relationships under the minimum weight or confidence": len(self.filtered)}
        return left_out(self._visible, self.types, self.hubs, {**below_minimum, **more})


def left_out(
    visible: VisibleGraph, types: Collection[str], hubs: Iterable[Hub], more: Mapping[str, int]
) -> dict[str, int]:
    """Return the numbers of things that are not shown, by their reasons, without zeros.

    The reasons are hubs, sums over all time, and `more`.
    """
    reasons = {
        f"{hub.type} of {hub.node}: more than {visible.most_relationships:,} relationships, not expanded": 1
        for hub in sorted(hubs)
    }
    if visible.since or visible.until:
        reasons["types of relationships that are sums over all time: leave out from and to"] = len(
            SUMS & set(types)
        )
    hidden = {HIDDEN: len(visible.hidden)}
    for reason, number in (hidden | dict(more)).items():
        if number:
            reasons[reason] = number
    return reasons


def key_of(name: str) -> Key:
    """Return the key of the node that is written as `LABEL:ID`."""
    label, _, node_id = name.partition(":")
    return Key(label, node_id)


def shown_nodes(visible: VisibleGraph, steps: Mapping[Key, int | None]) -> list[ShownNode]:
    """Return nodes with their names, in the order of their steps, labels and ids.

    `steps` are the steps from the root by node, or None where a query has no root.
    """
    ids_by_label: dict[str, list[str]] = defaultdict(list)
    for node in steps:
        ids_by_label[node.label].append(node.id)
    rows: dict[Key, Mapping[str, Any]] = {}
    for label, ids in ids_by_label.items():
        for row in visible.nodes(label, ids, whole=False):
            rows[Key(label, row["id"])] = row

    found = []
    for node in sorted(steps, key=lambda each: (steps[each] or 0, each)):
        row_of_node = rows.get(node, {"name": node.id, "at": None})
        found.append(
            ShownNode(
                node=str(node),
                label=node.label,
                name=str(row_of_node["name"]),
                at=row_of_node["at"],
                steps=steps[node],
            )
        )
    return found


def search(visible: VisibleGraph, asked: Search) -> GraphAnswer:
    """Return the nodes of a label whose id or name begins as asked."""
    found = visible.search(asked.label, asked.begins)
    number = min(len(found), MOST_FOUND)
    shown = found[: asked.limit]
    not_shown = {
        "nodes beyond the limit: say how the id or name goes on": number - len(shown),
        f"nodes that were not counted: there are more than {MOST_FOUND:,}": int(
            len(found) > MOST_FOUND
        ),
    }
    return GraphAnswer(
        computed_by="Nodes of the label whose id or name begins so, in the order of their ids; up to "
        f"{MOST_FOUND:,} are looked for.",
        of_how_many={"nodes": number},
        left_out=left_out(visible, (), (), not_shown),
        nodes=tuple(shown_nodes(visible, {Key(asked.label, node_id): None for node_id in shown})),
    )


def details(visible: VisibleGraph, asked: OneNode) -> Details:
    """Return the properties of a node, and how many other nodes it has relationships of each type with."""
    node = key_of(asked.node)
    ties, hubs = visible.relationships_of([node], TYPES)
    # (type, direction, label of the other nodes) -> number of other nodes
    numbers: dict[tuple[str, str, str], int] = defaultdict(int)
    for related in merged(ties.values()):
        direction = "in"
        if related.source == node:
            direction = "out"
        numbers[related.type, direction, related.other(node).label] += 1
    counts = []
    for (name, direction, label), number in sorted(numbers.items()):
        count = {"type": name, "direction": direction, "label": label, "nodes": number}
        counts.append(RelationshipCount.model_validate(count))

    rows = visible.nodes(node.label, [node.id], whole=True)
    [row] = rows or [{"name": node.id, "at": None, "properties": {}}]
    properties = {}
    for name, value in sorted(row["properties"].items()):
        if name not in _KEEPING:
            properties[name] = plain(value)
    return Details(
        computed_by="The properties of the node, and of each type of relationship the other nodes that this caller "
        "may see.",
        node=ShownNode(node=str(node), label=node.label, name=str(row["name"]), at=row["at"]),
        properties=properties,
        counts=tuple(counts),
        left_out=left_out(visible, TYPES, hubs, {}),
    )


def plain(value: Any) -> Any:
    """Return a property as a value that JSON can hold."""
    if hasattr(value, "to_native"):
        value = value.to_native()
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def neighbours(visible: VisibleGraph, asked: OfNode) -> GraphAnswer:
    """Return the relationships of a node. The strongest stand first, so that a limit leaves out the weakest."""
    node = key_of(asked.node)
    walk = Walk(visible, asked, node)
    found = walk.related_to([node])
    if asked.other:
        wanted = key_of(asked.other)
        found = [each for each in found if each.other(node) == wanted]
    found.sort(key=lambda each: (-(each.weight or 0.0), each.type, each.source, each.target))

    shown = found[: asked.limit]
    others = {each.other(node) for each in found}
    shown_others = {each.other(node) for each in shown}
    not_shown = {
        "relationships beyond the limit": len(found) - len(shown),
        "nodes beyond the limit": len(others) - len(shown_others),
    }
    return GraphAnswer(
        computed_by="Relationships of the node that satisfy the filter, the largest weight first.",
        of_how_many={"relationships": len(found), "nodes": len(others)},
        left_out=walk.left_out(not_shown),
        nodes=tuple(shown_nodes(visible, {**dict.fromkeys(shown_others, 1), node: 0})),
        relationships=tuple(each.shown() for each in shown),
    )


def subgraph(visible: VisibleGraph, asked: OfRoot) -> GraphAnswer:
    """Return the nodes around a root, level by level.

    If a level has more nodes than the limit leaves room for, its first nodes by label and id are shown, and the walk
    ends there.
    """
    root = key_of(asked.node)
    walk = Walk(visible, asked, root)
    steps: dict[Key, int] = {root: 0}
    related: dict[tuple[Key, str, Key], Related] = {}
    frontier = [root]
    beyond = 0
    for depth in range(1, asked.depth + 1):
        ends: set[Key] = set()
        for each in walk.related_to(frontier):
            related[each.triple] = each
            ends |= {each.source, each.target}
        reached = sorted(ends - steps.keys())
        room = asked.limit - len(steps)
        frontier = reached[:room]
        beyond = len(reached) - len(frontier)
        steps |= dict.fromkeys(frontier, depth)
        if beyond > 0 or not frontier:
            break

    shown = [each for each in related.values() if each.source in steps and each.target in steps]
    shown.sort(key=lambda each: each.triple)
    not_shown = {
        "nodes beyond the limit": beyond,
        "relationships to these": len(related) - len(shown),
    }
    return GraphAnswer(
        computed_by="Nodes within so many steps of the root by relationships that satisfy the filter, nearest first; "
        "relationships of the nodes that are nearer than the depth.",
        of_how_many={"nodes": len(steps) + beyond, "relationships": len(related)},
        left_out=walk.left_out(not_shown),
        nodes=tuple(shown_nodes(visible, dict(steps))),
        relationships=tuple(each.shown() for each in shown),
    )


@dataclass
class _Side:
    """One of the two searches that look for a path, each from one of its ends."""

    frontier: list[Key]  # the nodes that were reached last
    # Node -> the relationship that led to it, or None for the end itself
    reached_by: dict[Key, Related | None]

    def expand(self, walk: Walk) -> None:
        """Go one step further from all nodes of the frontier."""
        related_to_frontier = walk.related_to(self.frontier)
        begun = set(self.frontier)
        self.frontier = []
        for related in related_to_frontier:
            for near, far in ((related.source, related.target), (related.target, related.source)):
                if near in begun and far not in self.reached_by:
                    self.reached_by[far] = related
                    self.frontier.append(far)

    def way_back(self, node: Key) -> tuple[list[Key], list[Related]]:
        """Return the nodes and the relationships of the way from a node that was reached to the end of this side."""
        nodes = [node]
        relationships = []
        related = self.reached_by[node]
        while related is not None:
            node = related.other(node)
            nodes.append(node)
            relationships.append(related)
            related = self.reached_by[node]
        return nodes, relationships


def path(visible: VisibleGraph, asked: OfPath) -> PathAnswer:
    """Return a shortest path. The search begins at both ends and always expands the smaller of the two frontiers."""
    node = key_of(asked.node)
    other = key_of(asked.other)
    walk = Walk(visible, asked, node, other)
    sides = (_Side([node], {node: None}), _Side([other], {other: None}))
    meeting = None
    if node == other:
        meeting = node
    steps = 0
    while meeting is None and steps < asked.steps and _visited(sides) <= MOST_VISITED:
        expandable = [side for side in sides if side.frontier]
        # A hub is not expanded, but it may be reached from the other end, so one side goes on alone then.
        is_used_up = len(expandable) < len(sides) and not walk.hubs
        if not expandable or is_used_up:
            break
        side = min(expandable, key=lambda each: len(each.frontier))
        [opposite] = [each for each in sides if each is not side]
        side.expand(walk)
        steps += 1
        meeting = min((each for each in side.frontier if each in opposite.reached_by), default=None)

    nodes: list[Key] = []
    relationships: list[Related] = []
    if meeting is not None:
        to_node, first = sides[0].way_back(meeting)
        to_other, second = sides[1].way_back(meeting)
        nodes = [*reversed(to_node), *to_other[1:]]
        relationships = [*reversed(first), *second]
    nodes_by_name = {each.node: each for each in shown_nodes(visible, dict.fromkeys(nodes))}
    shown = []
    for number, key in enumerate(nodes):
        shown.append(nodes_by_name[str(key)].model_copy(update={"steps": number}))

    ended_early = meeting is None and _visited(sides) > MOST_VISITED
    not_shown = {f"longer ways: the search ended after {MOST_VISITED:,} nodes": int(ended_early)}
    looked_at = sides[0].reached_by.keys() | sides[1].reached_by.keys()
    return PathAnswer(
        computed_by=f"A shortest path by relationships that satisfy the filter, in any direction, of {asked.steps} "
        "steps at most.",
        of_how_many={"nodes looked at": len(looked_at)},
        left_out=walk.left_out(not_shown),
        nodes=tuple(shown),
        relationships=tuple(each.shown() for each in relationships),
        steps=None if meeting is None else len(relationships),
    )


def _visited(sides: Iterable[_Side]) -> int:
    """Return how many nodes both searches visited. A node that both visited counts twice."""
    return sum(len(side.reached_by) for side in sides)


def statistics(visible: VisibleGraph, _asked: OfStatistics) -> Statistics:
    """Count everything that the caller sees. Relationships of a hub are counted from their other ends.

    Raises TooLarge if there are too many nodes to go through.
    """
    ids = {label: visible.search(label, "") for label in visible.labels()}
    for label, found in ids.items():
        if len(found) > MOST_FOUND:
            offer = "Ask for one course or group; `edugraph graph summary` counts the whole graph."
            raise TooLarge(f"There are more than {MOST_FOUND:,} nodes of the label {label}", offer)
    nodes: list[Key] = []
    for label, found in ids.items():
        nodes += [Key(label, node_id) for node_id in found]
    ties, _ = visible.relationships_of(nodes, TYPES)
    types = Counter(related.type for related in merged(ties.values()))
    return Statistics(
        computed_by="Counts of the nodes that you may see, and of the pairs of them with a relationship. Names of "
        "one thing are one node.",
        nodes={label: len(found) for label, found in sorted(ids.items()) if found},
        relationships=dict(sorted(types.items())),
    )
