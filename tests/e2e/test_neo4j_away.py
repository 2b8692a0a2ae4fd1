"""Neo4j and an importer are killed at once, so that the new importer never had a connection: no job fails of it."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engines import PRIVACY_SECRET, Engine, System, own_vhost, with_own_redis_users
from own_neo4j import Store, own_neo4j
from waiting import until

from edugraph_cli.processes import worker_command
from edugraph_cli.serving import IMPORTS, PROCESSES, Pools
from edugraph_common.contracts.outcomes import ENDED

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]  # Neo4j starts twice
JOBS, ROWS, BATCH = 10, 200, 50
START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with own_neo4j(tmp_path / "neo4j", PRIVACY_SECRET) as store:
        yield store


@pytest.fixture
def apart(store: Store, tmp_path: Path) -> Iterator[System]:
    """A system whose Neo4j is its own."""
    with own_vhost() as addresses, with_own_redis_users(addresses) as own:
        graph = {
            "EDUGRAPH_NEO4J_URI": store.settings.uri,
            "EDUGRAPH_NEO4J_USER": store.settings.user,
            "EDUGRAPH_NEO4J_PASSWORD": store.password,
        }
        more = {"EDUGRAPH_BLOB_URL": str(tmp_path / "blobs"), "EDUGRAPH_AUTH": "off"}
        engine = Engine(
            name="apart", folder=tmp_path, environment={**addresses, **graph, **more}, own=own
        )
        with engine.serve(Pools(importer=2, findings=1, analyzer=1)) as system:
            yield system


def records(job: int) -> list[str]:
    """The rows of one job. Their students are those of no other job."""
    rows = []
    for index in range(ROWS):
        moment = (START + timedelta(seconds=index)).strftime("%Y-%m-%dT%H:%M:%SZ")
        data = {"student_id": f"s-{job}-{index}", "course_id": f"c-{job}", "progress": 50}
        row = {
            "type": "course_record",
            "timestamp": moment,
            "record_id": f"r-{job}-{index}",
            "data": data,
        }
        rows.append(json.dumps(row) + "\n")
    return rows


def kill(system: System) -> None:
    os.killpg(system.processes.running["importer"].pid, signal.SIGKILL)
    system.processes.running["importer"].wait()


def test_jobs_that_ran_when_neo4j_and_an_importer_were_killed_succeed(
    apart: System, store: Store, tmp_path: Path
) -> None:
    """Guards: Connection opens its driver within the time of a transaction; ServerAway; the server watch."""
    jobs = []
    for number in range(JOBS):
        path = tmp_path / f"{number}.ndjson"
        path.write_text("".join(records(number)), encoding="utf-8")
        jobs.append(apart.client.import_file(path, batch_size=BATCH).job_id)
    until(lambda: any(apart.client.job(job).batches_done for job in jobs), 120, every=1)

    kill(apart)
    assert store.pid is not None
    os.kill(store.pid, signal.SIGKILL)
    port = {"EDUGRAPH_METRICS_PORT": str(apart.metrics_ports[PROCESSES.index("importer")])}
    command = worker_command("edugraph_importer.worker", "importer", IMPORTS, 2)
    apart.processes.start("importer", command, {**port, **apart.engine.own.get("importer", {})})

    running = [job for job in jobs if apart.client.job(job).state not in ENDED]
    assert running

    def all_wait() -> bool:
        reports = [apart.client.job(job) for job in running]
        return all("Neo4j does not answer" in (report.waiting_for or "") for report in reports)

    until(all_wait, 90, every=1)
    store.start()
    until(lambda: all(apart.client.job(job).state in ENDED for job in jobs), 300, every=1)

    reports = [apart.client.job(job) for job in jobs]
    assert [(report.state, report.read, report.failed) for report in reports] == [
        ("succeeded", ROWS, 0)
    ] * JOBS
    assert all(report.written + report.unchanged == ROWS for report in reports)
    assert apart.client.graph_summary().nodes["Student"] == JOBS * ROWS
    diagnosis = apart.client.diagnosis()
    assert [
        check for check in diagnosis.checks if check.name == "dead letters" and not check.ok
    ] == []
