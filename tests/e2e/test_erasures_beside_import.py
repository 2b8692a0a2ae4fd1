"""People are erased at the same time, while a file with them is imported: each run ends right.

`make erasure-tests` has ten runs, of twenty people and a file of 20,000 records. `make test` has a smaller one.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from engines import SLOW, System
from every_store import Ground

from edugraph_common.sources.stored import stored_rows

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]
RUNS = range(10 if SLOW else 1)
RECORDS, STUDENTS, ERASED = (20_000, 400, 20) if SLOW else (4_000, 200, 10)


def record(number: int) -> dict[str, Any]:
    sender, receiver = number % STUDENTS, (number * 7 + 1) % STUDENTS
    data = {
        "student_id_from": f"s{sender}",
        "student_id_to": f"s{receiver}",
        "interaction_type": "chat",
    }
    data |= {"text": f"text {number}", "course_id": f"c{number % 5}"}
    return {
        "type": "student_interaction",
        "timestamp": "2026-03-01T10:00:00Z",
        "record_id": f"r{number}",
        "data": data,
    }


def lines(erased: set[str]) -> bytes:
    rows = (record(number) for number in range(RECORDS))
    kept = (
        row
        for row in rows
        if erased.isdisjoint({row["data"]["student_id_from"], row["data"]["student_id_to"]})
    )
    return "".join(json.dumps(row) + "\n" for row in kept).encode()


@pytest.mark.parametrize("run", RUNS)
def test_each_erasure_ends_and_the_graph_is_that_of_the_others(
    clean: System, tmp_path: Path, run: int
) -> None:
    erased = {f"s{number}" for number in range(run, STUDENTS, STUDENTS // ERASED)}
    ground, client, path = Ground(clean), clean.client, tmp_path / "all.ndjson"
    path.write_bytes(lines(set()))
    job_id = client.import_file(path, batch_size=500).job_id

    def forget(student: str) -> dict[str, Any]:
        return client.follow_task(client.forget(student, block=True).task_id)

    with ThreadPoolExecutor(ERASED) as pool:
        tasks = list(pool.map(forget, sorted(erased)))
    assert [task for task in tasks if task["state"] != "SUCCESS"] == []
    ground.follow(job_id)
    assert client.job(job_id).state == "succeeded"
    ground.clean()
    kept = [row.raw for batch in stored_rows(ground.blobs, job_id) for row in batch]
    assert kept == lines(erased).splitlines()
    digest = client.graph_digest()
    clean.engine.empty()
    path.write_bytes(lines(erased))
    ground.follow(client.import_file(path, batch_size=500).job_id)
    assert digest == client.graph_digest()
