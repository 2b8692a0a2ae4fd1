"""The chart on two nodes: spread, a node that is drained during an import, an upgrade, and a node that is lost."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

from release import RELEASE, Failed, Release, Report, records
from under_load import begun, compare, empty_graph, ended, imported

from dev.kubernetes.cluster import Cluster

RECORDS = 10_000
ASK_EVERY_SECONDS = 0.2
ANSWER_WITHIN_SECONDS = 10
SETTINGS = (
    'blobs.volume={"accessMode":"ReadWriteMany","storageClass":"shared"}',
    "gateway.replicas=2",
    "workers.importer.replicas=2",
)
SPREAD = ("gateway", "importer", "insights")
FEWEST_NODES = 2


def several_nodes(release: Release, report: Report, cluster: Cluster) -> None:
    """Compare an import that each disturbance of the nodes meets with an undisturbed one."""
    node = cluster.second.name
    body = records(RECORDS, "nodes")
    with report.step("nodes: install --wait"):
        release.run_helm("install", *release.chart(*SETTINGS), "--wait", "--timeout", "600s")
    with report.step("nodes: two pods of a group are on two nodes") as figures:
        figures.append(_spread(release))
    with report.step(f"nodes: an undisturbed import of {RECORDS:,} records") as figures:
        calm = imported(release, body, figures)
    empty_graph(release)
    job = begun(release, body)
    with report.step(f"nodes: drain {node} during an import") as figures:
        with _asked(release) as answers:
            _drain(release, node)
            release.rolled_out()
        figures.append(_all_answered(answers))
    with report.step("nodes: report and graph equal those of the undisturbed import") as figures:
        compare(calm, ended(release, job, figures), figures)
    release.kubectl("uncordon", node)
    with report.step("nodes: an upgrade, and the pods are on two nodes again") as figures:
        with _asked(release) as answers:
            settings = (*SETTINGS, 'logs.level="DEBUG"')
            release.run_helm("upgrade", *release.chart(*settings), "--wait", "--timeout", "600s")
        figures.append(_all_answered(answers))
        figures.append(_spread(release))
    empty_graph(release)
    job = begun(release, body)
    with report.step(f"nodes: all processes of {node} are killed during an import") as figures:
        cluster.lose(cluster.second)
        took = release.until("the node is lost", lambda: not cluster.node_ready(cluster.second))
        figures.append(f"noticed after {took:.0f} s")
        release.rolled_out()
    with report.step("nodes: report and graph equal those of the undisturbed import") as figures:
        compare(calm, ended(release, job, figures), figures)


def _spread(release: Release) -> str:
    """Return the nodes on which the pods of each group are. Raises Failed if a group is on one node alone."""
    places = []
    together = []
    for group in SPREAD:
        nodes = sorted(pod["spec"]["nodeName"] for pod in release.pods(group))
        places.append(f"{group} on {' and '.join(nodes)}")
        if len(set(nodes)) < FEWEST_NODES:
            together.append(group)
    if together:
        raise Failed(f"{', '.join(together)} did not spread: {'; '.join(places)}")
    return "; ".join(places)


def _drain(release: Release, node: str) -> None:
    release.kubectl(
        "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s"
    )
    left = []
    for pod in release.pods():
        if pod["spec"].get("nodeName") == node and pod["status"]["phase"] == "Running":
            left.append(pod["metadata"]["name"])
    if left:
        raise Failed(f"{', '.join(left)} is still on {node}")


class Answers:
    """Count the answers to requests by the address of the Service, each by a new connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.count = 0
        self.failures: list[str] = []
        self.over = threading.Event()

    def ask(self) -> None:
        while not self.over.wait(ASK_EVERY_SECONDS):
            try:
                with urllib.request.urlopen(self.url, timeout=ANSWER_WITHIN_SECONDS):
                    self.count += 1
            except (urllib.error.URLError, OSError) as problem:
                self.failures.append(str(problem))


@contextlib.contextmanager
def _asked(release: Release) -> Iterator[Answers]:
    """Ask the gateway all the time while the block runs. The machine has routes to the addresses of Services."""
    service = release.get("service", f"{RELEASE}-gateway")["spec"]
    address = service["clusterIP"]
    port = service["ports"][0]["port"]
    answers = Answers(f"http://{address}:{port}/healthz")
    asking = threading.Thread(target=answers.ask, daemon=True)
    asking.start()
    try:
        yield answers
    finally:
        answers.over.set()
        asking.join()


def _all_answered(answers: Answers) -> str:
    if answers.failures or not answers.count:
        first = "; ".join(answers.failures[:3])
        raise Failed(f"{len(answers.failures)} requests failed, {answers.count} did not: {first}")
    return f"{answers.count} requests answered, none failed"
