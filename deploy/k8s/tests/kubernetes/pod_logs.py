"""Every log line of a release's pods, also of those that are gone."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Self

from release import Failed, Release


class PodLogs:
    """Follows each container from when it starts: Kubernetes forgets a pod's log with the pod."""

    def __init__(self, release: Release) -> None:
        self.release = release
        self.folder = tempfile.TemporaryDirectory()
        self.followers: dict[str, subprocess.Popen[bytes]] = {}
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.watcher.join()
        for follower in self.followers.values():
            follower.kill()
            follower.wait()
        self.folder.cleanup()

    def files(self, *components: str) -> list[Path]:
        """One for each start of a container; its name begins with the component's and the pod's."""
        found = sorted(Path(self.folder.name).iterdir())
        return [path for path in found if not components or path.name.split(" ")[0] in components]

    def _watch(self) -> None:
        while not self.over.wait(1):
            try:
                self._follow_new()
            except Failed:  # the namespace is on its way out
                continue

    def _follow_new(self) -> None:
        for pod in self.release.pods():
            for state in _containers(pod):
                component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
                name = (
                    f"{component} {pod['metadata']['name']} {state['name']} {state['restartCount']}"
                )
                if name not in self.followers and not {"running", "terminated"}.isdisjoint(
                    state["state"]
                ):
                    self.followers[name] = self._follow(
                        name, pod["metadata"]["name"], state["name"]
                    )

    def _follow(self, name: str, pod: str, container: str) -> subprocess.Popen[bytes]:
        command = [
            *self.release.kubectl_command,
            "logs",
            "--follow",
            pod,
            f"--container={container}",
        ]
        with (Path(self.folder.name) / name).open("wb") as file:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL
            )


def _containers(pod: Any) -> list[Any]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def discreet(logs: PodLogs, forbidden: dict[str, str]) -> str:
    """A figure; fails where a log holds one of the texts, of which only the names are told."""
    files, lines, told = logs.files(), 0, []
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        lines += text.count("\n")
        told += [f"{file.name}: {name}" for name, item in forbidden.items() if item in text]
    if told:
        raise Failed("; ".join(told[:10]))
    return (
        f"{len(forbidden)} texts and secrets looked for in {lines} lines of {len(files)} containers"
    )
