"""Kubernetes without real nodes: etcd, the API server, the scheduler and the controllers of programs.py.

It needs neither root nor a network namespace. Each control plane has its own folder and free ports, so several of them
and the cluster of cluster.py can run at the same time. nodes.py makes objects for nodes and plays their kubelets.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.common import ServerError, last_lines

from .cluster import Authority
from .programs import kubernetes

READY_WITHIN = 120  # seconds, for each program
PATCH = "application/strategic-merge-patch+json"


class ControlPlane:
    """The programs of one control plane, as children of this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubeconfig = folder / "admin.conf"
        self._pki = Authority(folder / "pki")
        self._programs = kubernetes()
        self._etcd_port, self._peer_port, self._port = _free_ports(3)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        self._make_certificates()
        try:
            self._start()
            yield
        finally:
            # The clients of the API server end first, because they would log many errors without it.
            for process in reversed(self._running.values()):
                process.terminate()
            for process in self._running.values():
                _ended(process)

    def kubectl(
        self, *arguments: str, given: str | None = None, seconds: float | None = None
    ) -> str:
        """Return the output of kubectl. Raises ServerError with its error message."""
        command = [
            str(self._programs.path("kubectl")),
            f"--kubeconfig={self.kubeconfig}",
            *arguments,
        ]
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=seconds
        )
        if done.returncode:
            raise ServerError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def api(self) -> Api:
        """Return a new connection for one thread."""
        return Api(self._port, self.folder / "pki")

    def _make_certificates(self) -> None:
        self._pki.folder.mkdir(mode=0o700)
        self._pki.authority("ca")
        self._pki.key("sa")
        self._pki.certificate("apiserver", "/CN=kube-apiserver", "serverAuth", "IP:127.0.0.1")
        self._pki.certificate("admin", "/O=system:masters/CN=admin", "clientAuth")
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(
            self._pki.kubeconfig("admin", f"https://127.0.0.1:{self._port}"), encoding="utf-8"
        )

    def _start(self) -> None:
        pki = self._pki.folder
        etcd = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        self._run(
            "etcd",
            "--name=plan",
            f"--data-dir={self.folder}/etcd",
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=plan={peer}",
        )
        self._run(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._port}",
            "--service-cluster-ip-range=10.253.0.0/16",
            "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC",
            # New nodes are ready at once. Nothing here would remove the taint that they get by default.
            "--disable-admission-plugins=TaintNodesByCondition",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/sa.key",
            f"--service-account-signing-key-file={pki}/sa.key",
        )
        self._until("the API server is ready", "kube-apiserver", self._is_ready)
        own = [f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0"]
        # The nodes here send no heartbeats, so these controllers would consider them dead.
        controllers = "--controllers=*,-node-lifecycle-controller,-node-ipam-controller"
        self._run(
            "kube-controller-manager",
            *own,
            controllers,
            f"--root-ca-file={pki}/ca.crt",
            f"--service-account-private-key-file={pki}/sa.key",
        )
        self._run("kube-scheduler", *own)
        self._until(
            "the default service account is there", "kube-controller-manager", self._has_account
        )

    def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            # The program ends together with this process, however this process ends.
            command = ["setpriv", "--pdeathsig", "TERM", str(self._programs.path(name)), *arguments]
            self._running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _until(self, what: str, name: str, true: Callable[[], bool]) -> None:
        end = time.monotonic() + READY_WITHIN
        while not true():
            if self._running[name].poll() is not None or time.monotonic() > end:
                log = self.folder / f"{name}.log"
                raise ServerError(
                    f"{what}: not within {READY_WITHIN} s; the end of the log of {name}:\n{last_lines(log)}"
                )
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        try:
            return self.api().status("GET", "/readyz") == http.client.OK
        except OSError:
            return False

    def _has_account(self) -> bool:
        return (
            self.api().status("GET", "/api/v1/namespaces/default/serviceaccounts/default")
            == http.client.OK
        )


class Api:
    """A direct connection to the API server. Starting kubectl for each request would take most of the machine."""

    def __init__(self, port: int, pki: Path) -> None:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", port, context=context, timeout=30
        )

    def status(self, method: str, path: str) -> int:
        code, _ = self._ask(method, path, None, "application/json")
        return code

    def items(self, path: str) -> list[dict[str, Any]]:
        """Return the objects of a list."""
        code, text = self._ask("GET", path, None, "application/json")
        if code != http.client.OK:
            raise ServerError(f"GET {path}: {code} {text[:300].decode(errors='replace')}")
        found: list[dict[str, Any]] = json.loads(text)["items"]
        return found

    def create(self, path: str, item: Mapping[str, Any]) -> None:
        self._change("POST", path, item, "application/json")

    def patch(self, path: str, item: Mapping[str, Any]) -> None:
        self._change("PATCH", path, item, PATCH)

    def delete_now(self, path: str) -> None:
        """Delete an object at once, like a kubelet deletes a pod whose processes have ended."""
        self._change("DELETE", path, {"gracePeriodSeconds": 0}, "application/json")

    def _change(self, method: str, path: str, item: Mapping[str, Any], kind: str) -> None:
        code, text = self._ask(method, path, json.dumps(item).encode(), kind)
        # Another client may have deleted or changed the object meanwhile. The caller reads it again anyway.
        gone_or_changed = code in (http.client.NOT_FOUND, http.client.CONFLICT)
        if code >= http.client.BAD_REQUEST and not gone_or_changed:
            raise ServerError(f"{method} {path}: {code} {text[:300].decode(errors='replace')}")

    def _ask(self, method: str, path: str, body: bytes | None, kind: str) -> tuple[int, bytes]:
        self._connection.request(method, path, body, {"Content-Type": kind})
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
