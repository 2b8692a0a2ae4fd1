"""Many writers on crowded batches: no deadlock, one graph."""

import random
import sys
import threading
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from threads import at_once

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.records import Record, parse_record
from edugraph_importer.graph import Graph, RecordBatch, apply
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.unit_of_work import write_records

from .random_imports import withdrawals

WRITERS = 4


def crowd(number: int, seed: int) -> list[Record]:
    """Records that meet in few students, courses and error types."""
    chance = random.Random(seed)
    return [parse_record(_value(chance, place)) for place in range(number)]


def _value(chance: random.Random, place: int) -> dict[str, Any]:
    student, other = (f"s{chance.randrange(40)}" for _ in range(2))
    course = f"c{chance.randrange(4)}"
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("student_interaction", {"student_id_from": student, "student_id_to": other, "interaction_type": "chat",
                                 "course_id": course, "topics": [f"t{chance.randrange(9)}"]}),
        ("teacher_interaction", {"teacher_id": f"t{chance.randrange(5)}", "student_id": student, "feedback": other}),
        ("course_record", {"student_id": student, "course_id": course, "student_name": other, "progress": place % 100}),
        ("error_record", {"student_id": student, "course_ids": [course, "c0"], "error_text": "x",
                          "error_type": f"e{chance.randrange(6)}", "resolved": bool(place % 2)}),
        ("course_content", {"course_id": course, "content": "x", "course_name": other}),
    ]  # fmt: skip
    kind, data = chance.choice(kinds)
    when = f"2026-01-{1 + chance.randrange(28):02}T00:00:00Z"
    return {"type": kind, "timestamp": when, "record_id": f"r{place}", "data": data}


def batches(records: list[Record], size: int) -> list[RecordBatch]:
    pieces = [records[start : start + size] for start in range(0, len(records), size)]
    return [
        RecordBatch("job", n, list(enumerate(piece)), (), len(piece))
        for n, piece in enumerate(pieces)
    ]


@pytest.mark.thorough
@pytest.mark.parametrize(("size", "number"), [(20, 600), (150, 1_800)])
def test_four_writers_never_deadlock(room: Any, size: int, number: int) -> None:
    records = crowd(number, seed=size)
    room.empty()
    for batch in batches(records, 600):
        room.graph.write_batch(batch)
    expected = room.digest()
    room.empty()
    graph = Graph(room.settings)
    side_by_side(graph, batches(records, size) + batches(records, size)[::3])
    assert room.digest() == expected
    if room.has_locks:
        assert "Neo.TransientError.Transaction.DeadlockDetected" not in graph.retries
    graph.close()


@pytest.mark.parametrize("room", [pytest.param("neo4j", marks=pytest.mark.real)], indirect=True)
@pytest.mark.timeout(300)
def test_a_transaction_that_fails_leaves_those_of_other_threads_whole(room: Any) -> None:
    """Out: Connection._transaction, in favour of `execute_write`: some wait for ever, or fail."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def many(connection: Connection, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            if chance.random() < 0.3:
                with pytest.raises(Rejected, match="ArithmeticError"):
                    connection.write(
                        lambda tx: tx.run("UNWIND range(1, 30) AS n RETURN 1 / (n - 15)").consume()
                    )
            else:
                rows = chance.choice([1, 100, 1_100])
                found = connection.read(
                    "UNWIND range(1, $rows) AS n RETURN n, toString(n) AS text", rows=rows
                )
                assert [tuple(row) for row in found] == [(n, str(n)) for n in range(1, rows + 1)]

    try:
        with closing(Connection(room.settings)) as connection:
            at_once([partial(many, connection, seed) for seed in range(16)])
    finally:
        sys.setswitchinterval(before)


def side_by_side(graph: Graph, work: list[RecordBatch]) -> None:
    rest, lock = iter(work), threading.Lock()

    def write() -> None:
        while True:
            with lock:
                batch = next(rest, None)
            if batch is None:
                return
            graph.write_batch(batch)

    at_once([write] * WRITERS)


def test_a_record_that_is_taken_back_while_it_is_written_stays_away(
    room: Any, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `withdrawn.check()` in `apply`. The record would be there, although it was taken back."""
    [record, other] = crowd(2, seed=1)
    between = Graph(room.settings)
    taken_back = RecordBatch("back", 0, (), (), 1, withdrawals(record.record_id))

    def write_after_it_was_taken_back(*arguments: Any) -> None:
        monkeypatch.setattr(apply, "write_records", write_records)
        assert between.write_batch(taken_back).written == 1
        write_records(*arguments)

    monkeypatch.setattr(apply, "write_records", write_after_it_was_taken_back)
    graph.write_batch(RecordBatch("job", 0, [(1, record), (2, other)], (), 2))
    between.close()
    ids = [record.record_id, other.record_id]
    rows = room.query("MATCH (n) WHERE n.id IN $ids RETURN n.id AS id", ids=ids)
    assert [row["id"] for row in rows] == [other.record_id]
