"""Point 7: probes, and scaling by CPU and by the queues' length."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from release import RELEASE, Failed, Gateway, Release, Report, ready, records, restarts

from dev.kubernetes.cluster import HOST_IP, Authority

OUTSIDE = "broker-outside"  # a Secret and a ConfigMap

QUICK_KEDA = '{"keda":{"enabled":true,"min":1,"max":3,"messagesPerPod":5,"pollingSeconds":5,"cooldownSeconds":5,"scaleDownSeconds":5}}'
# The work of importers while the HPA looks at their CPU.
JOBS_UNDER_WAY = 2
RECORDS_OF_A_JOB = 6_000


def probes(release: Release, report: Report, *, own: bool) -> None:
    """Point 7, first half."""
    if own:
        with report.step("7 a frozen worker is restarted by its liveness probe") as figures:
            pod = release.pods("findings")[0]
            name, before = pod["metadata"]["name"], restarts(pod)
            _freeze(pod["metadata"]["uid"])
            took = release.until(
                "a restart", lambda: restarts(release.get("pod", name)) > before, 240
            )
            figures.append(f"after {took:.0f} s")
            release.rolled_out()
    with report.step("7 without its broker a worker is not ready, and not restarted") as figures:
        pod = release.pods("importer")[0]
        name, before = pod["metadata"]["name"], restarts(pod)
        release.kubectl("scale", f"statefulset/{RELEASE}-rabbitmq", "--replicas=0")
        figures.append(
            f"not ready after {release.until('not ready', lambda: not ready(release.get('pod', name))):.0f} s"
        )
        time.sleep(100)  # longer than the liveness probe's patience
        again = release.get("pod", name)
        if restarts(again) != before:
            raise Failed(f"{name} was restarted")
        release.kubectl("scale", f"statefulset/{RELEASE}-rabbitmq", "--replicas=1")
        figures.append(
            f"ready {release.until('ready again', lambda: ready(release.get('pod', name))):.0f} s later"
        )
        release.rolled_out()


def _freeze(pod_uid: str) -> None:
    """The worker's main process, seen from the machine: from inside its namespace it could not be stopped."""
    frozen = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if pod_uid in (folder / "cgroup").read_text() and any(
                b"celery" in word for word in words
            ):
                os.kill(int(folder.name), signal.SIGSTOP)
                frozen += 1
    if not frozen:
        raise Failed(f"no process of pod {pod_uid} was found")


def by_cpu(release: Release, report: Report) -> None:
    """Point 7, second half: the HPA owns the number of pods, also across upgrades."""
    hpa = 'workers.importer.autoscaling={"hpa":{"enabled":true,"min":1,"max":3,"cpu":20,"scaleDownSeconds":60}}'
    with report.step(
        f"7 Helm {release.helm}: the HPA scales importers up and down, and an upgrade does not disturb it"
    ) as figures:
        release.run_helm("upgrade", *release.chart(hpa), "--wait", "--timeout", "600s")
        name = f"{RELEASE}-importer"

        def replicas() -> int:
            return int(release.get("deployment", name)["spec"]["replicas"])

        with release.gateway() as gateway:
            jobs = list[str]()

            def busy_until_scaled() -> bool:
                # Importers stay busy until the HPA has seen it: a slow machine needs fewer records for that than a fast one.
                waiting = [job for job in jobs if not gateway.ended(job)]
                if len(waiting) < JOBS_UNDER_WAY:
                    body = records(RECORDS_OF_A_JOB, f"hpa{len(jobs)}")
                    jobs.append(gateway.send(body, batch_size=1000))
                return replicas() > 1

            figures.append(
                f"above 1 after {release.until('more pods', busy_until_scaled, 300):.0f} s"
            )
            figures.append(f"{len(jobs)} jobs of {RECORDS_OF_A_JOB} records")
            # For a minute from now on the HPA takes no pod away, whatever is left to do: only the upgrade could.
            most = replicas()
            release.run_helm(
                "upgrade",
                *release.chart(hpa, 'workers.importer.podAnnotations={"test/a":"b"}'),
                "--timeout",
                "600s",
            )
            if replicas() < most:
                raise Failed("the upgrade set the number of pods back")
            for job in jobs:
                release.until("the import's end", lambda job=job: gateway.ended(job), 900)  # type: ignore[misc]
                _all_written(gateway, job)
        figures.append(
            f"back at 1 after {release.until('one pod', lambda: replicas() == 1, 400):.0f} s"
        )
        # Later steps restart importers, which takes CPU. The HPA would answer that while Helm is taking it out.
        release.run_helm("upgrade", *release.chart(), "--wait", "--timeout", "600s")


def _all_written(gateway: Gateway, job: str) -> None:
    found = gateway.report(job)
    if found["state"] != "succeeded" or found["written"] != found["read"]:
        raise Failed(json.dumps(found)[:500])


def by_queue(release: Release, report: Report) -> None:
    """KEDA asks RabbitMQ's management API, through the policies."""
    settings = [f"workers.{group}.autoscaling={QUICK_KEDA}" for group in ("importer", "analyzer")]
    with report.step(
        "7 KEDA scales importers and analyzers by their queues' length and back, and nothing is lost"
    ) as figures:
        # An HPA of the chart's must be gone before KEDA makes its own.
        release.run_helm("upgrade", *release.chart(), "--wait", "--timeout", "600s")
        release.run_helm("upgrade", *release.chart(*settings), "--wait", "--timeout", "600s")
        release.until(
            "ready scalers",
            lambda: _scalers(release) == {"importer": "True", "analyzer": "True"},
            60,
        )
        figures.extend(_scaled(release))


def by_queue_outside(release: Release, report: Report) -> None:
    """KEDA asks a broker outside whose certificate a private authority signed: the release's own, behind TLS."""
    metric = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{release.namespace}/s0-rabbitmq-graph_findings"
    selector = f"labelSelector=scaledobject.keda.sh%2Fname%3D{RELEASE}-findings"

    def is_read() -> bool:
        return '"value"' in release.kubectl("get", "--raw", f"{metric}?{selector}", check=False)

    def is_refused() -> bool:
        events = release.kubectl(
            "get", "events", "--field-selector", f"involvedObject.name={RELEASE}-findings"
        )
        return "certificate" in events

    with _behind_tls(release):
        with report.step(
            "7 KEDA does not take a certificate whose authority it is not given"
        ) as figures:
            scaler = _scaler_outside(release, "")
            release.kubectl("apply", "-f", "-", given=scaler)
            figures.append(f"after {release.until('KEDA says so', is_refused, 90):.0f} s")
            if is_read():
                raise Failed("KEDA reads the queue's length all the same")
            release.kubectl("delete", "-f", "-", given=scaler)
        with report.step(
            "7 with the authority of tls.caConfigMap KEDA reads the queue's length"
        ) as figures:
            scaler = _scaler_outside(release, OUTSIDE)
            release.kubectl("apply", "-f", "-", given=scaler)
            figures.append(f"after {release.until('the length of the queue', is_read, 90):.0f} s")
            release.kubectl("delete", "-f", "-", given=scaler)


def _scaler_outside(release: Release, authority: str) -> str:
    """Return what the chart makes for KEDA where the broker is outside."""
    settings = [
        "rabbitmq.enabled=false",
        f'rabbitmq.external.existingSecret="{OUTSIDE}"',
        f'tls.caConfigMap="{authority}"',
        "workers.findings.autoscaling.keda.enabled=true",
    ]
    only = ["--show-only", "templates/workers/scaling.yaml", "--api-versions", "keda.sh/v1alpha1"]
    return release.run_helm("template", *release.chart(*settings), *only).stdout


@contextlib.contextmanager
def _behind_tls(release: Release) -> Iterator[None]:
    """Serve the management API of the release's broker over TLS at an address of this machine that pods reach."""
    with (
        tempfile.TemporaryDirectory() as name,
        release.forwarded(f"service/{RELEASE}-rabbitmq", 15672) as broker,
        ThreadingHTTPServer((HOST_IP, 0), _passing_on(broker)) as server,
    ):
        folder = Path(name)
        pki = Authority(folder)
        pki.authority("ca")
        pki.certificate("broker", "/CN=broker", "serverAuth", f"IP:{HOST_IP}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "broker.crt", folder / "broker.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        login = f"edugraph-monitor:{release.secret('rabbitmq-monitor-password')}"
        url = f"https://{login}@{HOST_IP}:{server.server_port}"
        release.kubectl(
            "create", "secret", "generic", OUTSIDE, f"--from-literal=broker-management-url={url}"
        )
        release.kubectl("create", "configmap", OUTSIDE, f"--from-file=ca.crt={folder / 'ca.crt'}")
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            release.kubectl("delete", f"secret/{OUTSIDE}", f"configmap/{OUTSIDE}")


def _passing_on(broker: str) -> type[BaseHTTPRequestHandler]:
    class PassingOn(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {"Authorization": self.headers.get("Authorization", "")}
            try:
                with urllib.request.urlopen(
                    urllib.request.Request(broker + self.path, headers=headers)
                ) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, body = error.code, error.read()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the report of the test is on the terminal."""

    return PassingOn


def _scalers(release: Release) -> dict[str, str]:
    """Whether KEDA reaches the queue of each group."""
    return {
        item["spec"]["scaleTargetRef"]["name"].removeprefix(f"{RELEASE}-"): condition["status"]
        for item in release.get("scaledobjects.keda.sh")["items"]
        for condition in item.get("status", {}).get("conditions", [])
        if condition["type"] == "Ready"
    }


def _scaled(release: Release) -> list[str]:
    with release.gateway() as gateway:
        jobs = [
            gateway.send(records(4000, f"keda{n}"), analyze=True, batch_size=20) for n in range(3)
        ]
        history = _history(release, lambda: all(gateway.ended(job) for job in jobs))
        for job in jobs:
            _all_written(gateway, job)
    for group, changes in history.items():
        if max(changes.values()) < 3:
            raise Failed(f"{group} never had 3 pods: {changes}")
    return [f"{group} had {_told(changes)}" for group, changes in history.items()] + [
        "12000 of 12000 written"
    ]


def _history(release: Release, ended: Callable[[], bool]) -> dict[str, dict[int, int]]:
    """Each change of a group's number of pods by its second, until the work has ended and one of each is left."""
    began, seen = time.monotonic(), {group: {0: 1} for group in ("importer", "analyzer")}

    def calm() -> bool:
        for group, changes in seen.items():
            pods = int(release.get("deployment", f"{RELEASE}-{group}")["spec"]["replicas"])
            if pods != list(changes.values())[-1]:
                changes[round(time.monotonic() - began)] = pods
        return all(list(changes.values())[-1] == 1 for changes in seen.values()) and ended()

    release.until("the imports' end, and one pod of each group", calm, 900)
    return seen


def _told(changes: dict[int, int]) -> str:
    return ", ".join(f"{pods} from {second} s" for second, pods in changes.items())
