"""Which ids and names mean the same follows from the facts alone: from records and reviews, in whatever order they come."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import ErrorFinding, FoundErrorType, RecordFinding
from edugraph_common.contracts.records import ErrorRecord, Record, parse_record
from edugraph_common.contracts.reviews import PairReview
from edugraph_importer.graph import Graph
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.reviews import write_of_pairs

from .random_imports import EXAMPLES, ORIGIN, batch, cut, pack

NAMES = ("Sign errors", "sign errors!", "Carrying", "Fractions", "Place value")
IDS = ("E1", "E2", "E3", "carrying")  # the last one is a name, too
EVERYTHING = sorted({*IDS, *map(canonical_name, NAMES), "never mentioned"})


@st.composite
def mistakes(draw: st.DrawFn) -> list[Record]:
    """Return mistakes, some of which are versions of one record. No two versions of a record have one change time."""
    values = {}
    for _ in range(draw(st.integers(1, 10))):
        data = {"student_id": draw(st.sampled_from("ab")), "course_id": "c", "error_text": "x"}
        data |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "error_type_id": st.sampled_from(IDS),
                    "error_type": st.sampled_from(NAMES),
                },
            )
        )
        at, record_id = (
            f"2026-01-0{draw(st.integers(1, 3))}T00:00:00Z",
            f"r{draw(st.integers(0, 6))}",
        )
        values[record_id, at] = {
            "type": "error_record",
            "timestamp": at,
            "record_id": record_id,
            "data": data,
        }
    return [parse_record(value) for value in values.values()]


@st.composite
def found_in(draw: st.DrawFn, records: Sequence[Record]) -> list[RecordFinding]:
    """One finding at most for each record."""
    some = draw(
        st.lists(st.sampled_from(records), max_size=4, unique_by=lambda each: each.record_id)
    )
    types = st.builds(FoundErrorType, name=st.sampled_from(NAMES), confidence=st.just(0.5))
    found = st.builds(
        ErrorFinding, error_types=st.lists(types, max_size=2).map(tuple), confidence=st.just(1.0)
    )
    return [
        RecordFinding(record=each.to_json(), finding=draw(found), origin=ORIGIN) for each in some
    ]


reviews = st.lists(
    st.builds(
        PairReview,
        of=st.just("error_type"),
        pair=st.lists(st.sampled_from(EVERYTHING), min_size=2, max_size=2, unique=True).map(tuple),
        verdict=st.sampled_from(["same", "same", "different", "withdrawn"]),
        at=st.sampled_from(["2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"]),
        by=st.sampled_from(["ann", "bob"]),
    ),
    max_size=8,
)


def latest(records: Iterable[Record]) -> list[Record]:
    versions: dict[str, Record] = {}
    for record in records:
        other = versions.get(record.record_id)
        if other is None or (other.time, other.content_hash) < (record.time, record.content_hash):
            versions[record.record_id] = record
    return list(versions.values())


def calls(records: Iterable[Record]) -> Counter[tuple[str, str]]:
    """How many records call which id by which name."""
    told: Counter[tuple[str, str]] = Counter()
    for data in (record.data for record in records):
        if isinstance(data, ErrorRecord) and data.error_type_id:
            name = canonical_name(data.error_type) if data.error_type else None
            if name != data.error_type_id:
                told[data.error_type_id, name or data.error_type_id] += 1
    return told


def classes(told: Iterable[tuple[str, str]], said: Iterable[PairReview]) -> list[set[str]]:
    """The rules of the design, one after the other, without any cleverness."""
    verdicts: dict[tuple[str, str], tuple[Any, ...]] = {}
    for review in said:
        pair = min(review.pair), max(review.pair)
        verdicts[pair] = max(verdicts.get(pair, ()), (review.at, review.by, review.verdict))
    apart = [set(pair) for pair, (_, _, verdict) in verdicts.items() if verdict == "different"]
    ids = {an_id for an_id, _ in told}
    claims = [(an_id, name) for an_id, name in told if an_id != name and name not in ids]
    joins = [pair for pair in sorted(claims) if sum(name == pair[1] for _, name in claims) == 1]
    joins += [
        pair
        for at, pair in sorted(
            (at, pair) for pair, (at, _, verdict) in verdicts.items() if verdict == "same"
        )
    ]
    found = [{each} for each in {*EVERYTHING, *(each for pair in told for each in pair)}]
    for a, b in joins:
        both = [each for each in found if a in each or b in each]
        if len(both) == 2 and not any(pair <= both[0] | both[1] for pair in apart):
            found = [each for each in found if each not in both] + [both[0] | both[1]]
    return found


def check(room: Any, records: Sequence[Record], said: Sequence[PairReview]) -> None:
    told = calls(records)
    ids = {an_id for an_id, _ in told}
    rows = room.query(
        "MATCH (a:ErrorType)-[r:CALLED]->(b) RETURN a.id AS a, b.id AS b, r.records AS records"
    )
    assert {(row["a"], row["b"]): row["records"] for row in rows} == told
    stands_for = {
        each: min(members, key=lambda one: (one not in ids, one))
        for members in classes(told, said)
        for each in members
    }
    for row in room.query("MATCH (n:ErrorType) RETURN n.id AS id, n.canonical AS canonical"):
        assert row["canonical"] == stands_for[row["id"]], row["id"]
    verdicts = room.query(
        "MATCH (a)-[r:JUDGED]->(b) RETURN a.id AS a, b.id AS b, r.same AS same, coalesce(r.skipped, false) AS skipped"
    )
    for row in verdicts:
        assert row["skipped"] == (
            bool(row["same"]) and stands_for[row["a"]] != stands_for[row["b"]]
        )


def write_all(
    graph: Graph, records: Sequence[Record], findings: Sequence[RecordFinding], said: Any, job: str
) -> None:
    graph.write_batch(batch(records, job, 0))
    if findings:
        graph.write_findings(pack(findings, job, 0))
    if said:
        graph.write_reviews(said)


@EXAMPLES
@given(data=st.data())
def test_what_means_the_same_does_not_depend_on_the_order(room: Any, data: st.DataObject) -> None:
    """To take the guards out: let `_read_component` begin at nothing, or `may_be_joined` look at the new claims alone."""
    records, said = data.draw(mistakes()), data.draw(reviews)
    findings = data.draw(found_in(latest(records)))
    room.empty()
    write_all(room.graph, records, findings, said, "in order")
    expected = room.digest()
    check(room, latest(records), said)
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    room.empty()
    work: list[Any] = [
        ("batch", piece) for piece in cut(data.draw, data.draw(st.permutations(records * 2)))
    ]
    work += [("findings", piece) for piece in cut(data.draw, findings)]
    work += [("reviews", piece) for piece in cut(data.draw, data.draw(st.permutations(said * 2)))]
    for number, (kind, piece) in enumerate(data.draw(st.permutations(work))):
        if kind == "batch":
            room.graph.write_batch(batch(piece, "job", number))
        elif kind == "findings":
            room.graph.write_findings(pack(piece, "job", number))
        else:
            room.graph.write_reviews(piece)
    assert room.digest() == expected


@EXAMPLES
@given(data=st.data())
def test_who_is_erased_and_what_is_taken_back_leaves_no_name(
    room: Any, data: st.DataObject
) -> None:
    """To take the guard out: let `erase` not take back `called`."""
    records, said = data.draw(mistakes()), data.draw(reviews)
    gone = data.draw(
        st.lists(st.sampled_from([record.record_id for record in records]), max_size=2, unique=True)
    )
    room.empty()
    write_all(room.graph, records, [], said, "job")
    room.graph.write_batch(batch([], "back", 0, gone))
    room.graph.erase_student("a")
    kept = [
        each
        for each in latest(records)
        if each.data.student_id != "a" and each.record_id not in gone
    ]
    check(room, kept, said)
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    digest = room.digest()
    room.empty()
    write_all(room.graph, kept, [], said, "kept")
    assert room.digest() == digest


def test_an_id_that_goes_before_the_second_attempt_does_not_come_back(
    graph: Graph, room: Any
) -> None:
    """The first attempt wanted to lock it. To take the guard out: take `delete_orphans` out of `write_of_pairs`."""
    common = {"of": "knowledge_point", "verdict": "same", "at": "2026-02-01T00:00:00Z", "by": "ann"}
    with closing(Connection(room.settings)) as connection:
        graph.prepare()
        said = [PairReview.model_validate({**common, "pair": ("a", "b")})]
        connection.write(write_of_pairs, said, {("KnowledgePoint", "gone")})
    assert room.query("MATCH (k:KnowledgePoint) RETURN k.id AS id ORDER BY id") == [
        {"id": "a"},
        {"id": "b"},
    ]
