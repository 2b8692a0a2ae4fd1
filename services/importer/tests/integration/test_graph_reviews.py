"""What reviewers say of findings counts, whenever it comes: before the record, before the finding, after both."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import ErrorFinding, InteractionFinding, RecordFinding
from edugraph_common.contracts.records import ErrorRecord, Record, parse_record
from edugraph_common.contracts.reviews import FindingReview, ItemReview, text_hash
from edugraph_importer.graph import Graph, reviews
from edugraph_importer.graph.statements import CYPHER
from edugraph_importer.graph.versions import stored_versions

from .graph_reference import points_of_items
from .random_imports import (
    EXAMPLES,
    FEW_EXAMPLES,
    ON_EMBEDDED,
    batch,
    cut,
    deliver,
    deliveries,
    finding_lists,
    is_activity,
    latest_only,
    pack,
    record_lists,
    withdrawn_ids,
)
from .test_graph_invariants import side_by_side

Reviews = list[FindingReview]
of_items = st.lists(
    st.builds(
        ItemReview,
        item_id=st.sampled_from(["i", "j"]),
        knowledge_point=st.sampled_from(["P1", "P2", "never tested"]),
        verdict=st.sampled_from(["accepted", "rejected", "withdrawn"]),
        at=st.sampled_from(["2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"]),
        by=st.sampled_from(["ann", "bob"]),
    ),
    max_size=6,
)
TARGETS = {
    "error_type": ("fractions", "sign errors", "E1", "never found"),
    "knowledge_point": ("P1", "p1", "P2", "never found"),
    "topic": ("fractions", "加法", "never found"),
    "sentiment": ("positive", "negative"),
    "severity": ("low", "high"),
    "difficulty": ("beginner", "advanced"),
}


@st.composite
def reviews_of(draw: st.DrawFn, records: Sequence[Record]) -> Reviews:
    said = []
    for _ in range(draw(st.integers(0, 8))):
        record, aspect = draw(st.sampled_from(records)), draw(st.sampled_from(sorted(TARGETS)))
        said.append(
            FindingReview.model_validate(
                {
                    "at": draw(st.sampled_from(["2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"])),
                    "by": draw(st.sampled_from(["ann", "bob"])),
                    "record_id": record.record_id,
                    "text_hash": draw(st.sampled_from([text_hash(record)] * 3 + ["0" * 64])),
                    "aspect": aspect,
                    "target": draw(st.sampled_from(TARGETS[aspect])),
                    "verdict": draw(st.sampled_from(["accepted", "rejected", "withdrawn"])),
                }
            )
        )
    return said


def last_verdicts(said: Reviews, record: Record, aspect: str) -> list[tuple[str, bool]]:
    """Of each target of one aspect the last verdict that was not withdrawn, in the order in which they were said."""
    last: dict[str, tuple[Any, ...]] = {}
    for each in said:
        if (each.record_id, each.text_hash, each.aspect) == (
            record.record_id,
            text_hash(record),
            aspect,
        ):
            last[each.target] = max(last.get(each.target, ()), (each.at, each.by, each.verdict))
    ordered = sorted((verdict, target) for target, verdict in last.items())
    return [
        (target, verdict[2] == "accepted")
        for verdict, target in ordered
        if verdict[2] != "withdrawn"
    ]


def effective(said: Reviews, record: Record, aspect: str, found: set[str]) -> set[str]:
    for target, is_accepted in last_verdicts(said, record, aspect):
        found = found | {target} if is_accepted else found - {target}
    return found


def effective_value(said: Reviews, record: Record, aspect: str, found: str | None) -> str | None:
    verdicts = last_verdicts(said, record, aspect)
    value = next((target for target, is_accepted in reversed(verdicts) if is_accepted), found)
    return None if (value, False) in verdicts else value


def check_reviewed(
    room: Any, records: Sequence[Record], findings: Sequence[RecordFinding], said: Reviews
) -> None:
    found_in = {each.record["record_id"]: each.finding for each in findings}
    for record in records:
        finding = found_in.get(record.record_id)
        if isinstance(record.data, ErrorRecord):
            types = finding.error_types if isinstance(finding, ErrorFinding) else ()
            expected = effective(
                said, record, "error_type", {canonical_name(each.name) for each in types}
            )
            data = record.data
            stated = data.error_type_id or (
                canonical_name(data.error_type) if data.error_type else None
            )
            expected |= {stated} if stated else set()
            query = "MATCH (:ErrorRecord {id: $id})-[:OF_TYPE]->(t) RETURN t.id AS id"
            assert {row["id"] for row in room.query(query, id=record.record_id)} == expected
            degree = effective_value(said, record, "severity", getattr(finding, "severity", None))
            [row] = room.query(
                "MATCH (n:ErrorRecord {id: $id}) RETURN n.found_severity AS s", id=record.record_id
            )
            assert row["s"] == degree
            for student, kind, course in {
                (data.student_id, kind, c) for kind in expected for c in data.courses
            }:
                query = "MATCH (s:Student {id: $s})-[r:HAS_ERROR {course_id: $c}]->(t {id: $t}) RETURN r"
                assert len(room.query(query, s=student, c=course, t=kind)) == 1
        elif record.type == "student_interaction":
            mood = finding.sentiment if isinstance(finding, InteractionFinding) else None
            [row] = room.query(
                "MATCH (n:Interaction {id: $id}) RETURN n.found_sentiment AS s", id=record.record_id
            )
            assert row["s"] == effective_value(said, record, "sentiment", mood)


def in_order(
    graph: Graph, records: Sequence[Record], findings: Sequence[RecordFinding], said: Reviews
) -> None:
    graph.write_batch(batch(records, "reference", 0))
    for number, finding in enumerate(latest_only(list(findings))):
        graph.write_findings(pack([finding], "reference", number))
    graph.write_reviews(said)


def check_whenever_it_comes(room: Any, data: st.DataObject) -> None:
    """To take the guards out: let `write_batch` have no updates, or `_finding_updates` no verdicts."""
    records = data.draw(record_lists())
    findings, said = data.draw(finding_lists(records)), data.draw(reviews_of(records))
    room.empty()
    in_order(room.graph, records, findings, said)
    check_reviewed(room, records, latest_only(findings), said)
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    expected = room.digest()
    room.empty()
    messages: list[Any] = data.draw(deliveries(records, findings))
    for piece in cut(data.draw, data.draw(st.permutations(said * 2))):
        messages.insert(data.draw(st.integers(0, len(messages))), piece)
    for message in messages:
        deliver(room.graph, message)
    assert room.digest() == expected


@pytest.mark.thorough
@EXAMPLES
@given(data=st.data())
def test_a_verdict_counts_whenever_it_comes(room: Any, data: st.DataObject) -> None:
    check_whenever_it_comes(room, data)


@ON_EMBEDDED
@FEW_EXAMPLES
@given(data=st.data())
def test_a_verdict_counts_whenever_it_comes_in_few_schools(room: Any, data: st.DataObject) -> None:
    check_whenever_it_comes(room, data)


@EXAMPLES
@given(data=st.data())
def test_what_was_said_of_an_erased_students_records_goes_with_them(
    room: Any, data: st.DataObject
) -> None:
    """To take the guard out: let `erase` delete no reviews."""
    records = data.draw(record_lists())
    said = data.draw(reviews_of(records))
    room.empty()
    in_order(room.graph, records, [], said)
    room.graph.erase_student("a")
    digest = room.digest()
    left = {
        row["id"]
        for row in room.query("MATCH (n) WHERE n.record_type IS NOT NULL RETURN n.id AS id")
    }
    kept = [
        each
        for each in records
        if (each.data.student_id != "a" if is_activity(each) else each.record_id in left)
    ]
    # Activities are no nodes of their own, so what is said of one stays: it names no student.
    left |= {each.record_id for each in records if is_activity(each)}
    room.empty()
    in_order(room.graph, kept, [], [each for each in said if each.record_id in left])
    assert room.digest() == digest


@pytest.mark.thorough
@EXAMPLES
@given(data=st.data())
def test_writers_side_by_side_lose_no_verdict(room: Any, data: st.DataObject) -> None:
    """To take the guards out: let `write_of_records` hold no keys, or `Removals.check` not look for reviews."""
    records = data.draw(record_lists())
    withdrawn = data.draw(withdrawn_ids(records))
    findings, said = latest_only(data.draw(finding_lists(records))), data.draw(reviews_of(records))
    kept = [each for each in records if is_activity(each) or each.record_id not in withdrawn]
    room.empty()
    in_order(
        room.graph,
        kept,
        [each for each in findings if each.record["record_id"] not in withdrawn],
        said,
    )
    expected = room.digest()
    room.empty()
    work: list[Any] = [batch([each], "job", n) for n, each in enumerate(records)]
    work += [pack([each], "job", n) for n, each in enumerate(findings)]
    work += [batch([], "back", n, [record_id]) for n, record_id in enumerate(withdrawn)]
    work += [[each] for each in said]
    side_by_side(room.graph, data.draw(st.permutations(work * 2)))
    assert room.digest() == expected


def test_a_record_that_goes_while_it_is_looked_at_is_looked_for_again(
    room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the comparison in `stored_records`: KeyError where it should begin again."""
    row = {"type": "error_record", "timestamp": "2026-01-01T00:00:00Z", "record_id": "r0"}
    record = parse_record(row | {"data": {"student_id": "a", "course_id": "c", "error_text": "x"}})
    looks: list[str] = []

    class GoneAtFirst(dict[str, Any]):
        """The statements, of which that of the records finds none at the first look."""

        def __getitem__(self, name: str) -> Any:
            statement = super().__getitem__(name)
            if name == "reviewed_records_ErrorRecord":
                looks.append(name)
                return statement if len(looks) > 1 else statement.replace("$ids", "[]")
            return statement

    monkeypatch.setattr("edugraph_importer.graph.stored_records.CYPHER", GoneAtFirst(CYPHER))
    room.empty()
    room.graph.write_batch(batch([record], "job", 0))
    said = {
        "kind": "finding",
        "record_id": "r0",
        "text_hash": text_hash(record),
        "aspect": "error_type",
    }
    said |= {
        "target": "sign errors",
        "verdict": "accepted",
        "at": "2026-02-01T00:00:00Z",
        "by": "ann",
    }
    room.graph.write_reviews([FindingReview.model_validate(said)])
    assert len(looks) == 2
    judged = room.query("MATCH (n:ErrorRecord) WHERE n.verdicts IS NOT NULL RETURN n.id AS id")
    assert [each["id"] for each in judged] == ["r0"]


def test_a_record_that_comes_while_its_review_is_written_is_reviewed(
    room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `hold_keys` in `write_of_records`. The embedded engine refuses the transaction of the review."""
    row = {"type": "error_record", "timestamp": "2026-01-01T00:00:00Z", "record_id": "r0"}
    record = parse_record(row | {"data": {"student_id": "a", "course_id": "c", "error_text": "x"}})
    said = {
        "record_id": "r0",
        "text_hash": text_hash(record),
        "aspect": "error_type",
        "target": "sign errors",
    }
    said |= {"verdict": "accepted", "at": "2026-02-01T00:00:00Z", "by": "ann"}

    def read(*arguments: Any) -> Any:
        monkeypatch.setattr(reviews, "stored_versions", stored_versions)
        found = stored_versions(*arguments)
        room.graph.write_batch(batch([record], "job", 0))
        return found

    room.empty()
    monkeypatch.setattr(reviews, "stored_versions", read)
    room.graph.write_reviews([FindingReview.model_validate(said)])
    types = room.query("MATCH (:ErrorRecord {id: 'r0'})-[:OF_TYPE]->(t) RETURN t.id AS id")
    assert types == [{"id": "sign errors"}]


@pytest.mark.thorough
@EXAMPLES
@given(data=st.data())
def test_what_an_item_tests_is_what_reviewers_say_last(room: Any, data: st.DataObject) -> None:
    """To take the guards out: let `write_tests` heed no `tests_said` or not remove the other type of what was
    withdrawn, or `read_tests` read TESTS alone.
    """
    records, said = data.draw(record_lists()), data.draw(of_items)
    room.empty()
    room.graph.write_batch(batch(records, "reference", 0))
    room.graph.write_reviews(said)
    expected = room.digest()
    counts = points_of_items(records)
    verdicts: dict[tuple[str, str], tuple[Any, ...]] = {}
    for each in said:
        pair = (each.item_id, each.knowledge_point)
        verdicts[pair] = max(verdicts.get(pair, ()), (each.at, each.by, each.verdict))
    accepted = {pair for pair, verdict in verdicts.items() if verdict[2] == "accepted"}
    rows = room.query(
        "MATCH (i:Item)-[r:TESTS]->(k) RETURN i.id AS i, k.id AS k, r.spelling_counts AS counts"
    )
    rejected = {pair for pair, verdict in verdicts.items() if verdict[2] == "rejected"}
    assert {(row["i"], row["k"]) for row in rows} == (set(counts) - rejected) | accepted
    for row in rows:
        assert sum(row["counts"] or ()) == sum(counts.get((row["i"], row["k"]), {}).values())
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    room.empty()
    messages: list[Any] = data.draw(deliveries(records, []))
    for piece in cut(data.draw, data.draw(st.permutations(said * 2))):
        messages.insert(data.draw(st.integers(0, len(messages))), piece)
    for message in messages:
        deliver(room.graph, message)
    assert room.digest() == expected
    room.graph.erase_student("a")
    assert room.graph.derive_anew(repair=False)["wrong"] == {}


def test_what_was_withdrawn_leaves_it_to_the_records(room: Any) -> None:
    """Out: in `write_tests`, remove the other type of what was withdrawn."""
    said = {"item_id": "i", "knowledge_point": "p1", "by": "ann"}
    verdicts = [("rejected", "2026-02-01T00:00:00Z"), ("withdrawn", "2026-02-02T00:00:00Z")]
    room.empty()
    room.graph.write_reviews(
        [ItemReview.model_validate({**said, "verdict": v, "at": at}) for v, at in verdicts]
    )
    data = {"item_id": "i", "knowledge_points": ["p1"]}
    value = {
        "type": "item_record",
        "timestamp": "2026-02-03T00:00:00Z",
        "record_id": "r",
        "data": data,
    }

    def tested() -> list[str]:
        return [
            row["t"]
            for row in room.query(
                "MATCH (:Item {id: 'i'})-[r:TESTS|NOT_TESTS]->() RETURN type(r) AS t"
            )
        ]

    assert tested() == ["NOT_TESTS"]
    room.graph.write_batch(batch([parse_record(value)], "job", 0))
    assert tested() == ["TESTS"]
    room.graph.write_batch(batch([], "back", 0, ["r"]))
    assert tested() == ["NOT_TESTS"]
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
