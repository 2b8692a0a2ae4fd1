"""A student who is restricted is kept as they are, and not shown, until that is lifted or they are erased."""

import pytest
from hypothesis import given
from rooms import Room

from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_importer.graph.record_facts import students

from .random_imports import EXAMPLES, record_lists, withdrawals


def write(
    graph: Graph, records: list[Record], batch: int = 0, withdrawn: tuple[str, ...] = ()
) -> None:
    graph.write_batch(
        RecordBatch(
            "j", batch, list(enumerate(records, start=1)), (), len(records), withdrawals(*withdrawn)
        )
    )


@EXAMPLES
@given(records=record_lists())
def test_all_that_is_kept_is_what_it_was(room: Room, records: list[Record]) -> None:
    """Also when records come after the restriction, and when every sum is derived anew."""
    room.empty()
    write(room.graph, records)
    digest = room.digest()
    named = {student for record in records for _, student in students(record)}

    room.empty()
    write(room.graph, records[: len(records) // 2])
    found = {
        student
        for student in sorted(named)
        if room.graph.restrict_student(student, restricted=True)
    }
    write(room.graph, records[len(records) // 2 :], batch=1)
    assert room.digest() == digest
    assert room.graph.derive_anew(repair=True)["wrong"] == {}
    assert room.graph.restricted_students() == found
    for student in found:
        assert room.graph.restrict_student(student, restricted=False)
    assert room.graph.restricted_students() == set()
    assert room.digest() == digest


@pytest.fixture
def chat() -> Record:
    data = {
        "student_id_from": "ana",
        "student_id_to": "ben",
        "interaction_type": "chat",
        "text": "hi",
    }
    return parse_record(
        {
            "type": "student_interaction",
            "timestamp": "2026-01-01",
            "record_id": "r",
            "data": data | {"course_id": "c"},
        }
    )


def test_an_unknown_student_leaves_nothing_behind(room: Room, graph: Graph) -> None:
    assert not graph.restrict_student("nobody", restricted=True)
    assert room.query("MATCH (s:Student) RETURN s.id AS id") == []


def test_a_restriction_outlives_the_last_record_and_not_the_erasure(
    graph: Graph, chat: Record
) -> None:
    write(graph, [chat])
    graph.restrict_student("ana", restricted=True)
    write(graph, [], batch=1, withdrawn=("r",))
    assert graph.restricted_students() == {"ana"}
    graph.erase_student("ana")
    assert graph.restricted_students() == set()
