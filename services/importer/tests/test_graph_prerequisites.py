from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from statements import Transaction

from edugraph_common.contracts.findings import ContentFinding, Prerequisite
from edugraph_common.contracts.records import parse_record
from edugraph_importer.graph.finding_facts import NO_FACTS, FindingFacts, FindingUpdate, facts_of
from edugraph_importer.graph.prerequisites import EdgeChanges, excluded_edges, lock_edges, plan_changes, write_changes

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


# --- what a finding changes ---------------------------------------------------------------------------------------


def says(**confidences: float) -> ContentFinding:
    """Claims by names such as `a_b`: a requires b."""
    claims = [Prerequisite(point=pair[0], requires=pair[2], confidence=each) for pair, each in confidences.items()]
    return ContentFinding(prerequisites=tuple(claims), confidence=1)


def update(record_id: str, new: ContentFinding, old: ContentFinding | None = None) -> FindingUpdate:
    head = {"type": "course_content", "timestamp": "2026-01-01T00:00:00Z", "record_id": record_id}
    record = parse_record({**head, "data": {"course_id": "c", "content": "x"}})
    return FindingUpdate(record, facts_of(old) if old else NO_FACTS, facts_of(new), None)


def graph_with(*edges: tuple[str, str, float], excluded: tuple[tuple[str, str, float], ...] = (), **more: Any) -> Any:
    rows = [{"excluded": False, "claims": [list(edge) for edge in edges]}]
    rows.append({"excluded": True, "claims": [list(edge) for edge in excluded]})
    return Transaction(prerequisites=rows, **more)


def claims_of(record: str, **confidences: float) -> list[dict[str, Any]]:
    return [
        {"record": record, "id": pair[0], "requires": [pair[2]], "confidence": [confidence]}
        for pair, confidence in confidences.items()
    ]


def test_a_new_claim_is_an_edge_and_a_known_one_changes_nothing() -> None:
    tx = graph_with(("x", "y", 0.5))
    changes = plan_changes(tx, [update("r", says(x_y=0.5, p_q=0.75))], {})
    assert changes == EdgeChanges({("p", "q"): (0.75, False)})
    assert set(changes.nodes()) == {("KnowledgePoint", "p"), ("KnowledgePoint", "q")}
    assert tx.names() == ["prerequisites"]  # no claim was taken back


def test_the_strongest_of_several_claims_decides() -> None:
    updates = [update("r", says(p_q=0.25)), update("s", says(p_q=0.75)), update("t", says(p_q=0.5))]
    assert plan_changes(graph_with(), updates, {}).changed == {("p", "q"): (0.75, False)}
    assert plan_changes(graph_with(("p", "q", 0.9)), updates, {}).changed == {}


def test_without_claims_nothing_is_asked() -> None:
    tx = graph_with(("x", "y", 0.5))
    assert plan_changes(tx, [update("r", says())], {"s": NO_FACTS}) == EdgeChanges()
    assert tx.asked == []


def test_a_claim_that_is_taken_back_leaves_the_strongest_of_the_others() -> None:
    others = claims_of("s", p_q=0.5) + claims_of("t", p_q=0.25) + claims_of("r", p_q=1.0) + claims_of("s", p_z=1.0)
    tx = graph_with(("p", "q", 1.0), ("p", "z", 1.0), claims=others)
    changes = plan_changes(tx, [update("r", says(), says(p_q=1.0))], {})
    assert changes.changed == {("p", "q"): (0.5, False)}
    assert tx.asked[1] == ("claims", {"ids": ["p"]})


def test_a_claim_that_nobody_else_makes_is_removed() -> None:
    for updates, superseded in (
        ([update("r", says(), says(p_q=1.0))], {}),
        ([], {"r": FindingFacts(prerequisites={("p", "q"): 1.0})}),
    ):
        tx = graph_with(("p", "q", 1.0), ("x", "y", 1.0), claims=claims_of("r", p_q=1.0))
        changes = plan_changes(tx, updates, superseded)
        assert changes.changed == {("p", "q"): None}
        assert changes.newly_excluded == ()


def test_a_finding_that_says_the_same_again_changes_nothing() -> None:
    tx = graph_with(("p", "q", 1.0), claims=claims_of("r", p_q=1.0))
    assert plan_changes(tx, [update("r", says(p_q=1.0), says(p_q=1.0))], {}) == EdgeChanges()


def test_a_claim_that_closes_a_cycle_is_excluded_and_reported() -> None:
    changes = plan_changes(graph_with(("a", "b", 0.9), ("b", "c", 0.8)), [update("r", says(c_a=0.5))], {})
    assert changes == EdgeChanges({("c", "a"): (0.5, True)}, ("c > a",))


def test_a_stronger_claim_excludes_a_weaker_edge_that_was_there() -> None:
    changes = plan_changes(graph_with(("a", "b", 0.3)), [update("r", says(b_a=0.5))], {})
    assert changes == EdgeChanges({("b", "a"): (0.5, False), ("a", "b"): (0.3, True)}, ("a > b",))


def test_an_edge_that_closes_no_cycle_any_more_is_followed_again_and_old_exclusions_are_not_reported() -> None:
    tx = graph_with(("a", "b", 0.9), ("x", "y", 0.9), excluded=(("b", "a", 0.5), ("y", "x", 0.5)), claims=[])
    changes = plan_changes(tx, [update("r", says(), says(a_b=0.9))], {})
    assert changes == EdgeChanges({("a", "b"): None, ("b", "a"): (0.5, False)})


def test_a_claim_that_is_excluded_again_is_reported_again() -> None:
    tx = graph_with(("a", "b", 0.9), excluded=(("b", "a", 0.5),))
    assert plan_changes(tx, [update("r", says(b_a=0.5))], {}) == EdgeChanges({}, ("b > a",))


def test_changes_are_written_after_what_they_replace_is_removed() -> None:
    tx = Transaction()
    write_changes(tx, EdgeChanges({("a", "b"): (0.5, False), ("c", "d"): (0.75, True), ("e", "f"): None}))
    assert tx.names() == ["remove_prerequisites", "create_depends_on", "create_set_aside"]
    pairs = [{"from": "a", "to": "b"}, {"from": "c", "to": "d"}, {"from": "e", "to": "f"}]
    assert tx.rows("remove_prerequisites") == pairs
    assert tx.rows("create_depends_on") == [{"from": "a", "to": "b", "confidence": 0.5}]
    assert tx.rows("create_set_aside") == [{"from": "c", "to": "d", "confidence": 0.75}]


def test_one_transaction_at_a_time_works_on_the_edges() -> None:
    tx = Transaction()
    lock_edges(tx)
    assert tx.asked == [("lock_prerequisites", {})]
