"""The general queries over what a caller sees: each walks it hop by hop, and says what it left out."""

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
    OfSight,
    OneNode,
    PathAnswer,
    RelationshipCount,
    Search,
    ShownNode,
    ShownRelationship,
    Statistics,
)
from edugraph_insights.queries.links import ADDED, SUMS, TYPES
from edugraph_insights.queries.sight import MOST_FOUND, Hub, Key, Sight, Tie

MOST_VISITED = 5_000  # nodes of a search for a path
# Texts, names and hashes that serve the keeping of the graph.
_KEEPING = frozenset(
    {"content_hash", "reading", "accepted", "row", "changed_at", "history",
     "finding", "finding_key", "verdicts", "restricted", "canonical", "names", "claims",
     "spellings", "spelling_counts", "stamp", "stamps", "former_ids", "renamed", "named", "described", "rated"}
)  # fmt: skip


@dataclass(frozen=True)
class Related:
    """All relationships of a type from one thing to another, as one."""

    source: Key
    type: str
    target: Key
    relationships: int
    weight: float | None
    confidence: float | None

    def other(self, node: Key) -> Key:
        return self.target if self.source == node else self.source

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
    """Return one relationship for all of one type between the same two things, in a fixed order."""
    groups: dict[tuple[Key, str, Key], list[Tie]] = defaultdict(list)
    for tie in ties:
        groups[tie.source, tie.type, tie.target].append(tie)
    found = []
    for (source, name, target), of_group in sorted(groups.items()):
        weights = [tie.weight for tie in of_group if tie.weight is not None]
        sure = [tie.confidence for tie in of_group if tie.confidence is not None]
        weight = (float(sum(weights)) if name in ADDED else float(max(weights))) if weights else None
        found.append(Related(source, name, target, len(of_group), weight, max(sure, default=None)))
    return found


class Walk:
    """What was met on a walk that keeps to a filter. `left_out` grows on the way."""

    def __init__(self, sight: Sight, asked: Filtered, *named: Key) -> None:
        """`named` are the nodes that were asked for, which need no permitted label."""
        self._sight, self._asked, self._named = sight, asked, frozenset(named)
        self.types = frozenset(asked.type or TYPES)
        self.hubs: set[Hub] = set()
        self.filtered: set[tuple[Key, str, Key]] = set()

    def hop(self, nodes: Collection[Key]) -> list[Related]:
        """Return the relationships of these nodes that satisfy the filter."""
        ties, hubs = self._sight.hop(nodes, self.types)
        self.hubs |= hubs
        asked = self._asked
        found = []
        for each in merged(ties.values()):
            ends = {each.source, each.target}
            weak = each.weight is not None and asked.min_weight is not None and each.weight < asked.min_weight
            unsure = (
                each.confidence is not None
                and asked.min_confidence is not None
                and each.confidence < asked.min_confidence
            )
            if weak or unsure:
                self.filtered.add((each.source, each.type, each.target))
            elif not asked.label or all(end.label in asked.label for end in ends - self._named):
                found.append(each)
        return found

    def left_out(self, **more: int) -> dict[str, int]:
        """Return what is not shown, by its reason."""
        return left_out(
            self._sight,
            self.types,
            self.hubs,
            {"relationships under the minimum weight or confidence": len(self.filtered), **more},
        )


def left_out(sight: Sight, types: Collection[str], hubs: Iterable[Hub], more: Mapping[str, int]) -> dict[str, int]:
    """Return what is not shown, by its reason: hubs, sums over all time, and `more`, without zeros."""
    reasons = {
        f"{hub.type} of {hub.node}: more than {sight.most_relationships:,} relationships, not expanded": 1
        for hub in sorted(hubs)
    }
    if sight.since or sight.until:
        reasons["types of relationships that are sums over all time: leave out from and to"] = len(SUMS & set(types))
    return reasons | {reason: number for reason, number in more.items() if number}


def key_of(name: str) -> Key:
    """Return the node that `LABEL:ID` names."""
    label, _, node_id = name.partition(":")
    return Key(label, node_id)


def shown_nodes(sight: Sight, steps: Mapping[Key, int | None]) -> list[ShownNode]:
    """Return nodes with their names, in the order of their steps, labels and ids."""
    rows: dict[Key, Mapping[str, Any]] = {}
    for label in {key.label for key in steps}:
        ids = [key.id for key in steps if key.label == label]
        rows |= {Key(label, row["id"]): row for row in sight.nodes(label, ids, whole=False)}
    found = []
    for key in sorted(steps, key=lambda each: (steps[each] or 0, each)):
        row = rows.get(key, {"name": key.id, "at": None})
        found.append(ShownNode(node=str(key), label=key.label, name=str(row["name"]), at=row["at"], steps=steps[key]))
    return found


def search(sight: Sight, asked: Search) -> GraphAnswer:
    found = sight.search(asked.label, asked.begins)
    shown = found[: asked.limit]
    return GraphAnswer(
        computed_by="Nodes of the label whose id or name begins so, in the order of their ids; up to "
        f"{MOST_FOUND:,} are looked for.",
        of_how_many={"nodes": min(len(found), MOST_FOUND)},
        left_out=left_out(
            sight,
            (),
            (),
            {
                "nodes beyond the limit: say how the id or name goes on": min(len(found), MOST_FOUND) - len(shown),
                f"nodes that were not counted: there are more than {MOST_FOUND:,}": int(len(found) > MOST_FOUND),
            },
        ),
        nodes=tuple(shown_nodes(sight, {Key(asked.label, each): None for each in shown})),
    )


def details(sight: Sight, asked: OneNode) -> Details:
    node = key_of(asked.node)
    ties, hubs = sight.hop([node], TYPES)
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for each in merged(ties.values()):
        direction = "out" if each.source == node else "in"
        counts[each.type, direction, each.other(node).label] += 1
    [row] = sight.nodes(node.label, [node.id], whole=True) or [{"name": node.id, "at": None, "properties": {}}]
    return Details(
        computed_by="The properties of the node, and of each type of relationship the other nodes that this caller "
        "may see.",
        node=ShownNode(node=str(node), label=node.label, name=str(row["name"]), at=row["at"]),
        properties={name: plain(value) for name, value in sorted(row["properties"].items()) if name not in _KEEPING},
        counts=tuple(
            RelationshipCount.model_validate({"type": t, "direction": d, "label": other, "nodes": number})
            for (t, d, other), number in sorted(counts.items())
        ),
        left_out=left_out(sight, TYPES, hubs, {}),
    )


def plain(value: Any) -> Any:
    """Return a property as JSON can have it."""
    value = value.to_native() if hasattr(value, "to_native") else value
    return value.isoformat() if isinstance(value, datetime) else value


def neighbours(sight: Sight, asked: OfNode) -> GraphAnswer:
    """The strongest relationships first, so that a limit leaves out the weakest."""
    node = key_of(asked.node)
    walk = Walk(sight, asked, node)
    other = key_of(asked.other) if asked.other else None
    found = sorted(
        (each for each in walk.hop([node]) if other is None or each.other(node) == other),
        key=lambda each: (-(each.weight or 0.0), each.type, each.source, each.target),
    )
    shown = found[: asked.limit]
    others = {each.other(node) for each in found}
    beside = {each.other(node): 1 for each in shown}
    return GraphAnswer(
        computed_by="Relationships of the node that satisfy the filter, the largest weight first.",
        of_how_many={"relationships": len(found), "nodes": len(others)},
        left_out=walk.left_out(
            **{
                "relationships beyond the limit": len(found) - len(shown),
                "nodes beyond the limit": len(others) - len(beside),
            }
        ),
        nodes=tuple(shown_nodes(sight, {**beside, node: 0})),
        relationships=tuple(each.shown() for each in shown),
    )


def subgraph(sight: Sight, asked: OfRoot) -> GraphAnswer:
    """Level by level. Where a level does not fit, its first nodes by label and id are shown, and the walk ends."""
    node = key_of(asked.node)
    walk = Walk(sight, asked, node)
    steps: dict[Key, int] = {node: 0}
    related: dict[tuple[Key, str, Key], Related] = {}
    frontier, beyond = [node], 0
    for depth in range(1, asked.depth + 1):
        found = walk.hop(frontier)
        related |= {(each.source, each.type, each.target): each for each in found}
        reached = sorted({end for each in found for end in (each.source, each.target)} - steps.keys())
        room = asked.limit - len(steps)
        frontier, beyond = reached[: max(room, 0)], len(reached) - max(room, 0)
        steps |= dict.fromkeys(frontier, depth)
        if beyond > 0 or not frontier:
            break
    shown = [each for each in related.values() if each.source in steps and each.target in steps]
    beyond = max(beyond, 0)
    return GraphAnswer(
        computed_by="Nodes within so many steps of the root by relationships that satisfy the filter, nearest first; "
        "relationships of the nodes that are nearer than the depth.",
        of_how_many={"nodes": len(steps) + beyond, "relationships": len(related)},
        left_out=walk.left_out(
            **{"nodes beyond the limit": beyond, "relationships to these": len(related) - len(shown)}
        ),
        nodes=tuple(shown_nodes(sight, dict(steps))),
        relationships=tuple(
            each.shown() for each in sorted(shown, key=lambda each: (each.source, each.type, each.target))
        ),
    )


def path(sight: Sight, asked: OfPath) -> PathAnswer:
    """A shortest path, walked from both ends: each time, the end with fewer nodes to expand goes on."""
    node, other = key_of(asked.node), key_of(asked.other)
    walk = Walk(sight, asked, node, other)
    came: tuple[dict[Key, Related | None], dict[Key, Related | None]] = ({node: None}, {other: None})
    frontiers = [[node], [other]]
    meeting = node if node == other else None
    gone = 0
    while meeting is None and gone < asked.steps and sum(map(len, came)) <= MOST_VISITED:
        # From a hub nothing is reached, but it may be reached from the other end.
        if not any(frontiers) or (not all(frontiers) and not walk.hubs):
            break
        side = min((0, 1), key=lambda each: len(frontiers[each]) or MOST_VISITED)
        begun, reached = set(frontiers[side]), []
        for each in walk.hop(frontiers[side]):
            for near, far in ((each.source, each.target), (each.target, each.source)):
                if near in begun and far not in came[side]:
                    came[side][far] = each
                    reached.append(far)
        frontiers[side] = reached
        gone += 1
        meeting = min((each for each in reached if each in came[1 - side]), default=None)
    ended_early = meeting is None and sum(map(len, came)) > MOST_VISITED
    nodes, relationships = ([], []) if meeting is None else way(came, meeting)
    names = {each.node: each for each in shown_nodes(sight, dict.fromkeys(nodes))}
    return PathAnswer(
        computed_by=f"A shortest path by relationships that satisfy the filter, in any direction, of {asked.steps} "
        "steps at most.",
        of_how_many={"nodes looked at": len(came[0].keys() | came[1].keys())},
        left_out=walk.left_out(**{f"longer ways: the search ended after {MOST_VISITED:,} nodes": int(ended_early)}),
        nodes=tuple(names[str(each)].model_copy(update={"steps": n}) for n, each in enumerate(nodes)),
        relationships=tuple(each.shown() for each in relationships),
        steps=None if meeting is None else len(relationships),
    )


def way(
    came: tuple[Mapping[Key, Related | None], Mapping[Key, Related | None]], meeting: Key
) -> tuple[list[Key], list[Related]]:
    """Return the nodes and the relationships of the path through a node that both ends reached."""
    halves: list[tuple[list[Key], list[Related]]] = []
    for side in came:
        nodes, relationships, at = [meeting], [], meeting
        while (step := side[at]) is not None:
            at = step.other(at)
            nodes.append(at)
            relationships.append(step)
        halves.append((nodes, relationships))
    (before, first), (after, second) = halves
    return [*reversed(before), *after[1:]], [*reversed(first), *second]


def statistics(sight: Sight, _asked: OfSight) -> Statistics:
    """Count all that the caller sees. What a hub leads to is counted from the other end.

    Raises TooLarge where there are too many nodes to go through.
    """
    ids = {label: sight.search(label, "") for label in sight.labels()}
    if label := next((label for label, found in ids.items() if len(found) > MOST_FOUND), None):
        offer = "Ask for one course or group; `edugraph graph summary` counts the whole graph."
        raise TooLarge(f"There are more than {MOST_FOUND:,} nodes of the label {label}", offer)
    ties, _ = sight.hop((Key(label, node_id) for label, found in ids.items() for node_id in found), TYPES)
    types = Counter(each.type for each in merged(ties.values()))
    return Statistics(
        computed_by="Counts of the nodes that you may see, and of the pairs of them with a relationship. Names of "
        "one thing are one node.",
        nodes={label: len(found) for label, found in sorted(ids.items()) if found},
        relationships=dict(sorted(types.items())),
    )
