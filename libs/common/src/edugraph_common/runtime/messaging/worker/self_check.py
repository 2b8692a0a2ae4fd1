"""The answer of a worker to `edugraph doctor`: its servers, its release, and its service's own checks."""

from importlib.metadata import version
from typing import Any

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.worker_reports import ServerAnswer, WorkerAnswer
from edugraph_common.runtime.messaging.worker.server_watch import ask_servers

NAMES = {"redis": "Redis", "neo4j": "Neo4j", "blobs": "blob store"}
ADVICE = {
    "redis": "Check EDUGRAPH_REDIS_URL of this worker and the user in Redis (ACL LIST).",
    "neo4j": "Check EDUGRAPH_NEO4J_URI, …_USER, …_PASSWORD and …_DATABASE of this worker.",
    "blobs": "Check EDUGRAPH_BLOB_URL of this worker and its credentials.",
}


def check_of(answer: ServerAnswer) -> Check:
    """Return the check that the doctor shows for a server of a worker."""
    if answer.cause is None:
        return Check(name=NAMES[answer.server], ok=True)
    return Check(
        name=NAMES[answer.server],
        ok=False,
        problems=(answer.reason,),
        advice=(ADVICE[answer.server],),
    )


def check_worker(app: Any, worker: str) -> WorkerAnswer:
    """Run all checks of this worker. They take some seconds if servers are away."""
    checks = [check_of(answer) for answer in ask_servers(app)]
    checks += [check() for check in app.checks]
    return WorkerAnswer(worker=worker, release=version("edugraph-common"), checks=tuple(checks))
