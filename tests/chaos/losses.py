"""`make chaos-losses`: what is taken away for good under running imports, and what people are told of it.

    losses.py [--kind KIND]… [SEED]…      all kinds and seeds 1 to 3 when none is named

An import in peace comes first. Then, for each kind and seed, the same files are imported while

- `redis`: Redis loses all that it holds, once,
- `planning`: Redis loses all that it holds before each single command that the planning of a job sends to it,
- `rows`: the stored rows of the largest job are deleted, and put back when the job has ended,
- `poison`: a job is among them of which some batches kill each process that writes them,
- `cancel`: jobs are cancelled and resumed.

The moments are those of the seed. Where no data was destroyed the graph must be the same as in peace; where it was, the
report must say how many rows have failed, and once the data is back `resume` must lead to the same graph. A line for
each tells what differs; .run/chaos/losses.json has all of it. Ends with 1 when anything does.
"""

import argparse
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx
import redis
from addresses import clean
from beside import scripted_provider
from feeding import Client, Food, cook
from flush_order import OVER, FlushOrder, outcome_of
from ground import Ground, fresh_ground
from observing import dead_letters, digest, waiting_messages
from run import FOLDER, PROVIDER, emptied, job_report, service_environment
from supervised import COMMANDS, Supervised

from edugraph_cli.processes import worker_command
from edugraph_cli.serving import IMPORTS, declare_topology
from edugraph_common.contracts.graph_schema import RECORD_LABELS
from edugraph_common.contracts.outcomes import ENDED, ROW_COUNTS
from edugraph_common.contracts.routes import QUEUES, dead_queue_name
from edugraph_common.runtime.messaging import dead_letter_store
from edugraph_common.runtime.shared_state.job_store import keys_of_job
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import frames_key
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.operations.reaper import reap
from edugraph_gateway.settings import GatewaySettings

ENDS_WITHIN = 600.0  # seconds; a busy machine takes four minutes in peace
REAPED_AFTER = 20.0  # seconds without progress, where the gateway would wait for 20 minutes
REAPS_EVERY = 5.0
STATISTICS_SECONDS = 20.0  # in which the management API has counted what is left
# The seconds for which Redis has not known a job, and nothing has been in the queues.
UNKNOWN_AFTER = 10.0
SMALL_JOBS = 4
MAIN_IDS = "7-"  # how the ids of the records of the largest job begin
POISONED_ROWS, POISONED_BATCH = 600, 50
# A worker that one record kills, and that can lose Redis' data on order; it is the real one for all others.
FAULTY = worker_command("flushing_importer", "importer", IMPORTS, 2)
PLANNED_BATCH = 37  # the size of batches by which the order to lose Redis' data knows its job
LEAST_STEPS = 8  # of a plan; if there are fewer, the fault was not put in


@dataclass
class Found:
    """What one import came to. `problems` is empty when all is as it must be."""

    kind: str
    seed: int
    moments: list[str] = field(default_factory=list)
    seconds: float = 0.0
    digest: str = ""
    reports: dict[str, Any] = field(default_factory=dict)
    dead_letters: int = 0
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        said = "; ".join(self.problems) or "as it must be"
        states = ", ".join(
            f"{name} {report.get('state', 'unknown')}" for name, report in self.reports.items()
        )
        return f"{self.kind} {self.seed}: {said} | {self.seconds:.0f} s | {', '.join(self.moments)} | {states}"


@dataclass
class Scene:
    ground: Ground
    system: Supervised
    folder: Path
    food: Food
    peace_digest: str = ""

    @property
    def files(self) -> list[Path]:
        return [self.food.main, self.food.texts, *self.food.small[:SMALL_JOBS]]

    def submit(self) -> dict[str, str]:
        """Return the jobs by the names of their files."""
        client = Client(self.system.url, options={"parallel_batches": "8"})
        for path in self.files:
            client.submit(path, analyze=path == self.food.texts)
        return client.accepted

    def post(self, job: str, what: str) -> int:
        return httpx.post(f"{self.system.url}/v1/jobs/{job}/{what}", timeout=30).status_code

    @property
    def flush_order(self) -> Path:
        """The file by which the importer is told when Redis is to lose its data."""
        return self.folder / "flush-order.json"

    def redis(self) -> "redis.Redis":
        return redis.Redis.from_url(self.ground.direct["EDUGRAPH_REDIS_URL"])

    def records_of_main(self) -> int:
        """Return how many of its records are in the graph, and those of activity, which has no node of its own."""
        labels = " OR ".join(f"n:{label}" for label in RECORD_LABELS)
        [[number]] = self.ground.query(
            f"MATCH (n) WHERE ({labels}) AND n.id STARTS WITH '{MAIN_IDS}' RETURN count(n)"
        )
        return int(number) + self.food.main.read_text(encoding="utf-8").count('"activity_record"')

    def clear(self) -> None:
        self.ground.query("MATCH (n) CALL { WITH n DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS")
        with self.redis() as client:
            client.flushdb()
        Blobs(str(self.folder / "blobs")).delete(dead_letter_store.FOLDER)
        with httpx.Client(
            base_url=self.ground.direct["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=20
        ) as api:
            for queue in QUEUES:
                api.delete(f"/api/queues/%2F/{dead_queue_name(queue)}/contents").raise_for_status()

    def ended(self, jobs: Mapping[str, str]) -> dict[str, Any]:
        """Return the report of each job when all have ended. Unknown jobs and those that do not end have what is there.

        Jobs without progress are reaped, as the gateways would.
        """
        end, waiting, reports = time.monotonic() + ENDS_WITHIN, dict(jobs), dict[str, Any]()
        quiet_since, reaped = time.monotonic(), time.monotonic()
        while waiting and time.monotonic() < end:
            for name, job in list(waiting.items()):
                reports[name] = job_report(self.system.url, job)
                if reports[name].get("state") in ENDED:
                    del waiting[name]
            if any(queue in QUEUES for queue in waiting_messages(self.ground.direct)):
                quiet_since = time.monotonic()
            if time.monotonic() > quiet_since + UNKNOWN_AFTER:
                waiting = {name: job for name, job in waiting.items() if reports[name]}
            if time.monotonic() > reaped + REAPS_EVERY:
                self._reap()
                reaped = time.monotonic()
            time.sleep(0.5)
        return {name: reports[name] for name in jobs}

    def _reap(self) -> None:
        given = {
            name.removeprefix("EDUGRAPH_").lower(): value
            for name, value in self.ground.direct.items()
        } | {"blob_url": str(self.folder / "blobs")}
        with self.redis() as client:
            client.delete("edugraph:reaping")

        async def in_a_loop_of_its_own() -> None:
            gateway = open_gateway(GatewaySettings.model_validate(given))
            try:
                await reap(gateway.intake.submitter, gateway.queue_depth, REAPED_AFTER)
            finally:
                await gateway.publisher.close()

        anyio.run(in_a_loop_of_its_own)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--kind", action="append", choices=KINDS)
    chosen = parser.parse_args()
    clean(os.environ)
    records, texts = (
        int(os.environ.get("CHAOS_RECORDS") or 20_000),
        int(os.environ.get("CHAOS_TEXTS") or 300),
    )
    food, folder, found = cook(FOLDER / "records", records, texts), FOLDER / "losses", list[Found]()
    emptied(folder)
    with (
        (FOLDER / "losses.log").open("w") as log,
        contextlib.redirect_stderr(log),
        _scene(folder, food) as scene,
    ):
        for kind in ("peace", *(chosen.kind or KINDS)):
            for seed in (0,) if kind == "peace" else chosen.seeds or (1, 2, 3):
                found.append(one_import(scene, kind, seed))
                print(found[-1].line(), flush=True)  # noqa: T201 - its answer
                if kind == "peace":
                    scene.peace_digest = found[-1].digest
    (FOLDER / "losses.json").write_text(
        json.dumps([asdict(each) for each in found], indent=1, ensure_ascii=False)
    )
    return int(any(each.problems for each in found))


@contextlib.contextmanager
def _scene(folder: Path, food: Food) -> Iterator[Scene]:
    COMMANDS["importer"] = FAULTY
    with fresh_ground(FOLDER / "servers") as ground, scripted_provider(PROVIDER) as address:
        environment = service_environment(ground, folder, address)
        tests = Path(__file__).parents[1]
        folders = [str(tests), str(tests / "integration"), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(folders)
        environment["FLUSH_ORDER"] = str(folder / "flush-order.json")
        environment["FLUSH_REDIS_URL"] = ground.direct["EDUGRAPH_REDIS_URL"]
        declare_topology(environment)
        with Supervised.run(environment, folder / "logs") as system:
            yield Scene(ground, system, folder, food)


def one_import(scene: Scene, kind: str, seed: int) -> Found:
    found, rng = Found(kind, seed), random.Random(f"{kind} {seed}")
    scene.clear()
    began = time.monotonic()
    KINDS.get(kind, in_peace)(scene, rng, found)
    found.seconds = round(time.monotonic() - began, 1)
    found.digest = digest(scene.ground.direct, scene.folder / f"{kind}-{seed}.ndjson")
    # The management API is some seconds behind what the workers have acknowledged.
    end = time.monotonic() + STATISTICS_SECONDS
    while (left := waiting_messages(scene.ground.direct)).keys() & set(
        QUEUES
    ) and time.monotonic() < end:
        time.sleep(0.5)
    found.dead_letters = sum(dead_letters(scene.system.url).values())
    found.problems += [
        f"{number} messages left in {name}" for name, number in left.items() if name in QUEUES
    ]
    if kind != "peace" and found.digest != scene.peace_digest:
        found.problems.append("the graph differs")
    return found


def in_peace(scene: Scene, _: random.Random, found: Found) -> None:
    found.reports = scene.ended(scene.submit())
    _all_done(scene, found)


def redis_loses_all(scene: Scene, rng: random.Random, found: Found) -> None:
    """A job that had ended may be unknown; any other one must come back, or be failed with the reason."""
    jobs = scene.submit()
    _wait(rng.uniform(0, 0.9), "flushed", found, scene, jobs)
    before = _flush(scene, jobs)
    found.reports = scene.ended(jobs)
    for name, report in found.reports.items():
        if not report and before[name] not in ENDED:
            found.problems.append(f"{name} was {before[name]} and is unknown")
    _true(scene, found)
    _succeeded(found, *(name for name, report in found.reports.items() if report))


def _flush(scene: Scene, jobs: Mapping[str, str]) -> dict[str, str]:
    """Delete everything in Redis. Return the states that the jobs had then.

    One transaction does both, since a small job may end between two requests.
    """
    with scene.redis() as client, client.pipeline(transaction=True) as pipe:
        for job in jobs.values():
            pipe.hget(keys_of_job(job)[0], "state")
        pipe.flushdb()
        *states, _ = pipe.execute()
    return {name: (state or b"unknown").decode() for name, state in zip(jobs, states, strict=True)}


def redis_loses_all_while_planning(scene: Scene, rng: random.Random, found: Found) -> None:
    """A small job is planned for each step, while the large ones, which lose all that is known of them, go on.

    A large job that had ended before the last loss may stay unknown: that nothing of it is missing is seen in the graph.
    """
    large = Client(scene.system.url, options={"parallel_batches": "8"})
    jobs = {
        path.name: large.submit(path, analyze=path == scene.food.texts) for path in scene.files[:2]
    }
    client = Client(scene.system.url, options={"batch_size": str(PLANNED_BATCH)})
    for command in count(1):
        order = FlushOrder(
            "import_records_with_callback", {"next_batch": 0, "batch_size": PLANNED_BATCH}, command
        )
        order.give(scene.flush_order)
        path = rng.choice(scene.food.small[:SMALL_JOBS])
        job = client.submit(path)
        state = _outcome(scene)
        if state == OVER:
            break
        name = f"{path.name} at step {command}"
        # A job that had ended when its data was lost may stay unknown.
        if state not in ENDED:
            found.reports |= scene.ended({name: job})
            _succeeded(found, name)
    found.moments.append(f"flushed at {command - 1} steps of a plan")
    if command <= LEAST_STEPS:
        found.problems.append(f"a plan has {command - 1} steps only")
    for path in scene.food.small[:SMALL_JOBS]:
        jobs[path.name] = client.submit(path)
    found.reports |= scene.ended(jobs)
    _true(scene, found)
    _succeeded(found, *(name for name in jobs if found.reports[name]))


def _outcome(scene: Scene) -> str:
    """Return the state of the job when its data was lost, or OVER."""
    path = outcome_of(scene.flush_order)
    end = time.monotonic() + ENDS_WITHIN
    while not path.exists():
        if time.monotonic() > end:
            raise RuntimeError("no job was planned")
        time.sleep(0.1)
    return path.read_text(encoding="utf-8")


def rows_are_deleted(scene: Scene, rng: random.Random, found: Found) -> None:
    jobs = scene.submit()
    main = scene.food.main.name
    # A job that has written something is split. Its rows are stored then, and its file is deleted.
    _wait(rng.uniform(0.05, 0.5), "deleted", found, scene, jobs)
    rows = scene.folder / "blobs" / frames_key(jobs[main])
    content = rows.read_bytes()
    rows.unlink()
    found.reports = scene.ended(jobs)
    _true(scene, found)
    _succeeded(found, *(name for name in jobs if name != main))
    report = found.reports[main]
    found.moments.append(f"{report.get('failed')} rows failed")
    if report.get("state") == "succeeded":
        return
    if not report.get("error"):
        found.problems.append("the report does not say why")
    rows.write_bytes(content)
    if not httpx.codes.is_success(scene.post(jobs[main], "resume")):
        found.problems.append("the job could not be resumed")
    found.reports |= scene.ended({main: jobs[main]})
    _all_done(scene, found)


def poison_is_among_them(scene: Scene, rng: random.Random, found: Found) -> None:
    """Its rows are those of another job, so that the graph is the same whichever of them are written."""
    lines = scene.food.main.read_text(encoding="utf-8").splitlines()[:POISONED_ROWS]
    batches = rng.sample(range(POISONED_ROWS // POISONED_BATCH), 3)
    for batch in batches:
        place = batch * POISONED_BATCH + rng.randrange(POISONED_BATCH)
        lines[place] = json.dumps({**json.loads(lines[place]), "record_id": "poison"})
    path = scene.folder / "poison.ndjson"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    client = Client(scene.system.url, options={"batch_size": str(POISONED_BATCH)})
    found.moments.append(f"batches {sorted(batches)} kill their process")
    jobs = {path.name: client.submit(path)} | scene.submit()
    found.reports = scene.ended(jobs)
    _true(scene, found)
    _succeeded(found, *(name for name in jobs if name != path.name))
    report, failed = found.reports[path.name], len(batches) * POISONED_BATCH
    expected = ("partly failed", POISONED_ROWS, failed, sorted(batches))
    told = (
        report.get("state"),
        report.get("read"),
        report.get("failed"),
        sorted(report.get("failed_batches", [])),
    )
    if told != expected:
        found.problems.append(f"the poisoned job is told to be {told}, and is {expected}")


def jobs_are_cancelled(scene: Scene, rng: random.Random, found: Found) -> None:
    jobs, share = scene.submit(), 0.0
    for _ in range(rng.randint(2, 4)):
        name = rng.choice([scene.food.main.name, scene.food.texts.name])
        share = rng.uniform(share, 0.9)
        _wait(share, f"cancelled {name}", found, scene, jobs)
        scene.post(jobs[name], "cancel")
        time.sleep(rng.uniform(0, 2))
        scene.post(jobs[name], "resume")
    found.reports = scene.ended(jobs)
    _all_done(scene, found)


def _wait(share: float, event: str, found: Found, scene: Scene, jobs: Mapping[str, str]) -> None:
    """Wait until this share of the large import and of the analysis is done."""
    end = time.monotonic() + ENDS_WITHIN
    while True:
        main, texts = (
            job_report(scene.system.url, jobs[path.name])
            for path in (scene.food.main, scene.food.texts)
        )
        done = _share(main.get("batches_done"), main.get("batches"))
        analysed = _share(*(texts.get("analysis", {}).get(name) for name in ("done", "expected")))
        if (done + analysed) / 2 >= share or time.monotonic() > end:
            break
        time.sleep(0.02)
    found.moments.append(f"{event} at {done:.0%} of the import and {analysed:.0%} of the analysis")


def _share(done: int | None, of: int | None) -> float:
    return (done or 0) / of if of else 0.0


def _true(scene: Scene, found: Found) -> None:
    """What each report says adds up, and is what the graph has."""
    for name, report in found.reports.items():
        if not report:
            continue
        if report["state"] not in ENDED:
            found.problems.append(f"{name} did not end: {report['state']}")
        counts = [report[count] for count in ROW_COUNTS]
        if sum(counts) + sum(report["not_relevant"].values()) != report["read"]:
            found.problems.append(f"{name}: {counts} are not the {report['read']} that were read")
    main = found.reports[scene.food.main.name]
    if (
        main
        and main["written"] + main["replaced"] + main["unchanged"] + main["older"]
        > scene.records_of_main()
    ):
        found.problems.append(
            f"{scene.records_of_main()} records are there, and the report tells of more"
        )


def _succeeded(found: Found, *names: str) -> None:
    for name in names:
        report = found.reports[name]
        analysis = report.get("analysis", {})
        if (
            report.get("state") != "succeeded"
            or report["failed"]
            or analysis["done"] != analysis["expected"]
        ):
            found.problems.append(f"{name} is {report.get('state')}: {report.get('error')}")


def _all_done(scene: Scene, found: Found) -> None:
    _true(scene, found)
    _succeeded(found, *found.reports)
    for path in scene.files:
        sent, report = len(path.read_text(encoding="utf-8").splitlines()), found.reports[path.name]
        if (
            sum(report.get(count, 0) for count in ("written", "replaced", "unchanged", "older"))
            != sent
        ):
            found.problems.append(f"{path.name} has {sent} rows, and the report says {report}")


KINDS: dict[str, Callable[[Scene, random.Random, Found], None]] = {
    "redis": redis_loses_all,
    "planning": redis_loses_all_while_planning,
    "rows": rows_are_deleted,
    "poison": poison_is_among_them,
    "cancel": jobs_are_cancelled,
}


if __name__ == "__main__":
    sys.exit(main())
