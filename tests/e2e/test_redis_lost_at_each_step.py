"""Redis loses all that it holds before any single command of a task that plans an import.

Whatever the step, the rows are in the graph once, and the job is known again and succeeds.
"""

import io
import json
import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import httpx
import neo4j
import pytest
from engines import CHECKOUT, IMPORTERS, LIKE_IMAGES, System
from flush_order import OVER, FlushOrder, outcome_of
from waiting import until

from edugraph_client import Refused
from edugraph_common.contracts.outcomes import ENDED, JobReport

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]
TESTS = CHECKOUT / "tests"
ROWS, BATCH_SIZE, PARALLEL_BATCHES = 6, 2, 2
LAST_WINDOW = 2  # its first batch; the window before has batches 0 and 1
LEAST_COMMANDS = 4  # a task sends more to Redis: otherwise the hook does not see them
ENDS_WITHIN_SECONDS = 60
UNKNOWN_SECONDS = 2


class Step(NamedTuple):
    """A task, and the fields of its message. `how` says in what form the records come."""

    task: str
    where: dict[str, object]
    how: str


STEPS = {
    "plan of a file": Step("import_records_with_callback", {"next_batch": 0}, "file"),
    "plan of the next window": Step(
        "import_records_with_callback", {"next_batch": LAST_WINDOW}, "file"
    ),
    "plan of inline records": Step("import_records_with_callback", {"next_batch": 0}, "inline"),
    "split of a large file": Step("split_source_task", {}, "large file"),
    "first batch of inline records": Step("import_batch_task", {"batch": 0}, "inline"),
    "last batch of a file": Step("import_batch_task", {"batch": LAST_WINDOW}, "file"),
    "end of a window": Step("aggregate_import_results", {"window_end": LAST_WINDOW}, "file"),
    "end of the last window": Step(
        "aggregate_import_results", {"window_end": ROWS // BATCH_SIZE}, "inline"
    ),
}


@pytest.fixture(scope="module")
def order(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file by which the importer is told when Redis is to lose its data."""
    path = tmp_path_factory.mktemp("order") / "order.json"
    folders = (LIKE_IMAGES["PYTHONPATH"], str(TESTS), str(TESTS / "integration"))
    more = {
        "PYTHONPATH": os.pathsep.join(folders),
        "FLUSH_ORDER": str(path),
        "FLUSH_REDIS_URL": system.engine.environment["EDUGRAPH_REDIS_URL"],
    }
    system.restart_importer(IMPORTERS, "flushing_importer", more)
    yield path
    system.restart_importer(IMPORTERS)


def rows_of(run: str) -> list[dict[str, object]]:
    return [
        {
            "type": "error_record",
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": f"{run}-{number}",
            "data": {"student_id": run, "course_id": "c", "error_text": f"{number} + 1 = {number}"},
        }
        for number in range(ROWS)
    ]


def submitted(system: System, run: str, how: str) -> str:
    """Import the rows of this run. Return the job."""
    if how == "inline":
        body = {
            "records": rows_of(run),
            "batch_size": BATCH_SIZE,
            "parallel_batches": PARALLEL_BATCHES,
        }
        answer = httpx.post(f"{system.url}/v1/imports", json=body, timeout=30).raise_for_status()
        return str(answer.json()["job_id"])
    # White space lets six rows take the time of a large file, which is split by a task of its own.
    padding = " " * 250_000 if how == "large file" else ""
    lines = "".join(json.dumps(row) + padding + "\n" for row in rows_of(run))
    options = {
        "batch_size": str(BATCH_SIZE),
        "parallel_batches": str(PARALLEL_BATCHES),
        "name": f"{run}.ndjson",
    }
    return system.client.import_stream(io.BytesIO(lines.encode()), options).job_id


def ended(system: System, order: Path, job_id: str) -> tuple[str, JobReport | None]:
    """Wait for the end of the job. Return its state when Redis lost it, or OVER, and what is known of it at last.

    A job that had ended when Redis lost it may stay unknown, or be known again and run to its end.
    """
    state = until(
        lambda: outcome_of(order).exists() and outcome_of(order).read_text(encoding="utf-8")
    )
    may_stay_unknown = state in ENDED
    start = time.monotonic()
    while True:
        try:
            report = system.client.job(job_id)
        except Refused:
            report = None  # Redis does not know it at the moment
        waited_seconds = time.monotonic() - start
        if report is not None and report.state in ENDED:
            return state, report
        if report is None and may_stay_unknown and waited_seconds > UNKNOWN_SECONDS:
            return state, None
        if waited_seconds > ENDS_WITHIN_SECONDS:
            return state, report
        time.sleep(0.1)


def ids_in_graph(system: System, run: str) -> list[str]:
    environment = system.engine.environment
    login = (environment["EDUGRAPH_NEO4J_USER"], environment["EDUGRAPH_NEO4J_PASSWORD"])
    query = "MATCH (n) WHERE n.id STARTS WITH $start RETURN n.id AS id ORDER BY id"
    with neo4j.GraphDatabase.driver(environment["EDUGRAPH_NEO4J_URI"], auth=login) as driver:
        return [row["id"] for row in driver.execute_query(query, start=f"{run}-").records]


def letters(system: System) -> set[str]:
    return {
        letter["task_id"] for letter in system.client.dead_letters(queue=None, limit=500)["letters"]
    }


@pytest.mark.parametrize("name", STEPS)
def test_an_import_succeeds_whenever_redis_loses_everything(
    system: System, order: Path, name: str
) -> None:
    """Guards, one at a time: the claim "unknown" in Importer.plan; the second look at the
    report in Importer.sum_up; `_has_lost_job` in ResultStore.
    """
    step = STEPS[name]
    known = letters(system)  # of tests that ran before
    for command in count(1):
        run = f"{name.replace(' ', '-')}-{command}"
        FlushOrder(step.task, step.where, command).give(order)
        job_id = submitted(system, run, step.how)
        state, report = ended(system, order, job_id)
        if report is None:
            assert state in ENDED, f"{run}: the job was {state} and is unknown"
        else:
            assert (report.state, report.read) == ("succeeded", ROWS), f"{run}, {state}: {report}"
            assert report.written + report.unchanged == ROWS, run
        assert ids_in_graph(system, run) == [str(row["record_id"]) for row in rows_of(run)], run
        if state == OVER:
            break
    assert command > LEAST_COMMANDS
    assert letters(system) == known
