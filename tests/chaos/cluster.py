"""`make chaos-cluster`: three RabbitMQ nodes; the leader of each queue is killed in turn while submissions go on.

    cluster.py [SEED]…

At last the node that the importer is connected to is killed, and stays away for CHAOS_AWAY_SECONDS (30). A seed decides
in which order the leaders are killed, and when. Prints for each seed what was accepted, lost and doubled, the longest
stall, and after how many seconds without that node the importer had done a task and answered `inspect`. Ends with 1
when anything was lost or doubled, or when that took too long.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import random
import re
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
from addresses import clean
from celery import Celery
from ground import Ground, fresh_ground
from made_records import made_records
from rabbit_cluster import Cluster, rabbit_cluster
from run import FOLDER, emptied
from service_settings import settings_from
from supervised import Supervised

from edugraph_cli.serving import declare_topology
from edugraph_common.contracts.outcomes import ENDED
from edugraph_common.contracts.routes import QUEUES
from edugraph_common.runtime.messaging.celery_app import make_app

RECORDS, PAUSE = 5, 0.3  # of one submission; seconds between two
LONGEST_BEFORE, AWAY, AFTER = 4.0, 5.0, 2.0  # seconds of submissions around a kill
LONG_AWAY = float(os.environ.get("CHAOS_AWAY_SECONDS", "30"))
CONSUMES_WITHIN, ANSWERS_WITHIN = 20.0, 40.0  # seconds after the kill
ENDS_WITHIN = 600  # seconds: before the reaper would bring a job back


@dataclass
class Submissions:
    """A client that sends the next as soon as one was accepted, and the same again when it was refused."""

    url: str
    first_seed: int  # of its records, which no other client sends: what is there already counts as unchanged
    accepted: list[str] = field(default_factory=list)
    sent_again: int = 0
    stalls: list[float] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        thread = threading.Thread(target=self._keep)
        thread.start()
        try:
            yield
        finally:
            self._ending.set()
            thread.join()

    def _keep(self) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            for seed in itertools.count(self.first_seed):
                if self._ending.is_set():
                    return
                began = time.monotonic()
                self.accepted.append(self._submit(client, seed))
                self.stalls.append(time.monotonic() - began)
                time.sleep(PAUSE)

    def _submit(self, client: httpx.Client, seed: int) -> str:
        body, key = {"records": list(made_records(RECORDS, seed))}, uuid4().hex
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = client.post("/v1/imports", json=body, headers={"Idempotency-Key": key})
                if answer.status_code == httpx.codes.ACCEPTED:
                    return str(answer.json()["job_id"])
                assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text[:300]
            self.sent_again += 1
            time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[1])
    seeds = parser.parse_args().seeds
    clean(os.environ)
    emptied(FOLDER / "cluster")
    with (
        (FOLDER / "cluster.log").open("w") as log,
        contextlib.redirect_stderr(log),
        fresh_ground(FOLDER / "servers", "redis", "neo4j") as ground,
        rabbit_cluster(FOLDER / "cluster-servers") as cluster,
    ):
        known = set[str]()
        found = [
            _scenario(ground, cluster, FOLDER / "cluster" / str(seed), seed, known)
            for seed in seeds
        ]
    (FOLDER / "cluster.json").write_text(json.dumps(found, indent=1))
    return int(any(each["lost"] or each["doubled"] or not each["back in time"] for each in found))


def _scenario(
    ground: Ground, cluster: Cluster, folder: Path, seed: int, known: set[str]
) -> dict[str, object]:
    """`known`: the jobs of the seeds before; those of this one are added."""
    environment = {
        **ground.environment,
        "EDUGRAPH_BROKER_URL": cluster.urls,
        "EDUGRAPH_BROKER_MANAGEMENT_URL": cluster.management,
        "EDUGRAPH_BLOB_URL": str(folder / "blobs"),
    }
    declare_topology(environment)
    rng = random.Random(seed)
    queues = rng.sample(QUEUES, len(QUEUES))
    with Supervised.run(environment, folder / "logs", ("gateway", "importer")) as system:
        submissions = Submissions(system.url, seed * 1_000_000)
        with submissions.going_on():
            killed = [
                _kill_leader(cluster, queue, rng.uniform(0, LONGEST_BEFORE)) for queue in queues
            ]
            consumed, answered = _stay_away(cluster, system.logs / "importer.log", environment)
        states, written = _ended(system.url, submissions.accepted)
        known.update(submissions.accepted)
        others = _others(system.url, known)
    print(f"seed {seed}: ", end="")  # noqa: T201 - its answer
    return (
        {"seed": seed}
        | _said(submissions, killed, states, written, others)
        | _said_of_the_long_absence(consumed, answered)
    )


def _kill_leader(cluster: Cluster, queue: str, before: float) -> str:
    time.sleep(before)
    leader = cluster.leader(queue)
    cluster.kill(leader)
    time.sleep(AWAY)
    cluster.start(leader)
    time.sleep(AFTER)
    return f"{queue} led by {leader}"


def _stay_away(cluster: Cluster, log: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds after the kill until the importer had done a task that it received since, and until it answered."""
    # The management API tells for a while of connections to nodes that were killed before; the worker knows better.
    home = cluster.at(int(re.findall(rb"Connected to \S+:(\d+)//", log.read_bytes())[-1]))
    consumed = answered = math.inf
    with make_app("chaos", settings_from(environment)) as app:
        before = log.stat().st_size  # a worker is connected to another node before the kill returns
        cluster.kill(home)
        began = time.monotonic()
        while time.monotonic() < began + LONG_AWAY:
            if consumed == math.inf and _has_done_a_task(log.read_bytes()[before:]):
                consumed = time.monotonic() - began
            if answered == math.inf and _importer_answers(app):
                answered = time.monotonic() - began
            time.sleep(0.1)
    cluster.start(home)
    time.sleep(AFTER)
    return consumed, answered


def _has_done_a_task(log: bytes) -> bool:
    """A job would not do: it ends when its last task does, which may be behind those of many others."""
    _, connected, after = log.partition(b"Connected to ")
    _, received, after = after.partition(b" received")
    return bool(connected and received) and b'"SUCCESS"' in after


def _importer_answers(app: Celery) -> bool:
    with contextlib.suppress(Exception):
        answers = app.control.inspect(timeout=2).active_queues() or {}
        return any(
            queue["name"] == "data_import" for queues in answers.values() for queue in queues
        )
    return False


def _said_of_the_long_absence(consumed: float, answered: float) -> dict[str, object]:
    print(  # noqa: T201 - its answer
        f"the importer's node away for {LONG_AWAY:.0f} s: a task was done after {consumed:.1f} s (at most "
        f"{CONSUMES_WITHIN:.0f}), inspect was answered after {answered:.1f} s (at most {ANSWERS_WITHIN:.0f})",
        flush=True,
    )
    in_time = consumed <= CONSUMES_WITHIN and answered <= ANSWERS_WITHIN
    return {"consumed again": consumed, "answered again": answered, "back in time": in_time}


def _ended(url: str, jobs: list[str]) -> tuple[dict[str, str], dict[str, int]]:
    """State, and records written, of each accepted job."""
    end, states, written = time.monotonic() + ENDS_WITHIN, {}, {}
    with httpx.Client(base_url=url, timeout=20) as client:
        for job in jobs:
            report = client.get(f"/v1/jobs/{job}").json()
            while report.get("state") not in ENDED and time.monotonic() < end:
                time.sleep(0.2)
                report = client.get(f"/v1/jobs/{job}").json()
            states[job], written[job] = report.get("state", "unknown"), report.get("written", 0)
    return states, written


def _others(url: str, accepted: set[str]) -> list[str]:
    """Jobs that nobody was told of and that were done all the same."""
    found, following = [], "/v1/jobs?limit=100"
    with httpx.Client(base_url=url, timeout=20) as client:
        while following:
            page = client.get(following).json()
            found += [
                job["job_id"]
                for job in page["jobs"]
                if job["job_id"] not in accepted and job["written"]
            ]
            following = page["links"].get("next", "")
    return found


def _said(
    submissions: Submissions,
    killed: list[str],
    states: dict[str, str],
    written: dict[str, int],
    others: list[str],
) -> dict[str, object]:
    lost = [job for job, state in states.items() if state != "succeeded"]
    doubled = others + [
        job for job, number in written.items() if job not in lost and number != RECORDS
    ]
    found = {
        "accepted": len(submissions.accepted),
        "sent again": submissions.sent_again,
        "lost": lost,
        "doubled": doubled,
        "longest stall": round(max(submissions.stalls), 2),
        "killed": killed,
    }
    print(  # noqa: T201 - its answer
        f"{found['accepted']} accepted, {found['sent again']} sent again, {len(lost)} lost, {len(doubled)} doubled, "
        f"longest stall {found['longest stall']} s; killed: {', '.join(killed)}"
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
