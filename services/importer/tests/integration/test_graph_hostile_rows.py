"""The rows that once took their batch with them, on every engine of the graph: they are rejects, or they arrive."""

import json
from pathlib import Path
from typing import Any

import pytest

from edugraph_common.contracts.messages import ImportJob
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.batching import count_batches, read_batch, store_rejects, window
from edugraph_importer.graph import Graph


def chat(sender: str, timestamp: str = "2026-01-01T00:00:00Z", **data: Any) -> str:
    people = {"student_id_from": sender, "student_id_to": "x", "interaction_type": "chat"}
    return json.dumps(
        {"type": "student_interaction", "timestamp": timestamp, "data": {**people, **data}}
    )


REJECTED = {
    "half an emoji": (chat("h", text="ok \ud83d"), "data.text"),
    "half an emoji as a field": (chat("h", **{"ok \ud83d": 1}), None),
    "before year 1": (chat("h", "0001-01-01T00:00:00+08:00"), "timestamp"),
    "after year 9999": (chat("h", "9999-12-31T23:59:59-05:00"), "timestamp"),
    "nested": ("[" * 990 + "]" * 990, "(line)"),
    "nested and not closed": ("[" * 5_000, "(line)"),
    "nested in a field": (chat("h", text=0).replace("0}", "[" * 980 + "]" * 980 + "}"), None),
}
ARRIVE = {
    "a topic whose key is long": chat("arrives", topics=["\ufdfa" * 500]),
    "an error type whose key is long": json.dumps({
        "type": "error_record",
        "timestamp": "2026-01-01",
        "data": {"student_id": "arrives", "course_id": "c", "error_text": "x", "error_type": "\ufdfa" * 500},
    }),
    "the first second": chat("arrives", "0001-01-01T00:00:00Z"),
    "the last second": chat("arrives", "9999-12-31T23:59:59Z"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*REJECTED, *ARRIVE])
def test_a_hostile_row_takes_no_neighbour_with_it(
    graph: Graph, room: Any, tmp_path: Path, name: str
) -> None:
    blobs, (row, field) = (
        Blobs(str(tmp_path)),
        REJECTED[name] if name in REJECTED else (ARRIVE[name], None),
    )
    rows = (
        [chat(f"before{number}") for number in range(10)]
        + [row]
        + [chat(f"after{n}") for n in range(10)]
    )
    job = ImportJob(job_id="j", source="jobs/j/source.ndjson")
    with blobs.write("jobs/j/source.ndjson") as file:
        file.write("".join(line + "\n" for line in rows).encode())
    (message,) = window(blobs, job, count_batches(blobs, job))
    found = read_batch(blobs, message)
    outcome = graph.write_batch(found.graph)
    store_rejects(blobs, "j", 0, found.graph.rejects)

    rejected = int(name in REJECTED)
    assert (outcome.state, outcome.read, outcome.written, outcome.rejected) == (
        "written",
        21,
        21 - rejected,
        rejected,
    )
    students = {each["id"] for each in room.query("MATCH (s:Student) RETURN s.id AS id")}
    assert students == {"x"} | {
        json.loads(line)["data"]["student_id_from"] for line in rows if "before" in line
    } | {f"after{number}" for number in range(10)} | (set() if rejected else {"arrives"})
    for reject in found.graph.rejects:
        assert (reject.line, bool(reject.reason)) == (11, True)
        assert field in (None, reject.field)
        stored = json.loads(blobs.read("jobs/j/rejects/00000000.ndjson", 0, 1 << 20))
        assert stored["raw"]


def test_two_long_names_that_mean_the_same_are_one_topic(
    graph: Graph, room: Any, tmp_path: Path
) -> None:
    long = "\ufdfa" * 500
    rows = [
        chat("a", topics=[long]),
        chat("b", topics=[f" {long[:-1]} \ufdfa"]),
        chat("c", topics=[long[:-1] + "x"]),
    ]
    blobs, job = Blobs(str(tmp_path)), ImportJob(job_id="j", source="jobs/j/source.ndjson")
    with blobs.write("jobs/j/source.ndjson") as file:
        file.write("".join(line + "\n" for line in rows).encode())
    (message,) = window(blobs, job, count_batches(blobs, job))
    graph.write_batch(read_batch(blobs, message).graph)
    assert len(room.query("MATCH (t:Topic) RETURN t.id AS id")) == 2
