"""Redis loses all that it holds, between any two commands: no accepted record is lost with it."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import neo4j
import pytest
from engines import System, family
from guard import RedisServer
from traps import slow
from waiting import until

from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_client import Refused
from edugraph_common.contracts.outcomes import ENDED, JobReport
from edugraph_importer.service import LOST_ANALYSIS

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]
PACK = AnalyzerSettings().pack_size
START = datetime(2026, 1, 5, tzinfo=UTC)


def records(run: str, number: int) -> list[dict[str, object]]:
    return [
        {
            "type": "course_record",
            "timestamp": (START + timedelta(seconds=index)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "record_id": f"{run}-{index}",
            "data": {"student_id": f"{run}-{index}", "course_id": f"{run}", "progress": 50},
        }
        for index in range(number)
    ]


def stored(path: Path, number: int) -> Path:
    rows = records(path.parent.name, number)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def lose_all(system: System) -> None:
    RedisServer(system.engine.environment["EDUGRAPH_REDIS_URL"]).empty()


@contextmanager
def stopped(system: System, name: str) -> Iterator[None]:
    """All processes of this worker stand still."""
    pids = family(system.processes.running[name].pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def ended(system: System, job: str, seconds: float = 90) -> JobReport | None:
    """None for a job that is not there after a while."""
    end, report = datetime.now(UTC) + timedelta(seconds=seconds), None
    while datetime.now(UTC) < end and (report is None or report.state not in ENDED):
        try:
            report = system.client.job(job)
        except Refused:
            report = None
        time.sleep(0.3)
    return report


def students(system: System) -> int:
    return system.client.graph_summary().nodes.get("Student", 0)


@pytest.mark.parametrize("inline", [False, True])
def test_before_the_split(clean: System, tmp_path: Path, inline: bool) -> None:
    """Guard: Importer.recreate."""
    with stopped(clean, "importer"):
        if inline:
            body = {"records": records(tmp_path.name, 1_000), "batch_size": 100}
            job = httpx.post(f"{clean.url}/v1/imports", json=body, timeout=30).json()["job_id"]
        else:
            job = clean.client.import_file(
                stored(tmp_path / "records.ndjson", 1_000), batch_size=100
            ).job_id
        lose_all(clean)
    report = ended(clean, job)
    assert report is not None
    assert (report.state, report.read, report.written, report.batches) == (
        "succeeded",
        1_000,
        1_000,
        10,
    )
    assert students(clean) == 1_000
    assert next(clean.client.jobs()).job_id == job


@slow
def test_in_the_middle(clean: System, tmp_path: Path) -> None:
    """Guard: Importer._begin_again, from a batch or from the end of a window."""
    file = stored(tmp_path / "records.ndjson", 6_000)
    with file.open("rb") as content:
        options = {"batch_size": "100", "parallel_batches": "20", "name": file.name}
        job = clean.client.import_stream(content, options).job_id
    for report in clean.client.follow(job):
        if report.batches_done >= 15:
            break
    lose_all(clean)
    end = ended(clean, job)
    assert end is not None
    assert (end.state, end.batches_done, end.read) == ("succeeded", 60, 6_000)
    assert end.written + end.unchanged == 6_000
    assert students(clean) == 6_000


def test_a_job_that_was_cancelled_is_not_brought_back(clean: System, tmp_path: Path) -> None:
    """Guard: the blob `cancelled_key`."""
    with stopped(clean, "importer"):
        job = clean.client.import_file(stored(tmp_path / "records.ndjson", 300)).job_id
        clean.client.cancel(job)
        lose_all(clean)
    assert ended(clean, job, seconds=6) is None
    assert students(clean) == 0


def texts(run: str, number: int) -> list[dict[str, object]]:
    """Mistakes whose texts differ, so that each is asked for."""
    return [
        {
            "type": "error_record",
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": f"{run}-{index}",
            "data": {"student_id": run, "course_id": run, "error_text": f"{index} + 1 = {index}"},
        }
        for index in range(number)
    ]


def messages(system: System, queue: str) -> int:
    """How many messages a queue has, those included that a worker holds. The figure is some seconds old."""
    broker, management = (
        system.engine.environment[f"EDUGRAPH_BROKER_{name}URL"] for name in ("", "MANAGEMENT_")
    )
    vhost = quote(urlsplit(broker).path.lstrip("/") or "/", safe="")
    answer = httpx.get(f"{management}/api/queues/{vhost}/{queue}", timeout=20).raise_for_status()
    return int(answer.json().get("messages", 0))


def analysed(system: System, run: str) -> int:
    """How many of these mistakes have a finding."""
    uri, user, password = (
        system.engine.environment[f"EDUGRAPH_NEO4J_{name}"] for name in ("URI", "USER", "PASSWORD")
    )
    with neo4j.GraphDatabase.driver(
        uri, auth=(user, password), notifications_min_severity="OFF"
    ) as driver:
        query = "MATCH (e:ErrorRecord) WHERE e.id STARTS WITH $run AND e.finding IS NOT NULL RETURN count(e) AS number"
        [row] = driver.execute_query(query, run=run).records
    return int(row["number"])


def test_after_the_last_batch_an_import_ends_with_all_of_its_analysis(
    clean: System, tmp_path: Path
) -> None:
    """Guard: `_bring_back` in Importer._settle_pack."""
    file = tmp_path / "texts.ndjson"
    file.write_text(
        "".join(json.dumps(row) + "\n" for row in texts(tmp_path.name, 60)), encoding="utf-8"
    )
    with stopped(clean, "findings"):
        with file.open("rb") as content:
            job = clean.client.import_stream(content, {"name": file.name, "analyze": "true"}).job_id
        # All is analysed, and nothing but the findings can tell that the job is lost. A pack may be there twice, since
        # the analyzer sends it again where it does not hear of the broker's confirm.
        until(lambda: messages(clean, "graph_findings") >= 60 // PACK, 60)
        lose_all(clean)
    report = ended(clean, job)
    assert report is not None
    assert (report.state, report.read, report.unchanged + report.written) == ("succeeded", 60, 60)
    assert (report.analysis.expected, report.analysis.done, report.analysis.failed) == (60, 60, 0)
    assert analysed(clean, tmp_path.name) == 60


def test_an_analysis_whose_counts_are_lost_says_so(clean: System, tmp_path: Path) -> None:
    """Guard: `fail` in Importer._bring_back: the job would be unknown for ever, while its findings arrive."""
    with stopped(clean, "findings"):
        body = {"records": texts(tmp_path.name, 60)}
        job = httpx.post(f"{clean.url}/v1/analyses/errors", json=body, timeout=30).json()["job_id"]
        lose_all(clean)
    report = ended(clean, job)
    assert report is not None
    assert (report.state, report.error) == ("failed", LOST_ANALYSIS)
    until(lambda: analysed(clean, tmp_path.name) == 60, 60)
    assert clean.client.job(job).state == "failed"
