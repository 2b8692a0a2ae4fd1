"""Nodes that are objects only, and a thread that plays what their kubelets would do.

A pod that is bound to a node becomes ready a moment later, a job's pod ends well, and a pod that is deleted ends after a
part of its grace period. A volume that is ReadWriteOnce is attached to one node at a time: a pod on another node waits
until the last pod of the first one has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tools.common import ServerError

from .control_plane import Api

Object = dict[str, Any]

# A pod with this annotation starts and never becomes ready.
NEVER_READY = {"edugraph.io/plan": "never-ready"}
LOOK_EVERY_SECONDS = 0.3
START_SECONDS = 0.5
PODS_OF_A_NODE = 250
READY = [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}]
NOT_READY = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "False"}]


class Nodes(threading.Thread):
    """The nodes of one control plane. A pod takes its grace period divided by `faster` to end."""

    def __init__(
        self, api: Api, names: Sequence[str], labels: Mapping[str, str], faster: float
    ) -> None:
        super().__init__(daemon=True)
        self.problem: ServerError | OSError | None = None
        self._api = api
        self._faster = faster
        self._ended = threading.Event()
        # Pods by uid -> the time at which they were first seen to start, or to end.
        self._starting: dict[str, float] = {}
        self._ending: dict[str, float] = {}
        for name in names:
            api.create("/api/v1/nodes", _node(name, labels))

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Play the kubelets until `end`. An exception is kept for the caller, because a thread cannot raise it."""
        try:
            while not self._ended.wait(LOOK_EVERY_SECONDS):
                self._look(time.monotonic())
        except (ServerError, OSError) as problem:
            self.problem = problem

    def _look(self, now: float) -> None:
        claims = self._api.items("/api/v1/persistentvolumeclaims")
        pods = [pod for pod in self._api.items("/api/v1/pods") if pod["spec"].get("nodeName")]
        attached = _attached_to(pods, claims)
        for pod in pods:
            if "deletionTimestamp" in pod["metadata"]:
                self._end_when_due(pod, now)
            elif pod["status"]["phase"] == "Pending" and _can_mount(pod, attached):
                self._start_when_due(pod, now)

    def _end_when_due(self, pod: Object, now: float) -> None:
        grace_seconds = pod["metadata"].get("deletionGracePeriodSeconds", 0)
        since = self._ending.setdefault(pod["metadata"]["uid"], now)
        if now - since >= grace_seconds / self._faster:
            self._api.delete_now(_path(pod))

    def _start_when_due(self, pod: Object, now: float) -> None:
        since = self._starting.setdefault(pod["metadata"]["uid"], now)
        if now - since < START_SECONDS:
            return
        status: Object = {"phase": "Running", "startTime": _time(), "conditions": READY}
        if any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", [])):
            status = {"phase": "Succeeded", "startTime": _time(), "conditions": NOT_READY}
        elif NEVER_READY.items() <= pod["metadata"].get("annotations", {}).items():
            status["conditions"] = NOT_READY
        self._api.patch(f"{_path(pod)}/status", {"status": status})


def claims_of(pod: Object) -> list[str]:
    """Return the claims that a pod mounts, as NAMESPACE/NAME."""
    namespace = pod["metadata"]["namespace"]
    names = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes", [])
        if "persistentVolumeClaim" in volume
    ]
    return [f"{namespace}/{name}" for name in names]


def of_one_node(claims: Sequence[Object]) -> set[str]:
    """Return the claims that can be attached to only one node at a time."""
    return {
        f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
        for claim in claims
        if claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    }


def _attached_to(pods: Sequence[Object], claims: Sequence[Object]) -> dict[str, str]:
    """Return claim -> node for the claims of one node. A pod holds them from its start to its end."""
    limited = of_one_node(claims)
    attached: dict[str, str] = {}
    for pod in pods:
        if pod["status"]["phase"] != "Running":
            continue
        for claim in claims_of(pod):
            if claim in limited:
                attached[claim] = pod["spec"]["nodeName"]
    return attached


def _can_mount(pod: Object, attached: dict[str, str]) -> bool:
    """Return whether all volumes of a pod are on its node. A volume that is not attached yet is attached there."""
    node = pod["spec"]["nodeName"]
    claims = claims_of(pod)
    if any(attached.get(claim, node) != node for claim in claims):
        return False
    for claim in claims:
        attached[claim] = node
    return True


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _node(name: str, labels: Mapping[str, str]) -> Object:
    room = {"cpu": "64", "memory": "256Gi", "pods": str(PODS_OF_A_NODE)}
    own = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**own, **labels}},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
