"""A small import waits neither for a huge one nor for one that kills the workers, which were sent before it."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from engines import SLOW, System, real_engine
from made_records import made_records, write_records
from waiting import until

from edugraph_cli.processes import worker_command
from edugraph_cli.serving import IMPORTS, Pools
from edugraph_common.contracts.outcomes import ENDED

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]
HUGE_ROWS, POISONED_ROWS, SMALL_ROWS, BATCH = 40_000, 40, 100, 100
# Of the huge job, while the small one is done: two that run and two that are held for each of its three steps, and as
# many again. Where the small one has no priority it stands behind the window of the huge one, 64 batches.
MOST_BATCHES_BEFORE = 30
WITHIN_SECONDS = 10.0
POISONED_WORKER = worker_command("poisoned_importer", "importer", IMPORTS, 2)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """Its importer dies of one record, and is the real one for all others."""
    integration = str(Path(__file__).parents[1] / "integration")
    path = {"PYTHONPATH": os.pathsep.join([integration, os.environ.get("PYTHONPATH", "")])}
    with real_engine(tmp_path) as engine:
        on_path = replace(engine, environment={**engine.environment, **path})
        with on_path.serve(Pools(importer=1, findings=1, analyzer=1)) as system:
            processes = system.processes
            processes.running["importer"].terminate()
            processes.running["importer"].wait()
            processes.start("importer", POISONED_WORKER)
            processes.wait_until("importer", lambda: processes.log_has("importer", " ready."))
            yield system


def test_huge_poisoned_and_small_side_by_side(system: System, tmp_path: Path) -> None:
    """Out: URGENT in the importer's tasks and in contracts.routes."""
    client = system.client
    rows = list(made_records(POISONED_ROWS, seed=3))
    rows[POISONED_ROWS // 2]["record_id"] = "poison"
    poisoned = client.import_records(rows, batch_size=10).job_id
    huge = client.import_file(
        write_records(tmp_path / "huge.ndjson", HUGE_ROWS), batch_size=BATCH
    ).job_id
    until(lambda: system.processes.log_has("importer", "exited prematurely"), 60)
    until(lambda: client.job(huge).batches_done, 60)

    before, began = client.job(huge).batches_done, time.monotonic()
    small = client.import_records(list(made_records(SMALL_ROWS, seed=1))).job_id
    until(lambda: client.job(small).state in ENDED, 120)
    done_meanwhile, took = client.job(huge).batches_done - before, time.monotonic() - began
    report = client.job(small)
    assert (report.state, report.read, report.written) == ("succeeded", SMALL_ROWS, SMALL_ROWS)
    assert client.job(huge).state == "running", (
        "the huge one was done before the small one: nothing is shown"
    )
    assert done_meanwhile <= MOST_BATCHES_BEFORE
    assert took < WITHIN_SECONDS or not SLOW, "by the clock only where nobody else uses the machine"

    until(lambda: client.job(poisoned).state in ENDED, 120)
    report = client.job(poisoned)
    assert (report.state, report.read, report.failed) == ("partly failed", POISONED_ROWS, 10)
    client.cancel(huge)
