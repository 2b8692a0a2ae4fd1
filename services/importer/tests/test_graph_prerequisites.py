from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import repeat
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statements import Transaction

from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.findings import ContentFinding, Prerequisite
from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_common.contracts.records import parse_record
from edugraph_importer.graph import prerequisites
from edugraph_importer.graph.finding_facts import (
    NO_FACTS,
    Claim,
    FindingFacts,
    FindingUpdate,
    facts_of,
)
from edugraph_importer.graph.migrations import OutdatedGraph
from edugraph_importer.graph.prerequisites import (
    NO_VERDICTS,
    EdgeChanges,
    Settled,
    Verdicts,
    differences,
    excluded_edges,
    note_changes,
)

Claims = dict[tuple[str, str], float]
Edges = dict[tuple[str, str], prerequisites.Edge]
pairs = st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")).filter(
    lambda pair: pair[0] != pair[1]
)
claims_ = st.dictionaries(pairs, st.sampled_from([0.25, 0.5, 0.75, 1.0]), max_size=25)
verdicts_ = st.dictionaries(pairs, st.booleans(), max_size=8).map(
    lambda said: Verdicts(
        tuple(pair for pair, is_accepted in said.items() if is_accepted),
        frozenset(pair for pair, is_accepted in said.items() if not is_accepted),
    )
)


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


def _plainly(claims: Claims, verdicts: Verdicts = NO_VERDICTS) -> set[tuple[str, str]]:
    taken: set[tuple[str, str]] = set()
    rest = claims.keys() - set(verdicts.accepted) - verdicts.rejected
    for start, end in (*verdicts.accepted, *sorted(rest, key=lambda pair: (-claims[pair], pair))):
        if not _reaches(taken, end, start):
            taken.add((start, end))
    return claims.keys() - taken


def with_reasons(
    claims: Claims, excluded: AbstractSet[tuple[str, str]], verdicts: Verdicts = NO_VERDICTS
) -> Edges:
    """Return the edges with the reason why those of `excluded` are not followed."""
    edges: Edges = {}
    for pair, confidence in claims.items():
        reason: prerequisites.Reason | None = None
        if pair in excluded:
            reason = "rejected" if pair in verdicts.rejected else "cycle"
        edges[pair] = (confidence, reason)
    return edges


@given(claims_)
def test_the_strongest_claims_are_taken_first(claims: Claims) -> None:
    assert excluded_edges(claims) == _plainly(claims)


@given(claims_, verdicts_)
def test_what_people_accepted_comes_first_and_what_they_rejected_never(
    claims: Claims, verdicts: Verdicts
) -> None:
    """Out: in `excluded_edges`, take the accepted ones by their confidence; in `differences`, add no accepted ones."""
    every = {**claims, **dict.fromkeys(verdicts.accepted, 1.0)}
    excluded = _plainly(every, verdicts)
    assert excluded_edges(every, verdicts) == excluded
    wanted = with_reasons(every, excluded, verdicts)
    assert differences({}, claims, verdicts) == EdgeChanges((), wanted)
    followed = every.keys() - excluded
    assert not followed & verdicts.rejected
    assert verdicts.accepted[:1] == tuple(
        pair for pair in verdicts.accepted[:1] if pair in followed
    )


@given(claims_, verdicts_, st.sets(pairs, max_size=6))
def test_what_too_few_say_excludes_nothing_and_is_not_followed(
    claims: Claims, verdicts: Verdicts, few: set[tuple[str, str]]
) -> None:
    """Out: in `differences`, leave the proposals among the confirmed claims, or give them no reason."""
    proposed = (few & claims.keys()) - set(verdicts.accepted)
    others = {pair: confidence for pair, confidence in claims.items() if pair not in proposed}
    new = differences({}, claims, verdicts, proposed).new
    assert {pair: new[pair] for pair in new.keys() - proposed} == differences(
        {}, others, verdicts
    ).new
    for pair in proposed:
        reason = "rejected" if pair in verdicts.rejected else "proposed"
        assert new[pair] == (claims[pair], reason)


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

reasons_ = st.sampled_from([None, None, "cycle", "rejected", "proposed", ""])
edges_ = st.dictionaries(
    pairs, st.tuples(st.sampled_from([0.25, 0.5, 0.75, 1.0]), reasons_), max_size=25
)


@given(edges_, claims_)
def test_what_differs_makes_the_edges_those_of_the_claims(edges: Any, claims: Claims) -> None:
    changes = differences(edges, claims)
    kept = {pair: edge for pair, edge in edges.items() if pair not in changes.gone}
    assert not kept.keys() & changes.new.keys()
    excluded = _plainly(claims)
    wanted = with_reasons(claims, excluded)
    assert {**kept, **changes.new} == wanted
    assert differences(wanted, claims) == EdgeChanges()
    assert changes.pairs == sorted({*changes.gone, *changes.new})


def test_an_edge_that_is_excluded_from_now_on_is_told() -> None:
    changes = differences(
        {("a", "b"): (0.3, None), ("x", "y"): (0.5, "cycle")}, {("a", "b"): 0.3, ("b", "a"): 0.5}
    )
    assert changes.gone == (("a", "b"), ("x", "y"))
    assert Settled(finished=True, changes=changes).set_aside == ("a > b",)


def test_of_the_edges_that_are_excluded_a_hundred_are_told() -> None:
    changes = EdgeChanges((), {(f"{i:03}", "x"): (0.5, "cycle") for i in range(120)})
    assert Settled(finished=True, changes=changes).set_aside[::99] == ("000 > x", "099 > x")


def test_a_portion_is_removed_with_the_points_that_nothing_else_kept() -> None:
    tx = Transaction(hold_settling=[{"epoch": 3}])
    assert prerequisites._remove(tx, [("c", "d"), ("a", "b")], 3) == 2  # type: ignore[arg-type]
    assert tx.names() == [
        "hold_settling",
        "lock_points",
        "remove_prerequisites",
        "delete_orphans_KnowledgePoint",
    ]
    assert tx.asked[1][1] == tx.asked[3][1] == {"ids": ["a", "b", "c", "d"]}
    assert tx.rows("remove_prerequisites") == [{"from": "c", "to": "d"}, {"from": "a", "to": "b"}]


def test_a_portion_is_created_by_what_becomes_of_each_edge() -> None:
    tx = Transaction(hold_settling=[{"epoch": 3}])
    edges: list[tuple[tuple[str, str], prerequisites.Edge]] = [
        (("a", "b"), (0.5, None)),
        (("c", "d"), (0.75, "proposed")),
    ]
    assert prerequisites._create(tx, edges, 3) == 2  # type: ignore[arg-type]
    assert tx.names() == ["hold_settling", "lock_points", "create_depends_on", "create_set_aside"]
    assert tx.asked[1][1] == {"ids": ["a", "b", "c", "d"]}
    assert tx.rows("create_depends_on") == [{"from": "a", "to": "b", "confidence": 0.5}]
    aside = {"from": "c", "to": "d", "confidence": 0.75, "reason": "proposed"}
    assert tx.rows("create_set_aside") == [aside]


def test_edges_are_removed_in_their_order_whatever_order_the_graph_told_them_in() -> None:
    edges: Edges = {("x", "y"): (0.5, None), ("a", "c"): (0.5, "cycle"), ("a", "b"): (0.5, None)}
    assert differences(edges, {}) == EdgeChanges((("a", "b"), ("a", "c"), ("x", "y")))


# --- who writes it ---------------------------------------------------------------------------------------------------


class Graph:
    """A graph whose claims are not settled, if there are `notes`. `epochs`: what the Lock node has, one after another."""

    def __init__(
        self, claims: Claims, edges: Edges, notes: list[str], epochs: Iterable[int] = repeat(7)
    ) -> None:
        latest = iter(epochs)
        stored = [[*pair, confidence, reason] for pair, (confidence, reason) in edges.items()]
        self.tx = Transaction(
            schema_version=[{"version": SCHEMA_VERSION, "unfinished_from": None}],
            begin_settling=[{"epoch": 7}],
            hold_settling=lambda: [{"epoch": next(latest)}],
            claim_changes=[{"id": note} for note in notes],
            prerequisites=[{"claims": stored[::2]}, {"claims": stored[1::2]}],
            all_claims=[
                {"id": a, "requires": [b], "confidence": [c], "quotes": None, "text": None}
                for (a, b), c in claims.items()
            ],
            judged_needs=[],
            merged_points=[],
        )

    def settled(self, *, always: bool = False) -> Settled:
        connection = SimpleNamespace(read=self.tx.run)
        return prerequisites.settle(
            cast("Any", connection), lambda work, *given: work(self.tx, *given), always=always
        )

    def written(self) -> list[str]:
        """Which statements have written, without those that lock."""
        names = (
            "remove_prerequisites",
            "create_depends_on",
            "create_set_aside",
            "delete_claim_changes",
        )
        return [name for name in self.tx.names() if name in names]


OLD: Edges = {("a", "b"): (0.5, None), ("x", "y"): (0.5, None)}
NEW: Claims = {("a", "b"): 0.5, ("b", "c"): 0.5, ("c", "a"): 0.25, ("b", "a"): 0.25}


def test_a_settler_takes_its_number_then_reads_the_notes_and_then_the_claims() -> None:
    graph = Graph(NEW, OLD, ["n1", "n2"])
    settled = graph.settled()
    assert settled.finished
    assert settled.set_aside == ("b > a", "c > a")
    first = [
        "claim_changes",
        "schema_version",
        "begin_settling",
        "claim_changes",
        "prerequisites",
        "all_claims",
    ]
    assert graph.tx.names()[:6] == first
    assert graph.written() == [
        "remove_prerequisites",
        "create_depends_on",
        "create_set_aside",
        "delete_claim_changes",
    ]
    assert graph.tx.rows("remove_prerequisites") == [{"from": "x", "to": "y"}]
    assert graph.tx.rows("create_depends_on") == [{"from": "b", "to": "c", "confidence": 0.5}]
    assert graph.tx.asked[-1] == ("delete_claim_changes", {"ids": ["n1", "n2"]})


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_steps_that_people_accepted_the_one_they_accepted_first_is_followed(first: str) -> None:
    """In whatever order the graph tells of them; and what they rejected is set aside, however sure a text is."""
    other = "b" if first == "a" else "a"
    said = [
        {
            "from": other,
            "to": first,
            "accepted": True,
            "stamp": "2026-01-02T00:00:00.000000Z|t|accepted",
        },
        {
            "from": "c",
            "to": "d",
            "accepted": False,
            "stamp": "2026-01-03T00:00:00.000000Z|t|rejected",
        },
        {
            "from": first,
            "to": other,
            "accepted": True,
            "stamp": "2026-01-01T00:00:00.000000Z|t|accepted",
        },
    ]
    graph = Graph({("c", "d"): 0.75, (other, first): 0.75}, {}, ["n"])
    graph.tx.answers["judged_needs"] = said
    assert graph.settled().changes.new == {
        (first, other): (1.0, None), (other, first): (1.0, "cycle"), ("c", "d"): (0.75, "rejected")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("version", "refusal"), [(SCHEMA_VERSION - 1, OutdatedGraph), (SCHEMA_VERSION + 1, Wait)]
)
def test_a_settler_leaves_a_graph_of_another_form_alone(
    version: int, refusal: type[Exception]
) -> None:
    graph = Graph(NEW, OLD, ["n"])
    graph.tx.answers["schema_version"] = [{"version": version, "unfinished_from": None}]
    with pytest.raises(refusal):
        graph.settled()
    assert graph.tx.names() == ["claim_changes", "schema_version"]


def test_without_a_note_nothing_is_settled_unless_it_is_asked_for() -> None:
    graph = Graph(NEW, OLD, [])
    assert graph.settled() == Settled(finished=True)
    assert graph.tx.names() == ["claim_changes"]
    assert graph.settled(always=True).changes.pairs == [
        ("b", "a"),
        ("b", "c"),
        ("c", "a"),
        ("x", "y"),
    ]


@pytest.mark.parametrize(
    ("portions", "written"),
    [(0, []), (1, ["remove_prerequisites"]), (2, ["remove_prerequisites", "create_depends_on"])],
)
def test_a_settler_that_is_overtaken_writes_nothing_more_and_leaves_the_notes(
    portions: int, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prerequisites, "EDGES_AT_ONCE", 1)
    graph = Graph({**NEW, ("b", "d"): 0.5}, OLD, ["n"], [7] * portions + [8] * 9)
    # Of the edges to create, the first one is excluded.
    written = [name.replace("create_depends_on", "create_set_aside") for name in written]
    assert graph.settled() == Settled(finished=False)
    assert graph.written() == written


# --- what changes the claims ----------------------------------------------------------------------------------------


def says(**confidences: float) -> ContentFinding:
    """Claims by names such as `a_b`: a requires b."""
    claims = [
        Prerequisite(point=pair[0], requires=pair[2], confidence=each)
        for pair, each in confidences.items()
    ]
    return ContentFinding(prerequisites=tuple(claims), confidence=1)


def update(new: ContentFinding, old: ContentFinding | None = None) -> FindingUpdate:
    head = {"type": "course_content", "timestamp": "2026-01-01T00:00:00Z", "record_id": "r"}
    record = parse_record({**head, "data": {"course_id": "c", "content": "x"}})
    return FindingUpdate(record, facts_of(old) if old else NO_FACTS, facts_of(new), None)


CLAIMING = FindingFacts(prerequisites={("p", "q"): Claim(1.0)})


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
def test_a_change_of_what_is_claimed_is_noted(
    updates: Any, superseded: Any, stated: Any, unstated: Any
) -> None:
    tx = Transaction()
    assert note_changes(tx, updates, superseded, stated, unstated, job_id="j")  # type: ignore[arg-type]
    assert tx.asked == [("note_claim_change", {"job_id": "j"})]


def test_what_claims_the_same_again_is_no_change() -> None:
    tx, same = Transaction(), update(says(p_q=0.5), says(p_q=0.5))
    assert not note_changes(tx, [same, update(says())], {"s": NO_FACTS}, (), (), job_id="j")  # type: ignore[arg-type]
    assert tx.asked == []
