"""Three workers of a new release begin at once on a graph of the release before, with work in all queues."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import neo4j
import pytest
from engines import System, real_engine
from made_records import made_records, write_records
from waiting import until

from edugraph_cli.processes import worker_command
from edugraph_cli.serving import Pools
from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_common.contracts.outcomes import ENDED
from edugraph_common.runtime.messaging.provisioning import pika_channel
from edugraph_common.runtime.service.settings import Settings

pytestmark = pytest.mark.real
LONG_ROWS = 6_000  # more than a megabyte, which is split in a queue of its own
BATCH = 500
SMALL_ROWS = 40
OLD_IMPORTER = "edugraph_importer.worker"
NEW_IMPORTER = "next_release"
# Live records are not sent here.
ALL_QUEUES = ("data_import", "import_splits", "graph_findings", "llm_analysis")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    here = {
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        )
    }
    with real_engine(tmp_path) as engine:
        on_path = replace(engine, environment={**engine.environment, **here})
        with on_path.serve(Pools(importer=1, findings=1, analyzer=1)) as system:
            yield system
        engine.empty()


def test_three_new_workers_at_once_migrate_a_graph_while_work_waits(
    system: System, tmp_path: Path
) -> None:
    """To take the guards out: let `migrate` take no lease, or let `make_schema_unique` make no constraint."""
    long = write_records(tmp_path / "long.ndjson", LONG_ROWS, seed=11)
    assert long.stat().st_size > 1024**2
    small = {
        number: _each_in_its_own_course(made_records(SMALL_ROWS, seed=number))
        for number in range(4)
    }
    jobs = _fill_all_queues(system, long, small)
    _drop_version_constraint(system)
    before = {row["id"] for row in _query(system, "MATCH (s:Student) RETURN s.id AS id")}
    assert before
    assert _versions(system) == [SCHEMA_VERSION]

    for name, queues in (
        ("importer", "data_import"),
        ("splits", "import_splits"),
        ("findings", "graph_findings"),
    ):
        system.processes.start(name, worker_command(NEW_IMPORTER, name, queues, 1))
    system.processes.start(
        "analyzer", worker_command("edugraph_analyzer.worker", "analyzer", "llm_analysis", 1)
    )
    _await_end(system, jobs)
    assert {system.client.job(job).state for job in jobs} == {"succeeded"}
    letters = system.client.dead_letters(None, 500)["letters"]
    assert [letter for letter in letters if letter["job_id"] in jobs] == []
    assert _versions(system) == [SCHEMA_VERSION + 1]
    counted = _query(
        system,
        "MATCH (s:Student) WHERE s.counted IS NOT NULL RETURN s.id AS id, s.counted AS times",
    )
    assert {row["id"]: row["times"] for row in counted} == dict.fromkeys(before, 1)
    _query(system, "MATCH (s:Student) REMOVE s.counted")
    migrated = system.client.graph_digest()

    system.engine.empty()
    fresh = [system.client.import_file(long, batch_size=BATCH).job_id]
    fresh += [system.client.import_records(rows, analyze=True).job_id for rows in small.values()]
    _await_end(system, fresh)
    assert _versions(system) == [SCHEMA_VERSION + 1]
    assert system.client.graph_digest() == migrated


def _each_in_its_own_course(records: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records with a course for each of them.

    The findings of a text depend on the points that its course has when the text is analysed. Records that share a
    course would end in two graphs, by the order in which the jobs are analysed.
    """
    moved = []
    for record in records:
        course = f"course-of-{record['record_id']}"
        moved.append({**record, "data": {**record["data"], "course_id": course}})
    return moved


def _await_end(system: System, jobs: list[str]) -> None:
    until(lambda: all(system.client.job(job).state in ENDED for job in jobs), 200, every=0.5)


def _fill_all_queues(
    system: System, long: Path, small: dict[int, list[dict[str, Any]]]
) -> list[str]:
    """Return jobs that the old release has begun, whose messages wait in each of the queues. No worker is left."""
    processes = system.processes

    def stop(name: str) -> None:
        processes.running[name].terminate()
        processes.running[name].wait()

    def add(rows: list[dict[str, Any]]) -> str:
        return system.client.import_records(rows, analyze=True).job_id

    def written(job: str) -> bool:
        return system.client.job(job).written > 0

    stop("findings")
    jobs = [add(small[0])]
    until(lambda: _waiting(system, "graph_findings"), 60)
    stop("analyzer")
    jobs.append(add(small[1]))
    until(lambda: written(jobs[-1]) and _waiting(system, "llm_analysis"), 60)

    stop("importer")
    processes.start("importer", worker_command(OLD_IMPORTER, "importer", "data_import", 1))
    jobs.append(system.client.import_file(long, batch_size=BATCH).job_id)
    until(lambda: _waiting(system, "import_splits"), 60)
    jobs.append(add(small[2]))
    until(lambda: written(jobs[-1]), 60)
    stop("importer")
    jobs.append(add(small[3]))
    assert [queue for queue in ALL_QUEUES if not _waiting(system, queue)] == []
    return jobs


def _waiting(system: System, queue: str) -> int:
    environment = system.engine.environment
    names = {"broker_url", "broker_management_url", "redis_url", "blob_url"}
    settings = Settings.model_validate(
        {name: environment[f"EDUGRAPH_{name.upper()}"] for name in names}
    )
    with pika_channel(settings) as channel:
        return int(channel.queue_declare(queue, passive=True).method.message_count)


def _drop_version_constraint(system: System) -> None:
    """Leave the graph as a release made it that wrote the version before its constraint."""
    _query(system, "DROP CONSTRAINT edugraph_Schema IF EXISTS")


def _versions(system: System) -> list[int]:
    return [
        row["version"] for row in _query(system, "MATCH (s:Schema) RETURN s.version AS version")
    ]


def _query(system: System, query: Any) -> list[dict[str, Any]]:
    found = system.engine.environment
    auth = (found["EDUGRAPH_NEO4J_USER"], found["EDUGRAPH_NEO4J_PASSWORD"])
    with (
        neo4j.GraphDatabase.driver(
            found["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
        ) as driver,
        driver.session() as session,
    ):
        return session.run(query).data()
