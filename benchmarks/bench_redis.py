"""The memory of Redis after 30 days with 1,000 inline imports of 1,000 records each, against its `maxmemory`.

`make bench-redis` starts its own Redis with the memory of compose.yaml and the chart. It writes the same data as the
gateway and the workers: jobs for all days of the retention, results of tasks for a week, and idempotency keys for a
day. Bodies of 1,000 records are larger than 64 KiB, so Redis does not hold their records. With `--small`, each day
also has 1,000 bodies of 64 KiB, whose jobs never end, so that Redis keeps their records for a day. The bench exits
with 1 if the data do not fit.
"""

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from own_redis import own_redis

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.messages import RECORDS_IN_MESSAGE_BYTES, ImportJob
from edugraph_common.contracts.outcomes import BatchOutcome, ImportReport
from edugraph_common.runtime.messaging.celery_app import RESULTS_KEPT_SECONDS, make_app
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.settings import JOB_RETENTION_DAYS, Settings
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_gateway.submission.idempotency import Done, IdempotencyStore, key_name

MAXMEMORY_MIB = 384
RECORDS = 1_000
RESULT_DAYS = RESULTS_KEPT_SECONDS // 86_400


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs-a-day", type=int, default=1_000)
    parser.add_argument(
        "--small", action="store_true", help="also as many bodies of 64 KiB, kept for a day"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="20 jobs a day; the figures are extrapolated"
    )
    given = parser.parse_args()
    a_day = 20 if given.smoke else given.jobs_a_day
    with (
        tempfile.TemporaryDirectory() as folder,
        own_redis(Path(folder), f"{MAXMEMORY_MIB}mb") as url,
    ):
        figures = measure(url, a_day, small=given.small)
    factor = given.jobs_a_day / a_day
    # The size of an empty Redis does not depend on the number of jobs.
    empty = figures.pop("empty")
    used_mib = {what: round(number * factor / 2**20, 1) for what, number in figures.items()}
    used_mib["empty"] = round(empty / 2**20, 1)
    fits = sum(used_mib.values()) <= MAXMEMORY_MIB
    bytes_a_job = round(figures["jobs"] / (a_day * JOB_RETENTION_DAYS))
    print(
        json.dumps(
            {"mib": used_mib, "of_mib": MAXMEMORY_MIB, "bytes_a_job": bytes_a_job, "fits": fits}
        )
    )
    return 0 if fits else 1


def measure(url: str, a_day: int, *, small: bool) -> dict[str, int]:
    """Return the bytes of each part."""
    client, now = connect(url), datetime.now(UTC)
    jobs, keys = Jobs(client), IdempotencyStore(client)
    backend: Any = make_app(
        "bench",
        Settings.model_validate({"broker_url": "amqp://", "redis_url": url, "blob_url": "/tmp"}),
    ).backend
    figures, before = dict[str, int](), 0

    def part(name: str) -> None:
        nonlocal before
        used = int(client.info("memory")["used_memory"])
        figures[name], before = used - before, used

    part("empty")
    for number in range(a_day * JOB_RETENTION_DAYS):
        finished_job(jobs, f"{number:024x}", now - timedelta(days=number // a_day))
    part("jobs")
    for number in range(a_day * RESULT_DAYS):
        for step, result in results(f"{number:024x}").items():
            backend.store_result(task_id_for(f"{number:024x}", step), result, "SUCCESS")
    part("results")
    for number in range(a_day):
        name, job_id = key_name("client-of-bench", "imports", str(number)), f"{number:024x}"
        answer = Accepted(
            job_id=job_id,
            task_id=task_id_for(job_id, "split"),
            links={"self": f"/v1/jobs/{job_id}"},
        )
        keys.complete(name, keys.claim(name) or "", Done("0" * 64, answer))
    part("idempotency keys")
    if small:
        for _ in range(a_day):
            tasks = "x" * RECORDS_IN_MESSAGE_BYTES
            jobs.create(uuid4().hex, "import", "inline", now, tasks=tasks, tasks_hold_records=True)
        part("small bodies")
    client.close()
    return figures


def finished_job(jobs: Jobs, job_id: str, day: datetime) -> None:
    job = ImportJob(
        job_id=job_id, source=f"jobs/{job_id}/source.ndjson", accepted_at=day.timestamp()
    )
    tasks = [
        ["import_records_with_callback", job.model_dump(mode="json"), task_id_for(job_id, "split")]
    ]
    jobs.create(job_id, "import", "inline", day, tasks=json.dumps(tasks))
    jobs.begin(job_id, 1, day, expected=RECORDS)
    jobs.sent(job_id, 0)
    jobs.settle_batch(outcome(job_id), day)
    jobs.imported(job_id, day)
    jobs.finish_if_complete(job_id, day)


def outcome(job_id: str) -> BatchOutcome:
    types = {
        "student_interaction": 400,
        "teacher_interaction": 200,
        "course_record": 300,
        "error_record": 100,
    }
    return BatchOutcome(
        job_id=job_id, batch=0, state="written", read=RECORDS, written=RECORDS, by_type=types
    )


def results(job_id: str) -> dict[str, Any]:
    """Return the answers of the three tasks of an import with one batch."""
    counts = {
        "read": RECORDS,
        "written": RECORDS,
        "unchanged": 0,
        "rejected": 0,
        "failed": 0,
        "expected": RECORDS,
    }
    report = ImportReport(
        job_id=job_id,
        batches=1,
        by_type=outcome(job_id).by_type,
        seconds=1.5,
        records_per_second=666.6,
        **counts,
    )
    return {
        "split": task_id_for(job_id, "aggregate-1"),
        "batch-0": outcome(job_id).model_dump(mode="json"),
        "aggregate-1": report.model_dump(mode="json"),
    }


if __name__ == "__main__":
    sys.exit(main())
