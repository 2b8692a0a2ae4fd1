"""A person_record states the ids of a person. It is a record with versions, and it makes nobody a student."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest
from rooms import Room

from edugraph_common.contracts.messages import ImportRights
from edugraph_common.contracts.records import Record, Withdrawal, parse_record, parse_row
from edugraph_importer.graph import Cause, Graph, RecordBatch, apply
from edugraph_importer.graph.tombstones import refuse_tied_ids
from edugraph_importer.graph.versions import REFUSED

from .random_imports import batch

ERASED_AT = datetime(2026, 3, 2, tzinfo=UTC)
OFFICE = ImportRights(roster=True, client="office")


def person(person_id: str, *also: str, day: int = 1, **more: Any) -> Record:
    """A person_record, which has no record_id if it comes from a list."""
    row: dict[str, Any] = {"type": "person_record", "timestamp": f"2026-03-0{day}T08:00:00Z"}
    if "record_id" in more:
        row["record_id"] = more.pop("record_id")
    return parse_record({**row, "data": {"person_id": person_id, "also": list(also), **more}})


def attempt(record_id: str, student: str) -> Record:
    data = {"student_id": student, "item_id": "q1", "correct": True, "course_id": "c"}
    head = {"type": "attempt_record", "timestamp": "2026-03-01T08:00:00Z", "record_id": record_id}
    return parse_record({**head, "data": data})


def claims(room: Room) -> set[tuple[str, str]]:
    rows = room.query(
        "MATCH (p)<-[:OF_PERSON]-(n:PersonRecord)-[:CLAIMS]->(c) RETURN p.id AS person, c.id AS claimed"
    )
    return {(row["person"], row["claimed"]) for row in rows}


def person_ids(room: Room) -> set[str]:
    return {row["id"] for row in room.query("MATCH (p:PersonId) RETURN p.id AS id")}


def noted(graph: Graph) -> list[tuple[str, str, str, str, bool | None]]:
    """Return client, cause, person, claimed id and whether it begins; and forget the notes, as the log does."""
    changes = graph.id_claim_changes()
    graph.forget_id_claim_changes([each.id for each in changes])
    assert graph.id_claim_changes() == ()
    return sorted(
        (each.client, each.by, each.person, each.claimed, each.claims) for each in changes
    )


def by_office(
    records: list[Record], job: str, withdrawn: tuple[Withdrawal, ...] = ()
) -> RecordBatch:
    lines = list(enumerate(records, start=1))
    back = tuple(enumerate(withdrawn, start=len(lines) + 1))
    read = len(lines) + len(back)
    return RecordBatch(job, 0, lines, (), read, withdrawn=back, rights=OFFICE)


def test_a_claim_makes_no_student(room: Room, graph: Graph) -> None:
    """Out: `return` in `nodes`."""
    graph.write_batch(batch([person("S05", "17", "17", "S05", name="Ana")], "j", 0))
    assert claims(room) == {("S05", "17")}
    assert person_ids(room) == {"S05", "17"}
    assert room.query("MATCH (s:Student) RETURN s") == []
    [row] = room.query("MATCH (n:PersonRecord) RETURN n.name AS name")
    assert row == {"name": "Ana"}


def test_the_next_list_corrects_the_last_one_in_any_order(room: Room, graph: Graph) -> None:
    """Out: `default_id`."""
    first = person("S05", "17", "wrong", day=1)
    second = person("S05", "17", day=2)
    third = person("S06", "wrong", day=2)
    digests = set()
    for order in permutations([first, second, third]):
        room.empty()
        for number, record in enumerate(order):
            graph.write_batch(batch([record], "j", number))
        assert claims(room) == {("S05", "17"), ("S06", "wrong")}
        assert person_ids(room) == {"S05", "17", "S06", "wrong"}
        digests.add(room.digest())
    assert len(digests) == 1


def test_a_list_without_claims_ends_them(room: Room, graph: Graph) -> None:
    graph.write_batch(batch([person("S05", "17", day=1)], "j", 0))
    graph.write_batch(batch([person("S05", day=2)], "j", 1))
    assert claims(room) == set()
    assert person_ids(room) == {"S05"}


def test_a_withdrawal_needs_only_the_person(room: Room, graph: Graph) -> None:
    graph.write_batch(batch([person("S05", "17")], "j", 0))
    row = {"type": "person_record", "timestamp": "2026-03-02", "withdrawn": True}
    back = parse_row({**row, "data": {"person_id": "S05"}})
    assert isinstance(back, Withdrawal)
    graph.write_batch(by_office([], "k", (back,)))
    assert claims(room) == set()
    assert person_ids(room) == set()


def test_a_record_of_another_type_keeps_its_id(room: Room, graph: Graph) -> None:
    """The id of a person is often the id of a learning record, too. Out: `default_id` that returns `person_id`."""
    graph.write_batch(batch([attempt("17", "a")], "j", 0))
    graph.write_batch(batch([person("17", "S05")], "j", 1))
    assert claims(room) == {("17", "S05")}
    assert len(room.query("MATCH (n:Attempt) RETURN n")) == 1


def test_each_claim_and_its_end_is_noted(graph: Graph) -> None:
    """Out: `write_claims` in `apply`, or `subtract` there."""
    keyed = graph._tombstones.in_audit_log
    mark = {name: keyed("Student", name) for name in ("S05", "17", "18")}
    graph.write_batch(by_office([person("S05", "17", "18", day=1, name="Ana")], "j1"))
    assert noted(graph) == sorted(
        ("office", "job j1", mark["S05"], mark[each], True) for each in ("17", "18")
    )
    # Another name and the same claims are not a change of claims.
    graph.write_batch(by_office([person("S05", "18", "17", day=2, name="Eva")], "j2"))
    assert noted(graph) == []
    graph.write_batch(by_office([person("S05", "18", day=3)], "j3"))
    assert noted(graph) == [("office", "job j3", mark["S05"], mark["17"], False)]
    graph.erase_student("18", Cause("officer", "an erasure"))
    assert noted(graph) == [("officer", "an erasure", mark["S05"], mark["18"], False)]


@pytest.mark.parametrize("erased", ["S05", "17"])
def test_an_erased_id_takes_its_person_records_and_no_other(
    room: Room, graph: Graph, erased: str
) -> None:
    """Out: PersonId in `records_of_student`."""
    kept = [person("S06", "0"), attempt("x", "S06")]
    room.empty()
    graph.write_batch(batch(kept, "j", 0))
    without = room.digest()
    room.empty()
    graph.write_batch(batch([*kept, person("S05", "17", "0", name="Ana")], "j", 0))
    removed = graph.erase_student(erased)
    assert removed["PersonRecord"] == 1
    assert "Student" not in removed
    assert person_ids(room) == {"S06", "0"}
    # Both graphs have no other difference than the tombstone, which the digest leaves out.
    assert room.digest() == without


def test_an_erasure_counts_no_id_that_nobody_named(graph: Graph) -> None:
    """Out: `del` in `erase`."""
    graph.write_batch(batch([attempt("x", "S06")], "j", 0))
    assert "PersonId" not in graph.erase_student("S06")
    assert graph.erase_student("nobody") == {}


@pytest.mark.parametrize("erased", ["S05", "17"])
def test_a_list_that_names_a_forgotten_person_is_set_aside(
    room: Room, graph: Graph, erased: str
) -> None:
    """Out: the ids of a person_record in `students`."""
    graph.erase_student(erased)
    outcome = graph.write_batch(batch([person("S05", "17"), person("S06", "18")], "j", 0))
    assert (outcome.written, outcome.rejected) == (1, 1)
    [reject] = graph.rejects("j", 0)
    assert reject.reason == REFUSED
    assert reject.found == ""
    assert person_ids(room) == {"S06", "18"}


def test_ids_that_a_list_ties_to_a_forgotten_person_are_refused_unless_they_are_known(
    graph: Graph,
) -> None:
    """Out: `refuse_tied_ids`; a label in `known_ids`; `SET o.person`; `write_ties`."""
    lead = {"group_id": "8B", "teacher_id": "t", "role": "leader"}
    row = {"type": "membership_record", "timestamp": "2026-03-01", "record_id": "m", "data": lead}
    graph.write_batch(batch([attempt("x", "known"), parse_record(row)], "j", 0))
    graph.write_batch(batch([person("S06", "listed")], "j", 1))
    while changes := graph.id_claim_changes():
        graph.forget_id_claim_changes([each.id for each in changes])
    graph.block(["S05"], "one person", ERASED_AT)
    ids = ["S05", "new", "known", "t", "listed", "beside"]
    rows = [person("S05", *ids[1:]), attempt("y", "beside")]
    outcome = graph.write_batch(batch(rows, "k", 0))
    assert (outcome.written, outcome.rejected) == (1, 1)
    assert graph.erased_among(ids) == {"S05", "new"}
    assert graph.write_batch(batch([attempt("z", "new")], "k", 1)).rejected == 1
    assert graph.write_batch(batch([attempt("z", "known")], "k", 2)).written == 1
    known = graph.id_claim_changes()
    assert [each.claims for each in known] == [None] * 4
    assert len({each.claimed for each in known}) == 4
    # The same list again changes nothing. The person is admitted together with the tied id.
    assert graph.write_batch(batch([person("S05", *ids[1:])], "k", 3)).rejected == 1
    assert graph.erased_among(ids) == {"S05", "new"}
    graph.unblock(["S05"])
    assert graph.erased_among(ids) == set()


@pytest.mark.real
@pytest.mark.parametrize("room", ["neo4j"], indirect=True)
def test_an_id_that_becomes_known_beside_the_list_is_refused_or_left_alone(
    room: Room, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record of the id is written when the list has locked the id. Out: the nodes in `wanted`."""
    graph.block(["S05"], None, ERASED_AT)
    refuse = refuse_tied_ids
    writers: list[Future[Any]] = []

    def with_writer(*given: Any) -> dict[str, str]:
        if not writers:
            message = batch([attempt("x", "new")], "j", 0)
            writers.append(threads.submit(graph.write_batch, message))
            wait(writers, timeout=1.0)
        return refuse(*given)

    monkeypatch.setattr(apply, "refuse_tied_ids", with_writer)
    with ThreadPoolExecutor(1) as threads:
        graph.write_batch(batch([person("S05", "new")], "k", 0))
        assert writers[0].result().rejected == 1
    assert graph.erased_among(["new"]) == {"new"}
    assert room.query("MATCH (s:Student {id: 'new'}) RETURN s.id") == []


@pytest.mark.real
@pytest.mark.parametrize("room", ["neo4j"], indirect=True)
def test_an_erasure_beside_an_import_leaves_no_claim(
    room: Room, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure begins when the import has written the claim and looked for tombstones, and is about to end.

    Out: ("PersonId", student_id) among the nodes that `erase` locks.
    """
    write_ledger = apply._write_ledger
    erasures: list[Future[dict[str, int]]] = []

    def slow_end(*given: Any) -> None:
        if not erasures:
            erasures.append(threads.submit(graph.erase_student, "17"))
            wait(erasures, timeout=1.0)
        write_ledger(*given)

    monkeypatch.setattr(apply, "_write_ledger", slow_end)
    with ThreadPoolExecutor(1) as threads:
        graph.write_batch(batch([person("S05", "17")], "j", 0))
        [erasure] = erasures
        assert erasure.result()["PersonRecord"] == 1
    assert claims(room) == set()
    assert person_ids(room) == set()


def test_an_export_has_the_records_that_name_the_id(graph: Graph) -> None:
    """A list may claim an id wrongly, so the export of the id says nothing of the person of the list."""
    graph.write_batch(batch([person("S05", "17", "18", name="Ana"), person("S06", "19")], "j", 0))
    [own] = graph.export_student(["S05"])["records"]
    assert (own["label"], own["role"]) == ("PersonRecord", "OF_PERSON")
    assert (own["properties"]["person_id"], own["properties"]["name"]) == ("S05", "Ana")
    assert sorted(own["properties"]["also"]) == ["17", "18"]
    [claim] = graph.export_student(["17"])["records"]
    assert (claim["label"], claim["role"]) == ("PersonRecord", "CLAIMS")
    assert claim["properties"]["also"] == ["17"]
    assert not {"S05", "18", "Ana"} & set(map(str, claim["properties"].values()))


def test_a_decision_goes_with_each_of_its_ids_and_is_in_their_exports(graph: Graph) -> None:
    """Out: `DECIDES` in `records_of_student`, or in `whole_records_of_student`."""
    records = [
        person("S05", "17", decides=True, record_id="d1", name="Ana"),
        person("18", "18", decides=True, record_id="d2"),
    ]
    graph.write_batch(batch(records, "j", 0))
    [own] = graph.export_student(["S05"])["records"]
    assert own["properties"]["also"] == ["17"]
    [decided] = graph.export_student(["17"])["records"]
    assert (decided["role"], decided["properties"]["also"]) == ("DECIDES", ["17"])
    assert not {"S05", "Ana"} & set(map(str, decided["properties"].values()))
    assert own["properties"]["decides"]
    [alone] = graph.export_student(["18"])["records"]
    assert (alone["role"], alone["properties"]["also"]) == ("OF_PERSON", ["18"])
    for person_id in ("17", "18"):
        assert graph.erase_student(person_id)["PersonRecord"] == 1
    assert graph.export_student(["S05"])["records"] == []


@pytest.mark.parametrize("rights", [OFFICE, OFFICE.model_copy(update={"operate": True})])
@pytest.mark.parametrize("is_withdrawn", [True, False])
def test_only_an_operator_changes_a_decision(
    room: Room, graph: Graph, rights: ImportRights, is_withdrawn: bool
) -> None:
    """Out: `refuse_changes_of_decisions`."""
    decision = person("S05", "17", decides=True, record_id="d")
    graph.write_batch(batch([decision], "j", 0))
    if is_withdrawn:
        row = {"type": "person_record", "timestamp": "2026-03-02", "record_id": "d"}
        back = parse_row({**row, "withdrawn": True, "data": {"person_id": "S05"}})
        assert isinstance(back, Withdrawal)
        changing = by_office([attempt("r", "x")], "k", (back,))
    else:
        changing = by_office([attempt("r", "x"), person("S06", "17", day=2, record_id="d")], "k")
    outcome = graph.write_batch(replace(changing, rights=rights))
    decided = room.query("MATCH (n:PersonRecord)-[:DECIDES]->(c) RETURN c.id AS id")
    if rights.operate:
        assert decided == []
        assert outcome.rejected == 0
    else:
        assert decided == [{"id": "17"}]
        assert outcome.rejected == 1
    assert room.query("MATCH (n:Attempt) RETURN n.id AS id") == [{"id": "r"}]


def test_the_name_of_a_claimant_is_no_name_of_the_claimed(graph: Graph) -> None:
    """Two hundred persons may claim the id 0. An erasure of 0 must not search their names."""
    graph.write_batch(batch([person(f"S{n}", "0", name=f"Name {n}") for n in range(20)], "j", 0))
    assert graph.look(["0"]).names == frozenset()
    assert graph.look(["0"]).is_there
    assert graph.look(["S3"]).names == {"Name 3"}


def test_a_comparison_with_the_records_finds_claims_right(room: Room, graph: Graph) -> None:
    """Out: PersonId in `next_ids` or `derived_nodes`."""
    graph.write_batch(batch([person("S05", "17"), attempt("x", "17")], "j", 0))
    before = room.digest()
    for repair in (False, True):
        assert graph.derive_anew(repair=repair)["wrong"] == {}
    assert room.digest() == before
