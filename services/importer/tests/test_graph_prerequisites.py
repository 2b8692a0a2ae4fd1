from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statements import Transaction

from edugraph_common.contracts.findings import ContentFinding, Prerequisite
from edugraph_common.contracts.records import parse_record
from edugraph_importer.graph import prerequisites
from edugraph_importer.graph.finding_facts import NO_FACTS, FindingFacts, FindingUpdate, facts_of
from edugraph_importer.graph.prerequisites import EdgeChanges, Settled, differences, excluded_edges, note_changes

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


# --- what is to be written ------------------------------------------------------------------------------------------

Edges = dict[tuple[str, str], tuple[float, bool]]
edges_ = st.dictionaries(pairs, st.tuples(st.sampled_from([0.25, 0.5, 0.75, 1.0]), st.booleans()), max_size=25)


@given(edges_, claims_)
def test_what_differs_makes_the_edges_those_of_the_claims(edges: Edges, claims: Claims) -> None:
    changes = differences(edges, claims)
    kept = {pair: edge for pair, edge in edges.items() if pair not in changes.gone}
    assert not kept.keys() & changes.new.keys()
    excluded = _plainly(claims)
    wanted = {pair: (confidence, pair in excluded) for pair, confidence in claims.items()}
    assert {**kept, **changes.new} == wanted
    assert differences(wanted, claims) == EdgeChanges()
    assert changes.pairs == sorted({*changes.gone, *changes.new})


def test_an_edge_that_is_excluded_from_now_on_is_told() -> None:
    changes = differences({("a", "b"): (0.3, False), ("x", "y"): (0.5, True)}, {("a", "b"): 0.3, ("b", "a"): 0.5})
    assert changes.gone == (("a", "b"), ("x", "y"))
    assert Settled(finished=True, changes=changes).set_aside == ("a > b",)


def test_of_the_edges_that_are_excluded_a_hundred_are_told() -> None:
    changes = EdgeChanges((), {(f"{i:03}", "x"): (0.5, True) for i in range(120)})
    assert Settled(finished=True, changes=changes).set_aside[::99] == ("000 > x", "099 > x")


def test_a_portion_is_removed_with_the_points_that_nothing_else_kept() -> None:
    tx = Transaction(hold_settling=[{"epoch": 3}])
    assert prerequisites._remove(tx, [("c", "d"), ("a", "b")], 3) == 2  # type: ignore[arg-type]
    assert tx.names() == ["hold_settling", "lock_points", "remove_prerequisites", "delete_orphans_KnowledgePoint"]
    assert tx.asked[1][1] == tx.asked[3][1] == {"ids": ["a", "b", "c", "d"]}
    assert tx.rows("remove_prerequisites") == [{"from": "c", "to": "d"}, {"from": "a", "to": "b"}]


def test_a_portion_is_created_by_what_becomes_of_each_edge() -> None:
    tx = Transaction(hold_settling=[{"epoch": 3}])
    edges = [(("a", "b"), (0.5, False)), (("c", "d"), (0.75, True))]
    assert prerequisites._create(tx, edges, 3) == 2  # type: ignore[arg-type]
    assert tx.names() == ["hold_settling", "lock_points", "create_depends_on", "create_set_aside"]
    assert tx.asked[1][1] == {"ids": ["a", "b", "c", "d"]}
    assert tx.rows("create_depends_on") == [{"from": "a", "to": "b", "confidence": 0.5}]
    assert tx.rows("create_set_aside") == [{"from": "c", "to": "d", "confidence": 0.75}]


# --- what changes the claims ----------------------------------------------------------------------------------------


def says(**confidences: float) -> ContentFinding:
    """Claims by names such as `a_b`: a requires b."""
    claims = [Prerequisite(point=pair[0], requires=pair[2], confidence=each) for pair, each in confidences.items()]
    return ContentFinding(prerequisites=tuple(claims), confidence=1)


def update(new: ContentFinding, old: ContentFinding | None = None) -> FindingUpdate:
    head = {"type": "course_content", "timestamp": "2026-01-01T00:00:00Z", "record_id": "r"}
    record = parse_record({**head, "data": {"course_id": "c", "content": "x"}})
    return FindingUpdate(record, facts_of(old) if old else NO_FACTS, facts_of(new), None)


CLAIMING = FindingFacts(prerequisites={("p", "q"): 1.0})


@pytest.mark.parametrize(
    ("updates", "superseded", "stated", "unstated"),
    [
        ([update(says(p_q=0.5))], {}, (), ()),
        ([update(says(), says(p_q=0.5))], {}, (), ()),
        ([update(says(p_q=0.25), says(p_q=0.5))], {}, (), ()),
        ([], {"r": CLAIMING}, (), ()),
        ([], {}, {("p", "q")}, ()),
        ([], {}, (), {("p", "q")}),
    ],
)
def test_a_change_of_what_is_claimed_is_noted(updates: Any, superseded: Any, stated: Any, unstated: Any) -> None:
    tx = Transaction()
    assert note_changes(tx, updates, superseded, stated, unstated, job_id="j")  # type: ignore[arg-type]
    assert tx.asked == [("note_claim_change", {"job_id": "j"})]


def test_what_claims_the_same_again_is_no_change() -> None:
    tx, same = Transaction(), update(says(p_q=0.5), says(p_q=0.5))
    assert not note_changes(tx, [same, update(says())], {"s": NO_FACTS}, (), (), job_id="j")  # type: ignore[arg-type]
    assert tx.asked == []
