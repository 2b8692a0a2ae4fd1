"""Point 6: the graph of a disturbed import equals that of an undisturbed one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from pod_logs import PodLogs
from release import RELEASE, Failed, Release, Report, records

GROUPS = ("importer", "splits", "findings", "analyzer")
BATCH = 20  # records: many batches, so that each disturbance meets some
SAME = ("state", "read", "written", "rejected", "failed")


def under_way(release: Release, report: Report, logs: PodLogs, count: int) -> None:
    """Disturb an import in each way while it is under way, and compare it with an undisturbed one."""
    body, calm, point = records(count, "load"), {}, f"6 Helm {release.helm}:"
    with report.step(
        f"{point} an undisturbed import of {count} records, read by analyzers"
    ) as figures:
        # Of two the budget lets one be away.
        release.run_helm(
            "upgrade", *release.chart("workers.importer.replicas=2"), "--wait", "--timeout", "600s"
        )
        empty_graph(release)
        calm = imported(release, body, figures)
    if calm:
        empty_graph(release)
        job = begun(release, body)
        for name, disturbance in DISTURBANCES:
            with report.step(f"{point} {name}") as figures:
                figures.append(f"begun when {_written(release, job)} records were written")
                figures.extend(disturbance(release, logs))
        with report.step(
            f"{point} report and graph of the disturbed import equal the undisturbed one's"
        ) as figures:
            compare(calm, ended(release, job, figures), figures)


def imported(release: Release, body: bytes, figures: list[str]) -> dict[str, Any]:
    with release.gateway() as gateway:
        job = gateway.send(body, analyze=True, batch_size=BATCH)
    found = ended(release, job, figures)
    if found["report"]["state"] != "succeeded":
        raise Failed(json.dumps(found["report"])[:600])
    return found


def begun(release: Release, body: bytes) -> str:
    """Return the job of an import that has written its first records."""
    with release.gateway() as gateway:
        job = gateway.send(body, analyze=True, batch_size=BATCH)
        release.until("the first written records", lambda: gateway.report(job)["written"])
    return job


def ended(release: Release, job: str, figures: list[str]) -> dict[str, Any]:
    with release.gateway() as gateway:
        figures.append(
            f"{release.until('its end', lambda: gateway.ended(job), 1200):.0f} s to its end"
        )
        return {"report": gateway.report(job), "digest": release.digest()}


def compare(calm: dict[str, Any], found: dict[str, Any], figures: list[str]) -> None:
    different = [key for key in SAME if found["report"][key] != calm["report"][key]]
    if different or found["digest"] != calm["digest"]:
        same = found["digest"] == calm["digest"]
        raise Failed(
            f"{different} differ, digest equal: {same}: {json.dumps(found['report'])[:500]}"
        )
    figures.extend(
        [f"{key} {found['report'][key]}" for key in SAME] + [f"digest {found['digest'][:12]}"]
    )


def _written(release: Release, job: str) -> int:
    with release.gateway() as gateway:
        found = gateway.report(job)
    if found["state"] not in ("queued", "running", "waiting"):
        raise Failed("the import ended before it could be disturbed: take more --records")
    return int(found["written"])


def _rolled(release: Release, logs: PodLogs) -> list[str]:
    old = {pod["metadata"]["name"] for group in GROUPS for pod in release.pods(group)}
    rolled = 'workerDefaults.podAnnotations={"test/rolled":"yes"}'
    release.run_helm(
        "upgrade",
        *release.chart("workers.importer.replicas=2", rolled),
        "--wait",
        "--timeout",
        "600s",
    )
    release.until("the old pods' end", lambda: old.isdisjoint(release.all_pods()), 150)
    time.sleep(2)  # the last lines
    files = [file for file in logs.files(*GROUPS) if file.name.split(" ")[1] in old]
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        if "Warm shutdown" not in text or "Cold shutdown" in text:
            raise Failed(f"{file.name} was not left to finish: {text[-800:]}")
    return [f"{len(files)} of {len(old)} old pods ended by a warm shutdown, none by a cold one"]


def _evicted(release: Release, _: PodLogs) -> list[str]:
    # The budget guards pods that are ready. One that is not may be evicted at any time.
    release.rolled_out()
    # Pods that share the ReadWriteOnce volume have no budget: no drain of their node would end. The import goes on
    # although both go at once.
    for pod in release.pods("importer"):
        name = pod["metadata"]["name"]
        if refusal := _evict(release, name):
            raise Failed(f"the importer {name} was not evicted: {refusal}")
    first, second = (pod["metadata"]["name"] for pod in release.pods("insights"))
    if refusal := _evict(release, first):
        raise Failed(f"the first pod of insights was not evicted: {refusal}")
    refusal = _evict(release, second)
    if "disruption budget" not in refusal:
        raise Failed(f"both pods of insights were evicted: {refusal}")
    took = release.until("the second's eviction", lambda: not _evict(release, second), 150)
    release.rolled_out()
    return [
        f"both importers evicted, and one of insights, the other refused until {took:.0f} s later"
    ]


def _evict(release: Release, pod: str) -> str:
    """Why not, or nothing."""
    item = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": release.namespace},
    }
    path = f"/api/v1/namespaces/{release.namespace}/pods/{pod}/eviction"
    answer = release.kubectl(
        "create", "--raw", path, "-f", "-", given=json.dumps(item), check=False
    )
    return "" if '"Success"' in answer else answer.strip()


def _deleted(release: Release, _: PodLogs) -> list[str]:
    for way in (["--wait=false"], ["--grace-period=0", "--force"]):
        for group in GROUPS:
            release.kubectl("delete", "pod", release.pods(group)[0]["metadata"]["name"], *way)
        release.rolled_out()
    return [f"{2 * len(GROUPS)} pods"]


def _restarted(release: Release, _: PodLogs) -> list[str]:
    for server in ("rabbitmq", "redis", "neo4j"):
        release.kubectl("delete", "pod", f"{RELEASE}-{server}-0")
    release.rolled_out()
    return ["3 pods"]


DISTURBANCES: list[tuple[str, Callable[[Release, PodLogs], list[str]]]] = [
    ("a rolling helm upgrade cuts no running batch off, say the pods' logs", _rolled),
    ("the pods of RabbitMQ, Redis and Neo4j restarted", _restarted),
    ("eviction by the API, as the disruption budget says", _evicted),
    ("a pod of each group deleted, with grace and without", _deleted),
]


def empty_graph(release: Release) -> None:
    """The bundled Neo4j, by its own driver in an importer's pod."""
    script = (
        "import os, neo4j; e = os.environ; "
        "d = neo4j.GraphDatabase.driver(e['EDUGRAPH_NEO4J_URI'], auth=(e['EDUGRAPH_NEO4J_USER'], e['EDUGRAPH_NEO4J_PASSWORD'])); "
        "s = d.session(); s.run('MATCH ()-[r]->() CALL (r) {DELETE r} IN TRANSACTIONS OF 5000 ROWS').consume(); "
        "s.run('MATCH (n) CALL (n) {DELETE n} IN TRANSACTIONS OF 5000 ROWS').consume()"
    )
    release.kubectl("exec", f"deploy/{RELEASE}-importer", "--", "python3", "-c", script)
