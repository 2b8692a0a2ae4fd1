"""Proposals that points mean the same change nothing else, and merging and undoing leave all as it was, beside them."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import Room

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.messages import ProposedPair, ProposedPairs
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.contracts.reviews import PairReview
from edugraph_importer.graph.reviews import SECONDS_BETWEEN_COMPARISONS
from edugraph_insights.whole_graph import graph_digest

from .random_imports import EXAMPLES, batch

NAMES = ("Fractions", "fractions!", "分数", "Sums", "Place value")
IDS = ("P1", "P2")
EVERYTHING = sorted({*IDS, *map(canonical_name, NAMES)})
NOW = 1_770_000_000.0
# A school holds several points and pairs, so that few schools show what differs.
FEW = settings(EXAMPLES, max_examples=max(3, EXAMPLES.max_examples // 5))
pair = st.lists(st.sampled_from(EVERYTHING), min_size=2, max_size=2, unique=True).map(
    lambda two: tuple(sorted(two))
)
pairs = st.lists(pair, max_size=5, unique=True)


@st.composite
def points_of_a_school(draw: st.DrawFn) -> list[Record]:
    """What defines, tests and requires points."""
    values: list[tuple[str, dict[str, Any]]] = []
    for _ in range(draw(st.integers(2, 8))):
        names = draw(
            st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique_by=canonical_name)
        )
        if draw(st.booleans()):
            data: dict[str, Any] = {"name": names[0], "names": names[1:], "course_id": "c"}
            data |= draw(st.fixed_dictionaries({}, optional={"point_id": st.sampled_from(IDS)}))
            values.append(
                (
                    "point_record",
                    {**data, "requires": draw(st.lists(st.sampled_from(NAMES), max_size=2))},
                )
            )
        else:
            values.append(
                ("item_record", {"item_id": draw(st.sampled_from("ij")), "knowledge_points": names})
            )
    return [
        parse_record(
            {
                "type": kind,
                "timestamp": "2026-01-01T00:00:00Z",
                "record_id": f"r{number}",
                "data": data,
            }
        )
        for number, (kind, data) in enumerate(values)
    ]


def told(room: Room, wanted: Sequence[tuple[str, str]], encoder: str = "encoder 1") -> int:
    told = tuple(ProposedPair(pair=each, likeness=0.75) for each in wanted)
    return room.graph.write_proposals(
        ProposedPairs(job_id="j", encoder=encoder, compared=9, pairs=told)
    )


def proposed(room: Room) -> set[tuple[str, str]]:
    rows = room.query("MATCH (a)-[r:PROPOSED_SAME]->(b) RETURN a.id AS a, b.id AS b")
    return {(row["a"], row["b"]) for row in rows}


def said(verdict: str, day: int, *two: tuple[str, str]) -> list[PairReview]:
    common = {
        "of": "knowledge_point",
        "verdict": verdict,
        "by": "ann",
        "at": f"2026-02-0{day}T00:00:00Z",
    }
    return [PairReview.model_validate({**common, "pair": each}) for each in two]


def without_reviews(room: Room) -> str:
    """The digest of all but the reviews themselves, which are kept for ever, and their number."""

    def read(query: str) -> list[dict[str, Any]]:
        if "(n:Review" in query or "[r:JUDGED]" in query:
            return []
        rows = room.query(query)
        return [
            {**row, "p": {name: each for name, each in row["p"].items() if name != "verdicts"}}
            for row in rows
        ]

    return graph_digest(read)


def canonical(room: Room) -> dict[str, str]:
    return {
        row["id"]: row["c"]
        for row in room.query("MATCH (k:KnowledgePoint) RETURN k.id AS id, k.canonical AS c")
    }


@FEW
@given(records=points_of_a_school(), first=pairs, second=pairs, merged=pairs)
def test_a_merge_that_is_undone_leaves_everything_as_it_was_beside_proposals(
    room: Room, records: list[Record], first: Any, second: Any, merged: Any
) -> None:
    """Out: let the digest have PROPOSED_SAME; let `_SAME` say of what was withdrawn that it is different."""
    room.empty()
    room.graph.write_batch(batch(records, "job", 0))
    known = canonical(room)
    merged = [each for each in merged if known.keys() >= set(each)]
    before = without_reviews(room)
    told(room, first)
    assert without_reviews(room) == before
    room.graph.write_reviews(said("same", 1, *merged))
    told(room, second, "encoder 2")
    room.graph.write_reviews(said("withdrawn", 3, *merged))
    room.graph.write_reviews(said("same", 2, *merged))  # an older word that comes late
    assert without_reviews(room) == before
    told(room, second, "encoder 2")
    there = {
        each for each in second if known.keys() >= set(each) and known[each[0]] != known[each[1]]
    }
    assert proposed(room) == there
    room.graph.write_batch(batch([], "back", 0, [record.record_id for record in records]))
    judged = {each for two in merged for each in two}
    assert canonical(room).keys() == judged  # a proposal keeps no point that nothing names any more


@FEW
@given(
    records=points_of_a_school(),
    first=pairs,
    second=pairs,
    decided=st.lists(st.tuples(pair, st.booleans())),
)
def test_what_was_decided_or_merged_is_not_proposed_again(
    room: Room, records: list[Record], first: Any, second: Any, decided: list[tuple[Any, bool]]
) -> None:
    """Out: ask for no `decided_elsewhere`; do not look whether the two were merged in `propose`."""
    room.empty()
    room.graph.write_batch(batch(records, "job", 0))
    known = canonical(room)
    verdicts = {
        each: "same" if same else "different" for each, same in decided if known.keys() >= set(each)
    }
    told(room, first)
    before = proposed(room)
    for each, verdict in verdicts.items():
        room.graph.write_reviews(said(verdict, 1, each))
    told(room, second)
    now = canonical(room)
    settled = {frozenset(now[each] for each in two) for two in verdicts}
    kept = {each for each in before if each in verdicts}  # their verdict is shown beside them
    new = {
        (a, b)
        for a, b in second
        if known.keys() >= {a, b}
        and now[a] != now[b]
        and frozenset({now[a], now[b]}) not in settled
    }
    assert proposed(room) == kept | new
    rows = room.query(
        "MATCH ()-[r:PROPOSED_SAME]->() RETURN r.likeness AS likeness, r.encoder AS encoder"
    )
    assert all(row == {"likeness": 0.75, "encoder": "encoder 1"} for row in rows)


def test_names_are_compared_when_points_came_and_once_a_minute(room: Room) -> None:
    """Out: in `ask`, the look at who asked, or the delay; in `points_to_compare`, the look at who is restricted."""
    room.empty()
    assert room.graph.comparison_due(NOW) is None
    mistake = {"student_id": "s", "course_id": "c", "error_text": "x"}
    values = [
        {
            "type": "point_record",
            "data": {"point_id": "P1", "name": "Fractions", "names": ["分数"]},
        },
        {"type": "error_record", "data": mistake},
    ]
    common = {"timestamp": "2026-01-01T00:00:00Z"}
    records = [
        parse_record({**each, **common, "record_id": f"r{number}"})
        for number, each in enumerate(values)
    ]
    room.graph.write_batch(batch(records, "job", 0))
    assert room.graph.comparison_due(NOW) == 0
    assert room.graph.comparison_due(NOW + 1) is None  # somebody asks already
    counted, points = room.graph.points_to_compare(10)
    # The point is not there once more under another name.
    assert [(each.id, each.name) for each in points] == [("P1", "Fractions")]
    room.graph.note_comparison(counted, NOW)
    assert room.graph.comparison_due(NOW + 1) is None
    room.driver.execute_query(
        "MATCH (e:ErrorRecord) CREATE (e)-[:CONCERNS]->(:KnowledgePoint {id: 'x', canonical: 'x'})",
        database_=room.settings.database,
    )
    assert {each.id for each in room.graph.points_to_compare(10)[1]} == {"P1", "x"}
    room.graph.restrict_student("s", restricted=True)
    assert {each.id for each in room.graph.points_to_compare(10)[1]} == {"P1"}
    assert room.graph.comparison_due(NOW + 1) == pytest.approx(SECONDS_BETWEEN_COMPARISONS, abs=1)


def test_what_a_curriculum_says_is_compared_and_merges_nothing(room: Room) -> None:
    """Out: leave the statement out of `points_to_compare`."""
    room.empty()
    statement = " Divide a fraction by a fraction. " + "And explain it. " * 300
    common = {"type": "point_record", "timestamp": "2026-01-01T00:00:00Z"}
    given = {"point_id": "P", "name": "6.NS.1", "label": "6.NS.1", "description": statement}
    values = [
        {**common, "record_id": "p", "data": given},
        {**common, "record_id": "q", "data": {"point_id": "Q", "label": "6", "description": " "}},
        {
            "type": "item_record",
            "timestamp": "2026-01-01T00:00:00Z",
            "record_id": "i",
            "data": {"item_id": "i", "knowledge_points": ["Dividing fractions"]},
        },
    ]
    room.graph.write_batch(batch([parse_record(each) for each in values], "job", 0))
    _, points = room.graph.points_to_compare(10)
    assert {each.id: (each.name, each.said) for each in points} == {
        "P": ("6.NS.1", (statement.strip()[:200],)),
        "Q": ("Q", ("6",)),
        "dividingfractions": ("Dividing fractions", ()),
    }
    before = canonical(room)
    assert told(room, [("P", "dividingfractions")]) == 1
    assert canonical(room) == before


def test_without_an_encoder_what_was_proposed_stays_while_its_points_are_there(room: Room) -> None:
    """Out: do not look at the encoder in `write`; let `delete_orphans` keep what is proposed."""
    room.empty()
    value = {"type": "item_record", "timestamp": "2026-01-01T00:00:00Z", "record_id": "r"}
    data = {"item_id": "i", "knowledge_points": ["Sums", "Fractions"]}
    room.graph.write_batch(batch([parse_record({**value, "data": data})], "job", 0))
    assert told(room, [("fractions", "sums")]) == 1
    assert room.graph.write_proposals(ProposedPairs(job_id="j", compared=2)) == 1
    assert proposed(room) == {("fractions", "sums")}
    assert room.query(
        "MATCH (l:Lock {id: 'proposals'}) RETURN l.encoder AS e, l.compared AS c"
    ) == [{"e": None, "c": 2}]
    room.graph.write_batch(batch([], "back", 0, ["r"]))
    assert canonical(room) == {}
