"""`make chaos`: imports while everything is killed, cut and delayed, and compares with an import in peace.

One line a seed, and .run/chaos/report.json. Ends with 1 when a graph or a report differs, or anything is left behind.
Only CHAOS_… changes it; docs/operations.md tells what each number means.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
from addresses import clean
from beside import scripted_provider
from disturbances import disturbances
from feeding import SMALL_EVERY, Client, Food, cook
from ground import Ground, fresh_ground
from observing import Deliveries, compared, digest, logged, pending_tasks, waiting_messages
from supervised import Supervised

from edugraph_cli.serving import declare_topology
from edugraph_common.contracts.outcomes import ENDED
from edugraph_common.contracts.routes import QUEUES, dead_queue_name

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / ".run" / "chaos"
ENDS_WITHIN = 600  # seconds after the last disturbance
SETTLES_WITHIN = 60  # seconds from the last job's end until every message is acknowledged
PROVIDER = {"latency": 0.1}  # whose answers depend on the text alone


@dataclass
class Run:
    """What one seed came to. `problems` is empty when all is as in peace.

    `dead_letters` are those of tasks that were not done. The broker also gives up a message whose connection was lost
    five times, the last time perhaps after its task was done: `done_letters`, which a replay takes out.
    """

    seed: int | None
    seconds: float = 0
    digest: str = ""
    reports: dict[str, Any] = field(default_factory=dict)
    disturbances: list[str] = field(default_factory=list)
    deliveries: int = 0
    redeliveries: int = 0
    retries: int = 0
    put_back: int = 0
    dead_letters: int = 0
    done_letters: int = 0
    restarts: dict[str, int] = field(default_factory=dict)
    sent_again: int = 0
    longest_stall: float = 0
    left: dict[str, int] = field(default_factory=dict)
    pending: int = 0
    unfinished: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def line(self, peace: "Run") -> str:
        name = "in peace" if self.seed is None else f"seed {self.seed}"
        return self.told(name, f"{self.seconds:.0f} s (lost {self.seconds - peace.seconds:.0f})")

    def told(self, name: str, *more: str) -> str:
        """Return the line of this run. `more` comes before the counts that all runs have."""
        counts = (
            *more,
            f"{len(self.disturbances)} disturbances",
            f"{self.deliveries} deliveries, {self.redeliveries} again",
            f"{self.retries} retries, {self.put_back} put back, {self.dead_letters} dead, {self.done_letters} dead but done",
            f"{sum(self.restarts.values())} restarts",
            f"{self.sent_again} sent again, longest stall {self.longest_stall:.1f} s",
            f"{self.pending} pending, {len(self.unfinished)} hanging",
        )
        return f"{name}: {'; '.join(self.problems) or 'the same'} | {' | '.join(counts)}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "seeds",
        nargs="*",
        type=int,
        help="CHAOS_SEEDS of them from CHAOS_FIRST_SEED on, when none is named",
    )
    first, number = number_of("FIRST_SEED", 1), number_of("SEEDS", 10)
    seeds = parser.parse_args().seeds or range(first, first + number)
    records, texts = number_of("RECORDS", 100_000), number_of("TEXTS", 2_000)
    clean(os.environ)
    food = cook(FOLDER / "records", records, texts)
    with (FOLDER / "servers.log").open("w") as log, contextlib.redirect_stderr(log):
        runs = list(_runs(food, seeds))
    (FOLDER / "report.json").write_text(
        json.dumps([asdict(run) for run in runs], indent=1, ensure_ascii=False)
    )
    return int(any(run.problems for run in runs))


def _runs(food: Food, seeds: Sequence[int]) -> Iterator[Run]:
    """One in peace first; prints its line as soon as a run has ended."""
    peace = one_run(None, food)
    peace.problems += missing_in_peace(peace, food)
    for seed in (None, *seeds):
        run = peace if seed is None else one_run(seed, food)
        compare(peace, run)
        print(run.line(peace), flush=True)  # noqa: T201 - its answer
        yield run


def number_of(name: str, default: int) -> int:
    """Return the number in CHAOS_name, or the default."""
    return int(os.environ.get(f"CHAOS_{name}") or default)


def one_run(seed: int | None, food: Food) -> Run:
    run, folder = Run(seed), FOLDER / (f"seed-{seed}" if seed is not None else "peace")
    emptied(folder)
    with fresh_ground(FOLDER / "servers") as ground, scripted_provider(PROVIDER) as address:
        environment = service_environment(ground, folder, address)
        declare_topology(environment)
        deliveries = Deliveries()
        with (
            deliveries.counting(ground.direct["EDUGRAPH_BROKER_MANAGEMENT_URL"]),
            Supervised.run(environment, folder / "logs") as system,
        ):
            _feed(run, ground, system, food)
            look(run, ground, system, folder)
            time.sleep(1)
        run.restarts = dict(system.restarts)
        run.deliveries, run.redeliveries = deliveries.delivered, deliveries.redelivered
    return run


def missing_in_peace(peace: Run, food: Food) -> list[str]:
    """What keeps a run from being a reference: two runs that wrote nothing would be the same."""
    problems = []
    for path in (food.main, food.texts, *food.small):
        sent, report = (
            len(path.read_text(encoding="utf-8").splitlines()),
            peace.reports.get(path.name, {}),
        )
        found = [report.get(name) for name in ("state", "read", "written")]
        if found != ["succeeded", sent, sent]:
            problems.append(f"in peace {path.name} is {found} of {sent} records")
    return problems


def compare(peace: Run, run: Run) -> None:
    if run.digest != peace.digest:
        run.problems.append("the graph differs")
    for name, report in peace.reports.items():
        if run.reports.get(name) != report:
            run.problems.append(f"the report of {name} differs")


def _feed(run: Run, ground: Ground, system: Supervised, food: Food) -> None:
    began, client, rng = time.monotonic(), Client(system.url), random.Random(run.seed)
    with ThreadPoolExecutor(1) as feeding:
        sent = feeding.submit(_submit_all, client, food)
        for disturbance in disturbances(ground, system, rng) if run.seed is not None else ():
            run.disturbances.append(f"{time.monotonic() - began:.1f} {disturbance.name}")
            disturbance.do(rng)
        ground.quiet()
        sent.result(ENDS_WITHIN)
    run.sent_again, run.longest_stall = client.sent_again, client.longest_stall
    _await(run, client)
    run.seconds = round(time.monotonic() - began, 1)


def _submit_all(client: Client, food: Food) -> None:
    client.submit(food.main)
    client.submit(food.texts, analyze=True)
    for path in food.small:
        time.sleep(SMALL_EVERY)
        client.submit(path)


def _await(run: Run, client: Client) -> None:
    end, waiting = time.monotonic() + ENDS_WITHIN, dict(client.accepted)
    while waiting and time.monotonic() < end:
        for name, job_id in list(waiting.items()):
            report = job_report(client.url, job_id)
            if report.get("state") in ENDED:
                run.reports[name] = compared(report)
                del waiting[name]
        time.sleep(1)
    run.unfinished = sorted(waiting)
    run.problems += [f"{name} did not end" for name in run.unfinished]


def job_report(
    url: str, job_id: str, headers: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    with suppress(httpx.HTTPError):
        answer = httpx.get(f"{url}/v1/jobs/{job_id}", headers=headers, timeout=20)
        if answer.is_success:
            return dict(answer.json())
    return {}


def look(
    run: Run, ground: Ground, system: Supervised, folder: Path, within: float = SETTLES_WITHIN
) -> None:
    """Wait until no message is left, and note in `run` what is in the graph and what was left behind."""
    end = time.monotonic() + within
    while (left := waiting_messages(ground.direct)) and time.monotonic() < end:
        if not any(not name.endswith(".dead") for name in left):
            break
        time.sleep(1)
    dead = {dead_queue_name(queue) for queue in QUEUES}
    for queue in QUEUES:
        replayed = (
            httpx.post(
                f"{system.url}/v1/dead-letters/{queue}/replay", headers=system.headers, timeout=60
            )
            .raise_for_status()
            .json()
        )
        run.dead_letters += replayed["replayed"] + replayed["left"]
        run.done_letters += replayed["skipped"]
    run.left = {name: number for name, number in left.items() if name not in dead}
    run.pending = pending_tasks(ground.direct)
    run.digest = digest(ground.direct, folder / "graph.ndjson")
    events = logged(folder / "logs")
    run.retries, run.put_back = events["task_retried"], events["task_put_back"]
    run.problems += [f"{number} messages left in {name}" for name, number in run.left.items()]
    run.problems += [f"{run.pending} tasks pending"] if run.pending else []
    run.problems += [f"{run.dead_letters} dead letters"] if run.dead_letters else []


def service_environment(ground: Ground, folder: Path, address: str) -> dict[str, str]:
    return {
        **ground.environment,
        "EDUGRAPH_BLOB_URL": str(folder / "blobs"),
        "EDUGRAPH_OPENAI_API_KEY": "chaos",
        "EDUGRAPH_OPENAI_BASE_URL": address,
        "EDUGRAPH_MODEL": "test-model",
        "EDUGRAPH_REQUESTS_PER_MINUTE": "6000",
    }


def emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


if __name__ == "__main__":
    sys.exit(main())
