"""`kill -9` of importer workers and of their pool children during an import of 100,000 records; others stand still.

A worker that was killed is started again, as Kubernetes would. A child that stands still keeps its locks and its message,
and goes on after others may have taken its work over. EDUGRAPH_KILL_SEED draws other moments.
"""

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import neo4j
import pytest
from engines import System, family
from made_records import write_records

from edugraph_cli.processes import worker_command
from edugraph_cli.serving import IMPORTS
from edugraph_common.contracts.outcomes import ENDED, JobReport
from edugraph_insights.whole_graph import digest_rows

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(1_500),  # two imports, and the records to make
    pytest.mark.parametrize("engine", ["real"], indirect=True),
]
RECORDS = 100_000
# More than a killed worker's message and a new worker take on a machine that is busy
STANDSTILL_SECONDS = 180.0
MOST_KILLS = 30
STILL_SECONDS = (1, 8, 20, 70)  # the longest is longer than a transaction may last
SEED = int(os.environ.get("EDUGRAPH_KILL_SEED", "1"))
REPORTED = (
    "state",
    "read",
    "written",
    "unchanged",
    "rejected",
    "failed",
    "batches",
    "failed_batches",
    "by_type",
)


def test_an_import_whose_workers_are_killed_ends_like_an_undisturbed_one(
    system: System, tmp_path: Path
) -> None:
    path = write_records(tmp_path / "records.ndjson", RECORDS)
    system.engine.empty()
    undisturbed, kills = _import(system, path, killing=False)
    assert (undisturbed.written, kills) == (RECORDS, 0)
    digest, rows = system.client.graph_digest(), _rows(system)

    system.engine.empty()
    disturbed, kills = _import(system, path, killing=True)
    assert kills >= 5
    assert disturbed.model_dump(include={*REPORTED}) == undisturbed.model_dump(include={*REPORTED})
    # What differs is told first: two digests say nothing of it.
    there = _rows(system)
    assert (sorted((rows - there).elements())[:20], sorted((there - rows).elements())[:20]) == (
        [],
        [],
    )
    assert system.client.graph_digest() == digest
    system.engine.empty()


def _rows(system: System) -> Counter[str]:
    """Return the rows of which the digest is made, and how often each is there; there are about five for each record.

    A row that is there twice is a fault, too.
    """
    found = system.engine.environment
    auth = (found["EDUGRAPH_NEO4J_USER"], found["EDUGRAPH_NEO4J_PASSWORD"])
    with (
        neo4j.GraphDatabase.driver(
            found["EDUGRAPH_NEO4J_URI"], auth=auth, notifications_min_severity="OFF"
        ) as driver,
        driver.session() as session,
    ):
        return Counter(
            digest_rows(lambda query: (row.data() for row in session.run(neo4j.Query(query))))
        )  # type: ignore[arg-type]


def _import(system: System, path: Path, *, killing: bool) -> tuple[JobReport, int]:
    """Kill only an import that went on since the last kill: how long that takes is the machine's affair.

    On busy cores a batch and the start of a worker take longer than the pauses between kills, so kills by the clock
    alone would keep the import where it is.
    """
    rng, kills, read, read_at_kill = random.Random(SEED), 0, 0, -1
    still: dict[int, float] = {}
    job, end = system.client.import_file(path), time.monotonic() + STANDSTILL_SECONDS
    try:
        while (report := system.client.job(job.job_id)).state not in ENDED:
            if report.read > read:
                read, end = report.read, time.monotonic() + STANDSTILL_SECONDS
            assert time.monotonic() < end, report
            time.sleep(rng.uniform(0.5, 3))
            _go_on(still, until=time.monotonic())
            if killing and kills < MOST_KILLS and read > read_at_kill:
                kills, read_at_kill = kills + _kill(system, rng), read
                _, *children = family(system.processes.running["importer"].pid)
                if children and len(still) < 2:
                    pid = rng.choice(children)
                    os.kill(pid, signal.SIGSTOP)
                    still.setdefault(pid, time.monotonic() + rng.choice(STILL_SECONDS))
    finally:
        _go_on(still, until=float("inf"))
    return report, kills


def _go_on(still: dict[int, float], *, until: float) -> None:
    """Let those go on that have stood still long enough; some were killed meanwhile."""
    for pid in [pid for pid, end in still.items() if end <= until]:
        del still[pid]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _kill(system: System, rng: random.Random) -> int:
    """A pool child three times out of four, otherwise the worker with all its children."""
    worker, *children = family(system.processes.running["importer"].pid)
    if children and rng.random() < 0.75:
        os.kill(rng.choice(children), signal.SIGKILL)
        return 1
    os.killpg(worker, signal.SIGKILL)
    system.processes.running["importer"].wait()
    system.processes.start(
        "importer", worker_command("edugraph_importer.worker", "importer", IMPORTS, 2)
    )
    return 1
