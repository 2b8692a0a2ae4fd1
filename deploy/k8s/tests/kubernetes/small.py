"""The example for one small node: its pods, what they use while nothing is asked of them, and a large import in them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from release import CHART, RELEASE, Failed, Gateway, Release, Report, of_a_job, records, restarts

MOST_PODS = 4
MOST_IDLE_CPU_CORES = 0.3
MOST_IDLE_MEMORY_MIB = 1.2 * 1024
PROXY_PORT = 80
RECORDS = 100_000
SETTLE_SECONDS = 60
MEASURED_SECONDS = 60
IMPORT_WITHIN_SECONDS = 1200
GIVEN_BACK_AFTER_SECONDS = 120
NANO = 1e9
MIB = 2**20


@dataclass(frozen=True)
class Use:
    """Memory of all pods without caches that the node may drop, and their CPU time since the start of each."""

    memory_mib: float
    cpu_seconds: float
    at_seconds: float


def small(release: Release, report: Report) -> None:
    """Install the example, measure it while it is idle, and import RECORDS records."""
    values = str(CHART / "examples" / "small.yaml")
    with report.step("small: install --wait") as figures:
        chart = release.chart()
        release.run_helm("install", *chart, "--values", values, "--wait", "--timeout", "600s")
        count = len(_lasting_pods(release))
        figures.append(f"{count} pods")
        if count > MOST_PODS:
            raise Failed(f"{count} pods, and {MOST_PODS} are the most")
    with report.step("small: helm test sends a record and reads it back"):
        release.run_helm("test", RELEASE, "--timeout", "300s")
    with report.step("small: the page and both services by the address of the proxy"):
        _page(release)
    with report.step("small: CPU and memory while nothing is asked") as figures:
        _idle(release, figures)
    with report.step(f"small: an import of {RECORDS:,} records") as figures:
        _import(release, figures)
    with report.step("small: memory after the import") as figures:
        _after_import(release, figures)


def _idle(release: Release, figures: list[str]) -> None:
    time.sleep(SETTLE_SECONDS)
    first = _use(release)
    time.sleep(MEASURED_SECONDS)
    last = _use(release)
    cores = (last.cpu_seconds - first.cpu_seconds) / (last.at_seconds - first.at_seconds)
    figures.append(f"{cores:.2f} cores")
    figures.append(f"{last.memory_mib:.0f} MiB")
    figures.extend(_memory_of_containers(release))
    if cores > MOST_IDLE_CPU_CORES:
        raise Failed(f"{', '.join(figures)}: more than {MOST_IDLE_CPU_CORES} cores")
    if last.memory_mib > MOST_IDLE_MEMORY_MIB:
        raise Failed(f"{', '.join(figures)}: more than {MOST_IDLE_MEMORY_MIB:.0f} MiB")


def _after_import(release: Release, figures: list[str]) -> None:
    """Show how much memory stays. The goal is for a release that has done nothing yet."""
    figures.append(f"{_use(release).memory_mib:.0f} MiB at its end")
    time.sleep(GIVEN_BACK_AFTER_SECONDS)
    figures.append(f"{_use(release).memory_mib:.0f} MiB {GIVEN_BACK_AFTER_SECONDS} s later")
    figures.extend(_memory_of_containers(release))


def _page(release: Release) -> None:
    with release.forwarded(f"service/{RELEASE}-proxy", PROXY_PORT) as url:
        proxy = Gateway(url, release.secret("bootstrap-key"))
        release.until("the answer of the proxy", proxy.answers, 60)
        for path in ("/ui/", "/healthz"):
            if proxy.status(path) != HTTPStatus.OK:
                raise Failed(f"{path} is answered with {proxy.status(path)}")
        # The first is of the gateway, and the second is of insights.
        proxy.ask("/v1/jobs")
        proxy.ask("/v1/insights")


def _import(release: Release, figures: list[str]) -> None:
    with release.gateway() as gateway:
        job = gateway.send(records(RECORDS, "small"))
        took = release.until("its end", lambda: gateway.ended(job), IMPORT_WITHIN_SECONDS)
        found = gateway.report(job)
    if found["state"] != "succeeded" or found["written"] != RECORDS:
        raise Failed(json.dumps(found)[:600])
    figures.append(f"{took:.0f} s, {RECORDS / took:.0f} records a second")
    restarted = [pod["metadata"]["name"] for pod in _lasting_pods(release) if restarts(pod) > 0]
    if restarted:
        raise Failed(f"containers of {restarted} were started again")


def _lasting_pods(release: Release) -> list[Any]:
    """Return the pods that are there all the time: not those of jobs and of `helm test`."""
    lasting = []
    for pod in release.pods():
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        if not of_a_job(pod) and component != "test":
            lasting.append(pod)
    return lasting


def _use(release: Release) -> Use:
    memory = 0
    cpu = 0
    for pod in _measured(release):
        memory += pod["memory"]["workingSetBytes"]
        cpu += pod["cpu"]["usageCoreNanoSeconds"]
    return Use(memory / MIB, cpu / NANO, time.monotonic())


def _memory_of_containers(release: Release) -> list[str]:
    figures = []
    for pod in _measured(release):
        for container in pod["containers"]:
            used = container["memory"]["workingSetBytes"] / MIB
            figures.append(f"{container['name']} {used:.0f}")
    return figures


def _measured(release: Release) -> list[Any]:
    """Return the kubelets' figures of the lasting pods."""
    names = {pod["metadata"]["name"] for pod in _lasting_pods(release)}
    found = []
    for node in release.get("nodes")["items"]:
        path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
        summary = json.loads(release.kubectl("get", "--raw", path))
        for pod in summary["pods"]:
            is_here = pod["podRef"]["namespace"] == release.namespace
            if is_here and pod["podRef"]["name"] in names:
                found.append(pod)
    if len(found) != len(names):
        raise Failed(f"the kubelets say nothing of {len(names) - len(found)} of {len(names)} pods")
    return found
