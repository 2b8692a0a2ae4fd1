"""Builds Kubernetes' own programs from Go modules, once for all checkouts. It takes about ten minutes on two cores.

The build needs only a Go module proxy and some packages of Debian, and no registry or download site.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.debian import packages as debian
from dev.kubernetes import versions
from tools import cache
from tools.common import ServerError, last_lines, say

# Kubelets after 1.35 need containerd 2, and Debian 12 and 13 have containerd 1.
CONTAINERD = "2.2.9"
METRICS_SERVER = "0.8.0"
COREDNS = "1.13.1"
POLICIES = "0.8.0"
KEDA = "2.20.2"
OPERATOR = "0.85.0"
PROMETHEUS = "3.5.0"
CONTAINERD_FOLDER = f"kubernetes-containerd-{CONTAINERD}"
OLDEST_GO = (1, 24)
TRIES = 3
PACKAGES = (
    "runc",
    "containernetworking-plugins",
    "iptables",
    "conntrack",
    "iproute2",
    "openssl",
)

ETCD_MAIN = """package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
"""

# The first process of each pod. It keeps the pod's namespaces open and reaps orphaned processes.
PAUSE_MAIN = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			process, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if process <= 0 || err != nil {
				break
			}
		}
	}
	os.Exit(1)
}
"""

# CoreDNS with only the plugins that a cluster needs. All plugins together would include the clients of the clouds.
COREDNS_MAIN = """package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() { coremain.Run() }
"""

# Some kernels lack the queue statement of nftables. All have NFQUEUE of iptables, which nftables can use too.
QUEUE_TARGET = """package networkpolicy

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// nfqueueTarget holds struct xt_NFQ_info_v3: first queue, number of queues, flags.
func nfqueueTarget(first int, bypass bool) *expr.Target {
	info := make(xt.Unknown, 8)
	binary.NativeEndian.PutUint16(info[0:], uint16(first))
	binary.NativeEndian.PutUint16(info[2:], 1)
	if bypass {
		binary.NativeEndian.PutUint16(info[4:], 1)
	}
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}
"""


@dataclass(frozen=True)
class Options:
    """The optional parts of the cluster."""

    policies: bool = False
    keda: bool = False
    monitoring: bool = False
    second_node: bool = False


@dataclass(frozen=True)
class Programs:
    """The folders of the programs, and of the sources that contain some of the manifests."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / "bin" / name

    def source(self, name: str) -> Path:
        return self.folder / "source" / name


def missing() -> str | None:
    """Return why this machine cannot have a cluster, in one sentence, or None."""
    if os.geteuid():
        return "a cluster of its own needs root; give one by KUBECONFIG instead"
    if debian.debian_number() is None:
        return (
            "a cluster of its own is made with packages of Debian; give one by KUBECONFIG instead"
        )
    if reason := missing_for_building():
        return f"{reason}; give one by KUBECONFIG instead"
    if _memory_gigabytes() < 6:
        return "a cluster of its own needs 6 GB of memory; give one by KUBECONFIG instead"
    return None


def missing_for_building() -> str | None:
    """Return why Kubernetes' programs cannot be built on this machine, in one sentence, or None."""
    found = go_version()
    if found is None or found < OLDEST_GO:
        return f"a cluster of its own is built with Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or later"
    return None


def go_version() -> tuple[int, int] | None:
    if shutil.which("go") is None:
        return None
    text = subprocess.run(["go", "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def _memory_gigabytes() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def programs(options: Options) -> Programs:
    """Return the programs. The missing ones are built first."""
    for package in PACKAGES:
        if (
            subprocess.run(
                ["dpkg-query", "-W", "-f=${Status}", package], capture_output=True, check=False
            ).stdout.find(b"ok installed")
            < 0
        ):
            debian.apt_install(*PACKAGES)
            break
    base = kubernetes().folder
    cache.built(CONTAINERD_FOLDER, _containerd)
    parts: list[tuple[bool, str, Callable[[Path, int], None]]] = [
        (options.policies, f"kubernetes-policies-{POLICIES}", _policies),
        (options.keda, f"kubernetes-keda-{KEDA}", _keda),
        (options.monitoring, f"kubernetes-monitoring-{OPERATOR}-{PROMETHEUS}", _monitoring),
    ]
    for wanted, name, build in parts:
        if wanted:
            _link(cache.built(name, build), base)
    return Programs(base)


def kubernetes() -> Programs:
    """Return Kubernetes' own programs, without the programs that run pods. The missing ones are built first."""
    return Programs(cache.built(f"kubernetes-{versions.chosen()}", _kubernetes))


def of_containerd(name: str) -> Path:
    """Return the path of one of containerd's programs: containerd, containerd-shim-runc-v2, ctr."""
    return cache.folder() / CONTAINERD_FOLDER / "bin" / name


def _link(extra: Path, base: Path) -> None:
    for kind in ("bin", "source"):
        for item in (extra / kind).iterdir():
            link = base / kind / item.name
            if not link.exists():
                link.symlink_to(item)


def _go(folder: Path, name: str, source: Path, package: str, flags: str, lock: int) -> None:
    say(f"building {name}", "kubernetes")
    (folder / "bin").mkdir(exist_ok=True)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    command = [
        "nice",
        "-n",
        "15",
        "go",
        "build",
        "-mod=mod",
        "-trimpath",
        "-ldflags",
        f"-s -w {flags}",
    ]
    command += ["-o", str(folder / "bin" / name), package]
    log = folder / f"{name}.log"
    with log.open("w", encoding="utf-8") as output:
        done = _tried(
            command, cwd=source, env=environment, stdout=output, stderr=output, pass_fds=(lock,)
        )
    if done.returncode:
        raise ServerError(
            f"{name} could not be built (go ended with {done.returncode}):\n{last_lines(log)}"
        )


def _tried(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    """Run Go several times. It gives up at the first module that its proxy does not deliver, but keeps the others."""
    for _ in range(TRIES - 1):
        done = subprocess.run(command, text=True, check=False, **how)
        if not done.returncode:
            return done
    return subprocess.run(command, text=True, check=False, **how)


def _download(module: str, version: str) -> dict[str, str]:
    environment = {**os.environ, "GOFLAGS": "", "GOWORK": "off"}
    command = ["go", "mod", "download", "-json", f"{module}@v{version}"]
    done = _tried(command, capture_output=True, env=environment, cwd="/")
    if done.returncode:
        raise ServerError(
            f"{module} {version} cannot be had: {done.stderr.strip() or done.stdout.strip()}"
        )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _copy(folder: Path, name: str, module: str, version: str) -> Path:
    """Return a copy of a module's files, whose go.mod can be changed before the build."""
    target = folder / "source" / name
    shutil.copytree(_download(module, version)["Dir"], target)
    for path in [target, *target.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)
    return target


def _kubernetes(folder: Path, lock: int) -> None:
    release = versions.chosen()
    say(
        f"building Kubernetes {release} with Go: about ten minutes, once for this machine",
        "kubernetes",
    )
    source = folder / "source" / "kubernetes"
    for name, text in {"etcd": ETCD_MAIN, "pause": PAUSE_MAIN}.items():
        (source / name).mkdir(parents=True)
        (source / name / "main.go").write_text(text)
    # The repository has its staging modules as folders of version v0.0.0. The published modules of the same release
    # replace them.
    needed = Path(_download("k8s.io/kubernetes", release)["GoMod"]).read_text()
    staging = sorted(set(re.findall(r"^\s*(k8s\.io/[a-z-]+) v0\.0\.0$", needed, re.MULTILINE)))
    replaced = "\n".join(f"replace {name} => {name} v0.{release[2:]}" for name in staging)
    language = re.search(r"^go (\d+\.\d+)\S*$", needed, re.MULTILINE)
    if language is None:
        raise ServerError(f"go.mod of Kubernetes {release} names no version of Go")
    (source / "go.mod").write_text(
        f"module edugraph/kubernetes\n\n{language[0]}\n\ngodebug default=go{language[1]}\n\n"
        f"require k8s.io/kubernetes v{release}\n\n{replaced}\n"
    )
    prefix, minor = "k8s.io/component-base/version", release.split(".")[1]
    flags = f"-X {prefix}.gitVersion=v{release} -X {prefix}.gitMajor=1 -X {prefix}.gitMinor={minor}"
    for name in (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    ):
        _go(folder, name, source, f"k8s.io/kubernetes/cmd/{name}", flags, lock)
    _go(folder, "etcd", source, "./etcd", "", lock)
    _go(folder, "pause", source, "./pause", "", lock)
    # The metrics server needs the libraries of an earlier Kubernetes.
    metrics = _copy(folder, "metrics-server", "sigs.k8s.io/metrics-server", METRICS_SERVER)
    _go(folder, "metrics-server", metrics, "./cmd/metrics-server", "", lock)
    dns = folder / "source" / "coredns"
    dns.mkdir()
    (dns / "main.go").write_text(COREDNS_MAIN)
    (dns / "go.mod").write_text(
        f"module edugraph/coredns\n\ngo 1.24.0\n\nrequire github.com/coredns/coredns v{COREDNS}\n"
    )
    _go(folder, "coredns", dns, ".", "", lock)


def _containerd(folder: Path, lock: int) -> None:
    source = _copy(folder, "containerd", "github.com/containerd/containerd/v2", CONTAINERD)
    for name in ("containerd", "containerd-shim-runc-v2", "ctr"):
        flags = f"-X github.com/containerd/containerd/v2/version.Version={CONTAINERD}"
        _go(folder, name, source, f"./cmd/{name}", flags, lock)


def _policies(folder: Path, lock: int) -> None:
    source = _copy(folder, "kube-network-policies", "sigs.k8s.io/kube-network-policies", POLICIES)
    controller = source / "pkg" / "networkpolicy" / "controller.go"
    text = controller.read_text()
    changed, count = re.subn(
        r"queue := &expr\.Queue\{Num.*\n.*\n.*\n.*\n",
        "queue := nfqueueTarget(c.config.QueueID, c.config.FailOpen)\n",
        text,
    )
    if not count:
        raise ServerError(
            "kube-network-policies looks different from what is known: its queue was not found"
        )
    controller.write_text(changed)
    (controller.parent / "nfqueue.go").write_text(QUEUE_TARGET)
    _go(folder, "kube-network-policies", source, "./cmd", "", lock)


def _keda(folder: Path, lock: int) -> None:
    source = _copy(folder, "keda", "github.com/kedacore/keda/v2", KEDA)
    flags = f"-X github.com/kedacore/keda/v2/version.Version={KEDA}"
    for name, package in {
        "keda": "operator",
        "keda-adapter": "adapter",
        "keda-webhooks": "webhooks",
    }.items():
        _go(folder, name, source, f"./cmd/{package}", flags, lock)


def _monitoring(folder: Path, lock: int) -> None:
    version = "-X github.com/prometheus/common/version.Version"
    source = _copy(
        folder,
        "prometheus-operator",
        "github.com/prometheus-operator/prometheus-operator",
        OPERATOR,
    )
    go_mod = source / "go.mod"
    # The repository has the API modules beside the module. The published ones are used.
    go_mod.write_text(re.sub(r"^replace \((.|\n)*?^\)", "", go_mod.read_text(), flags=re.MULTILINE))
    for name, package in {
        "prometheus-operator": "operator",
        "prometheus-config-reloader": "prometheus-config-reloader",
    }.items():
        _go(folder, name, source, f"./cmd/{package}", f"{version}={OPERATOR}", lock)
    # Prometheus 3.5.0 is module version 0.305.0. It is built with discovery by Kubernetes only, without the clients of
    # the clouds.
    major, minor, patch = PROMETHEUS.split(".")
    source = _copy(
        folder,
        "prometheus",
        "github.com/prometheus/prometheus",
        f"0.{major}{int(minor):02}.{patch}",
    )
    (source / "plugins" / "plugins.go").write_text(
        'package plugins\n\nimport _ "github.com/prometheus/prometheus/discovery/kubernetes"\n'
    )
    _go(folder, "prometheus", source, "./cmd/prometheus", f"{version}={PROMETHEUS}", lock)


if __name__ == "__main__":
    wanted = set(sys.argv[1:])
    try:
        print(
            programs(Options("policies" in wanted, "keda" in wanted, "monitoring" in wanted)).folder
        )
    except ServerError as error:
        sys.exit(str(error))
