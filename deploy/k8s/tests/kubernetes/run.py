"""`make kube-test`: the chart on a real Kubernetes, with Helm 3 and with Helm 4.

On the cluster that KUBECONFIG names (its nodes must have the images), or on one that is started here. Each line that
begins with "ok" is one thing that was seen to hold. Exit codes: 1, something did not hold; 3, it could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from http import HTTPStatus
from pathlib import Path

from migration import migration
from monitoring import monitoring
from network import connections
from pod_logs import PodLogs, discreet
from release import RELEASE, ROOT, USER, Failed, Release, Report, of_a_job
from scaling import by_cpu, by_queue, by_queue_outside, probes
from several_nodes import several_nodes
from small import small
from under_load import under_way

from dev.kubernetes.cluster import Cluster
from dev.kubernetes.programs import Options, missing
from tools.common import ServerError

NOT_RUN = 3  # the exit code, as of other things here that need what a machine lacks
ALL_POINTS = "6,7,8,9,migration,small"
# All points take as long as all other steps of CI. Each commit takes one of these parts, by its number: a version of Helm,
# and the points beside installation, test, import, upgrade, rollback and uninstallation.
STAND_INS = {"rabbitmq": "rabbitmq", "redis": "redis", "neo4j": "neo4j", "proxy": "caddy"}
PARTS = [
    ("3", ""),
    ("4", "8"),
    ("4", "9"),
    ("4", "6"),
    ("4", "7"),
    ("4", "migration"),
    ("4", "small"),
    ("4", "nodes"),
]
# Each of these points installs the chart in its own way. When it is given alone, nothing else is installed.
ALONE = ("small", "nodes")


def namespace(release: Release) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    item = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": release.namespace, "labels": labels},
    }
    release.kubectl("apply", "-f", "-", given=json.dumps(item))


def lifecycle(release: Release, report: Report) -> None:
    """Point 5: install, test, import, upgrade, a broken upgrade, uninstall."""
    helm = f"Helm {release.helm}"
    with report.step(f"5 {helm}: install --wait in a restricted namespace") as figures:
        release.run_helm("install", *release.chart(), "--wait", "--timeout", "600s")
        figures.append(f"user {USER}")
    with report.step(
        f"5 {helm}: all pods as a random user, read-only root, no capability"
    ) as figures:
        figures.append(f"{restricted(release)} containers")
    with report.step(f"5 {helm}: helm test sends a record and reads it back"):
        # Without --logs: the pod is gone when it has succeeded, and Helm 3 would call that an error.
        release.run_helm("test", RELEASE, "--timeout", "300s")
    digest = ""
    with (
        report.step(f"5 {helm}: a file through the gateway's Service") as figures,
        release.gateway() as gateway,
    ):
        job = gateway.send((ROOT / "examples" / "school_en.ndjson").read_bytes())
        release.until("the import's end", lambda: gateway.ended(job))
        found = gateway.report(job)
        if found["state"] != "succeeded":
            raise Failed(json.dumps(found)[:600])
        digest = release.digest()
        figures.append(f"{found['written']} of {found['read']} written")
    with (
        report.step(f"5 {helm}: the gateway's Service does not serve /metrics"),
        release.gateway() as gateway,
    ):
        served = gateway.status("/metrics")
        if served != HTTPStatus.NOT_FOUND:
            raise Failed(f"/metrics is answered with {served}")
    before = release.secret("bootstrap-key")
    with report.step(f"5 {helm}: upgrade keeps secrets and graph"):
        release.run_helm(
            "upgrade", *release.chart("workerDefaults.concurrency=3"), "--wait", "--timeout", "600s"
        )
        if release.secret("bootstrap-key") != before:
            raise Failed("the upgrade made another key")
        if release.digest() != digest:
            raise Failed("the graph is another one")
    with report.step(f"5 {helm}: a broken upgrade is rolled back"):
        back = "--rollback-on-failure" if release.helm == "4" else "--atomic"
        broken = release.chart('gateway.image.tag="no-such-tag"')
        done = release.run_helm("upgrade", *broken, back, "--timeout", "40s", check=False)
        if done.returncode == 0:
            raise Failed("the broken upgrade was taken for good")
        release.rolled_out()
        pod = release.get("deployment", f"{RELEASE}-gateway")["spec"]["template"]["spec"]
        image = pod["containers"][0]["image"]
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

        data = {
            f"PersistentVolumeClaim/data-{RELEASE}-{name}-0"
            for name in ("rabbitmq", "redis", "neo4j")
        }
        promised = {
            f"Secret/{RELEASE}-credentials",
            f"PersistentVolumeClaim/{RELEASE}-blobs",
            *data,
        }
        release.until(f"nothing but {sorted(promised)}", lambda: left() == promised, 120)
        figures.append(f"kept: {len(promised)} objects")


def restricted(release: Release) -> int:
    """What Kubernetes was told is looked at inside too, where the image has a shell."""
    looked = 0
    for pod in release.pods():
        if of_a_job(pod):  # it may end while it is looked at
            continue
        name = pod["metadata"]["name"]
        script = 'id -u; grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status; touch /no 2>&1 || true'
        seen = release.kubectl("exec", name, "--", "sh", "-c", script)
        wanted = [
            str(USER),
            "CapEff:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
            "Read-only file system",
        ]
        lacking = [text for text in wanted if text not in seen]
        if lacking:
            raise Failed(f"{name}: no {lacking} in {seen!r}")
        looked += 1
    return looked


def images() -> list[str]:
    """Settings for images that were built here."""
    settings = []
    for part, image in STAND_INS.items():
        settings.append(f'{part}.image.repository="docker.io/edugraph-test/{image}"')
        settings.append(f'{part}.image.tag="1"')
    return settings


def look_closer(
    release: Release, report: Report, logs: PodLogs, options: argparse.Namespace
) -> None:
    """KEDA, the Prometheus operator and a worker's own process are looked for in the cluster made here only."""
    if "8" in options.points:
        connections(release, report)
        if options.own:
            monitoring(release, report)
    if "9" in options.points and options.own:
        # It needs what only `make env-dev` installs.
        from signing_in import signing_in

        signing_in(release, report)
    if "6" in options.points:
        under_way(release, report, logs, options.records)
    if "7" in options.points:
        probes(release, report, own=options.own)
        by_cpu(release, report)
    if ("7" in options.points or "keda" in options.points) and options.own:
        by_queue_outside(release, report)
        by_queue(release, report)


def confidential(release: Release) -> dict[str, str]:
    """The secrets, and the texts of what was imported, by names that may be told."""
    secret = release.get("secret", f"{RELEASE}-credentials")["data"]
    rows = (ROOT / "examples" / "school_en.ndjson").read_text(encoding="utf-8").splitlines()
    datas = [json.loads(row).get("data", {}) for row in rows if row.startswith("{")]
    texts = {
        value
        for data in datas
        for key, value in data.items()
        if key in ("text", "error_text", "feedback")
    }
    texts.add("I do not understand fractions")
    return {key: release.secret(key) for key in secret} | {
        f"text {n}": text for n, text in enumerate(sorted(texts))
    }


def one_helm(helm: str, kubeconfig: str, report: Report, options: argparse.Namespace) -> None:
    release = Release(
        helm, kubeconfig, f"edugraph-{helm}-{secrets.token_hex(2)}", _settings(own=options.own)
    )
    namespace(release)
    with PodLogs(release) as logs:
        lifecycle(release, report)
        if options.all and helm == "4":
            look_closer(release, report, logs, options)
            release.kubectl("delete", "pod", "stranger", "--ignore-not-found", "--grace-period=1")
        elif options.all and "7" in options.points:
            # How an upgrade changes the number of pods depends on Helm's version: only version 4 applies on the server.
            by_cpu(release, report)
        if "migration" in options.points and options.all and options.own and helm == "4":
            # `lifecycle` rolls a broken upgrade back with each version of Helm, and the migration itself is the work of
            # the importer. Afterwards the graph has a version that the importer of this release does not know.
            migration(release, report)
        with report.step(
            f"5 Helm {helm}: no secret and no text of a record in any pod's log"
        ) as figures:
            figures.append(discreet(logs, confidential(release)))
    if not (options.keep and helm == "4"):
        uninstalled(release, report)
        release.kubectl("delete", "namespace", release.namespace, "--wait=false")


def small_node(kubeconfig: str, report: Report, options: argparse.Namespace) -> None:
    """The example for one small node, in a namespace of its own."""
    release = Release(
        "4", kubeconfig, f"edugraph-small-{secrets.token_hex(2)}", _settings(own=options.own)
    )
    namespace(release)
    small(release, report)
    if not options.keep:
        release.run_helm("uninstall", RELEASE, "--wait", "--timeout", "300s")
        release.kubectl("delete", "namespace", release.namespace, "--wait=false")


def two_nodes(
    kubeconfig: str, report: Report, options: argparse.Namespace, cluster: Cluster
) -> None:
    """A release on two nodes, in a namespace of its own."""
    release = Release(
        "4", kubeconfig, f"edugraph-nodes-{secrets.token_hex(2)}", _settings(own=options.own)
    )
    namespace(release)
    several_nodes(release, report, cluster)


def _settings(*, own: bool) -> list[str]:
    settings = [
        f"podSecurity.runAsUser={USER}",
        f"podSecurity.fsGroup={USER}",
        *(images() if own else []),
    ]
    flower = (ROOT / "services" / "flower" / "Dockerfile").exists()
    return settings if flower else [*settings, "flower.enabled=false"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py")
    parser.add_argument("--all", action="store_true", help="points 6 to 9 as well")
    parser.add_argument(
        "--archives",
        type=Path,
        help="images that build.py --save has written; built first without it",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the cluster and the last release running"
    )
    parser.add_argument("--helm", default="3,4", help="one of them, to look at something again")
    parser.add_argument(
        "--points",
        default=ALL_POINTS,
        help="which of them --all looks at; keda: the part of 7 with KEDA; nodes, alone: a second node",
    )
    parser.add_argument(
        "--part-of-commit",
        type=int,
        help="look at one part of all points, the next one for the next number of a commit",
    )
    parser.add_argument("--records", type=int, default=30_000)
    options = parser.parse_args()
    if options.part_of_commit is not None:
        options.helm, options.points = PARTS[options.part_of_commit % len(PARTS)]
        options.all = bool(options.points)
    options.own = not os.environ.get("KUBECONFIG")
    if "nodes" in options.points:
        is_alone = options.points == "nodes" and options.all
        if not (is_alone and options.own):
            parser.error(
                "the point nodes needs --all, no other point, and a cluster that is made here"
            )
    return options


def main() -> int:
    options, report, cluster = arguments(), Report(), Cluster()
    if options.own and (reason := missing()):
        print(f"kube-test: not run: {reason}", file=sys.stderr)
        return NOT_RUN
    # SIGTERM ends this program as Ctrl-C does, so that no cluster is left running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as folder:
        try:
            kubeconfig = (
                _own_cluster(cluster, options, Path(folder))
                if options.own
                else os.environ["KUBECONFIG"]
            )
            if "small" in options.points and options.all:
                small_node(kubeconfig, report, options)
            if options.points == "nodes":
                two_nodes(kubeconfig, report, options, cluster)
            if options.points not in ALONE:
                for helm in options.helm.split(","):
                    one_helm(helm, kubeconfig, report, options)
        except (ServerError, Failed) as error:
            report.failed += 1
            print(f"FAILED: {error}")
        finally:
            # A second signal would end the program before all of the cluster is down.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if options.own and not options.keep:
                cluster.down()
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


def _own_cluster(cluster: Cluster, options: argparse.Namespace, folder: Path) -> str:
    archives = options.archives
    if archives is None:
        archives = folder / "images"
        command = [
            sys.executable,
            str(ROOT / "deploy" / "images" / "build.py"),
            "--servers",
            "--proxy",
            "--save",
            str(archives),
        ]
        if subprocess.run(command, check=False).returncode:
            raise ServerError("the images could not be built")
    points = options.points.split(",") if options.all else []
    with_keda = "7" in points or "keda" in points
    cluster.up(
        Options(
            policies=options.all,
            keda=with_keda,
            monitoring="8" in points,
            second_node="nodes" in points,
        )
    )
    cluster.load(sorted(archives.glob("*.tar")))
    return str(cluster.admin)


if __name__ == "__main__":
    sys.exit(main())
