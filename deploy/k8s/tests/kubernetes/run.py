"""`make kube-test`: the chart on a real Kubernetes, with Helm 3 and with Helm 4.

On the cluster that KUBECONFIG names (its nodes must have the images, or --images must be its registry), or on one that
is started here. Each line that begins with "ok" is one thing that was seen to hold.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
CHART = ROOT / "deploy" / "k8s"
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT / "scripts")]
from cluster import Cluster  # noqa: E402
from get_helm import program  # noqa: E402
from programs import Options, missing  # noqa: E402
from server_tools.common import ServerError  # noqa: E402

RELEASE = "edugraph"
USER = 1_000_000 + secrets.randbelow(1_000_000_000)  # any id must do
PATIENCE = 300  # seconds
POD = {"app.kubernetes.io/instance": RELEASE}


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
        except (Failed, ServerError, OSError, KeyError) as problem:
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
        self.helm, self.kubeconfig, self.namespace, self.settings = helm, kubeconfig, namespace, settings
        self.kubectl_path = str(program("4", "kubectl"))

    # --- tools

    def kubectl(self, *arguments: str, given: str | None = None, check: bool = True) -> str:
        command = [self.kubectl_path, f"--kubeconfig={self.kubeconfig}", "-n", self.namespace, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise Failed(f"kubectl {' '.join(arguments)[:200]}: {done.stderr.strip()[-600:]}")
        return done.stdout + ("" if check else done.stderr)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def run_helm(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(program(self.helm)), f"--kubeconfig={self.kubeconfig}", "-n", self.namespace, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise Failed(f"helm {' '.join(arguments)[:120]}: {done.stderr.strip()[-800:]}\n{self.why()}")
        return done

    def why(self) -> str:
        """Pods that are not ready, and the ends of their logs."""
        lines = [self.kubectl("get", "pods", check=False)]
        for pod in self.pods():
            states = pod["status"].get("containerStatuses", [])
            if any(not state["ready"] for state in states) and pod["status"]["phase"] != "Succeeded":
                name = pod["metadata"]["name"]
                lines.append(
                    f"--- {name}\n{self.kubectl('logs', name, '--all-containers', '--tail=15', check=False)}"
                )
                events = self.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}", check=False)
                lines.append("\n".join(events.splitlines()[-5:]))
        return "\n".join(lines)[-6000:]

    def chart(self, *more: str) -> list[str]:
        return [RELEASE, str(CHART), *(part for s in [*self.settings, *more] for part in ("--set-json", s))]

    def pods(self, component: str = "") -> list[Any]:
        label = f"app.kubernetes.io/instance={RELEASE}" + (
            f",app.kubernetes.io/component={component}" if component else ""
        )
        found: list[Any] = self.get("pods", "-l", label)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

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
                self.kubectl("rollout", "status", f"{kind}/{item['metadata']['name']}", f"--timeout={PATIENCE}s")

    # --- the gateway

    @contextlib.contextmanager
    def gateway(self) -> Iterator[Gateway]:
        """Through a port-forward to the Service: it works on any cluster."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [self.kubectl_path, f"--kubeconfig={self.kubeconfig}", "-n", self.namespace]
        command += ["port-forward", f"service/{RELEASE}-gateway", f"{port}:8080"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            gateway = Gateway(f"http://127.0.0.1:{port}", self.secret("bootstrap-key"))
            self.until("the gateway's answer", gateway.answers, 60)
            yield gateway
        finally:
            process.terminate()
            process.wait()


class Gateway:
    """API v1."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def ask(self, path: str, body: bytes | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/x-ndjson"}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Failed(f"{path}: {error.code} {error.read(300).decode(errors='replace')}") from error

    def answers(self) -> bool:
        try:
            return bool(self.ask("/readyz"))
        except (OSError, Failed):
            return False

    def send(self, body: bytes, *, analyze: bool = False, batch_size: int = 500) -> str:
        query = f"?batch_size={batch_size}" + ("&analyze=true" if analyze else "")
        job: str = self.ask(f"/v1/imports{query}", body)["job_id"]
        return job

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


def namespace(release: Release) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    item = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": release.namespace, "labels": labels}}
    release.kubectl("apply", "-f", "-", given=json.dumps(item))


def lifecycle(release: Release, report: Report) -> None:
    """Point 5: install, test, import, upgrade, a broken upgrade, uninstall."""
    helm = f"Helm {release.helm}"
    with report.step(f"5 {helm}: install --wait in a restricted namespace") as figures:
        release.run_helm("install", *release.chart(), "--wait", "--timeout", "600s")
        figures.append(f"user {USER}")
    with report.step(f"5 {helm}: all pods as a random user, read-only root, no capability") as figures:
        figures.append(f"{restricted(release)} containers")
    with report.step(f"5 {helm}: helm test sends a record and reads it back"):
        # Without --logs: the pod is gone when it has succeeded, and Helm 3 would call that an error.
        release.run_helm("test", RELEASE, "--timeout", "300s")
    digest = ""
    with report.step(f"5 {helm}: a file through the gateway's Service") as figures, release.gateway() as gateway:
        job = gateway.send((ROOT / "examples" / "school_en.ndjson").read_bytes())
        release.until("the import's end", lambda: gateway.ended(job))
        found = gateway.report(job)
        if found["state"] != "succeeded":
            raise Failed(json.dumps(found)[:600])
        digest = gateway.ask("/v1/graph/digest")["digest"]
        figures.append(f"{found['written']} of {found['read']} written")
    before = release.secret("bootstrap-key")
    with report.step(f"5 {helm}: upgrade keeps secrets and graph"), contextlib.ExitStack() as stack:
        release.run_helm("upgrade", *release.chart("workerDefaults.concurrency=3"), "--wait", "--timeout", "600s")
        gateway = stack.enter_context(release.gateway())
        if release.secret("bootstrap-key") != before:
            raise Failed("the upgrade made another key")
        if gateway.ask("/v1/graph/digest")["digest"] != digest:
            raise Failed("the graph is another one")
    with report.step(f"5 {helm}: a broken upgrade is rolled back"):
        back = "--rollback-on-failure" if release.helm == "4" else "--atomic"
        broken = release.chart('gateway.image.tag="no-such-tag"')
        done = release.run_helm("upgrade", *broken, back, "--timeout", "40s", check=False)
        if done.returncode == 0:
            raise Failed("the broken upgrade was taken for good")
        release.rolled_out()
        image = release.get("deployment", f"{RELEASE}-gateway")["spec"]["template"]["spec"]["containers"][0]["image"]
        if "no-such-tag" in image:
            raise Failed(f"the gateway's image is still {image}")


def uninstalled(release: Release, report: Report) -> None:
    with report.step(f"5 Helm {release.helm}: uninstall leaves only what it promises") as figures:
        release.run_helm("uninstall", RELEASE, "--wait", "--timeout", "300s")
        kinds = "pods,services,deployments,statefulsets,jobs,configmaps,secrets,pvc,pdb,hpa,networkpolicies,serviceaccounts"

        def left() -> set[str]:
            items = release.get(kinds)["items"]
            names = {f"{item['kind']}/{item['metadata']['name']}" for item in items}
            return names - {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}

        data = {f"PersistentVolumeClaim/data-{RELEASE}-{name}-0" for name in ("rabbitmq", "redis", "neo4j")}
        promised = {f"Secret/{RELEASE}-credentials", f"PersistentVolumeClaim/{RELEASE}-blobs", *data}
        release.until(f"nothing but {sorted(promised)}", lambda: left() == promised, 120)
        figures.append(f"kept: {len(promised)} objects")


def restricted(release: Release) -> int:
    """What Kubernetes was told is looked at inside too, where the image has a shell."""
    looked = 0
    for pod in release.pods():
        if not _ready(pod):  # the job's, which has ended or soon will have
            continue
        name = pod["metadata"]["name"]
        script = 'id -u; grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status; touch /no 2>&1 || true'
        seen = release.kubectl("exec", name, "--", "sh", "-c", script)
        wanted = [str(USER), "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "Read-only file system"]
        lacking = [text for text in wanted if text not in seen]
        if lacking:
            raise Failed(f"{name}: no {lacking} in {seen!r}")
        looked += 1
    return looked


def under_way(release: Release, report: Report, count: int) -> None:
    """Point 6: the graph of a disturbed import equals that of an undisturbed one."""
    body = records(count, "load")
    calm: dict[str, Any] = {}
    empty_graph(release)
    with (
        report.step(f"6 an undisturbed import of {count} records, read by analyzers") as figures,
        release.gateway() as gateway,
    ):
        job = gateway.send(body, analyze=True, batch_size=200)
        figures.append(f"{release.until('its end', lambda: gateway.ended(job)):.0f} s")
        calm = {"report": gateway.report(job), "digest": gateway.ask("/v1/graph/digest")["digest"]}
        if calm["report"]["state"] != "succeeded":
            raise Failed(json.dumps(calm["report"])[:600])
    with report.step("6 the same while workers are rolled, deleted and their servers restarted") as figures:
        other = Release(release.helm, release.kubeconfig, release.namespace, release.settings)
        empty_graph(release)
        with release.gateway() as gateway:
            job = gateway.send(body, analyze=True, batch_size=200)
            time.sleep(2)
            if gateway.ended(job):
                raise Failed("the import ended before it could be disturbed: take more --records")
        for group in ("importer", "analyzer"):
            other.kubectl("rollout", "restart", f"deployment/{RELEASE}-{group}")
        for group in ("importer", "findings"):
            other.kubectl("delete", "pod", other.pods(group)[0]["metadata"]["name"], "--wait=false")
        other.kubectl("delete", "pod", other.pods("importer")[0]["metadata"]["name"], "--grace-period=0", "--force")
        for server in ("rabbitmq", "redis", "neo4j"):
            other.kubectl("delete", "pod", f"{RELEASE}-{server}-0", "--wait=false")
        release.rolled_out()
        with release.gateway() as gateway:
            figures.append(
                f"{release.until('its end', lambda: gateway.ended(job), 900):.0f} s after the last restart"
            )
            found = gateway.report(job)
            digest = gateway.ask("/v1/graph/digest")["digest"]
        same = [(found[key], calm["report"][key]) for key in ("state", "read", "written", "rejected", "failed")]
        if any(left != right for left, right in same) or digest != calm["digest"]:
            raise Failed(f"report {json.dumps(found)[:400]}, digest equal: {digest == calm['digest']}")


def empty_graph(release: Release) -> None:
    """The bundled Neo4j, by its own driver in an importer's pod."""
    script = (
        "import os, neo4j; e = os.environ; "
        "d = neo4j.GraphDatabase.driver(e['EDUGRAPH_NEO4J_URI'], auth=(e['EDUGRAPH_NEO4J_USER'], e['EDUGRAPH_NEO4J_PASSWORD'])); "
        "s = d.session(); s.run('MATCH ()-[r]->() CALL (r) {DELETE r} IN TRANSACTIONS OF 5000 ROWS').consume(); "
        "s.run('MATCH (n) CALL (n) {DELETE n} IN TRANSACTIONS OF 5000 ROWS').consume()"
    )
    release.kubectl("exec", f"deploy/{RELEASE}-importer", "--", "python3", "-c", script)


def probes(release: Release, report: Report, *, own: bool) -> None:
    """Point 7, first half."""
    if own:
        with report.step("7 a frozen worker is restarted by its liveness probe") as figures:
            pod = release.pods("findings")[0]
            name, before = pod["metadata"]["name"], _restarts(pod)
            _freeze(pod["metadata"]["uid"])
            took = release.until("a restart", lambda: _restarts(release.get("pod", name)) > before, 240)
            figures.append(f"after {took:.0f} s")
            release.rolled_out()
    with report.step("7 without its broker a worker is not ready, and not restarted") as figures:
        pod = release.pods("importer")[0]
        name, before = pod["metadata"]["name"], _restarts(pod)
        release.kubectl("scale", f"statefulset/{RELEASE}-rabbitmq", "--replicas=0")
        figures.append(
            f"not ready after {release.until('not ready', lambda: not _ready(release.get('pod', name))):.0f} s"
        )
        time.sleep(100)  # longer than the liveness probe's patience
        again = release.get("pod", name)
        if _restarts(again) != before:
            raise Failed(f"{name} was restarted")
        release.kubectl("scale", f"statefulset/{RELEASE}-rabbitmq", "--replicas=1")
        figures.append(f"ready {release.until('ready again', lambda: _ready(release.get('pod', name))):.0f} s later")
        release.rolled_out()


def _restarts(pod: Any) -> int:
    return sum(state["restartCount"] for state in pod["status"].get("containerStatuses", []))


def _ready(pod: Any) -> bool:
    return all(state["ready"] for state in pod["status"].get("containerStatuses", [])) and bool(
        pod["status"].get("containerStatuses")
    )


def _freeze(pod_uid: str) -> None:
    """The worker's main process, seen from the machine: from inside its namespace it could not be stopped."""
    frozen = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if pod_uid in (folder / "cgroup").read_text() and any(b"celery" in word for word in words):
                os.kill(int(folder.name), signal.SIGSTOP)
                frozen += 1
    if not frozen:
        raise Failed(f"no process of pod {pod_uid} was found")


def scaling(release: Release, report: Report) -> None:
    """Point 7, second half: the HPA owns the number of pods, also across upgrades."""
    hpa = 'workers.importer.autoscaling={"hpa":{"enabled":true,"min":1,"max":3,"cpu":20,"scaleDownSeconds":10}}'
    with report.step("7 the HPA scales importers up and down, and an upgrade does not disturb it") as figures:
        release.run_helm("upgrade", *release.chart(hpa), "--wait", "--timeout", "600s")
        name = f"{RELEASE}-importer"

        def replicas() -> int:
            return int(release.get("deployment", name)["spec"]["replicas"])

        with release.gateway() as gateway:
            jobs = [gateway.send(records(20_000, f"hpa{n}"), batch_size=1000) for n in range(3)]
            figures.append(f"above 1 after {release.until('more pods', lambda: replicas() > 1, 300):.0f} s")
            most = replicas()
            release.run_helm(
                "upgrade", *release.chart(hpa, 'workers.importer.podAnnotations={"test/a":"b"}'), "--timeout", "600s"
            )
            if replicas() < most:
                raise Failed("the upgrade set the number of pods back")
            for job in jobs:
                release.until("the import's end", lambda job=job: gateway.ended(job), 900)  # type: ignore[misc]
                if gateway.report(job)["state"] != "succeeded":
                    raise Failed(json.dumps(gateway.report(job))[:500])
        figures.append(f"back at 1 after {release.until('one pod', lambda: replicas() == 1, 400):.0f} s")


ARROWS = {
    "gateway": {"rabbitmq:5672", "redis:6379", "neo4j:7687"},
    "importer": {"rabbitmq:5672", "redis:6379", "neo4j:7687"},
    "findings": {"rabbitmq:5672", "redis:6379", "neo4j:7687"},
    "analyzer": {"rabbitmq:5672", "redis:6379"},
    "flower": {"rabbitmq:5672", "redis:6379"},
    "stranger": {"gateway:8080"},
}
TARGETS = ("rabbitmq:5672", "redis:6379", "neo4j:7687", "gateway:8080", "flower:5555")


def connections(release: Release, report: Report) -> None:
    """Point 8: each pair of component and server is tried."""
    with report.step("8 every drawn connection works and no other one") as figures:
        stranger(release)
        present = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in release.pods()}
        targets = [t for t in TARGETS if t.split(":")[0] in present]
        wrong, tried = [], 0
        for source, drawn in ARROWS.items():
            pod = "stranger" if source == "stranger" else None
            if pod is None:
                if source not in present:
                    continue
                pod = release.pods(source)[0]["metadata"]["name"]
            addresses = [f"{RELEASE}-{t}" for t in targets if not t.startswith(f"{source}:")] + ["10.251.0.2:443"]
            seen = json.loads(release.kubectl("exec", pod, "--", "python3", "-c", TRY, *addresses))
            row = []
            for address, answer in seen.items():
                short = address.removeprefix(f"{RELEASE}-")
                tried += 1
                row.append(f"{short} {answer}")
                if (answer == "open") != (short in drawn):
                    wrong.append(f"{source} to {short}: {answer}")
            print(f"   {source:10} {'   '.join(row)}", flush=True)
        figures.append(f"{tried} tried")
        if wrong:
            raise Failed("; ".join(wrong))


TRY = """
import json, socket, sys
found = {}
for address in sys.argv[1:]:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
        found[address] = "open"
    except OSError as error:
        found[address] = type(error).__name__
print(json.dumps(found))
"""


def stranger(release: Release) -> None:
    """A pod of somebody else in the same namespace."""
    pod = release.pods("gateway")[0]["spec"]
    container = {
        "name": "stranger",
        "image": pod["containers"][0]["image"],
        "command": ["sleep", "3600"],
        "securityContext": pod["containers"][0]["securityContext"],
    }
    spec = {
        "containers": [container],
        "securityContext": pod["securityContext"],
        "automountServiceAccountToken": False,
    }
    item = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"}, "spec": spec}
    release.kubectl("apply", "-f", "-", given=json.dumps(item))
    release.kubectl("wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s")


def images() -> list[str]:
    """Settings for images that were built here."""
    names = {server: f'"docker.io/edugraph-test/{server}"' for server in ("rabbitmq", "redis", "neo4j")}
    return [
        s for server, name in names.items() for s in (f"{server}.image.repository={name}", f'{server}.image.tag="1"')
    ]


def look_closer(release: Release, report: Report, options: argparse.Namespace, *, own: bool) -> None:
    if "8" in options.points:
        connections(release, report)
    if "6" in options.points:
        under_way(release, report, options.records)
    if "7" in options.points:
        probes(release, report, own=own)
        scaling(release, report)


def main() -> int:
    parser = argparse.ArgumentParser(prog="run.py")
    parser.add_argument("--all", action="store_true", help="points 6 to 8 as well")
    parser.add_argument(
        "--archives", type=Path, help="images that build.py --save has written; built first without it"
    )
    parser.add_argument("--keep", action="store_true", help="leave the cluster and the last release running")
    parser.add_argument("--helm", default="3,4", help="one of them, to look at something again")
    parser.add_argument("--points", default="6,7,8", help="which of them --all looks at")
    parser.add_argument("--records", type=int, default=20_000)
    options = parser.parse_args()
    given, report = os.environ.get("KUBECONFIG"), Report()
    if not given and (reason := missing()):
        print(f"kube-test: not run: {reason}")
        return 0
    cluster = Cluster()
    with tempfile.TemporaryDirectory() as folder:
        try:
            kubeconfig = given or _own_cluster(cluster, options, Path(folder))
            settings = [f"podSecurity.runAsUser={USER}", f"podSecurity.fsGroup={USER}"]
            settings += [] if given else images()
            if not (ROOT / "services" / "flower" / "Dockerfile").exists():
                settings.append("flower.enabled=false")
            for helm in options.helm.split(","):
                name = f"edugraph-{helm}-{secrets.token_hex(2)}"
                release = Release(helm, kubeconfig, name, settings)
                namespace(release)
                lifecycle(release, report)
                if options.all and helm == "4":
                    look_closer(release, report, options, own=not given)
                    release.kubectl("delete", "pod", "stranger", "--ignore-not-found", "--grace-period=1")
                if not (options.keep and helm == "4"):
                    uninstalled(release, report)
                    release.kubectl("delete", "namespace", name, "--wait=false")
        except ServerError as error:
            report.failed += 1
            print(f"FAILED: {error}")
        finally:
            if not given and not options.keep:
                cluster.down()
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


def _own_cluster(cluster: Cluster, options: argparse.Namespace, folder: Path) -> str:
    archives = options.archives
    if archives is None:
        archives = folder / "images"
        command = [sys.executable, str(ROOT / "deploy" / "images" / "build.py"), "--servers", "--save", str(archives)]
        if subprocess.run(command, check=False).returncode:
            raise ServerError("the images could not be built")
    cluster.up(Options(policies=options.all))
    cluster.load(sorted(archives.glob("*.tar")))
    return str(cluster.admin)


if __name__ == "__main__":
    sys.exit(main())
