"""A prerequisite is followed if two texts, a school or a reviewer says it, whatever happened to these before."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import ContentFinding, Prerequisite, RecordFinding
from edugraph_common.contracts.records import Record
from edugraph_common.contracts.reviews import PairReview, PrerequisiteReview
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.batching import read_batch
from edugraph_importer.graph import Graph
from edugraph_importer.undo import undo_import

from .graph_reference import letters_of, relationships
from .imports import graph_with_rows, split
from .random_imports import EXAMPLES, ORIGIN, pack
from .test_graph_judged_needs import review
from .test_graph_points import record, says, write
from .test_graph_settling import edges, notes

Pair = tuple[str, str]
FEW = settings(EXAMPLES, max_examples=max(4, EXAMPLES.max_examples // 2))
# The first two have the same letters and digits.
CONTENTS = ("Sums come first.", "SUMS — come,  first", "Fractions: sums come first.", "Sums?")
# Few points, so that texts often say the same. None of them closes a cycle, which other tests try.
POINTS = ("Ratio", "ratios", "Sum")
pairs = st.sampled_from([("Ratio", "Sum"), ("ratios", "Sum"), ("Ratio", "ratios")])
# A pair -> whether words of the text say it. A claim without words is implied.
claims_of_text = st.dictionaries(pairs, st.sampled_from([True, True, False]), max_size=3)
texts = st.sampled_from(["t1", "t2", "t3"])
steps = st.one_of(
    st.tuples(st.just("read"), texts, st.sampled_from(CONTENTS), claims_of_text),
    st.tuples(st.just("read"), texts, st.sampled_from(CONTENTS), claims_of_text),
    st.tuples(st.just("correct"), texts, st.sampled_from(CONTENTS)),
    st.tuples(st.just("withdraw"), texts),
    st.tuples(st.just("state"), st.booleans()),
    st.tuples(st.just("merge"), st.sampled_from(["same", "withdrawn", "different"])),
    st.tuples(st.just("judge"), pairs, st.sampled_from(["accepted", "rejected", "withdrawn"])),
    st.tuples(st.just("settle")),
)


def text(record_id: str, content: str, number: int) -> Record:
    at = f"2026-01-01T00:00:{number:02}Z"
    return record("course_content", record_id, at, course_id="c", content=content)


def reading(given: Record, claims: Any) -> RecordFinding:
    """Return a finding. `claims` are pairs that words of the text say, or pairs with whether words do."""
    in_words: dict[Pair, bool] = (
        dict(claims) if isinstance(claims, dict) else dict.fromkeys(claims, True)
    )
    needs = []
    for (point, needed), is_quoted in sorted(in_words.items()):
        quote = "so it is" if is_quoted else None
        needs.append(Prerequisite(point=point, requires=needed, confidence=0.5, quote=quote))
    found = ContentFinding(prerequisites=tuple(needs), confidence=1)
    return RecordFinding(record=given.to_json(), finding=found, origin=ORIGIN)


class Said:
    """The last statements about each thing, apart from the graph."""

    def __init__(self) -> None:
        self.contents: dict[str, str] = {}
        self.claims: dict[str, dict[Pair, bool]] = {}
        self.withdrawn: set[str] = set()
        self.is_stated = False
        self.are_same = False
        self.verdicts: dict[Pair, str] = {}

    def meant(self, pair: Pair) -> Pair:
        point, needed = (
            "ratio" if self.are_same and each == "ratios" else each
            for each in (canonical_name(name) for name in pair)
        )
        return point, needed

    def edges(self) -> tuple[set[Pair], dict[Pair, str]]:
        """Return the followed pairs, and the reason of each of the others."""
        confirmed = {self.meant(("Ratio", "Sum"))} if self.is_stated else set()
        named: set[Pair] = {("ratio", "sum")} if self.is_stated else set()
        letters: dict[Pair, set[str]] = defaultdict(set)
        for each, claims in self.claims.items():
            for pair, is_quoted in claims.items():
                named.add((canonical_name(pair[0]), canonical_name(pair[1])))
                if is_quoted:
                    letters[self.meant(pair)].add(letters_of(self.contents[each]))
        for pair, verdict in self.verdicts.items():
            if verdict == "accepted":
                named.add((canonical_name(pair[0]), canonical_name(pair[1])))
                confirmed.add(self.meant(pair))
        confirmed |= {pair for pair, different in letters.items() if len(different) >= 2}
        rejected = {
            (canonical_name(point), canonical_name(needed))
            for (point, needed), verdict in self.verdicts.items()
            if verdict == "rejected"
        }
        reasons = dict.fromkeys(named & rejected, "rejected")
        for pair in named - rejected:
            if self.meant(pair) not in confirmed:
                reasons[pair] = "proposed"
        return named - reasons.keys(), reasons


def take(graph: Graph, said: Said, number: int, step: Any) -> None:
    """Take one step in the graph, and note it."""
    match step:
        case ("read", each, content, claims) if each not in said.withdrawn:
            given = text(each, content, number)
            graph.write_findings(pack([reading(given, claims)], f"job {number}", 0))
            said.contents[each], said.claims[each] = content, claims
        case ("correct", each, content) if each not in said.withdrawn:
            write(graph, f"job {number}", text(each, content, number))
            # Nobody has read this version, even if it has the words of the one before.
            said.claims.pop(each, None)
            said.contents[each] = content
        case ("withdraw", each):
            write(graph, f"job {number}", withdrawn=(each,))
            said.withdrawn.add(each)
            said.claims.pop(each, None)
        case ("state", is_stated):
            at = f"2026-01-01T00:00:{number:02}Z"
            requires = ["Sum"] if is_stated else []
            write(graph, f"job {number}", says("p", at, name="Ratio", requires=requires))
            said.is_stated = is_stated
        case ("merge", verdict):
            value = {"of": "knowledge_point", "pair": ("ratio", "ratios"), "verdict": verdict}
            at = f"2026-02-01T00:00:{number:02}Z"
            graph.write_reviews([PairReview.model_validate({**value, "by": "ann", "at": at})])
            said.are_same = verdict == "same"
        case ("judge", pair, verdict):
            point, needed = (canonical_name(name) for name in pair)
            at = f"2026-02-01T00:00:{number:02}Z"
            value = {"point": point, "requires": needed, "verdict": verdict}
            graph.write_reviews(
                [PrerequisiteReview.model_validate({**value, "by": "ann", "at": at})]
            )
            said.verdicts[pair] = verdict
        case ("settle",):
            graph.settle_prerequisites()


SAME_WORDS_AGAIN = [
    ("read", "t1", CONTENTS[0], {("Ratio", "Sum"): True}),
    ("read", "t2", CONTENTS[2], {("Ratio", "Sum"): True}),
    ("settle",),
    ("correct", "t1", CONTENTS[0]),
]


@FEW
@given(taken=st.lists(steps, min_size=4, max_size=10))
@example(taken=SAME_WORDS_AGAIN)
def test_what_is_followed_is_said_by_enough_whatever_came_before(
    room: Room, taken: list[Any]
) -> None:
    """Out: the call of `note_moved_points` in `write_of_pairs`; in `proposals`, `between_canonical_points`, `stated`,
    `accepted`, the count of different texts, or the digests in place of the ids; in `Claims.add`, the quote.
    """
    room.empty()
    said = Said()
    for number, step in enumerate(taken):
        take(room.graph, said, number, step)
    room.graph.settle_prerequisites()
    followed, reasons = said.edges()
    assert edges(room)[0].keys() == followed
    assert relationships(room, "SET_ASIDE", "reason") == reasons


def test_a_copy_says_nothing_more_and_another_text_does(graph: Graph, room: Room) -> None:
    """Out: in `proposals`, the ids of texts in place of their digests."""
    needs = {("Ratio", "Sum")}
    contents = dict(zip(("t1", "t2", "t3"), CONTENTS[:3], strict=True))
    for number, (each, content) in enumerate(contents.items()):
        graph.write_findings(pack([reading(text(each, content, 1), needs)], f"job {number}", 0))
        graph.settle_prerequisites()
        is_followed = number == 2
        assert bool(edges(room)[0]) == is_followed
        assert bool(edges(room)[1]) != is_followed
    # A proposal keeps none of those that are followed out of the answers.
    against = reading(text("t4", CONTENTS[3], 1), {("Sum", "Ratio")})
    graph.write_findings(pack([against], "job 4", 0))
    settled = graph.settle_prerequisites()
    assert settled.set_aside == ()
    assert edges(room) == ({("ratio", "sum"): 0.5}, {("sum", "ratio"): 0.5})
    write(graph, "back", withdrawn=("t3",))
    graph.settle_prerequisites()
    assert edges(room) == ({}, {("ratio", "sum"): 0.5, ("sum", "ratio"): 0.5})
    graph.write_reviews([review(("ratio", "sum"), "accepted", 1)])
    graph.settle_prerequisites()
    assert edges(room) == ({("ratio", "sum"): 1.0}, {("sum", "ratio"): 0.5})
    assert graph.derive_anew(repair=False)["wrong"] == {}


def test_what_a_text_implies_is_proposed_and_confirms_no_other_text(
    graph: Graph, room: Room
) -> None:
    """Out: in `Claims.add`, the quote, or the cap."""
    pair = ("Ratio", "Sum")
    for number in range(2):
        said = reading(text(f"t{number}", CONTENTS[2 * number], 1), {pair: number == 0})
        graph.write_findings(pack([said], f"job {number}", 0))
    implied = reading(text("t2", CONTENTS[3], 1), {("Sum", "Circle"): False})
    graph.write_findings(pack([implied], "job 2", 0))
    graph.settle_prerequisites()
    assert edges(room) == ({}, {("ratio", "sum"): 0.5, ("sum", "circle"): 0.3})
    # The text is read again, and the answer has a quote this time.
    again = reading(text("t1", CONTENTS[2], 1), {pair: True})
    graph.write_findings(pack([again], "job 3", 0))
    graph.settle_prerequisites()
    assert edges(room) == ({("ratio", "sum"): 0.5}, {("sum", "circle"): 0.3})
    assert graph.derive_anew(repair=False)["wrong"] == {}


def test_what_an_import_brought_no_longer_counts_when_it_is_undone(
    room: Room, tmp_path: Path
) -> None:
    blobs = Blobs(str(tmp_path))
    room.empty()
    with graph_with_rows(room, blobs) as graph:
        jobs: list[str] = []
        for number in (1, 2):
            given = text(f"t{number}", CONTENTS[2 * number - 2], 1)
            job_id, messages = split(blobs, [given.to_json()])
            for message in messages:
                graph.write_batch(read_batch(blobs, message).graph)
            jobs.append(job_id)
            found = reading(given, {("Ratio", "Sum")})
            graph.write_findings(pack([found], f"analysis {number}", 0))
        graph.settle_prerequisites()
        assert edges(room) == ({("ratio", "sum"): 0.5}, {})
        undo_import(graph, blobs, jobs[0])
        graph.settle_prerequisites()
        assert edges(room) == ({}, {("ratio", "sum"): 0.5})


def test_a_migrated_graph_derives_what_is_followed_again(graph: Graph, room: Room) -> None:
    """Out: `_derive_prerequisites_again` from the steps of the migrations; in `read_claims`, the quotes
    that are missing.
    """
    needs = {("Ratio", "Sum")}
    for number in range(2):
        said = reading(text(f"t{number}", CONTENTS[2 * number], 1), needs)
        graph.write_findings(pack([said], f"job {number}", 0))
    graph.settle_prerequisites()
    assert edges(room) == ({("ratio", "sum"): 0.5}, {})
    # The release before stored no quotes, and followed what two texts say without one.
    database = room.settings.database
    room.driver.execute_query(
        "MATCH ()-[d:DESCRIBES]->() REMOVE d.requires_quotes", database_=database
    )
    room.driver.execute_query("MATCH (s:Schema) SET s.version = 12", database_=database)
    graph.prepare()
    graph.settle_prerequisites()
    assert edges(room) == ({}, {("ratio", "sum"): 0.3})


def test_a_name_that_joins_an_id_brings_its_texts_together(graph: Graph, room: Room) -> None:
    """Out: the call of `note_moved_points` in `apply`."""
    for number, name in enumerate(("Ratio", "ratios")):
        said = reading(text(f"t{number}", CONTENTS[2 * number], 1), {(name, "Sum")})
        graph.write_findings(pack([said], f"job {number}", 0))
    graph.settle_prerequisites()
    both = {("ratio", "sum"): 0.5, ("ratios", "sum"): 0.5}
    assert edges(room) == ({}, both)
    write(graph, "points", says("p", point_id="R", name="Ratio", names=["ratios"]))
    assert notes(room) == ["points"]
    graph.settle_prerequisites()
    assert edges(room) == (both, {})
    write(graph, "another", says("q", point_id="S", name="Slope"))
    assert notes(room) == []  # No claim names these points.
    write(graph, "back", withdrawn=("p",))
    graph.settle_prerequisites()
    assert edges(room) == ({}, both)


def test_points_that_people_merge_bring_their_texts_together(graph: Graph, room: Room) -> None:
    """Out: the call of `note_moved_points` in `write_of_pairs`."""
    for number, name in enumerate(("Ratio", "ratios")):
        said = reading(text(f"t{number}", CONTENTS[2 * number], 1), {(name, "Sum")})
        graph.write_findings(pack([said], f"job {number}", 0))
    graph.settle_prerequisites()
    both = {("ratio", "sum"): 0.5, ("ratios", "sum"): 0.5}
    value = {"of": "knowledge_point", "pair": ("ratio", "ratios"), "by": "ann"}
    for day, verdict, expected in ((1, "same", (both, {})), (2, "withdrawn", ({}, both))):
        merge = {**value, "verdict": verdict, "at": f"2026-02-0{day}T00:00:00Z"}
        graph.write_reviews([PairReview.model_validate(merge)])
        graph.settle_prerequisites()
        assert edges(room) == expected
