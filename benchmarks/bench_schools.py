"""How much slower a school becomes while another school on the same RabbitMQ and Redis imports as fast as it can.

    make bench-schools BENCH_ARGS="--rounds 5"

Each round measures the quiet school twice: alone, and beside the flooding school. A cluster gives each school CPU of
its own, so each school's processes run on a core of their own here, and only RabbitMQ and Redis use both. The bench
fails on a machine with one core.

The bench prints one table and writes it to benchmarks/results/schools.json. It exits with 1 if a median beside the
flooding school is more than 1.2 times the median alone.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from engines import bench
from made_records import made_records, write_records
from several_schools import School, running, shared_servers
from waiting import until

from edugraph_client import Refused
from edugraph_common.contracts.outcomes import ENDED

HERE = Path(__file__).parent
LIMIT = 1.2
FLOOD_ROWS = 20_000
# The flooding school has this many jobs at once, so that its workers never wait for the next one.
JOBS_AT_ONCE = 3
QUIET_ROWS = 500
# An import changes all of these courses, so no answer is a kept one.
COURSES = 8
Figures = dict[str, list[float]]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Let processes that start in the block run on this core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Flood:
    """Imports of the flooding school. `top_up` keeps it busy, and `stop` ends all of it."""

    def __init__(self, school: School, folder: Path) -> None:
        self._client = school.system.client
        self._folder = folder
        self._jobs: list[str] = []
        self._seed = 0

    def top_up(self) -> None:
        running_jobs = [job for job in self._jobs if self._client.job(job).state not in ENDED]
        while len(running_jobs) < JOBS_AT_ONCE:
            self._seed += 1
            path = self._folder / "flood.ndjson"
            write_records(path, FLOOD_ROWS, seed=self._seed)
            running_jobs.append(self._client.import_file(path).job_id)
        self._jobs = running_jobs

    def written(self) -> int:
        """Return the rows of the present jobs that are written."""
        return sum(self._client.job(job).written for job in self._jobs)

    def stop(self) -> None:
        for job in self._jobs:
            # A job that has ended meanwhile cannot be cancelled.
            with suppress(Refused):
                self._client.cancel(job)
        until(lambda: all(self._client.job(job).state in ENDED for job in self._jobs), 60)
        self._jobs = []


def seconds_of(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def import_once(school: School, seed: int) -> None:
    client = school.system.client
    job = client.import_records(list(made_records(QUIET_ROWS, seed=seed))).job_id
    until(lambda: client.job(job).state in ENDED, 60, every=0.02)
    report = client.job(job)
    assert report.state == "succeeded", report


def measure(school: School, seed: int, figures: Figures) -> None:
    """Add the seconds of an import, and of a question about each course."""
    figures["import"].append(seconds_of(lambda: import_once(school, seed)))
    with school.ask() as client:
        for course in range(COURSES):
            path = f"/v1/insights/weak-points?course=c{course}"
            figures["question"].append(
                seconds_of(lambda path=path: client.get(path).raise_for_status())  # type: ignore[misc]
            )


def compare(quiet: School, flood: Flood, rounds: int) -> dict[str, Figures]:
    """Return the seconds of the quiet school, alone and beside the flood."""
    found: dict[str, Figures] = {}
    for state in ("alone", "beside"):
        found[state] = {"import": [], "question": []}
    # The first import and the first questions are slower than all others.
    measure(quiet, 1, {"import": [], "question": []})
    seed = 1_000
    for _ in range(rounds):
        seed += 1
        measure(quiet, seed, found["alone"])

        flood.top_up()
        until(lambda: flood.written() > 0, 60)
        seed += 1
        measure(quiet, seed, found["beside"])
        flood.stop()
    return found


def rows_of(found: dict[str, Figures]) -> list[dict[str, float | str]]:
    rows: list[dict[str, float | str]] = []
    for name in found["alone"]:
        alone = statistics.median(found["alone"][name])
        beside = statistics.median(found["beside"][name])
        rows.append(
            {
                "what": name,
                "alone_seconds": round(alone, 3),
                "beside_seconds": round(beside, 3),
                "ratio": round(beside / alone, 2),
            }
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        print("MISS the bench needs two cores")
        return 1
    with bench(), tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        shared = shared_servers()
        schools = []
        for school, core in (("quiet", cores[0]), ("flooding", cores[1])):
            (folder / school).mkdir()
            with on_core(core):
                schools.append(stack.enter_context(running(school, shared, folder / school, {})))
        quiet, flooding = schools
        rows = rows_of(compare(quiet, Flood(flooding, folder), chosen.rounds))
    print(f"{'':>12}{'alone':>12}{'beside':>12}{'ratio':>12}")
    for row in rows:
        print(
            f"{row['what']:>12}{row['alone_seconds']:>12}{row['beside_seconds']:>12}{row['ratio']:>12}"
        )
    missed = [str(row["what"]) for row in rows if float(row["ratio"]) > LIMIT]
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "schools.json").write_text(
        json.dumps({"rows": rows, "missed": missed}, indent=1)
    )
    print(f"MISS more than {LIMIT} times: {', '.join(missed)}" if missed else "all held")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
