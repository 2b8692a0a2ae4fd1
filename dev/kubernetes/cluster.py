"""A real Kubernetes with one or two nodes for tests: the programs of programs.py in separate network namespaces.

    python3 -m dev.kubernetes.cluster up [policies] [keda] [monitoring] [second-node]
    python3 -m dev.kubernetes.cluster load ARCHIVE...
    python3 -m dev.kubernetes.cluster down

`up` prints the path of the kubeconfig. `load` takes images as podman or docker save them. The cluster needs root on
Debian. The machine's own addresses, ports and firewall do not change. Each process is noted under
/run/edugraph-kubernetes with its id and start time, and `down` ends exactly these processes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools import cache
from tools.common import ServerError, last_lines, say

from . import manifests, versions
from .programs import Options, Programs, missing, of_containerd, programs

NAME = "edukube"  # of the network namespace of the first node, and its link
RUN = Path("/run/edugraph-kubernetes")
NODE_IP, HOST_IP = "10.251.0.1", "10.251.0.2"
# The second node is reached through the first one, which has this address on the link between them.
LINK_IP, SECOND_IP = "10.251.1.1", "10.251.1.2"
FIRST_NETWORK, SECOND_NETWORK = "10.251.0.0/24", "10.251.1.0/24"
PODS, SERVICES = "10.252.0.0/16", "10.253.0.0/16"
API_IP, DNS_IP = "10.253.0.1", "10.253.0.10"
WAIT = 240  # seconds for each step
VOLUMES = 12
# With a second node: a node that sends no heartbeat for this long is lost, and its pods are replaced a while later. One
# node keeps the longer times of Kubernetes, because a busy machine must not lose its only node.
LOST_AFTER_SECONDS = 20
REPLACED_AFTER_SECONDS = 20
# The kubelet sets these for the whole machine; `down` sets them back.
SYSCTLS = (
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)
CONTROL_PLANE = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
NODE_PROGRAMS = ("kubelet", "kube-proxy", "containerd")
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Node:
    """A network namespace with a kubelet and a containerd. The folders are its own, and hold settings and sockets.

    A kubelet ends the pods that it does not know below `cgroup`, so each node needs another one. It is a path below the
    root of each hierarchy.
    """

    name: str
    namespace: str
    ip: str
    neighbour_ip: str
    pods: str
    state: Path
    run: Path
    cgroup: str

    def process(self, program: str) -> str:
        """Return the name under which a program of this node is noted."""
        return f"{program}-{self.name}"

    def ctr(self) -> list[str]:
        """Return the beginning of a command for the containerd of this node."""
        return [
            str(of_containerd("ctr")),
            f"--address={self.run / 'containerd.sock'}",
            "--namespace=k8s.io",
        ]


class Cluster:
    """The cluster of this machine."""

    def __init__(self) -> None:
        self.state = cache.folder().parent / "kubernetes"
        self.admin = self.state / "admin.conf"
        self.programs: Programs
        self.first = Node(
            "node1",
            namespace=NAME,
            ip=NODE_IP,
            neighbour_ip="10.251.0.3",
            pods="10.252.0.0/24",
            state=self.state,
            run=RUN,
            cgroup="",
        )
        self.second = Node(
            "node2",
            namespace=f"{NAME}2",
            ip=SECOND_IP,
            neighbour_ip="10.251.1.3",
            pods="10.252.1.0/24",
            state=self.state / "node2",
            run=RUN / "node2",
            cgroup="edukube-node2",
        )
        self.nodes = [self.first]

    # --- up

    def up(self, options: Options) -> None:
        if reason := missing():
            raise ServerError(reason)
        self.programs = programs(options)
        if options.second_node:
            self.nodes = [self.first, self.second]
        if self.is_up():
            say("it is up already", "kubernetes")
            return
        self.down()
        if (
            subprocess.run(["pgrep", "-x", "kubelet"], capture_output=True, check=False).returncode
            == 0
        ):
            raise ServerError(
                "another kubelet runs on this machine, and two would end each other's pods"
            )
        began = time.monotonic()
        for name in ("log", "pki", "volumes", "images"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        (self.state / "pki").chmod(0o700)
        for node in self.nodes:
            (node.state / "etc" / "cni").mkdir(parents=True, exist_ok=True)
            (node.state / "pod-logs").mkdir(exist_ok=True)
            node.run.mkdir(parents=True, exist_ok=True)
        (RUN / "sysctls").write_text(
            "".join(f"{name}={_output('sysctl', '-n', name)}\n" for name in SYSCTLS)
        )
        self._network()
        if options.second_node:
            self._network_of_second()
        self._certificates()
        for node in self.nodes:
            self._settings(node)
        self._start_control_plane(options)
        self._start_node(self.first)
        self._install(options)
        # The cluster's own pods are on the first node by now, so a test can lose the second one.
        if options.second_node:
            self._start_containerd(self.second, options)
            self._start_node(self.second)
        (RUN / "ready").touch()
        seconds = time.monotonic() - began
        say(f"version {versions.chosen()} is ready after {seconds:.0f} s", "kubernetes")

    def is_up(self) -> bool:
        if not (RUN / "ready").exists():
            return False
        needed = list(CONTROL_PLANE)
        for node in self.nodes:
            needed += [node.process(program) for program in NODE_PROGRAMS]
        if not all(_alive(name) for name in needed):
            return False
        return all(self.node_ready(node) for node in self.nodes)

    def _network(self) -> None:
        inside = ["ip", "-n", NAME]
        for command in (
            ["ip", "netns", "add", NAME],
            [
                "ip",
                "link",
                "add",
                f"{NAME}-h",
                "type",
                "veth",
                "peer",
                "name",
                f"{NAME}-n",
                "netns",
                NAME,
            ],
            ["ip", "address", "add", f"{HOST_IP}/24", "dev", f"{NAME}-h"],
            ["ip", "link", "set", f"{NAME}-h", "up"],
            [*inside, "link", "set", "lo", "up"],
            [*inside, "address", "add", f"{NODE_IP}/24", "dev", f"{NAME}-n"],
            [*inside, "link", "set", f"{NAME}-n", "up"],
            ["ip", "route", "add", PODS, "via", NODE_IP],
            ["ip", "route", "add", SERVICES, "via", NODE_IP],
        ):
            _run(command)
        _forward(self.first, f"{NAME}-n")

    def _network_of_second(self) -> None:
        """Join the second node to the first one by a link. Packets to and from the machine go through the first one."""
        first = ["ip", "-n", self.first.namespace]
        second = ["ip", "-n", self.second.namespace]
        for command in (
            ["ip", "netns", "add", self.second.namespace],
            [*first, "link", "add", "node2", "type", "veth", "peer", "name", "node1", "netns", self.second.namespace],
            [*first, "address", "add", f"{LINK_IP}/24", "dev", "node2"],
            [*first, "link", "set", "node2", "up"],
            [*second, "link", "set", "lo", "up"],
            [*second, "address", "add", f"{SECOND_IP}/24", "dev", "node1"],
            [*second, "link", "set", "node1", "up"],
            ["ip", "route", "add", SECOND_NETWORK, "via", NODE_IP],
            [*first, "route", "add", self.second.pods, "via", SECOND_IP],
            [*second, "route", "add", FIRST_NETWORK, "via", LINK_IP],
            [*second, "route", "add", PODS, "via", LINK_IP],
        ):  # fmt: skip
            _run(command)
        _forward(self.second, "node1")

    def _certificates(self) -> None:
        names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ]
        api = f"IP:{NODE_IP},IP:127.0.0.1,IP:{API_IP},DNS:localhost," + ",".join(
            f"DNS:{name}" for name in names
        )
        pki = Authority(self.state / "pki")
        pki.authority("ca")
        pki.authority("front-proxy-ca")
        pki.key("sa")
        pki.certificate("apiserver", "/CN=kube-apiserver", "serverAuth", api)
        for node in self.nodes:
            subject = f"/O=system:nodes/CN=system:node:{node.name}"
            names_of_node = f"IP:{node.ip},DNS:{node.name}"
            pki.certificate(f"kubelet-server-{node.name}", subject, "serverAuth", names_of_node)
            pki.certificate(f"kubelet-{node.name}", subject, "clientAuth")
            _write(
                node.state / "etc" / "kubelet.conf",
                pki.kubeconfig(f"kubelet-{node.name}"),
            )
        for name, subject in {
            "apiserver-kubelet": "/O=system:masters/CN=apiserver-kubelet",
            "admin": "/O=system:masters/CN=admin",
            "controller-manager": "/CN=system:kube-controller-manager",
            "scheduler": "/CN=system:kube-scheduler",
            "proxy": "/CN=system:kube-proxy",
        }.items():
            pki.certificate(name, subject, "clientAuth")
        pki.certificate("front-proxy", "/CN=front-proxy", "clientAuth", ca="front-proxy-ca")
        _write(self.admin, pki.kubeconfig("admin"))
        for name in ("controller-manager", "scheduler", "proxy"):
            _write(self.state / "etc" / f"{name}.conf", pki.kubeconfig(name))

    def _settings(self, node: Node) -> None:
        files = manifests.settings(node, cluster=self.state, dns_ip=DNS_IP, all_pods=PODS)
        for name, text in files.items():
            _write(node.state / "etc" / name, text)

    def _start_control_plane(self, options: Options) -> None:
        pki, bin_ = self.state / "pki", self.programs.path
        of_api_server = []
        of_controllers = []
        if options.second_node:
            of_api_server = [
                f"--default-not-ready-toleration-seconds={REPLACED_AFTER_SECONDS}",
                f"--default-unreachable-toleration-seconds={REPLACED_AFTER_SECONDS}",
            ]
            of_controllers = [f"--node-monitor-grace-period={LOST_AFTER_SECONDS}s"]
        self._start(
            "etcd",
            [str(bin_("etcd")), f"--name={self.first.name}", f"--data-dir={self.state}/etcd", "--unsafe-no-fsync", "--log-level=warn",
             "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
             "--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
             f"--initial-cluster={self.first.name}=http://127.0.0.1:2380"],
        )  # fmt: skip
        self._start(
            "kube-apiserver",
            [str(bin_("kube-apiserver")), "--etcd-servers=http://127.0.0.1:2379", f"--advertise-address={NODE_IP}",
             "--secure-port=6443", "--allow-privileged=true", f"--service-cluster-ip-range={SERVICES}",
             "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
             f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/apiserver.crt",
             f"--tls-private-key-file={pki}/apiserver.key",
             "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
             f"--service-account-key-file={pki}/sa.key", f"--service-account-signing-key-file={pki}/sa.key",
             f"--kubelet-certificate-authority={pki}/ca.crt", "--kubelet-preferred-address-types=InternalIP",
             f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt", f"--kubelet-client-key={pki}/apiserver-kubelet.key",
             f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt", "--requestheader-allowed-names=front-proxy",
             "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
             "--requestheader-extra-headers-prefix=X-Remote-Extra-",
             f"--proxy-client-cert-file={pki}/front-proxy.crt", f"--proxy-client-key-file={pki}/front-proxy.key",
             *of_api_server],
        )  # fmt: skip
        self._start_containerd(self.first, options)
        self._until(
            "the API server is ready",
            "kube-apiserver",
            lambda: self.works("get", "--raw", "/readyz"),
        )
        controllers = f"{self.state}/etc/controller-manager.conf"
        self._start(
            "kube-controller-manager",
            [str(bin_("kube-controller-manager")), f"--kubeconfig={controllers}", f"--authentication-kubeconfig={controllers}",
             f"--authorization-kubeconfig={controllers}", "--bind-address=127.0.0.1", "--leader-elect=false",
             "--use-service-account-credentials", "--allocate-node-cidrs", f"--cluster-cidr={PODS}",
             f"--service-cluster-ip-range={SERVICES}", f"--root-ca-file={pki}/ca.crt",
             f"--service-account-private-key-file={pki}/sa.key", f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt",
             f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key",
             # Faster than on real clusters, so that tests of scaling take seconds.
             "--horizontal-pod-autoscaler-sync-period=5s", "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
             "--horizontal-pod-autoscaler-cpu-initialization-period=20s",
             *of_controllers],
        )  # fmt: skip
        scheduler = f"{self.state}/etc/scheduler.conf"
        self._start(
            "kube-scheduler",
            [str(bin_("kube-scheduler")), f"--kubeconfig={scheduler}", f"--authentication-kubeconfig={scheduler}",
             f"--authorization-kubeconfig={scheduler}", "--bind-address=127.0.0.1", "--leader-elect=false"],
        )  # fmt: skip

    def _start_containerd(self, node: Node, options: Options) -> None:
        """Start it with the images of the cluster's own pods."""
        self._start(
            node.process("containerd"),
            [str(of_containerd("containerd")), f"--config={node.state}/etc/containerd.toml"],
            node,
        )
        self._until(
            "containerd answers",
            node.process("containerd"),
            lambda: _works(*node.ctr(), "version"),
        )
        for program in ("pause", "coredns", "metrics-server", *_parts(options)):
            _load(node, self._program_image(program))

    def _start_node(self, node: Node) -> None:
        for hierarchy in _hierarchies():
            (hierarchy / node.cgroup).mkdir(exist_ok=True)
        bin_ = self.programs.path
        settings = f"{node.state}/etc"
        self._start(
            node.process("kubelet"),
            [str(bin_("kubelet")), f"--config={settings}/kubelet.yaml", f"--kubeconfig={settings}/kubelet.conf",
             f"--root-dir={node.state}/kubelet", f"--hostname-override={node.name}", f"--node-ip={node.ip}"],
            node,
        )  # fmt: skip
        self._start(
            node.process("kube-proxy"),
            [str(bin_("kube-proxy")), f"--config={settings}/kube-proxy.yaml"],
            node,
        )
        self._until(f"{node.name} is ready", node.process("kubelet"), lambda: self.node_ready(node))

    def lose(self, node: Node) -> None:
        """Kill all processes of a node at once, as a power cut would. The cluster finds out by itself."""
        for program in NODE_PROGRAMS:
            process = _noted(node.process(program))
            if process is not None:
                _signal(process, signal.SIGKILL)
        for process in _of_pods(node):
            _signal(process, signal.SIGKILL)

    def _install(self, options: Options) -> None:
        folders = [self.state / "volumes" / str(number) for number in range(VOLUMES)]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)
        nodes = [node.name for node in self.nodes]
        self.apply(manifests.base(nodes, DNS_IP, [str(folder) for folder in folders]))
        self._until(
            "the service account is there",
            "kube-controller-manager",
            lambda: self.works("get", "sa", "default"),
        )
        self.kubectl(
            "-n", "kube-system", "rollout", "status", "deployment/coredns", f"--timeout={WAIT}s"
        )
        self.apply(manifests.METRICS_SERVER)
        self.kubectl(
            "wait",
            "--for=condition=Available",
            "apiservice/v1beta1.metrics.k8s.io",
            f"--timeout={WAIT}s",
        )
        if options.policies:
            self.apply(manifests.policies())
            self.kubectl(
                "-n",
                "kube-system",
                "rollout",
                "status",
                "daemonset/network-policies",
                f"--timeout={WAIT}s",
            )
        if options.keda:
            self._install_keda()
        if options.monitoring:
            self._install_monitoring()

    def _install_keda(self) -> None:
        pki = Authority(self.state / "pki")
        services = ("keda-operator", "keda-metrics-apiserver", "keda-admission-webhooks")
        names = [
            f"DNS:{s}{end}"
            for s in services
            for end in ("", ".keda", ".keda.svc", ".keda.svc.cluster.local")
        ]
        # KEDA can make these itself, but its pods would see them a minute later. Its authority must be RSA and named
        # KEDA.
        pki.authority("keda-ca", names="DNS:KEDA", rsa=True)
        pki.certificate("keda", "/CN=keda", "serverAuth,clientAuth", ",".join(names), ca="keda-ca")
        folder = self.state / "etc" / "keda"
        _write(
            folder / "kustomization.yaml",
            manifests.keda(
                os.path.relpath(self.programs.source("keda").resolve(), folder.resolve())
            ),
        )
        self.kubectl("create", "namespace", "keda")
        files = {
            "tls.crt": "keda.crt",
            "tls.key": "keda.key",
            "ca.crt": "keda-ca.crt",
            "ca.key": "keda-ca.key",
        }
        given = [f"--from-file={name}={pki.folder / file}" for name, file in files.items()]
        self.kubectl("-n", "keda", "create", "secret", "generic", "kedaorg-certs", *given)
        self.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(folder))
        for name in ("keda-operator", "keda-metrics-apiserver", "keda-admission"):
            self.kubectl(
                "-n", "keda", "rollout", "status", f"deployment/{name}", f"--timeout={WAIT}s"
            )
        path = "/apis/external.metrics.k8s.io/v1beta1"
        self._until("KEDA's metrics API answers", None, lambda: self.works("get", "--raw", path))

    def _install_monitoring(self) -> None:
        folder = self.state / "etc" / "monitoring"
        source = os.path.relpath(
            self.programs.source("prometheus-operator").resolve(), folder.resolve()
        )
        _write(folder / "kustomization.yaml", manifests.operator(source))
        self.kubectl("create", "namespace", "monitoring")
        self.kubectl("apply", "--server-side", "-k", str(folder))
        self.kubectl(
            "-n",
            "monitoring",
            "rollout",
            "status",
            "deployment/prometheus-operator",
            f"--timeout={WAIT}s",
        )
        self.kubectl(
            "wait",
            "--for=condition=Established",
            "crd/prometheuses.monitoring.coreos.com",
            f"--timeout={WAIT}s",
        )
        self.apply(manifests.PROMETHEUS)
        self.kubectl(
            "-n",
            "monitoring",
            "wait",
            "--for=condition=Available",
            "prometheus/all",
            f"--timeout={WAIT}s",
        )

    # --- programs and images

    def _program_image(self, name: str) -> Path:
        """Return an image that contains only one static program."""
        program, target = self.programs.path(name).resolve(), self.state / "images" / f"{name}.tar"
        if target.exists() and target.stat().st_mtime >= program.stat().st_mtime:
            return target
        # The Prometheus operator mounts a folder over /prometheus.
        inside = f"bin/{name}"
        layer = _tar({inside: program.read_bytes()})
        config = {
            "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
            "os": "linux",
            "config": {"Entrypoint": [f"/{inside}"], "Env": ["PATH=/bin"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"],
            },
        }
        manifest = [
            {"Config": "config.json", "RepoTags": [manifests.image(name)], "Layers": ["layer.tar"]}
        ]
        files = {
            "layer.tar": layer,
            "config.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }
        target.write_bytes(_tar(files))
        return target

    def load(self, archives: list[Path]) -> None:
        """Load images into the containerd of each node."""
        for node in (self.first, self.second):
            if _alive(node.process("containerd")):
                for archive in archives:
                    _load(node, archive)

    def _start(self, name: str, command: list[str], node: Node | None = None) -> None:
        """Start a program of a node. Those of the control plane are on the first one."""
        if _alive(name):
            return
        namespace = NAME if node is None else node.namespace
        with (self.state / "log" / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{namespace}", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _write(RUN / f"{name}.pid", f"{process.pid} {_born(process.pid)}")

    def _until(self, what: str, program: str | None, true: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT
        while not true():
            dead = program is not None and not _alive(program)
            if dead or time.monotonic() > end:
                log = self.state / "log" / f"{program}.log"
                raise ServerError(
                    f"{what}: not within {WAIT} s; the end of {log}:\n{last_lines(log)}"
                )
            time.sleep(0.3)

    # --- kubectl

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        command = [str(self.programs.path("kubectl")), f"--kubeconfig={self.admin}", *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServerError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def works(self, *arguments: str) -> bool:
        return _works(str(self.programs.path("kubectl")), f"--kubeconfig={self.admin}", *arguments)

    def apply(self, text: str) -> None:
        self.kubectl("apply", "-f", "-", given=text)

    def node_ready(self, node: Node) -> bool:
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        try:
            return self.kubectl("get", "node", node.name, "-o", f"jsonpath={path}") == "True"
        except ServerError:
            return False

    # --- down

    def down(self) -> None:
        nodes = (self.first, self.second)
        for node in nodes:
            _end(node.process("kubelet"), 8)
            _end(node.process("kube-proxy"), 8)
        _end("kube-scheduler", 8)
        _end("kube-controller-manager", 8)
        for node in nodes:
            if _alive(node.process("containerd")):
                _end_containers(node)
            _end(node.process("containerd"), 15)
        _end("kube-apiserver", 15)
        _end("etcd", 15)
        for node in nodes:
            for process in _shims(node):
                _signal(process, signal.SIGKILL)
        self._unmount()
        for node in nodes:
            _works("ip", "netns", "del", node.namespace)
        _works("ip", "link", "del", f"{NAME}-h")
        if (RUN / "sysctls").exists():
            for line in (RUN / "sysctls").read_text().splitlines():
                _works("sysctl", "-qw", line)
        _works("find", "/var/log/containers", "-lname", f"{self.state}/*", "-delete")
        for folder in (
            RUN,
            self.state / "etcd",
            self.state / "kubelet",
            self.state / "pod-logs",
            self.state / "volumes",
            self.second.state / "kubelet",
            self.second.state / "pod-logs",
        ):
            shutil.rmtree(folder, ignore_errors=True)
        self.admin.unlink(missing_ok=True)

    def _unmount(self) -> None:
        def ours() -> list[str]:
            points = [
                line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
            ]
            return sorted(
                (p for p in points if p.startswith((f"{self.state}/", f"{RUN}/"))), reverse=True
            )

        for point in ours():
            _works("umount", "-l", point)
        if ours():  # deleting the files below a mount would delete somebody's data
            raise ServerError(f"cannot unmount {', '.join(ours())}")
        for pattern in ("**/kubepods*", f"**/{self.second.cgroup}"):
            for group in CGROUPS.glob(pattern):
                for folder in sorted([group, *group.rglob("*")], reverse=True):
                    if folder.is_dir():
                        _works("rmdir", str(folder))


class Authority:
    """Keys and certificates. Each is made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def key(self, name: str, *, rsa: bool = False) -> None:
        path = self.folder / f"{name}.key"
        if not path.exists():
            curve = ["ecparam", "-name", "prime256v1", "-genkey", "-noout"]
            _run(
                [
                    "openssl",
                    *(["genrsa", "-traditional"] if rsa else curve),
                    "-out",
                    str(path),
                    *(["2048"] if rsa else []),
                ]
            )
            path.chmod(0o600)

    def authority(self, name: str, *, names: str = "", rsa: bool = False) -> None:
        self.key(name, rsa=rsa)
        path = self.folder / f"{name}.crt"
        if not path.exists():
            uses = ["-addext", "basicConstraints=critical,CA:TRUE"]
            uses += ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
            uses += ["-addext", f"subjectAltName={names}"] if names else []
            key = str(self.folder / f"{name}.key")
            _run(
                [
                    "openssl",
                    "req",
                    "-x509",
                    "-new",
                    "-key",
                    key,
                    "-subj",
                    f"/CN={name}",
                    "-days",
                    "3650",
                    "-out",
                    str(path),
                    *uses,
                ]
            )

    def certificate(
        self, name: str, subject: str, usage: str, names: str = "", *, ca: str = "ca"
    ) -> None:
        path = self.folder / name
        if Path(f"{path}.crt").exists():
            return
        self.key(name)
        _run(
            [
                "openssl",
                "req",
                "-new",
                "-key",
                f"{path}.key",
                "-subj",
                subject,
                "-out",
                f"{path}.csr",
            ]
        )
        lines = [
            "basicConstraints=CA:FALSE",
            "keyUsage=digitalSignature,keyEncipherment",
            f"extendedKeyUsage={usage}",
        ]
        Path(f"{path}.ext").write_text(
            "\n".join([*lines, *([f"subjectAltName={names}"] if names else [])]) + "\n"
        )
        signer = [
            "-CA",
            f"{self.folder}/{ca}.crt",
            "-CAkey",
            f"{self.folder}/{ca}.key",
            "-CAcreateserial",
        ]
        _run(
            [
                "openssl",
                "x509",
                "-req",
                "-in",
                f"{path}.csr",
                *signer,
                "-days",
                "3650",
                "-extfile",
                f"{path}.ext",
                "-out",
                f"{path}.crt",
            ]
        )

    def kubeconfig(self, name: str, server: str = f"https://{NODE_IP}:6443") -> str:
        def content(file: str) -> str:
            return base64.b64encode((self.folder / file).read_bytes()).decode()

        user = {
            "client-certificate-data": content(f"{name}.crt"),
            "client-key-data": content(f"{name}.key"),
        }
        address = {"server": server, "certificate-authority-data": content("ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": NAME, "cluster": address}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": name}}],
            "current-context": NAME,
        }
        return json.dumps(config)


def _parts(options: Options) -> list[str]:
    parts = ["kube-network-policies"] if options.policies else []
    parts += ["keda", "keda-adapter", "keda-webhooks"] if options.keda else []
    return parts + (
        ["prometheus-operator", "prometheus-config-reloader", "prometheus"]
        if options.monitoring
        else []
    )


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _load(node: Node, archive: Path) -> None:
    _run([*node.ctr(), "images", "import", str(archive)])


def _forward(node: Node, device: str) -> None:
    """Let a node pass packets on: those of its pods, and those to the addresses of Services."""
    in_namespace = ["nsenter", f"--net=/run/netns/{node.namespace}"]
    neighbour = ["neighbour", "add", node.neighbour_ip, "lladdr", "02:00:00:00:00:03"]
    for command in (
        [*in_namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1"],
        # Without a route, kube-proxy's rules would not see a packet. A packet without a rule is dropped.
        ["ip", "-n", node.namespace, *neighbour, "dev", device, "nud", "permanent"],
        ["ip", "-n", node.namespace, "route", "add", SERVICES, "via", node.neighbour_ip],
    ):
        _run(command)


def _end_containers(node: Node) -> None:
    for task in _output(*node.ctr(), "tasks", "ls", "-q").split():
        _works(*node.ctr(), "tasks", "kill", "-s", "SIGKILL", "-a", task)
    time.sleep(1)
    for task in _output(*node.ctr(), "tasks", "ls", "-q").split():
        _works(*node.ctr(), "tasks", "rm", "-f", task)
    for container in _output(*node.ctr(), "containers", "ls", "-q").split():
        _works(*node.ctr(), "containers", "rm", container)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _born(process: int) -> str:
    """Return the start time of a process. Together with the process id it is unique."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _noted(name: str) -> int | None:
    try:
        process, born = (RUN / f"{name}.pid").read_text().split()
    except (OSError, ValueError):
        return None
    return int(process) if _born(int(process)) == born else None


def _alive(name: str) -> bool:
    return _noted(name) is not None


def _signal(process: int, which: signal.Signals) -> None:
    try:
        os.kill(process, which)
    except ProcessLookupError:
        pass


def _end(name: str, seconds: float) -> None:
    process = _noted(name)
    if process is not None:
        _signal(process, signal.SIGTERM)
        end = time.monotonic() + seconds
        while _alive(name) and time.monotonic() < end:
            time.sleep(0.1)
        if _alive(name):
            _signal(process, signal.SIGKILL)
    (RUN / f"{name}.pid").unlink(missing_ok=True)


def _shims(node: Node) -> list[int]:
    """Return the ids of the shim processes of a node's containerd, which outlive it."""
    socket = str(node.run / "containerd.sock")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "containerd-shim" in words[0] and socket in words:
            found.append(int(folder.name))
    return found


def _of_pods(node: Node) -> list[int]:
    """Return the ids of all processes of a node's pods, the shims before their containers."""
    found = _shims(node)
    for hierarchy in _hierarchies():
        pods = hierarchy / node.cgroup / "kubepods"
        for processes in pods.rglob("cgroup.procs"):
            found += [int(line) for line in processes.read_text().split()]
    return found


def _hierarchies() -> list[Path]:
    """Return the roots of the hierarchies of cgroups: one for each controller in version 1, and one in version 2."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [path for path in CGROUPS.iterdir() if path.is_dir()]


def main() -> int:
    cluster, arguments = Cluster(), sys.argv[2:]
    wanted = Options(
        policies="policies" in arguments,
        keda="keda" in arguments,
        monitoring="monitoring" in arguments,
        second_node="second-node" in arguments,
    )
    try:
        if sys.argv[1:2] == ["up"]:
            cluster.up(wanted)
            print(cluster.admin)
        elif sys.argv[1:2] == ["load"]:
            cluster.load([Path(name) for name in arguments])
        elif sys.argv[1:2] == ["down"]:
            cluster.down()
        else:
            sys.exit(__doc__)
    except ServerError as error:
        say(str(error), "kubernetes")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
