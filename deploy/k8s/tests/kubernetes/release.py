"""An installed chart, its gateway, and the report of what was seen to hold."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
CHART = ROOT / "deploy" / "k8s"
sys.path[:0] = [str(HERE), str(ROOT)]
from tools.common import ServerError  # noqa: E402
from tools.helm import program  # noqa: E402

RELEASE = "edugraph"
USER = 1_000_000 + secrets.randbelow(1_000_000_000)  # any id must do
PATIENCE = 300  # seconds
SECONDS_TO_SEND = 60  # a broker that is busy with an upgrade answers within this time


class Failed(Exception):
    """What was expected did not happen; the text says what did."""


class Report:
    """Counts, and goes on after a failure: one run should tell everything."""

    def __init__(self) -> None:
        self.passed, self.failed = 0, 0

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """The block may add figures to the list it is given."""
        figures: list[str] = []
        began = time.monotonic()
        try:
            yield figures
        except (Failed, ServerError, OSError, LookupError, ValueError) as problem:
            self.failed += 1
            print(f"FAILED {name}: {problem}", flush=True)
            if not isinstance(problem, Failed | ServerError):
                traceback.print_exc()
        else:
            self.passed += 1
            told = ", ".join([*figures, f"{time.monotonic() - began:.1f} s"])
            print(f"ok {name}: {told}", flush=True)


class Release:
    """One installed chart, spoken to by one Helm."""

    def __init__(self, helm: str, kubeconfig: str, namespace: str, settings: list[str]) -> None:
        self.helm, self.kubeconfig, self.namespace, self.settings = (
            helm,
            kubeconfig,
            namespace,
            settings,
        )
        kubectl = str(program("4", "kubectl"))
        self.kubectl_command = [kubectl, f"--kubeconfig={kubeconfig}", "-n", namespace]

    # --- tools

    def kubectl(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        command = [*self.kubectl_command, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise Failed(f"kubectl {' '.join(arguments)[:200]}: {done.stderr.strip()[-600:]}")
        return done.stdout + ("" if check else done.stderr)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def run_helm(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [
            str(program(self.helm)),
            f"--kubeconfig={self.kubeconfig}",
            "-n",
            self.namespace,
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise Failed(
                f"helm {' '.join(arguments)[:120]}: {done.stderr.strip()[-800:]}\n{self.why()}"
            )
        return done

    def why(self) -> str:
        """Pods that are not ready, and the ends of their logs."""
        lines = [self.kubectl("get", "pods", check=False)]
        for pod in self.pods():
            states = pod["status"].get("containerStatuses", [])
            if (
                any(not state["ready"] for state in states)
                and pod["status"]["phase"] != "Succeeded"
            ):
                name = pod["metadata"]["name"]
                lines.append(
                    f"--- {name}\n{self.kubectl('logs', name, '--all-containers', '--tail=15', check=False)}"
                )
                events = self.kubectl(
                    "get", "events", "--field-selector", f"involvedObject.name={name}", check=False
                )
                lines.append("\n".join(events.splitlines()[-5:]))
        return "\n".join(lines)[-6000:]

    def chart(self, *more: str) -> list[str]:
        return [
            RELEASE,
            str(CHART),
            *(part for s in [*self.settings, *more] for part in ("--set-json", s)),
        ]

    def pods(self, component: str = "") -> list[Any]:
        """Without those that are being deleted."""
        label = f"app.kubernetes.io/instance={RELEASE}" + (
            f",app.kubernetes.io/component={component}" if component else ""
        )
        found: list[Any] = self.get("pods", "-l", label)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def all_pods(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in self.get("pods")["items"]}

    def secret(self, key: str) -> str:
        return base64.b64decode(self.get("secret", f"{RELEASE}-credentials")["data"][key]).decode()

    def until(self, what: str, true: Callable[[], object], seconds: float = PATIENCE) -> float:
        began = time.monotonic()
        while not true():
            if time.monotonic() - began > seconds:
                raise Failed(f"{what}: not within {seconds:.0f} s\n{self.why()}")
            time.sleep(0.5)
        return time.monotonic() - began

    def rolled_out(self) -> None:
        for kind in ("statefulset", "deployment"):
            for item in self.get(kind, "-l", f"app.kubernetes.io/instance={RELEASE}")["items"]:
                self.kubectl(
                    "rollout",
                    "status",
                    f"{kind}/{item['metadata']['name']}",
                    f"--timeout={PATIENCE}s",
                )

    # --- the gateway

    @contextlib.contextmanager
    def gateway(self) -> Iterator[Gateway]:
        with self.forwarded(f"service/{RELEASE}-gateway", 8080) as url:
            gateway = Gateway(url, self.secret("bootstrap-key"))
            self.until("the gateway's answer", gateway.answers, 60)
            yield gateway

    def digest(self) -> str:
        """One hash of the whole graph, by insights."""
        with self.forwarded(f"service/{RELEASE}-insights", 8081) as url:
            insights = Gateway(url, self.secret("bootstrap-key"))
            self.until("the answer of insights", insights.answers, 60)
            found: str = insights.ask("/v1/graph/digest")["digest"]
            return found

    @contextlib.contextmanager
    def forwarded(self, target: str, port: int, *options: str) -> Iterator[str]:
        """Its address here, by a port-forward: it works on any cluster."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            here = probe.getsockname()[1]
        command = [*self.kubectl_command, *options, "port-forward", target, f"{here}:{port}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{here}"
        finally:
            process.terminate()
            process.wait()


class NotNow(Failed):
    """The gateway takes nothing at this moment, and says that it may later."""


class Gateway:
    """API v1 at one address."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def ask(
        self,
        path: str,
        body: bytes | None = None,
        *,
        content_type: str = "application/x-ndjson",
        method: str | None = None,
    ) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": content_type}
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            words = f"{path}: {error.code} {error.read(300).decode(errors='replace')}"
            if error.code == HTTPStatus.SERVICE_UNAVAILABLE:
                raise NotNow(words) from error
            raise Failed(words) from error

    def status(self, path: str) -> int:
        """The status of the answer, whatever it is."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def answers(self) -> bool:
        try:
            return bool(self.ask("/readyz"))
        except (OSError, Failed):
            return False

    def send(self, body: bytes, *, analyze: bool = False, batch_size: int = 500) -> str:
        """Return the job of an import. An import that is refused for now (503) is sent again, as senders are asked to do."""
        query = f"?batch_size={batch_size}" + ("&analyze=true" if analyze else "")
        end = time.monotonic() + SECONDS_TO_SEND
        while True:
            try:
                job: str = self.ask(f"/v1/imports{query}", body)["job_id"]
            except NotNow:
                if time.monotonic() > end:
                    raise
                time.sleep(5)
            else:
                return job

    def send_live(self, body: bytes) -> None:
        """Send lines of records as a source that runs, with a text that is analysed. The key writes it only here."""
        source = {"name": "live", "kind": "records", "live_texts_a_day": 10}
        keys = [self.key.split("_")[1]]
        records = [json.loads(line) for line in body.splitlines()]
        self._ask_json("/v1/sources", {**source, "keys": keys}, "POST")
        self._ask_json("/v1/sources/live/records", {"records": records}, "POST")
        del source["name"]
        self._ask_json("/v1/sources/live", {**source, "keys": []}, "PUT")

    def _ask_json(self, path: str, value: dict[str, Any], method: str) -> Any:
        body = json.dumps(value).encode()
        return self.ask(path, body, content_type="application/json", method=method)

    def report(self, job: str) -> Any:
        return self.ask(f"/v1/jobs/{job}")

    def ended(self, job: str) -> bool:
        try:
            return self.report(job)["state"] not in ("queued", "running", "waiting")
        except (OSError, Failed):
            return False


def records(count: int, term: str) -> bytes:
    """Chats between made-up students, each its own record with a text to read; the same for the same term."""
    lines = (
        {
            "type": "student_interaction",
            "timestamp": f"2026-03-{1 + n % 28:02}T08:00:00Z",
            "record_id": f"{term}-{n}",
            "data": {
                "student_id_from": f"S{n % 500:04}",
                "student_id_to": f"S{(n * 7 + 1) % 500:04}",
                "interaction_type": "chat",
                "text": f"I do not understand fractions in exercise {n % 40}",
            },
        }
        for n in range(count)
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def restarts(pod: Any) -> int:
    return sum(state["restartCount"] for state in pod["status"].get("containerStatuses", []))


def of_a_job(pod: Any) -> bool:
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))


def ready(pod: Any) -> bool:
    return all(state["ready"] for state in pod["status"].get("containerStatuses", [])) and bool(
        pod["status"].get("containerStatuses")
    )
