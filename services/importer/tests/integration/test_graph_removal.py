"""Taking a course or a group out leaves the graph of the records that are not of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.findings import RecordFinding
from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.contracts.school_records import MembershipRecord

from .random_imports import EXAMPLES, batch, finding_lists, in_order, latest_only, record_lists


def is_of(record: Record, of: str, node_id: str) -> bool:
    """Of a course are records that name it alone; whoever is in a group of the course is not a record of the course."""
    if of == "group":
        return isinstance(record.data, MembershipRecord) and record.data.group_id == node_id
    return not isinstance(record.data, MembershipRecord) and course_ids_of(record) == (node_id,)


@pytest.mark.thorough
@EXAMPLES
@given(data=st.data())
def test_what_is_left_is_the_graph_of_the_others(room: Any, data: st.DataObject) -> None:
    """To take the guard out: let `records_of_Course` return what is of another course, too; leave the days out."""
    records = data.draw(record_lists())
    findings: list[RecordFinding] = latest_only(data.draw(finding_lists(records)))
    of, node_id = data.draw(st.sampled_from([("course", "c"), ("course", "d"), ("group", "g")]))
    kept = [record for record in records if not is_of(record, of, node_id)]
    ids = {record.record_id for record in kept}
    expected = in_order(room, kept, [each for each in findings if each.record["record_id"] in ids])
    in_order(room, records, findings)
    done = room.graph.remove(of, node_id, lambda: True)
    assert room.digest() == expected
    label = of.capitalize()
    [left] = room.query(
        f"OPTIONAL MATCH (:{label} {{id: $id}})-[r]-() RETURN count(r) AS links", id=node_id
    )
    assert (done.left, done.finished) == (left["links"], True)
    assert room.graph.derive_anew(repair=False)["wrong"] == {}
    assert room.graph.remove(of, node_id, lambda: True).removed == 0


def test_without_time_it_goes_on_when_it_is_asked_again(room: Any) -> None:
    room.empty()
    records = [
        Record.model_validate(
            {
                "type": "course_content",
                "timestamp": "2026-01-01",
                "record_id": f"r{n}",
                "data": {"course_id": "c", "content": "x"},
            }
        )
        for n in range(150)
    ]
    room.graph.write_batch(batch(records, "job", 0))
    first = room.graph.remove("course", "c", lambda: False)
    assert (first.removed, first.left, first.finished) == (100, 50, False)
    assert room.graph.remove("course", "c", lambda: True) == (50, 0, True)
    assert room.query("MATCH (c:Course) RETURN c.id AS id") == []
