"""`make chaos-live`: live statements and records while everything is killed and cut.

    live.py [SEED]… [--rate 20] [--only kill swallow]      CHAOS_SEEDS of them from CHAOS_FIRST_SEED on when none is named

Clients of four sources send at a steady rate, and send again what is not accepted. Each statement that was accepted must be
in the graph once; one without a good answer may be there once, or not at all. The jobs of the day must count what is in the
graph, and no message may be left. The graph must be that of the same rows from files in peace.

One line a seed, and .run/chaos/live.json. Ends with 1 when anything differs. docs/operations.md explains the numbers.
"""

import argparse
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from addresses import clean
from disturbances import disturbances
from ground import Ground, fresh_ground
from live_clients import LiveClients, Sent
from live_graph import Found, count_problems, judge, mistakes_of, tries_of
from live_load import RECORD_SOURCES, XAPI_SOURCES
from observing import Deliveries, digest
from run import FOLDER, Run, emptied, job_report, look, number_of, service_environment
from supervised import Supervised

from edugraph_cli.serving import declare_topology
from edugraph_common.contracts.live_days import live_job_id_of_day
from edugraph_common.contracts.outcomes import ENDED
from edugraph_common.contracts.permissions import SCOPES
from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.job_store import connect

SOURCES = (*XAPI_SOURCES, *RECORD_SOURCES)
PROCESSES = ("gateway", "importer", "findings")
XAPI_VERSION = {"X-Experience-API-Version": "1.0.3"}
# The load goes on for so long after the last disturbance.
CALM_SECONDS = 3.0
# Seconds until every message is acknowledged. A busy machine takes four minutes.
SETTLES_WITHIN = 600.0
# The management API counts messages every five seconds.
STATISTICS_SECONDS = 6.0
FILE_ENDS_WITHIN = 600.0  # seconds
NO_PROVIDER = "http://127.0.0.1:1"  # no text is analysed here
RECORDS = """
MATCH (n:Record)
OPTIONAL MATCH (s:Student)-[:SENT|MADE|TRIED]->(n)
RETURN [label IN labels(n) WHERE label <> 'Record'][0] AS label, n.id AS key, s.id AS student,
  coalesce(n.response, n.text, n.error_text, n.id) AS text
"""
TRIES = """
MATCH (s:Student)-[r:PRACTISED]->(:Item)
RETURN s.id AS student, sum(r.tries) AS tries, sum(r.right) / 1000 AS right
"""
MISTAKES = """
MATCH (s:Student)-[r:HAS_ERROR]->(:ErrorType) RETURN s.id AS student, sum(r.occurrence_count) AS mistakes
"""


@dataclass
class LiveRun(Run):
    """The outcome of a seed. `kept` are the requests without a good answer that are in the graph all the same."""

    requests: int = 0
    accepted: int = 0
    rows: int = 0
    without_answer: int = 0
    given_up: int = 0
    kept: int = 0
    repeated: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def live_line(self) -> str:
        return self.told(
            f"seed {self.seed}",
            f"{self.seconds:.0f} s",
            f"{self.accepted} of {self.requests} requests accepted, {self.rows} rows in the graph",
            f"{self.without_answer} tries without an answer, {self.given_up} given up ({self.kept} of them kept)",
            f"{self.repeated} rows came twice",
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        help="disturbances whose names begin so, such as kill cut",
    )
    given = parser.parse_args()
    first, number = number_of("FIRST_SEED", 1), number_of("SEEDS", 10)
    seeds = given.seeds or range(first, first + number)
    clean(os.environ)
    FOLDER.mkdir(parents=True, exist_ok=True)
    runs = []
    with (FOLDER / "live-servers.log").open("w") as log, contextlib.redirect_stderr(log):
        for seed in seeds:
            run = one_run(seed, given.rate, given.only)
            print(run.live_line(), flush=True)  # noqa: T201 - the answer of the command
            runs.append(run)
    report = json.dumps([asdict(run) for run in runs], indent=1, ensure_ascii=False)
    (FOLDER / "live.json").write_text(report)
    return int(any(run.problems for run in runs))


@dataclass(frozen=True)
class Scene:
    """`headers` are those of each source, with its key."""

    ground: Ground
    system: Supervised
    headers: Mapping[str, dict[str, str]]
    folder: Path

    def report(self, job_id: str) -> dict[str, Any]:
        return job_report(self.system.url, job_id, self.system.headers)

    def reports_of_days(self, source: str, first: date) -> list[dict[str, Any]]:
        """Return the reports of the source from this day until today. A day without rows has none."""
        reports = []
        for number in range((datetime.now(UTC).date() - first).days + 1):
            report = self.report(live_job_id_of_day(source, first + timedelta(days=number)))
            if report:
                reports.append(report)
        return reports


def one_run(seed: int, rate: float, only: Sequence[str]) -> LiveRun:
    run = LiveRun(seed)
    folder = FOLDER / f"live-{seed}"
    emptied(folder)
    with fresh_ground(FOLDER / "servers") as ground:
        environment = service_environment(ground, folder, NO_PROVIDER) | {"EDUGRAPH_AUTH": "on"}
        declare_topology(environment)
        deliveries = Deliveries()
        with (
            deliveries.counting(ground.direct["EDUGRAPH_BROKER_MANAGEMENT_URL"]),
            Supervised.run(environment, folder / "logs", PROCESSES) as system,
        ):
            scene = Scene(ground, system, _sources(ground, system), folder)
            first_day = datetime.now(UTC).date()
            sent = _disturbed(run, scene, rate, only)
            time.sleep(STATISTICS_SECONDS)
            look(run, ground, system, folder, SETTLES_WITHIN)
            there = _judged(run, scene, sent, first_day)
            _compare_with_files(run, scene, there)
        run.restarts = dict(system.restarts)
        run.deliveries = deliveries.delivered
        run.redeliveries = deliveries.redelivered
    return run


def _sources(ground: Ground, system: Supervised) -> dict[str, dict[str, str]]:
    """Make a key and a source for each name, and the operator's key of the system. Return the headers of each source."""
    keys = ApiKeys(connect(ground.direct["EDUGRAPH_REDIS_URL"]))
    operator = keys.create("operator", SCOPES, datetime.now(UTC))
    system.headers = {"Authorization": f"Bearer {operator.token}"}
    headers = {}
    for name in SOURCES:
        made = keys.create(name, ("submit", "read:own"), datetime.now(UTC))
        headers[name] = {"Authorization": f"Bearer {made.token}", **XAPI_VERSION}
        kind = "xapi" if name in XAPI_SOURCES else "records"
        source = {"name": name, "kind": kind, "keys": [made.key.key_id]}
        answer = httpx.post(
            f"{system.url}/v1/sources", json=source, headers=system.headers, timeout=30
        )
        answer.raise_for_status()
    return headers


def _disturbed(run: LiveRun, scene: Scene, rate: float, only: Sequence[str]) -> list[Sent]:
    """Send while everything is disturbed. Return what was sent."""
    began = time.monotonic()
    rng = random.Random(run.seed)
    clients = LiveClients(scene.system.url, scene.headers, run.seed or 0, rate)
    clients.start()
    for disturbance in disturbances(scene.ground, scene.system, rng, only):
        run.disturbances.append(f"{time.monotonic() - began:.1f} {disturbance.name}")
        disturbance.do(rng)
    scene.ground.quiet()
    time.sleep(CALM_SECONDS)
    clients.end()
    run.seconds = round(time.monotonic() - began, 1)
    run.sent_again = clients.sent_again
    run.longest_stall = clients.longest_stall
    run.without_answer = clients.without_answer
    run.requests = len(clients.sent)
    run.accepted = sum(each.is_accepted for each in clients.sent)
    run.given_up = run.requests - run.accepted
    run.problems += [f"{number} × {what}" for what, number in clients.wrong.items()]
    return clients.sent


def _judged(run: LiveRun, scene: Scene, sent: Sequence[Sent], first_day: date) -> list[Sent]:
    """Note in `run` what differs between graph, jobs and requests. Return the requests that are in the graph."""
    judged = judge(sent, [Found(*row) for row in scene.ground.query(RECORDS)])
    run.problems += judged.problems
    run.kept = sum(not each.is_accepted for each in judged.there)
    run.rows = sum(len(each.request.rows) for each in judged.there)
    tries = {student: (number, right) for student, number, right in scene.ground.query(TRIES)}
    if tries != tries_of(judged.there):
        run.problems.append("the sums of tries differ from what was sent")
    mistakes = dict(scene.ground.query(MISTAKES))
    if mistakes != mistakes_of(judged.there):
        run.problems.append("the sums of mistakes differ from what was sent")
    for source in SOURCES:
        reports = scene.reports_of_days(source, first_day)
        run.problems += count_problems(source, judged.there, reports)
        read = sum(report["read"] for report in reports)
        written = sum(report["written"] for report in reports)
        run.counts[source] = {"read": read, "written": written}
        run.repeated += read - written
    return judged.there


def _compare_with_files(run: LiveRun, scene: Scene, there: Sequence[Sent]) -> None:
    """Empty the graph, import the same rows as a file for each source, and compare the digests."""
    scene.ground.query("MATCH (n) CALL { WITH n DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS")
    for source in SOURCES:
        rows: list[dict[str, Any]] = []
        for each in there:
            if each.request.source == source:
                rows += each.request.rows
        report = _imported(scene, source, rows)
        outcome = [report.get(name) for name in ("state", "read", "written")]
        if outcome != ["succeeded", len(rows), len(rows)]:
            run.problems.append(f"the file of {source} is {outcome} of {len(rows)} rows")
    if digest(scene.ground.direct, scene.folder / "graph-of-files.ndjson") != run.digest:
        run.problems.append("the graph differs from that of the same rows in files")


def _imported(scene: Scene, source: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Import the rows as a file, and return the report when the job has ended."""
    answer = httpx.post(
        f"{scene.system.url}/v1/imports",
        params={"format": "xapi" if source in XAPI_SOURCES else "ndjson", "source": source},
        headers={**scene.headers[source], "Content-Type": "application/x-ndjson"},
        content="".join(f"{json.dumps(row)}\n" for row in rows),
        timeout=60,
    )
    job_id = answer.raise_for_status().json()["job_id"]
    end = time.monotonic() + FILE_ENDS_WITHIN
    report: dict[str, Any] = {}
    while report.get("state") not in ENDED and time.monotonic() < end:
        time.sleep(0.5)
        report = scene.report(job_id)
    return report


if __name__ == "__main__":
    sys.exit(main())
