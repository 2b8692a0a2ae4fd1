"""Cancel and resume while workers work, and progress as its user sees it."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engines import SLOW, System
from service_settings import settings_from

from edugraph_cli.progress import Steps
from edugraph_common.contracts.messages import ImportJob
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.runtime.messaging.celery_app import make_app
from edugraph_common.runtime.messaging.publisher import send
from edugraph_common.runtime.shared_state.job_store import Jobs, connect

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]
START = datetime(2026, 1, 5, tzinfo=UTC)


def _records(path: Path, number: int) -> Path:
    """Course records of many students, each its own, of this run alone."""
    run = path.parent.name
    with path.open("w", encoding="utf-8") as file:
        for index in range(number):
            data = {
                "student_id": f"{run}-{index % 5_000}",
                "course_id": f"{run}-{index // 5_000}",
                "progress": 50,
            }
            when = (START + timedelta(seconds=index)).strftime("%Y-%m-%dT%H:%M:%SZ")
            record = {
                "type": "course_record",
                "timestamp": when,
                "record_id": f"{run}-{index}",
                "data": data,
            }
            file.write(json.dumps(record) + "\n")
    return path


def test_a_cancelled_job_stops_within_seconds_and_resumed_does_the_rest_only(
    system: System, tmp_path: Path
) -> None:
    file = _records(tmp_path / "records.ndjson", 20_000)
    job = system.client.import_file(file, batch_size=100).job_id
    for report in system.client.follow(job):
        if report.batches_done >= 10:
            break
    assert system.client.cancel(job).state == "cancelled"
    time.sleep(5)
    stopped = system.client.job(job)
    time.sleep(2)
    still = system.client.job(job)
    assert (still.state, still.batches_done) == ("cancelled", stopped.batches_done)
    assert 10 <= still.batches_done < 200
    assert system.client.resume(job).state in ("running", "queued")
    *_, ended = system.client.follow(job)
    assert (ended.state, ended.batches_done, ended.read) == ("succeeded", 200, 20_000)
    assert (ended.written + ended.unchanged, ended.rejected, ended.failed) == (20_000, 0, 0)
    again = system.import_and_report(file)
    assert (again["written"], again["unchanged"]) == (0, 20_000)


def test_a_split_that_is_delivered_again_and_again_runs_each_batch_once(
    system: System, tmp_path: Path
) -> None:
    """Guard: the claim of a window in Importer.plan. Without it each delivery runs all windows from its own on."""
    with _records(tmp_path / "records.ndjson", 4_000).open("rb") as file:
        options = {"batch_size": "100", "parallel_batches": "8"}
        job = system.client.import_stream(file, options).job_id
    _deliver_split_again(system, job, times=2)
    for report in system.client.follow(job):
        if report.batches_done >= 8:
            _deliver_split_again(system, job, times=1)
            break
    *_, ended = system.client.follow(job)
    assert (ended.state, ended.batches, ended.written) == ("succeeded", 40, 4_000)
    time.sleep(3)
    assert _batch_runs(system, job) == 40


def test_after_cancel_and_resume_only_the_rest_is_run(system: System, tmp_path: Path) -> None:
    """Guard: the generation in Importer.write_batch and Importer.plan."""
    with _records(tmp_path / "records.ndjson", 6_000).open("rb") as file:
        job = system.client.import_stream(
            file, {"batch_size": "100", "parallel_batches": "20"}
        ).job_id
    for report in system.client.follow(job):
        if report.batches_done >= 5:
            break
    for _ in range(3):
        system.client.cancel(job)
        system.client.resume(job)
    *_, ended = system.client.follow(job)
    assert (ended.state, ended.batches_done, ended.read) == ("succeeded", 60, 6_000)
    assert ended.written == 6_000
    time.sleep(3)
    # A batch that ran while the job was cancelled may have run once more.
    assert _batch_runs(system, job) <= 60 + 3 * 2


def _deliver_split_again(system: System, job: str, times: int) -> None:
    client = connect(system.engine.environment["EDUGRAPH_REDIS_URL"])
    [[name, body, task_id]] = json.loads(Jobs(client).tasks(job) or "")
    client.close()
    app = make_app("test", settings_from(system.engine.environment))
    for _ in range(times):
        send(app, name, ImportJob.model_validate(body), task_id=task_id)
    app.close()


def _batch_runs(system: System, job: str) -> int:
    """How many tasks read and wrote a batch of this job, by the importers' logs."""
    lines = [
        line for log in system.processes.logs.glob("*.log") for line in log.read_text().splitlines()
    ]
    of_batches = [line for line in lines if "import_batch_task" in line and job in line]
    return sum(("task_ended" in line) - ("batch_left_out" in line) for line in of_batches)


@pytest.mark.timeout(900)
def test_progress_never_goes_backwards_and_ends_at_all_of_it(
    system: System, tmp_path: Path
) -> None:
    number = 100_000 if SLOW else 40_000
    job = system.client.import_file(
        _records(tmp_path / "records.ndjson", number), batch_size=500
    ).job_id
    steps, shares, seen = Steps(), [], []
    for report in system.client.follow(job):
        steps.update(report)
        shares.append(steps.batches / (steps.batches_total or 10**9))
        seen.append(report)
    assert len(shares) > 4
    assert shares == sorted(shares)
    assert (shares[-1], seen[-1].state, seen[-1].read) == (1.0, "succeeded", number)
    for count in ("batches_done", "read", "written", "rejected", "failed"):
        counts = [getattr(report, count) for report in seen]
        assert counts == sorted(counts), count
    assert all(_adds_up(report) for report in seen)


def _adds_up(report: JobReport) -> bool:
    return report.written + report.unchanged + report.rejected + report.failed == report.read
