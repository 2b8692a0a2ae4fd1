"""One import in order, several writers, cuts and repeats make the same graph: tried on random records."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from threads import at_once

from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.records import parse_record
from edugraph_common.contracts.school_records import ActivityRecord
from edugraph_importer.graph import Graph, RecordBatch

from .graph_reference import check
from .random_imports import (
    EXAMPLES,
    WITH_PERSONS,
    batch,
    cut,
    deliver,
    deliveries,
    finding_lists,
    in_order,
    is_activity,
    latest_only,
    pack,
    record_lists,
    withdrawn_ids,
)
from .stored_fields import WITHOUT_NODE

GOLDEN = Path(__file__).parents[4] / "tests" / "contract" / "golden" / "records.v1.ndjson"


@EXAMPLES
@given(data=st.data())
def test_the_graph_is_that_of_one_import_in_order(room: Any, data: st.DataObject) -> None:
    records = data.draw(record_lists(WITH_PERSONS))
    findings = data.draw(finding_lists(records))
    expected = in_order(room, records, findings)
    check(room, records, latest_only(findings))
    room.empty()
    for message in data.draw(deliveries(records, findings)):
        deliver(room.graph, message)
    assert room.digest() == expected
    room.graph.write_batch(batch(records, "later", 0))
    assert room.digest() == expected


def test_each_field_of_the_contract_is_in_the_graph(room: Any) -> None:
    """The golden records have each field at least once; few of the random ones have all. Out: any value of a row in
    `record_facts.py`, or any property in `records.cypher`.
    """
    assert {"activity_record": set(ActivityRecord.model_fields)} == WITHOUT_NODE
    records = [parse_record(json.loads(line)) for line in GOLDEN.read_text("utf-8").splitlines()]
    in_order(room, records, [])
    check(room, records, [])


@EXAMPLES
@given(data=st.data())
def test_each_record_is_reported_as_written_once(room: Any, data: st.DataObject) -> None:
    records = data.draw(record_lists())
    room.empty()
    outcomes = {
        message.id: room.graph.write_batch(message)
        for message in data.draw(deliveries(records, []))
        if isinstance(message, RecordBatch)
    }
    added = len(list(filter(is_activity, records)))  # by both jobs
    assert sum(outcome.written for outcome in outcomes.values()) == len(records) + added
    assert sum(outcome.unchanged for outcome in outcomes.values()) == len(records) - added


@EXAMPLES
@given(data=st.data())
def test_writers_side_by_side_make_the_same_graph(room: Any, data: st.DataObject) -> None:
    records = data.draw(record_lists())
    withdrawn = data.draw(withdrawn_ids(records))
    findings = latest_only(data.draw(finding_lists(records)))
    kept = [each for each in records if is_activity(each) or each.record_id not in withdrawn]
    expected = in_order(
        room, kept, [each for each in findings if each.record["record_id"] not in withdrawn]
    )
    room.empty()
    work: list[RecordBatch | Findings] = [batch([each], "job", n) for n, each in enumerate(records)]
    work += [
        batch(piece, "again", n)
        for n, piece in enumerate(cut(data.draw, data.draw(st.permutations(records))))
    ]
    work += [pack([each], "job", n) for n, each in enumerate(findings)]
    work += [batch([], "back", n, [record_id]) for n, record_id in enumerate(withdrawn)]
    side_by_side(room.graph, data.draw(st.permutations(work * 2)))
    assert room.digest() == expected


def side_by_side(graph: Graph, work: Iterable[RecordBatch | Findings], writers: int = 4) -> None:
    rest, lock = iter(work), threading.Lock()

    def write() -> None:
        while True:
            with lock:
                message = next(rest, None)
            if message is None:
                return
            deliver(graph, message)

    at_once([write] * writers)
