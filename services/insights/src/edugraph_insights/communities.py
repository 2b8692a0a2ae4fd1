"""Find communities of people with the Leiden algorithm (Traag, Waltman & van Eck 2019), by modularity."""

from collections import defaultdict
from collections.abc import Mapping

from graspologic_native import leiden

SEED = 7  # fixed, so that the same ties always give the same communities
# With ten thousand people and fifty thousand ties this takes one or two seconds.
TRIALS = 10
ITERATIONS = 2
RANDOMNESS = 0.1


def communities(weights: Mapping[tuple[str, str], int]) -> list[frozenset[str]]:
    """Return the communities, the largest first. `weights` has each pair of people once, in one of its two orders."""
    if not weights:
        return []
    edges = [(one, other, float(weight)) for (one, other), weight in sorted(weights.items())]
    _, community_of = leiden(
        edges,
        starting_communities=None,
        resolution=1.0,
        randomness=RANDOMNESS,
        iterations=ITERATIONS,
        use_modularity=True,
        seed=SEED,
        trials=TRIALS,
    )
    members: dict[int, set[str]] = defaultdict(set)
    for person, community in community_of.items():
        members[community].add(person)
    return sorted(map(frozenset, members.values()), key=lambda each: (-len(each), min(each)))
