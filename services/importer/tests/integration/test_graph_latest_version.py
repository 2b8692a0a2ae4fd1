"""The latest version of a record is the record, unless it is withdrawn: tried on random records and orders."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.outcomes import ROW_COUNTS
from edugraph_common.contracts.records import parse_record
from edugraph_importer.graph import RecordBatch

from .random_imports import (
    EXAMPLES,
    deliver,
    deliveries,
    finding_lists,
    in_order,
    is_activity,
    latest_versions,
    record_lists,
    versions_of,
    withdrawn_ids,
)


@EXAMPLES
@given(data=st.data())
def test_the_latest_version_of_each_record_is_the_record_unless_it_is_withdrawn(
    room: Any, data: st.DataObject
) -> None:
    """To take the guards out: let `classify` write records that are `in withdrawn`, or leave them `superseded` out."""
    records = data.draw(versions_of(data.draw(record_lists())))
    withdrawn = data.draw(withdrawn_ids(records))
    findings = data.draw(finding_lists(records))
    latest = [
        each
        for each in latest_versions(records)
        if is_activity(each) or each.record_id not in withdrawn
    ]
    current = {
        record.record_id: record.content_hash for record in latest if not is_activity(record)
    }
    of_current = [
        each
        for each in findings
        if parse_record(each.record).content_hash == current.get(each.record["record_id"])
    ]
    expected = in_order(room, latest, of_current)
    room.empty()
    for message in data.draw(deliveries(records, findings, withdrawn)):
        deliver(room.graph, message)
    assert room.digest() == expected


@EXAMPLES
@given(data=st.data())
def test_what_is_withdrawn_is_counted_once(room: Any, data: st.DataObject) -> None:
    records = data.draw(record_lists())
    withdrawn = data.draw(withdrawn_ids(records))
    room.empty()
    messages = data.draw(deliveries(records, [], withdrawn))
    outcomes = {
        each.id: room.graph.write_batch(each) for each in messages if isinstance(each, RecordBatch)
    }
    assert sum(outcome.by_type.get("withdrawal", 0) for outcome in outcomes.values()) == len(
        withdrawn
    )
    for outcome in outcomes.values():
        assert sum(getattr(outcome, name) for name in ROW_COUNTS) == outcome.read
