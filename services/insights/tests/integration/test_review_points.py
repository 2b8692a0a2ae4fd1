"""Which pairs are to be judged and what a merge would close, compared with a plain look at all ways in the graph."""

from collections import defaultdict
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.findings import ContentFinding, Prerequisite, RecordFinding
from edugraph_common.contracts.messages import Findings, ProposedPair, ProposedPairs
from edugraph_common.contracts.records import parse_record
from edugraph_common.contracts.reviews import PairReview, PrerequisiteReview
from edugraph_common.runtime.service.problems import Refusal
from edugraph_importer.graph import RecordBatch
from edugraph_insights.facts import WAITING_NEEDS
from edugraph_insights.insights import Insights
from edugraph_insights.questions.review_points import NO_ENCODER

from .schools import EXAMPLES, ORIGIN, asked, at, caller, make_groups

NAMES = "ABCD元方"  # a letter each, in two languages
two = st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True).map(
    lambda pair: tuple(sorted(pair))
)
verdict = st.sampled_from([None, "same", "different", "withdrawn"])


def write(room: Room, values: list[tuple[str, dict[str, Any]]]) -> None:
    lines = [
        (n, parse_record({"type": kind, "timestamp": at(n), "record_id": f"r{n}", "data": data}))
        for n, (kind, data) in enumerate(values, start=1)
    ]
    room.empty()
    room.graph.write_batch(RecordBatch("job", 0, lines, (), len(lines)))
    room.graph.settle_prerequisites()


def propose(room: Room, *pairs: tuple[str, str]) -> None:
    told = tuple(ProposedPair(pair=each, likeness=0.5 + 0.05 * n) for n, each in enumerate(pairs))
    room.graph.write_proposals(
        ProposedPairs(job_id="j", encoder="encoder 1", compared=6, pairs=told)
    )


def judge(room: Room, pair: tuple[str, str], said: str, hour: int = 1) -> None:
    common = {"of": "knowledge_point", "by": "reviewer", "at": at(hour)}
    room.graph.write_reviews([PairReview.model_validate({**common, "pair": pair, "verdict": said})])


def steps(room: Room, kind: str) -> set[tuple[str, str]]:
    """Prerequisites between things, of which the smallest name stands for all that mean the same."""
    rows = room.query(f"MATCH (a)-[:{kind}]->(b) RETURN a.canonical AS a, b.canonical AS b")
    return {(row["a"], row["b"]) for row in rows}


def lengths(edges: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """How many steps it takes from each point to each other, and to itself, by Floyd and Warshall."""
    far: dict[tuple[str, str], int] = defaultdict(
        lambda: 99, dict.fromkeys((e for e in edges if e[0] != e[1]), 1)
    )
    points = sorted({each for edge in edges for each in edge})
    for by in points:
        for a in points:
            for b in points:
                far[a, b] = min(far[a, b], far[a, by] + far[by, b])
    return far


@settings(EXAMPLES, max_examples=max(4, EXAMPLES.max_examples // 4))
@example(needs=[("C", "D"), ("D", "C")], pairs=[("C", "D")], verdicts=["same", None, None])
@given(
    needs=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=12),
    pairs=st.lists(two, min_size=1, max_size=3, unique=True),
    verdicts=st.lists(verdict, min_size=3, max_size=3),
)
def test_pairs_and_cycles_are_those_of_a_plain_look(
    room: Room, insights: Insights, needs: Any, pairs: Any, verdicts: Any
) -> None:
    """Out: let `shortest_way` go from the second to the first alone; let `_is_open_or_judged` be always true."""
    requires: dict[str, list[str]] = {name: [] for name in NAMES}
    for point, needed in needs:
        requires[point] += [needed] if point != needed else []
    values: list[tuple[str, dict[str, Any]]] = [
        ("course_record", {"student_id": "s", "course_id": "C"})
    ]
    values += [
        ("point_record", {"name": n, "course_id": "C", "requires": r}) for n, r in requires.items()
    ]
    write(room, values)
    propose(room, *pairs)
    for pair, said in zip(pairs, verdicts, strict=False):
        for each in ["same", "withdrawn"] if said == "withdrawn" else [said] if said else []:
            judge(room, pair, each, hour=2 if each == "withdrawn" else 1)
    stands_for = {
        row["id"]: row["c"]
        for row in room.query("MATCH (k:KnowledgePoint) RETURN k.id AS id, k.canonical AS c")
    }
    spoken = {
        pair: said
        for pair, said in zip(pairs, verdicts, strict=False)
        if said in {"same", "different"}
    }
    answer = asked(insights, "review-points", course="C")
    rows = {(row.kind, row.point, row.other): row for row in answer.rows}
    edges = steps(room, "DEPENDS_ON")
    far = lengths(edges)
    open_ones = {p for p in pairs if p not in spoken and stands_for[p[0]] != stands_for[p[1]]}
    neighbours = {
        (one, other)
        for one, other in open_ones
        if min(far[stands_for[one], stands_for[other]], far[stands_for[other], stands_for[one]])
        < 99
        and one.isascii() == other.isascii()
    }
    wanted = {*spoken} | (open_ones - neighbours)
    assert {key[1:] for key in rows if key[0] == "same"} == wanted
    assert answer.left_out.get("pairs in one language of which one needs the other", 0) == len(
        neighbours
    )
    for one, other in wanted:
        row = rows["same", one, other]
        assert row.verdict == spoken.get((one, other))
        assert (row.courses, row.other_courses) == (("C",), ("C",))
        assert (
            row.records
            == room.query("MATCH (k {id: $id})<-[:DEFINES]-() RETURN count(*) AS n", id=one)[0]["n"]
        )
        ends = {tuple(stands_for[each] for each in way) for way in permutations((one, other))}
        assert sorted(len(way) - 1 for way in row.cycles) == sorted(
            far[end] for end in ends if far[end] < 99
        )
        for way in row.cycles:
            assert all((stands_for[a], stands_for[b]) in edges for a, b in pairwise(way)), way
    # A prerequisite that a school states is followed, and nobody has to decide about it.
    assert {kind for kind, _, _ in rows} <= {"same", "excluded"}
    excluded = {key[1:]: row for key, row in rows.items() if key[0] == "excluded"}
    found = room.query("MATCH (a)-[:SET_ASIDE]->(b) RETURN a.id AS a, b.id AS b")
    # Of two that were judged the same, neither can be needed first.
    assert excluded.keys() == {
        (r["a"], r["b"]) for r in found if stands_for[r["a"]] != stands_for[r["b"]]
    }
    for (point, needed), row in excluded.items():
        [way] = row.cycles
        assert len(way) - 1 == far[stands_for[needed], stands_for[point]]
        assert (way[0], stands_for[way[-1]]) == (needed, stands_for[point])
        [claim] = row.claimed_by
        assert claim == f"r{list(requires).index(point) + 2}"


def test_of_one_language_a_point_and_what_it_needs_are_not_proposed(
    room: Room, insights: Insights
) -> None:
    """Unless somebody judged them. Out: let `_is_neighbour` not look at the language, at the way, or at the verdict."""
    points = {"A": ["B", "元"], "B": [], "元": [], "C": []}
    values: list[tuple[str, dict[str, Any]]] = [
        ("course_record", {"student_id": "s", "course_id": "C"})
    ]
    values += [
        ("point_record", {"name": n, "course_id": "C", "requires": r}) for n, r in points.items()
    ]
    write(room, values)
    propose(room, ("A", "B"), ("A", "元"), ("B", "C"))

    def shown() -> tuple[set[tuple[str, str]], int]:
        answer = asked(insights, "review-points", course="C")
        left_out = answer.left_out.get("pairs in one language of which one needs the other", 0)
        return {(row.point, row.other) for row in answer.rows}, left_out

    assert shown() == ({("A", "元"), ("B", "C")}, 1)
    judge(room, ("A", "B"), "different")
    assert shown() == ({("A", "B"), ("A", "元"), ("B", "C")}, 0)


def test_an_excluded_prerequisite_is_decided_and_says_what_gives_way(
    room: Room, insights: Insights
) -> None:
    """Out: in `_excluded`, the look at what was accepted, at the confidence, or at what is not settled yet."""
    values: list[tuple[str, dict[str, Any]]] = [
        ("course_record", {"student_id": "s", "course_id": "C"})
    ]
    values += [
        ("point_record", {"name": a, "course_id": "C", "requires": [b]})
        for a, b in ("AB", "BC", "CA")
    ]
    write(room, values)

    def shown() -> list[tuple[Any, ...]]:
        rows = [
            row
            for row in asked(insights, "review-points", course="C").rows
            if row.kind == "excluded"
        ]
        return sorted(
            (
                row.point + row.other,
                row.verdict,
                row.skipped,
                next(iter(row.cycles), ()),
                row.gives_way,
            )
            for row in rows
        )

    def say(pair: str, verdict: str, hour: int) -> None:
        said = {
            "point": pair[0],
            "requires": pair[1],
            "verdict": verdict,
            "by": "reviewer",
            "at": at(hour),
        }
        room.graph.write_reviews([PrerequisiteReview.model_validate(said)])

    def decide(pair: str, verdict: str, hour: int) -> None:
        say(pair, verdict, hour)
        room.graph.settle_prerequisites()

    first = [("CA", None, False, ("A", "B", "C"), ("B", "C"))]
    assert shown() == first
    say("CA", "accepted", 1)
    [not_yet] = shown()
    assert not_yet[:3] == ("CA", "accepted", False)
    room.graph.settle_prerequisites()
    assert shown() == [
        ("BC", None, False, ("C", "A", "B"), ("A", "B")),
        ("CA", "accepted", False, (), ()),
    ]
    decide("BC", "accepted", 2)
    decide("AB", "accepted", 3)
    found = {row[0]: row[1:] for row in shown()}
    assert found["AB"] == ("accepted", True, ("B", "C", "A"), ())
    decide("CA", "rejected", 4)
    found = {row[0]: row[1:] for row in shown()}
    assert found == {
        "AB": ("accepted", False, (), ()),
        "BC": ("accepted", False, (), ()),
        "CA": ("rejected", False, ("A", "B", "C"), ()),
    }
    for pair in ("AB", "BC", "CA"):
        decide(pair, "withdrawn", 5)
    assert shown() == first


def test_what_one_text_says_is_proposed_until_somebody_decides(
    room: Room, insights: Insights
) -> None:
    """Out: `reason` in the statement `excluded_prerequisites`; in `_excluded`, the kind of a proposal."""
    write(
        room,
        [
            ("course_record", {"student_id": "s", "course_id": "C"}),
            ("point_record", {"name": "A", "course_id": "C"}),
            ("course_content", {"course_id": "C", "title": "Lesson", "content": "A needs B."}),
        ],
    )
    [text] = room.query("MATCH (n:CourseContent) RETURN n.id AS id")
    record = {
        "type": "course_content",
        "timestamp": at(3),
        "record_id": text["id"],
        "data": {"course_id": "C", "title": "Lesson", "content": "A needs B."},
    }
    claim = Prerequisite(point="A", requires="B", confidence=0.5, quote="A needs B.")
    found = RecordFinding(
        record=record, finding=ContentFinding(prerequisites=(claim,), confidence=1), origin=ORIGIN
    )
    room.graph.write_findings(Findings(job_id="job", pack="0", findings=(found,)))
    room.graph.settle_prerequisites()

    def shown() -> list[tuple[Any, ...]]:
        rows = asked(insights, "review-points", course="C").rows
        assert [row.quotes for row in rows] == [("A needs B.",)]
        return [(row.kind, row.point, row.other, row.verdict, row.claimed_by) for row in rows]

    def states() -> set[tuple[str, str, str]]:
        rows = asked(insights, "course-map", course="C").rows
        return {(row.point, row.needs, row.state) for row in rows}

    assert shown() == [("proposed", "A", "B", None, ("Lesson",))]
    assert states() == {("A", "B", "proposed")}
    assert asked(insights, "course-map", course="C").left_out == {WAITING_NEEDS: 1}
    said = {"point": "A", "requires": "B", "by": "reviewer"}
    for verdict, hour, kind, state in (
        ("accepted", 4, "excluded", {("A", "B", "followed")}),
        ("rejected", 5, "excluded", {("A", "", "")}),
        ("withdrawn", 6, "proposed", {("A", "B", "proposed")}),
    ):
        verdict_of = {**said, "verdict": verdict, "at": at(hour)}
        room.graph.write_reviews([PrerequisiteReview.model_validate(verdict_of)])
        room.graph.settle_prerequisites()
        decided = None if verdict == "withdrawn" else verdict
        assert shown() == [(kind, "A", "B", decided, ("Lesson",))]
        assert states() == state


def test_what_only_others_wrote_of_is_not_named(room: Room, insights: Insights) -> None:
    """Out: do not look at the uses of both in `find`."""
    mistake = {"course_id": "C", "error_text": "x"}
    write(
        room,
        [
            *(("course_record", {"student_id": who, "course_id": "C"}) for who in "st"),
            ("error_record", {**mistake, "student_id": "t"}),
            ("point_record", {"name": "A", "course_id": "C"}),
            ("point_record", {"name": "B"}),
        ],
    )
    room.driver.execute_query(
        "MATCH (e:ErrorRecord) CREATE (e)-[:CONCERNS]->(:KnowledgePoint {id: 'private', canonical: 'private', name: 'private'})",
        database_=room.settings.database,
    )
    propose(room, ("A", "B"), ("A", "private"))
    make_groups(room, [("s", "g", (None, None))], [("teacher", "g", (None, None))], {"g": "C"})
    found = asked(insights, "review-points", caller("teacher", person="teacher"), course="C")
    assert [(row.point, row.other) for row in found.rows] == [("A", "B")]
    everybody = asked(insights, "review-points", course="C")
    assert [(row.point, row.other, row.other_records) for row in everybody.rows] == [
        ("A", "private", 1),
        ("A", "B", 1),
    ]
    with pytest.raises(Refusal):
        asked(insights, "review-points", caller("analyst"), course="C")


def test_without_an_encoder_it_says_that_nothing_was_compared(
    room: Room, insights: Insights
) -> None:
    write(
        room,
        [("course_record", {"student_id": "s", "course_id": "C"}), ("point_record", {"name": "A"})],
    )
    assert asked(insights, "review-points", course="C").left_out == {}
    room.graph.write_proposals(ProposedPairs(job_id="j", compared=7))
    assert asked(insights, "review-points", course="C").left_out == {NO_ENCODER: 7}
    propose(room)
    answer = asked(insights, "review-points", course="C")
    assert (answer.left_out, answer.of_how_many["points compared"]) == ({}, 6)


def test_a_point_is_shown_with_its_label(room: Room, insights: Insights) -> None:
    """Out: leave `shown_as` out of `proposed_same`, `excluded_prerequisites` or `tested_points`."""
    values: list[tuple[str, dict[str, Any]]] = [
        ("course_record", {"student_id": "s", "course_id": "C"})
    ]
    for point, requires in (("A", []), ("B", []), ("P", ["Q"]), ("Q", ["P"])):
        data = {"point_id": point, "name": f"name {point}", "label": f"8.{point}", "course_id": "C"}
        values.append(("point_record", {**data, "requires": requires}))
    tried = {"student_id": "s", "item_id": "i", "course_id": "C", "correct": False}
    values.append(("attempt_record", {**tried, "knowledge_points": ["name A"]}))
    write(room, values)
    propose(room, ("A", "B"))
    rows = asked(insights, "review-points", course="C").rows
    assert {(row.kind, row.name, row.other_name) for row in rows} == {
        ("same", "8.A name A", "8.B name B"),
        ("excluded", "8.Q name Q", "8.P name P"),
    }
    [weak] = asked(insights, "weak-points", course="C").rows
    assert (weak.point, weak.name) == ("A", "8.A name A")
