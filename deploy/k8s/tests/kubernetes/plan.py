"""`make kube-plan-test`: can each of three nodes be drained while the chart is at work on them?

The API server, scheduler, controllers, eviction API and `kubectl drain` are the real ones; nodes are objects only, and
no container runs (dev/kubernetes/nodes.py). All releases below are installed beside each other, the nodes are drained
in turn, and one release is upgraded. Pods take their whole grace period to end, as a worker does whose import runs: 20
times faster, so that it takes seconds. Exit codes: 1, something did not hold; 3, it could not run.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from release import CHART, Failed, Release, Report

from dev.kubernetes.control_plane import ControlPlane
from dev.kubernetes.nodes import NEVER_READY, Nodes, claims_of, of_one_node
from dev.kubernetes.programs import missing_for_building
from tools.common import ServerError

NOT_RUN = 3
NODES = ("north", "east", "south")
FASTER = 20
# A drain may take the longest grace period of a pod, and this long for evictions that are asked for again.
DRAIN_BEYOND_GRACE_SECONDS = 30
SETTLED_WITHIN_SECONDS = 90
PODS_OF_A_SCALED_GROUP = 3
FEWEST_NODES = 2  # of pods that can spread, while one of three nodes is drained

SHARED = 'blobs.volume={"accessMode":"ReadWriteMany","storageClass":"shared"}'
UNREADY = json.dumps(NEVER_READY)


@dataclass(frozen=True)
class Case:
    """A release: the name of its namespace, a file of examples/ or nothing, and settings PATH=JSON."""

    name: str
    example: str = ""
    settings: tuple[str, ...] = ()


CASES = (
    Case("default"),
    Case("minimal", "minimal"),
    Case("small", "small"),
    Case("production", "production"),
    Case("everything", "everything"),
    Case("one-node", settings=("workers.importer.replicas=3",)),
    Case("shared", settings=(SHARED, "gateway.replicas=3", "workers.importer.replicas=3")),
    # A broker that is away makes workers unready, and that is when a node may have to go.
    Case(
        "unready",
        settings=(
            SHARED,
            f"workerDefaults.podAnnotations={UNREADY}",
            f"gateway.podAnnotations={UNREADY}",
        ),
    ),
)
# Changes of the first case, one after the other, and whether pods must spread after them. The workers of a volume draw new
# gateways to their node for as long as they are there, so these spread at the next rollout only.
UPGRADES = (
    ("an upgrade of every pod beside the volume", 'logs.level="DEBUG"', True),
    ("a bucket in place of the volume", 'blobs.url="s3://bucket/folder"', False),
    ("the volume again", 'logs.level="INFO"', True),
)
# Kinds of operators that some examples make objects of: (group, version, plural, kind).
CUSTOM = (
    ("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject"),
    ("keda.sh", "v1alpha1", "triggerauthentications", "TriggerAuthentication"),
    ("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor"),
    ("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor"),
    ("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule"),
    ("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"),
)
# Class -> the access mode of its volumes, and how many there are: enough for all cases.
VOLUMES = {"standard": ("ReadWriteOnce", 40), "shared": ("ReadWriteMany", 5)}
# Without a zone, as machines of one's own are: pods spread over these nodes as well.
NODE_LABELS = {"example.org/pool": "spot"}


def main() -> int:
    if reason := missing_for_building():
        print(f"kube-plan-test: not run: {reason}", file=sys.stderr)
        return NOT_RUN
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane(Path(folder))
        with plane.up():
            nodes = Nodes(plane.api(), NODES, NODE_LABELS, FASTER)
            nodes.start()
            try:
                Plan(plane, nodes, report).run()
            finally:
                nodes.end()
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


class Plan:
    """What is done on one control plane."""

    def __init__(self, plane: ControlPlane, nodes: Nodes, report: Report) -> None:
        self.plane = plane
        self.nodes = nodes
        self.report = report
        self.api = plane.api()

    def run(self) -> None:
        with self.report.step("what the examples need from a cluster"):
            self.plane.kubectl(
                "create",
                "-f",
                "-",
                given=json.dumps({"kind": "List", "apiVersion": "v1", "items": base()}),
            )
            for group, _, plural, _ in CUSTOM:
                self.plane.kubectl(
                    "wait", "--for=condition=Established", f"crd/{plural}.{group}", "--timeout=60s"
                )
        for case in CASES:
            with self.report.step(f"{case.name}: install"):
                self._install(case)
        with self.report.step("all pods run, and spread where they can") as figures:
            figures.append(self._settled())
        for node in NODES:
            with self.report.step(f"drain {node}, and all pods run again") as figures:
                figures.append(f"drained within {self._drain(node):.1f} s")
                figures.append(self._settled())
            self.plane.kubectl("uncordon", node)
        release = self._release(CASES[0])
        for name, setting, must_spread in UPGRADES:
            with self.report.step(f"{CASES[0].name}: {name}") as figures:
                release.run_helm("upgrade", *release.chart(setting))
                figures.append(self._settled(must_spread=must_spread))

    def _release(self, case: Case) -> Release:
        return Release("4", str(self.plane.kubeconfig), case.name, list(case.settings))

    def _install(self, case: Case) -> None:
        release = self._release(case)
        values = (
            ["--values", str(CHART / "examples" / f"{case.example}.yaml")] if case.example else []
        )
        release.run_helm("install", "--create-namespace", *values, *release.chart())
        # Nothing here measures load, so the groups that a scaler has are scaled by hand.
        scalers = [*release.get("hpa")["items"], *release.get("scaledobjects.keda.sh")["items"]]
        for scaler in scalers:
            target = scaler["spec"]["scaleTargetRef"]["name"]
            release.kubectl("scale", "deployment", target, f"--replicas={PODS_OF_A_SCALED_GROUP}")

    def _drain(self, node: str) -> float:
        """Return the seconds that it took. Raises Failed if it did not end in time."""
        on_it = [
            pod for pod in self.api.items("/api/v1/pods") if pod["spec"].get("nodeName") == node
        ]
        if not on_it:
            raise Failed(f"no pod is on {node}")
        longest_grace = max(pod["spec"]["terminationGracePeriodSeconds"] for pod in on_it)
        limit = longest_grace / FASTER + DRAIN_BEYOND_GRACE_SECONDS
        began = time.monotonic()
        self.plane.kubectl(
            "drain",
            node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            f"--timeout={limit:.0f}s",
        )
        return time.monotonic() - began

    def _settled(self, *, must_spread: bool = True) -> str:
        """Wait until every pod runs where it should, and return how many there are."""
        end = time.monotonic() + SETTLED_WITHIN_SECONDS
        while problems := self._problems(must_spread=must_spread):
            if self.nodes.problem is not None:
                raise ServerError(f"the simulated nodes have stopped: {self.nodes.problem}")
            if time.monotonic() > end:
                raise Failed(f"not within {SETTLED_WITHIN_SECONDS} s: {'; '.join(problems[:20])}")
            time.sleep(0.5)
        return f"{len(self.api.items('/api/v1/pods'))} pods"

    def _problems(self, *, must_spread: bool) -> list[str]:
        """Return a sentence for each pod that is not ready, and for each group that stands on the wrong nodes."""
        pods = [
            pod for pod in self.api.items("/api/v1/pods") if pod["status"]["phase"] != "Succeeded"
        ]
        problems = [sentence for pod in pods if (sentence := _problem_of(pod))]
        problems += self._wrong_numbers()
        limited = of_one_node(self.api.items("/api/v1/persistentvolumeclaims"))
        nodes_of_claims: defaultdict[str, set[str]] = defaultdict(set)
        nodes_of_groups: defaultdict[str, list[str]] = defaultdict(list)
        for pod in pods:
            node = pod["spec"].get("nodeName", "")
            held = limited.intersection(claims_of(pod))
            for claim in held:
                nodes_of_claims[claim].add(node)
            if not held:
                component = pod["metadata"]["labels"].get(
                    "app.kubernetes.io/component", pod["metadata"]["name"]
                )
                nodes_of_groups[f"{pod['metadata']['namespace']}/{component}"].append(node)
        for claim, nodes in nodes_of_claims.items():
            if len(nodes) > 1:
                problems.append(f"{claim} is ReadWriteOnce, and its pods are on {sorted(nodes)}")
        for group, places in nodes_of_groups.items():
            if must_spread and len(places) > 1 and len(set(places)) < FEWEST_NODES:
                problems.append(f"all {len(places)} pods of {group} are on {places[0]}")
        return problems

    def _wrong_numbers(self) -> list[str]:
        """Return a sentence for each Deployment or StatefulSet that has more, fewer or older pods than it wants."""
        problems = []
        for kind in ("deployments", "statefulsets"):
            for item in self.api.items(f"/apis/apps/v1/{kind}"):
                wanted = item["spec"]["replicas"]
                status = item["status"]
                there = status.get("replicas", 0)
                new_ones = status.get("updatedReplicas", 0)
                is_noticed = status.get("observedGeneration") == item["metadata"]["generation"]
                if not (is_noticed and there == new_ones == wanted):
                    name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
                    problems.append(
                        f"{name} has {there} pods, {new_ones} new ones, and wants {wanted}"
                    )
        return problems


def _problem_of(pod: dict[str, Any]) -> str:
    metadata = pod["metadata"]
    name = f"{metadata['namespace']}/{metadata['name']}"
    if "deletionTimestamp" in metadata:
        return f"{name} is ending"
    conditions = {each["type"]: each for each in pod["status"].get("conditions", [])}
    ready = conditions.get("Ready", {}).get("status") == "True"
    is_never_ready = NEVER_READY.items() <= metadata.get("annotations", {}).items()
    if ready or (is_never_ready and pod["status"]["phase"] == "Running"):
        return ""
    reason = conditions.get("PodScheduled", {}).get("message", "")
    return f"{name} is {pod['status']['phase']} on {pod['spec'].get('nodeName', 'no node')} {reason}".rstrip()


def base() -> list[dict[str, Any]]:
    """Return the objects of a cluster that the examples take for granted."""
    classes = [_storage_class(name, is_default=name == "standard") for name in VOLUMES]
    volumes = []
    for name, (access_mode, count) in VOLUMES.items():
        volumes += [_volume(f"{name}-{number}", name, access_mode) for number in range(count)]
    priority = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "important"},
        "value": 1000,
    }
    dashboards = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "grafana"}}
    return [*classes, *volumes, priority, dashboards, *(_custom(*names) for names in CUSTOM)]


def _storage_class(name: str, *, is_default: bool) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": str(is_default).lower()},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _volume(name: str, storage_class: str, access_mode: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": [access_mode],
            "capacity": {"storage": "500Gi"},
            "storageClassName": storage_class,
            "hostPath": {"path": "/nowhere"},
        },
    }


def _custom(group: str, version: str, plural: str, kind: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # The API server asks for it in groups that end in k8s.io.
            "annotations": {"api-approved.kubernetes.io": "unapproved, only for this test"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": anything},
                }
            ],
        },
    }


if __name__ == "__main__":
    sys.exit(main())
