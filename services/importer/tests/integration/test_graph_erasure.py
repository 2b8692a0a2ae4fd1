"""Forgetting a student: what goes, what stays, and that it does not come back."""

import json
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threads import in_a_thread

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.sources.keyed import keyed
from edugraph_importer.graph import Graph, RecordBatch, unit_of_work, versions
from edugraph_importer.graph.record_facts import students
from edugraph_importer.graph.tombstones import Tombstones

from .random_imports import (
    EXAMPLES,
    FEW_EXAMPLES,
    ON_EMBEDDED,
    WITH_PERSONS,
    batch,
    finding_lists,
    in_order,
    latest_only,
    pack,
    record_lists,
    student,
)

ALICE = "alice-4711"


def record(kind: str, record_id: str, day: int = 1, **data: Any) -> Record:
    return parse_record(
        {
            "type": kind,
            "timestamp": f"2026-01-0{day}T00:00:00Z",
            "record_id": record_id,
            "data": data,
        }
    )


def chat(record_id: str, sender: str, receiver: str, day: int = 1, **data: Any) -> Record:
    people = {"student_id_from": sender, "student_id_to": receiver, "interaction_type": "chat"}
    return record("student_interaction", record_id, day, **people, **data)


def write(
    graph: Graph, *records: Record, job: str = "job", rejects: tuple[Reject, ...] = ()
) -> Any:
    lines = list(enumerate(records, start=1))
    return graph.write_batch(RecordBatch(job, 0, lines, rejects, len(records) + len(rejects)))


def test_it_says_what_it_removed_and_only_a_hash_stays(graph: Graph, room: Any) -> None:
    write(
        graph,
        chat("r1", ALICE, "b", topics=["Only hers"]),
        chat("r2", "b", ALICE),
        record(
            "error_record", "r3", student_id=ALICE, course_id="c", error_text="x", error_type="Sign"
        ),
        record("course_record", "r4", student_id=ALICE, course_id="c", course_name="Named by her"),
        record("teacher_interaction", "r5", teacher_id="t", student_id=ALICE, text="y"),
        record("course_content", "r6", course_id="c", content="z"),
    )
    removed = graph.erase_student(ALICE)
    relationships = removed.pop("relationships")
    one_each = dict.fromkeys(("CourseRecord", "ErrorRecord", "ErrorType", "Teacher", "Topic"), 1)
    assert removed == {**one_each, "Interaction": 3, "Student": 2}
    assert relationships == 17
    rows = room.query(
        "MATCH (n) WHERE NOT n:Lock AND NOT n:Schema RETURN labels(n)[0] AS label, properties(n) AS p"
    )
    assert {row["label"] for row in rows} == {
        "Course",
        "CourseContent",
        "ImportBatch",
        "ImportJob",
        "RecordChange",
        "Tombstone",
    }
    assert ALICE not in json.dumps(rows, default=str)
    assert room.query("MATCH (t:Tombstone) RETURN t.id AS id") == [
        {"id": Tombstones(room.settings.privacy_secret).of(ALICE)}
    ]


def test_the_texts_of_others_have_titles_of_threads_items_and_groups(graph: Graph) -> None:
    """Out: any of the last five of TEXT_FIELDS, or Membership in TEXT_LABELS. An erasure searches these texts."""
    write(
        graph,
        record(
            "post_record",
            "p",
            student_id="bob",
            course_id="c",
            text="t",
            title="of 1",
            thread_id="about 2",
        ),
        record(
            "attempt_record",
            "a",
            student_id="bob",
            item_id="i",
            correct=True,
            item_title="essay of 3",
            knowledge_points=["sums", "by 4"],
        ),
        record(
            "membership_record",
            "m",
            student_id="bob",
            group_id="g",
            group_name="friends of 5",
            term="term of 6",
        ),
    )
    found = {record_id: text for _, record_id, text in graph.texts()}
    assert {word for text in found.values() for word in text.split() if word.isdigit()} == set(
        "123456"
    )
    assert len(found) == 3


def test_others_keep_what_others_said_of_them(graph: Graph, room: Any) -> None:
    write(
        graph,
        chat("r1", "b", "c", 1, student_name_from="Ben", topics=["Algebra"]),
        chat("r2", ALICE, "b", 2, student_name_to="Benny", topics=["algebra"]),
        record("course_record", "r3", 1, student_id="b", course_id="m", course_name="Math"),
        record("course_record", "r4", 2, student_id=ALICE, course_id="m", course_name="Maths"),
    )
    graph.erase_student(ALICE)
    assert room.query("MATCH (s:Student {id: 'b'}) RETURN s.name AS name") == [{"name": "Ben"}]
    assert room.query("MATCH (c:Course) RETURN c.name AS name") == [{"name": "Math"}]
    assert room.query("MATCH (t:Topic) RETURN t.name AS n, t.aliases AS a") == [
        {"n": "Algebra", "a": None}
    ]


def test_a_replay_does_not_bring_them_back(graph: Graph, room: Any) -> None:
    write(graph, chat("r1", ALICE, "b"), chat("r2", "b", "c"))
    graph.erase_student(ALICE)
    before = room.digest()
    outcome = write(graph, chat("r1", ALICE, "b"), chat("r2", "b", "c"), job="again")
    assert (outcome.written, outcome.unchanged, outcome.rejected) == (0, 1, 1)
    (reject,) = outcome.errors
    assert (reject.field, reject.found) == ("data.student_id_from", "")
    assert reject.reason == "belongs to a student who was forgotten"
    assert room.digest() == before
    assert graph.erase_student(ALICE) == {}


@pytest.mark.parametrize("source", ["default", "lms"])
def test_reports_do_not_quote_them(graph: Graph, room: Any, source: str) -> None:
    """A report quotes the id that the source sent. Out: `sent_ids` in `_clear_ledger`."""
    wrong = [
        Reject(line=1, field="data.student_id", expected="text", found=ALICE, reason="is wrong"),
        Reject(
            line=2, field="data", expected="an object", found=f'["{ALICE}", 1]', reason="is wrong"
        ),
        Reject(line=3, field="data.x", expected="text", found="other", reason="is wrong"),
        Reject(line=4, field="record_id", expected="an id", found=f"{ALICE}-1", reason="is wrong"),
    ]
    write(graph, keyed(chat(f"{ALICE}-1", ALICE, "b"), source), rejects=tuple(wrong))
    graph.erase_student(ALICE)
    (outcome,) = graph.outcomes("job")
    assert sorted(each.found for each in outcome.errors) == ["", "", "", "other"]
    assert ALICE not in json.dumps(room.query("MATCH (n) RETURN properties(n) AS p"))


def test_records_of_all_sources_go(graph: Graph, room: Any) -> None:
    of_all = [
        keyed(chat("r", sender, "b"), source)
        for source, sender in (("default", ALICE), ("lms", ALICE), ("forum", "c"))
    ]
    assert write(graph, *of_all).written == 3
    assert graph.erase_student(ALICE)["Interaction"] == 2
    rows = room.query("MATCH (record:Interaction) RETURN record.id AS id")
    assert [row["id"] for row in rows] == ["@forum/r"]
    assert write(graph, *of_all, job="again").rejected == 2


def test_somebody_unknown_is_remembered_as_forgotten(graph: Graph) -> None:
    assert graph.erase_student("nobody") == {}
    assert write(graph, chat("r", "nobody", "b")).rejected == 1


def test_a_batch_under_way_does_not_escape(
    graph: Graph, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked for tombstones before there was one, and writes after."""
    original, once = versions.stored_versions, [True]

    def erased_meanwhile(*arguments: Any) -> Any:
        if once:
            once.clear()
            with closing(Graph(room.settings)) as another:
                in_a_thread(partial(another.erase_student, ALICE))
        return original(*arguments)

    monkeypatch.setattr("edugraph_importer.graph.apply.stored_versions", erased_meanwhile)
    assert write(graph, chat("r", ALICE, "b")).rejected == 1
    assert room.query("MATCH (s:Student) RETURN s") == []


def test_a_record_that_arrives_while_forgetting_is_forgotten_too(
    graph: Graph, room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(graph, chat("r1", ALICE, "b"))
    original, once = unit_of_work.lock_and_load, [True]

    def written_meanwhile(*arguments: Any) -> Any:
        if once:
            once.clear()
            with closing(Graph(room.settings)) as another:
                in_a_thread(partial(write, another, chat("r2", "b", ALICE), job="x"))
        return original(*arguments)

    monkeypatch.setattr("edugraph_importer.graph.removal.lock_and_load", written_meanwhile)
    graph.erase_student(ALICE)
    assert room.query("MATCH (n:Interaction) RETURN n") == []


def check_was_never_there(room: Any, data: st.DataObject) -> None:
    records, gone = data.draw(record_lists(WITH_PERSONS)), data.draw(student)
    findings = latest_only(data.draw(finding_lists(records)))
    others = [record for record in records if gone not in {named for _, named in students(record)}]
    kept = {record.record_id for record in others}
    expected = in_order(
        room, others, [each for each in findings if each.record["record_id"] in kept]
    )
    in_order(room, records, findings)
    # With a list, records of the id may be at the list's person. They come back when the list is gone.
    while room.graph.erase_student(gone):
        room.graph.settle_persons()
    assert room.digest() == expected
    outcome = room.graph.write_batch(batch(records, "replay", 0))
    room.graph.write_findings(pack(findings, "replay", 0))
    assert outcome.rejected == len(records) - len(others)
    assert room.digest() == expected


@pytest.mark.thorough
@EXAMPLES
@given(data=st.data())
def test_a_forgotten_student_was_never_there(room: Any, data: st.DataObject) -> None:
    check_was_never_there(room, data)


@ON_EMBEDDED
@FEW_EXAMPLES
@given(data=st.data())
def test_a_forgotten_student_was_never_there_in_few_schools(room: Any, data: st.DataObject) -> None:
    check_was_never_there(room, data)
