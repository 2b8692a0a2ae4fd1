"""What is wrong with the servers behind the gateway, and what to do about each fault."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import redis

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.errors import Failure, Retryable, what
from edugraph_common.contracts.graph_schema import LABELS
from edugraph_common.messaging.provisioning import check_topology

if TYPE_CHECKING:
    from edugraph_gateway.gateway import Gateway

Finding = tuple[str, str]  # what is wrong, what to do


def diagnose(gateway: "Gateway") -> list[Check]:
    """Every check is made, whatever the others say. Takes some seconds when servers are away."""
    checks: dict[str, Callable[[Gateway], Iterator[Finding]]] = {
        "broker": _broker,
        "redis": _redis,
        "graph": _graph,
        "blobs": _blobs,
        "dead letters": _dead_letters,
    }
    return [_check(name, gateway, look) for name, look in checks.items()]


def _check(name: str, gateway: "Gateway", look: "Callable[[Gateway], Iterator[Finding]]") -> Check:
    try:
        found = list(look(gateway))
    except Failure as failure:
        found = [(failure.reason, _ADVICE[name])]
    problems, advice = tuple(problem for problem, _ in found), tuple(dict.fromkeys(what for _, what in found if what))
    return Check(name=name, ok=not found, problems=problems, advice=advice)


_ADVICE = {
    "broker": "Check that RabbitMQ runs and that EDUGRAPH_BROKER_URL and …_BROKER_MANAGEMENT_URL are right.",
    "redis": "Check that Redis runs and that EDUGRAPH_REDIS_URL is right.",
    "graph": "Check that Neo4j runs and that EDUGRAPH_NEO4J_URI, …_USER and …_PASSWORD are right.",
    "blobs": "Check EDUGRAPH_BLOB_URL and who may write there.",
    "dead letters": "Check that RabbitMQ runs.",
}


def _broker(gateway: "Gateway") -> Iterator[Finding]:
    for problem in check_topology(gateway.settings):
        yield problem, "Run: edugraph topology apply"


def _redis(gateway: "Gateway") -> Iterator[Finding]:
    try:
        policy = gateway.redis.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
        gateway.redis.ping()
    except redis.ResponseError:
        return  # a managed Redis that does not tell its configuration
    except redis.RedisError as error:
        raise Retryable(f"Redis does not answer ({what(error)})") from error
    if policy != "noeviction":
        yield f"Redis may evict results and jobs (maxmemory-policy {policy})", "Set maxmemory-policy to noeviction."


def _graph(gateway: "Gateway") -> Iterator[Finding]:
    missing = sorted(set(LABELS) - gateway.graph.constrained_labels())
    if missing:
        yield f"no constraint on {', '.join(missing)}", "An import makes them; import any file, then look again."


def _blobs(gateway: "Gateway") -> Iterator[Finding]:
    key = f"doctor/{gateway.new_id()}"
    with gateway.blobs.write(key) as file:
        file.write(b"doctor")
    if gateway.blobs.read(key, 0, 6) != b"doctor":
        yield "the blob store does not give back what was written", _ADVICE["blobs"]
    gateway.blobs.delete(key)


def _dead_letters(gateway: "Gateway") -> Iterator[Finding]:
    if not gateway.settings.on_rabbitmq:
        return
    for queue, number in gateway.dead_desk.counts().items():
        if number:
            yield f"{number} dead letters of {queue}", "Look at them: edugraph dead list"
