"""Point 8: who reaches whom, with enforced network policies."""

from __future__ import annotations

import json

from release import RELEASE, Failed, Release, Report

ARROWS = {
    "gateway": {"rabbitmq:5672", "redis:6379", "insights:8081"},
    "insights": {"redis:6379", "neo4j:7687"},
    "importer": {"rabbitmq:5672", "redis:6379", "neo4j:7687"},
    "splits": {"rabbitmq:5672", "redis:6379", "neo4j:7687"},
    "findings": {"rabbitmq:5672", "redis:6379", "neo4j:7687"},
    "analyzer": {"rabbitmq:5672", "redis:6379"},
    "flower": {"rabbitmq:5672", "redis:6379"},
    "stranger": {"gateway:8080", "insights:8081"},
}
TARGETS = (
    "rabbitmq:5672",
    "redis:6379",
    "neo4j:7687",
    "gateway:8080",
    "insights:8081",
    "flower:5555",
)
METRICS = 9100  # of a pod's own address: it is in no Service, and for Prometheus alone


def connections(release: Release, report: Report) -> None:
    """Point 8: each pair of component and server is tried."""
    with report.step("8 every drawn connection works and no other one") as figures:
        stranger(release)
        present = {
            pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in release.pods()
        }
        targets = [t for t in TARGETS if t.split(":")[0] in present]
        metrics = {f"{pod['status']['podIP']}:{METRICS}" for pod in release.pods("gateway")}
        wrong, tried = [], 0
        for source, drawn in ARROWS.items():
            pod = "stranger" if source == "stranger" else None
            if pod is None:
                if source not in present:
                    continue
                pod = release.pods(source)[0]["metadata"]["name"]
            addresses = [f"{RELEASE}-{t}" for t in targets if not t.startswith(f"{source}:")] + [
                "10.251.0.2:443"
            ]
            # A pod always reaches itself.
            addresses += sorted(metrics) if source != "gateway" else []
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


# A refused connection takes the whole time-out, so a pod tries all addresses at once.
TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor


def answer(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError as error:
        return type(error).__name__
    return "open"


addresses = sys.argv[1:]
with ThreadPoolExecutor(len(addresses)) as threads:
    answers = threads.map(answer, addresses)
    print(json.dumps(dict(zip(addresses, answers))))
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
