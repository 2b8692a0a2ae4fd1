"""Which prerequisites are followed and which are set aside, so that no chain of them comes back to its start.

The strongest claim is taken first; one that would close a cycle with those taken is set aside. The result depends
on the claims alone, not on the order in which they came.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from edugraph_importer.graph.record_facts import Pair


def set_aside(claims: Mapping[Pair, float]) -> set[Pair]:
    """`claims`: (point, what it requires) -> confidence. Time grows with the size of the cycles, not of the graph."""
    component = _components(claims)
    within = [pair for pair in claims if component[pair[0]] == component[pair[1]]]
    within.sort(key=lambda pair: (-claims[pair], pair))
    order = _Order()
    return {pair for pair in within if not order.add(*pair)}


class _Order:
    """A topological order kept while edges come in (Pearce and Kelly): a new edge looks only between its ends."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._after: defaultdict[str, list[str]] = defaultdict(list)
        self._before: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, start: str, end: str) -> bool:
        """False, and nothing is added, if the edge would close a cycle."""
        for node in (start, end):
            self._place.setdefault(node, len(self._place))
        if self._place[start] > self._place[end] and not self._make_room(start, end):
            return False
        self._after[start].append(end)
        self._before[end].append(start)
        return True

    def _make_room(self, start: str, end: str) -> bool:
        low, high = self._place[end], self._place[start]
        later = self._reach(end, self._after, low, high)
        if start in later:
            return False
        earlier = self._reach(start, self._before, low, high)
        moved = sorted(earlier, key=self._place.__getitem__) + sorted(later, key=self._place.__getitem__)
        places = sorted(self._place[node] for node in moved)
        self._place.update(zip(moved, places, strict=True))
        return True

    def _reach(self, start: str, step: Mapping[str, list[str]], low: int, high: int) -> set[str]:
        """From `start`, within the places low to high."""
        seen, waiting = {start}, [start]
        while waiting:
            for node in step.get(waiting.pop(), ()):
                if node not in seen and low <= self._place[node] <= high:
                    seen.add(node)
                    waiting.append(node)
        return seen


def _components(claims: Mapping[Pair, float]) -> dict[str, int]:
    """Strongly connected components: only within one can a cycle close (Kosaraju's two walks)."""
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
    """Nodes not seen before, each after all that it leads to."""
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
