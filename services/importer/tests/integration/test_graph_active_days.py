"""Days of activity under redelivery, withdrawal and erasure."""

from typing import Any

import pytest

from edugraph_common.contracts.records import InvalidRecord, Record, parse_record, parse_row
from edugraph_importer.graph import Graph, RecordBatch
from edugraph_importer.graph.model import active_minutes

from .random_imports import withdrawals


def activity(record_id: str, timestamp: str, student_id: str = "a", **data: Any) -> Record:
    value = {"type": "activity_record", "timestamp": timestamp, "record_id": record_id}
    return parse_record({**value, "data": {"student_id": student_id, "course_id": "c", **data}})


def write(graph: Graph, job: str, *records: Record, withdrawn: tuple[str, ...] = ()) -> Any:
    lines = list(enumerate(records, start=1))
    return graph.write_batch(
        RecordBatch(job, 0, lines, (), len(records) + len(withdrawn), withdrawals(*withdrawn))
    )


def minutes(room: Any) -> list[tuple[str, int]]:
    rows = room.query(
        "MATCH (:Student)-[:ACTIVE_ON]->(d) RETURN d.date AS date, d.active_minutes AS n ORDER BY date"
    )
    return [(row["date"], row["n"]) for row in rows]


def test_an_evening_of_two_jobs_is_two_days_and_counts_once(room: Any) -> None:
    """To take the guard out: let `write_days` write what is new alone, without what is stored."""
    evening = activity("r1", "2026-03-02T23:30:00Z", duration_seconds=3_600, kind="video")
    click = activity("r2", "2026-03-02T23:20:10Z", kind="page")
    room.empty()
    for job in ("one", "two"):
        assert write(room.graph, job, evening, click).by_type == {"activity_record": 2}
    # Minutes 20 and 30 to 59 of the hour, and the first thirty of the next day: the gap of nine minutes is one.
    assert minutes(room) == [("2026-03-02", 31), ("2026-03-03", 30)]
    assert room.query("MATCH (c:Course) RETURN c.id AS id") == []
    [kinds] = room.query("MATCH (d:ActiveDay {date: '2026-03-02'}) RETURN d.kinds AS kinds")
    assert kinds["kinds"] == ["page", "video"]


def test_activity_whose_id_is_withdrawn_stays_whatever_comes_first(room: Any) -> None:
    """To take the guard out: let `classify` ask `withdrawn` before it takes activity."""
    digests = set()
    for jobs in (((), ("r1",)), (("r1",), ())):
        room.empty()
        for number, withdrawn in enumerate(jobs):
            records = () if withdrawn else (activity("r1", "2026-03-02"),)
            write(room.graph, str(number), *records, withdrawn=withdrawn)
        digests.add(room.digest())
    assert len(digests) == 1
    assert minutes(room) == [("2026-03-02", 1)]
    whole = {
        "type": "activity_record",
        "timestamp": "2026-03-02",
        "data": {"student_id": "a", "course_id": "c"},
    }
    with pytest.raises(InvalidRecord, match="activity cannot be taken back"):
        parse_row({**whole, "withdrawn": True})


def test_an_erased_student_leaves_no_day(room: Any) -> None:
    """To take the guard out: let `erase` leave out `delete_active_days`."""
    room.empty()
    write(
        room.graph,
        "one",
        activity("r1", "2026-03-02"),
        activity("r2", "2026-03-03"),
        activity("r3", "2026-03-02", "b"),
    )
    removed = room.graph.erase_student("a")
    assert (removed["ActiveDay"], removed["Student"]) == (2, 1)
    assert room.query("MATCH (d:ActiveDay) RETURN count(d) AS days") == [{"days": 1}]
    assert write(room.graph, "again", activity("r1", "2026-03-02")).rejected == 1
    assert {record["label"] for record in room.graph.export_student("b")["records"]} == {
        "ActiveDay"
    }


def test_short_gaps_are_filled_and_longer_ones_are_not() -> None:
    def of(*active: int) -> int:
        return active_minutes(sum(1 << minute for minute in active))

    assert (of(), of(7), of(0, 6), of(0, 7), of(0, 6, 13, 1_439)) == (0, 1, 7, 2, 9)
