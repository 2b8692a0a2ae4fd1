"""An importer that is older than the graph says so: in the job, to the doctor, and in its metrics."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import neo4j
import pytest
from engines import System
from made_records import made_records
from waiting import until

from edugraph_cli.serving import PROCESSES
from edugraph_common.contracts.graph_schema import SCHEMA_VERSION
from edugraph_common.contracts.outcomes import ENDED

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]
LATER = SCHEMA_VERSION + 1
OLDER = f"the graph has schema version {LATER}, and this importer knows up to {SCHEMA_VERSION}"


@pytest.fixture
def of_a_later_release(clean: System) -> Iterator[System]:
    _set_version(clean, LATER)
    yield clean
    _set_version(clean, SCHEMA_VERSION)


def test_a_job_and_the_doctor_name_both_versions(of_a_later_release: System) -> None:
    """To take the guards out: `on_waiting` of the importer's tasks, `app.checks`, `note_version`, or TASKS_WAITING."""
    system = of_a_later_release
    waited_before = _metric(
        system, 'tasks_waiting_total{queue="data_import",reason="schema version"}'
    )
    job = system.client.import_records(list(made_records(5, seed=1))).job_id
    until(lambda: system.client.job(job).waiting_for, 60)
    assert system.client.job(job).waiting_for == OLDER
    shown = system.edugraph("jobs", "show", job)
    assert OLDER in " ".join(shown.stdout.split()), shown.stdout

    assert OLDER in _problems(system)
    assert _metric(system, "graph_schema_version") == LATER
    assert _metric(system, "importer_schema_version") == SCHEMA_VERSION
    waited = _metric(system, 'tasks_waiting_total{queue="data_import",reason="schema version"}')
    assert waited > waited_before

    _set_version(system, SCHEMA_VERSION)
    until(lambda: system.client.job(job).state in ENDED, 90, every=0.5)
    report = system.client.job(job)
    assert (report.state, report.read, report.waiting_for) == ("succeeded", 5, None)
    assert OLDER not in _problems(system)
    assert _metric(system, "graph_schema_version") == SCHEMA_VERSION


def _problems(system: System) -> list[str]:
    checks = json.loads(system.edugraph("doctor", "--json").stdout)
    assert [check for check in checks if "schema version" in check["name"]], checks
    return [problem for check in checks for problem in check["problems"]]


def _metric(system: System, series: str) -> float:
    port = system.metrics_ports[PROCESSES.index("importer")]
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
    found = re.search(rf"^edugraph_{re.escape(series)} (\S+)$", text, re.MULTILINE)
    assert found, series
    return float(found[1])


def _set_version(system: System, version: int) -> None:
    found = system.engine.environment
    auth: Any = (found["EDUGRAPH_NEO4J_USER"], found["EDUGRAPH_NEO4J_PASSWORD"])
    uri = found["EDUGRAPH_NEO4J_URI"]
    with neo4j.GraphDatabase.driver(uri, auth=auth, notifications_min_severity="OFF") as driver:
        driver.execute_query(
            "MERGE (s:Schema {id: 'graph'}) SET s.version = $version", version=version
        )
