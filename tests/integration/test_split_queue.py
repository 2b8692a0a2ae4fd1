"""Large files wait in a queue of their own to be split: they hold up no batch, and no batch holds them up."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from addresses import worker_number
from engines import real_servers
from traps import Bench
from waiting import until

from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.messages import ImportJob, OutsideFile
from edugraph_common.runtime.messaging.publisher import send
from edugraph_common.runtime.shared_state.job_store import Jobs
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources.stored import index_key
from edugraph_importer.batching import SPLIT_AT_ONCE_BYTES, is_long_to_split
from edugraph_importer.service import Importer

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]
LARGE_JOBS, ROWS, SMALL_JOBS = 10, 12, 10
TASKS = ("import_records_with_callback", "import_records_async")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench.open(tmp_path_factory.mktemp(f"splits-{worker_number()}")) as bench:
        yield bench


def _record(name: str) -> dict[str, Any]:
    data = {"course_id": "c-splits", "content": "Fractions are parts of a whole."}
    return {
        "type": "course_content",
        "timestamp": "2026-01-05T08:00:00Z",
        "record_id": name,
        "data": data,
    }


def _rows(job_id: str, rows: int, size: int) -> bytes:
    """NDJSON of some `size` bytes: blanks follow each record."""
    lines = (
        json.dumps(_record(f"{job_id}-{number}")).ljust(size // rows) for number in range(rows)
    )
    return "\n".join(lines).encode() + b"\n"


def _submit(bench: Bench, job: ImportJob, task: str = TASKS[0]) -> str:
    Jobs(bench.redis).create(job.job_id, "import", "made.ndjson", datetime.now(UTC))
    send(bench.app, task, job, task_id=uuid4().hex)
    return job.job_id


def _submit_large(bench: Bench, task: str) -> str:
    job = ImportJob(job_id=uuid4().hex, source=f"jobs/{uuid4().hex}/source.ndjson", batch_size=4)
    with Blobs(bench.settings.blob_url).write(job.source or "") as file:
        file.write(_rows(job.job_id, ROWS, 2 * SPLIT_AT_ONCE_BYTES))
    return _submit(bench, job, task)


def _submit_small(bench: Bench) -> str:
    job_id = uuid4().hex
    return _submit(
        bench, ImportJob(job_id=job_id, records=tuple(_record(f"{job_id}-{n}") for n in range(3)))
    )


def _report(bench: Bench, job_id: str) -> tuple[str, int]:
    report = Jobs(bench.redis).report(job_id, datetime.now(UTC))
    assert report is not None
    return report.state, report.written


def test_waiting_splits_hold_up_no_batch_and_waiting_batches_no_split(bench: Bench) -> None:
    """Out: `is_long_to_split` in Importer.plan."""
    bench.stop_workers()
    importer = bench.start_service("edugraph_importer.worker", "data_import")
    large = [_submit_large(bench, TASKS[number % 2]) for number in range(LARGE_JOBS)]
    until(lambda: bench.depth("import_splits") == LARGE_JOBS, 60)
    small = _submit_small(bench)
    until(lambda: _report(bench, small) == ("succeeded", 3), 60)
    assert bench.depth("import_splits") == LARGE_JOBS

    importer.end()
    waiting = [_submit_small(bench) for _ in range(SMALL_JOBS)]
    bench.start_service("edugraph_importer.worker", "import_splits")
    # Each job that is split waits behind the small ones, to be begun; and perhaps a request to compare names of points.
    until(
        lambda: (
            bench.depth("import_splits") == 0
            and bench.depth("data_import") >= SMALL_JOBS + LARGE_JOBS
        ),
        60,
    )
    assert {_report(bench, job_id)[1] for job_id in (*waiting, *large)} == {0}

    bench.start_service("edugraph_importer.worker", "data_import")
    until(lambda: all(_report(bench, job_id) == ("succeeded", 3) for job_id in waiting), 60)
    until(lambda: all(_report(bench, job_id) == ("succeeded", ROWS) for job_id in large), 60)
    assert bench.dead() == bench.dead("import_splits") == 0


def test_a_split_of_a_cancelled_job_is_left_out_and_resumed_it_is_done(bench: Bench) -> None:
    """Out: the state of the message in Importer.split."""
    bench.stop_workers()
    bench.start_service("edugraph_importer.worker", "data_import")
    job_id = _submit_large(bench, TASKS[0])
    until(lambda: bench.depth("import_splits") == 1, 60)
    jobs, blobs = Jobs(bench.redis), Blobs(bench.settings.blob_url)
    jobs.cancel(job_id, datetime.now(UTC))
    splits = bench.start_service("edugraph_importer.worker", "import_splits")
    until(lambda: splits.logged("split_left_out") == 1, 60)
    assert not blobs.exists(index_key(job_id))
    assert _report(bench, job_id) == ("cancelled", 0)


def test_without_the_queue_a_large_file_waits(tmp_path: Path) -> None:
    """During an upgrade, until the topology is applied. Out: Wait in Importer.plan, and the job fails in seconds."""
    with Bench.open(tmp_path) as bench, pytest.MonkeyPatch.context() as patch:
        bench.api.delete(f"/api/queues/{bench.vhost}/import_splits").raise_for_status()
        patch.setenv("EDUGRAPH_PRIVACY_SECRET", real_servers()["EDUGRAPH_PRIVACY_SECRET"])
        nobody, blobs = cast("Any", None), Blobs(bench.settings.blob_url)
        importer = Importer(
            app=bench.app,
            graph=nobody,
            jobs=Jobs(bench.redis),
            windows=nobody,
            live_waiting=nobody,
            live_texts=nobody,
            members=nobody,
            blobs=blobs,
            erasure=nobody,
            elsewhere=nobody,
            now=lambda: datetime.now(UTC),
            audit=nobody,
        )
        job = ImportJob(job_id=uuid4().hex, source="jobs/j/source.ndjson")
        with blobs.write(job.source or "") as file:
            file.write(_rows(job.job_id, ROWS, 2 * SPLIT_AT_ONCE_BYTES))
        importer.jobs.create(job.job_id, "import", "made.ndjson", datetime.now(UTC))
        with pytest.raises(Wait, match="topology apply"):
            importer.plan(job)


def test_what_is_long_to_split(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path))

    def job(size: int) -> ImportJob:
        made = ImportJob(job_id=uuid4().hex, source=f"jobs/{uuid4().hex}/source.ndjson")
        with blobs.write(made.source or "") as file:
            file.write(b"x" * size)
        return made

    assert not is_long_to_split(blobs, ImportJob(job_id="inline", records=()))
    assert not is_long_to_split(blobs, job(SPLIT_AT_ONCE_BYTES))
    large = job(SPLIT_AT_ONCE_BYTES + 1)
    assert is_long_to_split(blobs, large)
    assert is_long_to_split(blobs, job(1).model_copy(update={"outside": OutsideFile(size=1)}))
    assert is_long_to_split(blobs, job(1).model_copy(update={"format": "workbook"}))
    with blobs.write(index_key(large.job_id)) as index:
        index.write(b"")
    assert not is_long_to_split(blobs, large)
