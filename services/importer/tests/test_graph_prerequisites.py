from hypothesis import given
from hypothesis import strategies as st

from edugraph_importer.graph.prerequisites import excluded_edges

Claims = dict[tuple[str, str], float]
pairs = st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")).filter(lambda pair: pair[0] != pair[1])
claims_ = st.dictionaries(pairs, st.sampled_from([0.25, 0.5, 0.75, 1.0]), max_size=25)


def _reaches(edges: set[tuple[str, str]], start: str, end: str) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        node = waiting.pop()
        if node == end:
            return True
        following = [b for a, b in edges if a == node and b not in seen]
        seen.update(following)
        waiting += following
    return False


def _plainly(claims: Claims) -> set[tuple[str, str]]:
    taken: set[tuple[str, str]] = set()
    for start, end in sorted(claims, key=lambda pair: (-claims[pair], pair)):
        if not _reaches(taken, end, start):
            taken.add((start, end))
    return claims.keys() - taken


@given(claims_)
def test_the_strongest_claims_are_taken_first(claims: Claims) -> None:
    assert excluded_edges(claims) == _plainly(claims)


@given(claims_, st.randoms())
def test_the_order_of_arrival_does_not_matter(claims: Claims, random: object) -> None:
    items = list(claims.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert excluded_edges(dict(items)) == excluded_edges(claims)


def test_the_weakest_edge_of_a_cycle_is_excluded() -> None:
    assert excluded_edges({("a", "b"): 0.9, ("b", "c"): 0.5, ("c", "a"): 0.8}) == {("b", "c")}


def test_a_long_chain_closed_to_a_ring() -> None:
    ring = {(f"{i:05}", f"{(i + 1) % 20_000:05}"): 1.0 for i in range(20_000)}
    assert excluded_edges(ring) == {("19999", "00000")}
