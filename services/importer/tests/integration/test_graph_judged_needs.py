"""What reviewers say of prerequisites decides whenever it comes, stays over another analysis, and is taken back."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.reviews import PrerequisiteReview
from edugraph_importer.graph import Graph

from .graph_reference import relationships
from .random_imports import EXAMPLES, cut
from .test_graph_points import says, text_that_claims, write
from .test_graph_settling import edges

Pair = tuple[str, str]
# Each school holds several claims and verdicts, so that few of them show what differs.
FEW = settings(EXAMPLES, max_examples=max(3, EXAMPLES.max_examples // 3))
pairs = st.lists(st.sampled_from("abcd"), min_size=2, max_size=2, unique=True).map(tuple)
claims_of_a_text = st.dictionaries(pairs, st.sampled_from([0.25, 0.5, 0.75]), max_size=6)


def review(pair: Pair, verdict: str, day: int, by: str = "ann") -> PrerequisiteReview:
    said = {
        "point": pair[0],
        "requires": pair[1],
        "verdict": verdict,
        "at": f"2026-02-0{day}T00:00:00Z",
        "by": by,
    }
    return PrerequisiteReview.model_validate(said)


reviews = st.lists(
    st.builds(
        review,
        pairs,
        st.sampled_from(["accepted", "accepted", "rejected", "withdrawn"]),
        st.integers(1, 4),
        st.sampled_from(["ann", "bob"]),
    ),
    max_size=8,
)


def plainly(
    claims: dict[Pair, float], said: Sequence[PrerequisiteReview]
) -> tuple[dict[Pair, float], dict[Pair, float]]:
    """What is followed and what is set aside, decided one by one, from what was claimed and said."""
    last: dict[Pair, tuple[Any, ...]] = {}
    for each in said:
        pair = (each.point, each.requires)
        last[pair] = max(last.get(pair, ()), (each.at, each.by, each.verdict))
    accepted = sorted(
        (at, pair) for pair, (at, _, verdict) in last.items() if verdict == "accepted"
    )
    rejected = {pair for pair, (_, _, verdict) in last.items() if verdict == "rejected"}
    claims = {**claims, **{pair: 1.0 for _, pair in accepted}}
    first = [pair for _, pair in accepted]
    rest = sorted(claims.keys() - set(first) - rejected, key=lambda pair: (-claims[pair], pair))
    needs: dict[str, set[str]] = {}  # all that a point needs by what is followed, however far away
    followed: dict[Pair, float] = {}
    for point, required in [*first, *rest]:
        if point not in needs.get(required, set()):
            followed[point, required] = claims[point, required]
            more = {required} | needs.get(required, set())
            for above in {point} | {p for p, all_needed in needs.items() if point in all_needed}:
                needs.setdefault(above, set()).update(more)
    return followed, {
        pair: confidence for pair, confidence in claims.items() if pair not in followed
    }


@FEW
@given(
    data=st.data(), found=st.tuples(claims_of_a_text, claims_of_a_text), defined=pairs, said=reviews
)
def test_a_verdict_decides_whenever_it_comes(
    room: Room, data: st.DataObject, found: Any, defined: Pair, said: list[PrerequisiteReview]
) -> None:
    """Out: in `judge_needs`, the look at the time; in `plan`, sort by the pair alone; let it add no accepted ones."""
    before, after = found
    steps: list[Any] = [
        lambda: room.graph.write_findings(
            text_that_claims(*((*pair, c) for pair, c in before.items()))
        ),
        lambda: write(room.graph, "points", says("p", name=defined[0], requires=[defined[1]])),
    ]
    for piece in cut(data.draw, data.draw(st.permutations(said * 2))):
        steps.insert(
            data.draw(st.integers(0, len(steps))), partial(room.graph.write_reviews, piece)
        )
    room.empty()
    for step in steps:
        step()
        if data.draw(st.booleans()):
            room.graph.settle_prerequisites()
    # The same text, read by another analysis: what was judged stays as it was judged.
    again = text_that_claims(*((*pair, c) for pair, c in after.items()), job="another")
    room.graph.write_findings(again)
    room.graph.settle_prerequisites()
    claims = {**after, defined: 1.0}
    assert edges(room) == plainly(claims, said)
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    points = {row["id"] for row in room.query("MATCH (k:KnowledgePoint) RETURN k.id AS id")}
    judged = {point for each in said for point in (each.point, each.requires)}
    assert points == judged | {point for pair in claims for point in pair}
    room.graph.write_reviews([review((each.point, each.requires), "withdrawn", 9) for each in said])
    room.graph.settle_prerequisites()
    assert edges(room) == plainly(claims, ())


def test_the_last_word_decides_and_an_older_one_that_comes_late_does_not(
    graph: Graph, room: Room
) -> None:
    """Out: in `judge_needs`, the look at the time; in `write_of_prerequisites`, the note that claims changed."""
    graph.write_findings(text_that_claims(("a", "b", 0.5), ("b", "a", 0.25)))
    graph.settle_prerequisites()
    for verdict, day, followed in (
        ("accepted", 2, {("b", "a"): 1.0}),
        ("rejected", 1, {("b", "a"): 1.0}),
        ("withdrawn", 3, {("a", "b"): 0.5}),
        ("accepted", 2, {("a", "b"): 0.5}),
        ("rejected", 4, {("a", "b"): 0.5}),
    ):
        graph.write_reviews([review(("b", "a"), verdict, day)])
        graph.settle_prerequisites()
        assert relationships(room, "DEPENDS_ON", "confidence") == followed
    # What was rejected does not come back, though nothing leads the other way any more.
    graph.write_findings(text_that_claims(("b", "a", 1.0), job="another"))
    graph.settle_prerequisites()
    assert edges(room) == ({}, {("b", "a"): 1.0})
    kept = room.query("MATCH (v:Review) RETURN v.kind AS kind, v.by AS by, v.verdict AS verdict")
    assert len(kept) == 4
    assert {(row["kind"], row["by"]) for row in kept} == {("prerequisite", "ann")}


def test_of_two_that_were_accepted_the_one_that_was_accepted_first_stands(
    graph: Graph, room: Room
) -> None:
    """Out: let `plan` sort what was accepted by the pair alone."""
    graph.write_reviews([review(("b", "a"), "accepted", 1), review(("a", "b"), "accepted", 2)])
    graph.settle_prerequisites()
    assert edges(room) == ({("b", "a"): 1.0}, {("a", "b"): 1.0})
