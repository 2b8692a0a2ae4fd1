"""The version rule without a graph: which records are written, and what a superseded version had a part in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from neo4j.time import DateTime
from statements import Transaction

from edugraph_common.contracts.findings import ErrorFinding, FoundErrorType, Origin, RecordFinding
from edugraph_common.contracts.records import Record, iso, parse_record
from edugraph_importer.graph import finding_facts
from edugraph_importer.graph.aggregates import Outdated
from edugraph_importer.graph.driver import StaleRead
from edugraph_importer.graph.unit_of_work import UnitOfWork
from edugraph_importer.graph.versions import (
    ErasedStudents,
    StoredVersion,
    SupersededVersions,
    WithdrawnRecords,
    classify,
    lock_superseded,
    remove_superseded,
    stored_versions,
    tombstone,
)


def chat(record_id: str, at: str = "2026-01-01T00:00:00Z", **data: Any) -> Record:
    people = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "chat"}
    return parse_record(
        {"type": "student_interaction", "timestamp": at, "record_id": record_id, "data": people | data}
    )


def mistake(record_id: str, at: str = "2026-01-01T00:00:00Z") -> Record:
    data = {"student_id": "a", "course_id": "c", "error_text": "x"}
    return parse_record({"type": "error_record", "timestamp": at, "record_id": record_id, "data": data})


def course_record() -> Record:
    head = {"type": "course_record", "timestamp": "2026-01-01T00:00:00Z"}
    return parse_record({**head, "data": {"student_id": "a", "course_id": "c"}})


def version_of(record: Record) -> StoredVersion:
    label = {"student_interaction": "Interaction", "error_record": "ErrorRecord"}[record.type]
    return StoredVersion(label, iso(record.timestamp), record.content_hash, record.reading)


def nobody_erased() -> ErasedStudents:
    return ErasedStudents(Transaction(count_tombstones=[{"erased": 0}]), [])


def none_withdrawn() -> WithdrawnRecords:
    return WithdrawnRecords(Transaction(count_withdrawn=[{"withdrawn": 0}]), [])


def classified(*records: Record, stored: dict[str, StoredVersion] | None = None) -> Any:
    return classify(list(enumerate(records, start=7)), stored or {}, nobody_erased(), none_withdrawn())


# --- which records are written ------------------------------------------------------------------------------------

OLD, NEW = chat("r", "2026-01-01T00:00:00Z"), chat("r", "2026-01-02T00:00:00Z")


def test_a_record_that_nobody_knows_is_written() -> None:
    progress = course_record()
    found = classified(OLD, progress)
    assert found.events == {"r": OLD, progress.record_id: progress}
    assert found.records == [OLD, progress]
    assert not any([found.unchanged, found.superseded, found.superseded_here, found.stale, found.rejects])


def test_a_later_version_supersedes_the_one_in_the_graph() -> None:
    found = classified(NEW, stored={"r": version_of(OLD)})
    assert found.events == {"r": NEW}
    assert found.superseded == {"r": version_of(OLD)}
    assert not found.superseded_here


def test_an_earlier_version_than_that_in_the_graph_is_stale() -> None:
    found = classified(OLD, stored={"r": version_of(NEW)})
    assert (found.events, found.superseded, found.stale) == ({}, {}, [OLD])


def test_the_same_version_is_unchanged_whether_it_is_in_the_graph_or_came_just_now() -> None:
    assert classified(OLD, stored={"r": version_of(OLD)}).unchanged == [OLD]
    found = classified(OLD, OLD)
    assert (found.records, found.unchanged) == ([OLD], [OLD])


def test_of_two_versions_of_one_time_the_greater_hash_is_the_later() -> None:
    less, greater = sorted((chat("r", text="one"), chat("r", text="two")), key=lambda record: record.content_hash)
    assert classified(greater, stored={"r": version_of(less)}).superseded
    assert classified(less, stored={"r": version_of(greater)}).stale == [less]


def test_within_one_transaction_the_earlier_version_is_superseded_here_in_either_order() -> None:
    for records in ((OLD, NEW), (NEW, OLD)):
        found = classified(*records)
        assert found.records == [NEW]
        assert found.superseded_here == [OLD]
        assert not any([found.stale, found.superseded])


def test_what_three_versions_leave_is_the_latest_and_the_graph_s_is_superseded_once() -> None:
    middle = chat("r", "2026-01-01T12:00:00Z")
    found = classified(middle, NEW, stored={"r": version_of(OLD)})
    assert found.superseded == {"r": version_of(OLD)}
    assert (found.records, found.superseded_here) == ([NEW], [middle])


def test_an_id_is_one_record_whatever_its_kind() -> None:
    other = mistake("r", "2026-02-01T00:00:00Z")
    found = classified(other, stored={"r": version_of(OLD)})
    assert (found.events, found.superseded) == ({"r": other}, {"r": version_of(OLD)})
    for records in ([OLD, other], [other, OLD]):
        found = classified(*records)
        assert (found.records, found.superseded_here) == ([other], [OLD])


def test_of_one_content_the_newer_reading_is_noted_and_nothing_is_written() -> None:
    again = OLD.model_copy(update={"reading": OLD.reading + 1})
    found = classified(again, stored={"r": version_of(OLD)})
    assert (found.unchanged, found.records, found.reread) == ([again], [], {"r": version_of(again)})
    assert not classified(OLD, stored={"r": version_of(again)}).reread


def test_a_record_that_was_taken_back_is_stale_whenever_it_comes() -> None:
    tx = Transaction(count_withdrawn=[{"withdrawn": 1}], withdrawn=[{"id": tombstone("before")}])
    withdrawn = WithdrawnRecords(tx, [chat("before"), chat("r"), chat("q")], ["r", "unknown"])
    stored = {"r": version_of(OLD)}
    found = classify([(1, chat("before")), (2, NEW), (3, chat("q"))], stored, nobody_erased(), withdrawn)
    assert [record.record_id for record in found.stale] == ["before", "r"]
    assert [record.record_id for record in found.records] == ["q"]
    assert found.superseded == stored
    assert (found.withdrawn, found.unknown_withdrawn) == (["r", "unknown"], ["unknown"])


@given(st.permutations([OLD, NEW, chat("r", "2026-01-03T00:00:00Z"), chat("q")]))
def test_the_order_does_not_matter(records: list[Record]) -> None:
    found = classified(*records)
    assert {record.record_id: iso(record.timestamp) for record in found.records} == {
        "r": "2026-01-03T00:00:00.000000Z",
        "q": "2026-01-01T00:00:00.000000Z",
    }
    assert len(found.superseded_here) == 2


# --- erased students ----------------------------------------------------------------------------------------------


def test_a_record_of_an_erased_student_is_rejected_by_its_field_without_the_id() -> None:
    tx = Transaction(
        count_tombstones=[{"erased": 1}], tombstones=lambda ids: [{"id": id_} for id_ in ids if id_ == tombstone("b")]
    )
    erased = ErasedStudents(tx, [chat("r"), mistake("m")])
    assert tx.asked[1] == ("tombstones", {"ids": sorted([tombstone("a"), tombstone("b")])})
    found = classify([(3, chat("r")), (4, mistake("m"))], {}, erased, none_withdrawn())
    [reject] = found.rejects
    assert (reject.line, reject.field, reject.found) == (3, "data.student_id_to", "")
    assert reject.reason == "belongs to a student who was forgotten"
    assert [record.record_id for record in found.records] == ["m"]


def test_where_nobody_was_erased_nothing_is_asked_of_each_record() -> None:
    tx = Transaction(count_tombstones=[{"erased": 0}])
    assert ErasedStudents(tx, [chat("r")]).field_naming_one(chat("r")) is None
    assert [name for name, _ in tx.asked] == ["count_tombstones"]


def test_an_erasure_meanwhile_makes_the_transaction_begin_anew() -> None:
    tx = Transaction(count_tombstones=[{"erased": 1}], tombstones=[])
    erased = ErasedStudents(tx, [chat("r")])
    erased.check()
    tx.answers["count_tombstones"] = [{"erased": 2}]
    with pytest.raises(StaleRead):
        erased.check()


# --- what the graph has -------------------------------------------------------------------------------------------

MOMENT = DateTime.fromisoformat("2026-01-01T00:00:00.000000000+00:00")


def test_the_versions_of_records_that_have_nodes_are_read() -> None:
    tx = Transaction(
        stored_versions=[{"label": "Interaction", "versions": [["r", MOMENT, "h", 1], ["s", MOMENT, "i", None]]}]
    )
    found = stored_versions(tx, ["s", "r"])
    at = "2026-01-01T00:00:00.000000Z"
    assert found == {"r": StoredVersion("Interaction", at, "h", 1), "s": StoredVersion("Interaction", at, "i", 0)}
    assert tx.asked == [("stored_versions", {"ids": ["r", "s"]})]


def test_nothing_is_asked_for_no_records() -> None:
    tx = Transaction()
    assert stored_versions(tx, []) == {}
    assert tx.asked == []


def link(record: str, kind: str, label: str, end: str, interaction_type: str | None = None) -> dict[str, Any]:
    return {
        "record": record,
        "type": kind,
        "label": label,
        "end": end,
        "interaction_type": interaction_type,
        "timestamp": MOMENT,
    }


def old(label: str) -> StoredVersion:
    return StoredVersion(label, "2026-01-01T00:00:00.000000Z", "h", 0)


def test_a_superseded_interaction_had_a_part_in_the_totals_of_its_people() -> None:
    rows = [
        link("r", "SENT", "Student", "a", "like"),
        link("r", "RECEIVED_BY", "Student", "b", "like"),
        link("r", "ABOUT", "Topic", "t", "like"),
        link("t", "SENT", "Teacher", "x"),
        link("t", "RECEIVED_BY", "Student", "b"),
        link("c", "SENT", "Student", "b", "chat"),
        link("c", "RECEIVED_BY", "Student", "a", "chat"),
    ]
    locked = [["c", None, "h", None], ["r", None, "h", None], ["t", None, "h", None]]
    tx = Transaction(lock_records_Interaction=[{"records": locked}], links_of_Interaction=rows)
    found = lock_superseded(tx, dict.fromkeys(("r", "t", "c"), old("Interaction")))
    assert found.outdated.interactions == {"likes": {("a", "b")}, "teaches": {("x", "b")}, "chat_with": {("b", "a")}}
    assert found.records == {"Interaction": ["c", "r", "t"]}
    assert {("Student", "a"), ("Student", "b"), ("Teacher", "x"), ("Topic", "t")} == found.nodes
    assert (found.outdated.fields, found.outdated.spellings) == (found.nodes, {("Topic", "t")})
    assert "2026-01-01T00:00:00.000000Z|r" in found.outdated.version_keys
    assert not any([found.outdated.mistakes, found.outdated.relates_to, found.outdated.contains])
    assert [name for name, _ in tx.asked] == ["lock_records_Interaction", "links_of_Interaction"]
    assert tx.asked[0][1] == tx.asked[1][1] == {"ids": ["c", "r", "t"]}


def test_a_superseded_mistake_had_a_part_in_each_pair_of_its_ends() -> None:
    rows = [
        link("m", "MADE", "Student", "a"),
        *(link("m", "OF_TYPE", "ErrorType", each) for each in ("e", "f")),
        *(link("m", "IN_COURSE", "Course", each) for each in ("c", "d")),
        link("m", "CONCERNS", "KnowledgePoint", "p"),
    ]
    tx = Transaction(lock_records_ErrorRecord=[{"records": [["m", None, "h", None]]}], links_of_ErrorRecord=rows)
    found = lock_superseded(tx, {"m": old("ErrorRecord")})
    assert found.outdated.mistakes == {("a", kind, course) for kind in ("e", "f") for course in ("c", "d")}
    assert found.outdated.relates_to == {("e", "p"), ("f", "p")}
    assert found.outdated.descriptions == {"p"}
    assert not any([found.outdated.interactions, found.outdated.contains])


def test_a_superseded_text_had_a_part_in_what_its_course_contains_and_locks_the_prerequisites_first() -> None:
    rows = [link("k", "IN_COURSE", "Course", "c"), link("k", "DESCRIBES", "KnowledgePoint", "p")]
    tx = Transaction(lock_records_CourseContent=[{"records": [["k", None, "h", None]]}], links_of_CourseContent=rows)
    found = lock_superseded(tx, {"k": old("CourseContent")})
    assert found.outdated.contains == {("c", "p")}
    assert not any([found.outdated.interactions, found.outdated.mistakes, found.outdated.relates_to])
    assert [name for name, _ in tx.asked] == [
        "lock_prerequisites",
        "lock_records_CourseContent",
        "links_of_CourseContent",
    ]


@pytest.mark.parametrize("records", [[], [["r", None, "another", None]]])
def test_a_version_that_is_not_there_any_more_makes_the_transaction_begin_anew(records: list[Any]) -> None:
    tx = Transaction(lock_records_Interaction=[{"records": records}])
    with pytest.raises(StaleRead):
        lock_superseded(tx, {"r": old("Interaction")})


def test_what_was_found_in_a_superseded_version_is_known() -> None:
    finding = ErrorFinding(error_types=(FoundErrorType(name="Sign", confidence=0.5),), confidence=1)
    origin = Origin(analyser="offline", model="lexicon", prompt_version="1")
    text = finding_facts.stored_text(RecordFinding(record=mistake("m").to_json(), finding=finding, origin=origin))
    tx = Transaction(lock_records_ErrorRecord=[{"records": [["m", None, "h", text]]}])
    found = lock_superseded(tx, {"m": old("ErrorRecord")})
    assert found.findings == {"m": finding_facts.facts_of(finding)}


def test_nothing_is_locked_for_nothing() -> None:
    tx = Transaction()
    assert not lock_superseded(tx, {}).records
    assert tx.asked == []


def test_what_a_removed_version_had_a_part_in_is_computed_anew_once_its_node_is_gone() -> None:
    unit = UnitOfWork.staged()
    unit.fields["Student", "a"] = {"name": ("Ana", "k|r")}
    outdated = Outdated(
        version_keys={"k|r"},
        fields={("Student", "a"), ("Topic", "t")},
        spellings={("Topic", "t"), ("KnowledgePoint", "p")},
        descriptions={"p"},
        mistakes={("a", "e", "c")},
        relates_to={("e", "p")},
        contains={("c", "p")},
        interactions={"likes": {("a", "b")}},
    )
    gone = SupersededVersions(outdated=outdated)
    gone.records["ErrorRecord"] = ["m", "r"]
    tx = Transaction()
    remove_superseded(tx, unit, gone)
    asked = dict(tx.asked)
    assert tx.names()[0] == "delete_records_ErrorRecord"
    assert asked["delete_records_ErrorRecord"] == {"ids": ["m", "r"]}
    assert asked["recompute_likes"] == asked["remove_likes"] == {"rows": [{"from": "a", "to": "b"}]}
    assert asked["recompute_has_error"] == {"rows": [{"student": "a", "type": "e", "course": "c"}]}
    assert asked["recompute_relates_to"] == {"rows": [{"from": "e", "to": "p"}]}
    assert asked["recompute_contains"] == {"rows": [{"from": "c", "to": "p"}]}
    assert (asked["spellings_Topic"], asked["spellings_KnowledgePoint"]) == ({"ids": ["t"]}, {"ids": ["p"]})
    assert asked["descriptions"] == {"ids": ["p"]}
    assert asked["names_Student"] == {"ids": ["a"]}
    assert unit.fields["Student", "a"] == {}


def test_where_nothing_is_superseded_nothing_is_removed() -> None:
    tx = Transaction()
    remove_superseded(tx, UnitOfWork.staged(), SupersededVersions(outdated=Outdated(spellings={("Topic", "t")})))
    assert tx.asked == []


def test_a_tombstone_is_a_hash() -> None:
    assert tombstone("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_a_version_of_the_graph_is_read_to_the_microsecond() -> None:
    assert StoredVersion.read("L", MOMENT, "h", 2).version == ("2026-01-01T00:00:00.000000Z", 2, "h")
