"""The faults of the servers behind the gateway and of the workers, each with advice."""

from collections.abc import Callable, Iterable

import redis

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.errors import Failure, Retryable, what
from edugraph_common.runtime.messaging.provisioning import check_topology
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_gateway.operations.dead_letter_operator import DeadLetterOperator
from edugraph_gateway.operations.worker_checks import WorkerChecks

# A problem, and the advice for it.
Fault = tuple[str, str]
ADVICE = {
    "broker": "Check that RabbitMQ runs and that EDUGRAPH_BROKER_URL and …_BROKER_MANAGEMENT_URL are right.",
    "redis": "Check that Redis runs and that EDUGRAPH_REDIS_URL is right.",
    "blobs": "Check EDUGRAPH_BLOB_URL and who may write there.",
    "dead letters": "Check that RabbitMQ runs.",
}


def diagnose(
    *,
    settings: Settings,
    client: "redis.Redis",
    blobs: Blobs,
    dead_letters: DeadLetterOperator,
    workers: WorkerChecks,
    new_id: Callable[[], str],
) -> list[Check]:
    """Return the result of every check. The checks take some seconds if servers do not answer."""

    def dead_letter_faults() -> Iterable[Fault]:
        if not settings.on_rabbitmq:
            return
        for queue, number in dead_letters.counts().items():
            if number:
                yield f"{number} dead letters of {queue}", "Look at them: edugraph dead list"

    checks: dict[str, Callable[[], Iterable[Fault]]] = {
        "broker": lambda: [
            (problem, "Run: edugraph topology apply") for problem in check_topology(settings)
        ],
        "redis": lambda: _redis_faults(client),
        "blobs": lambda: _blob_faults(blobs, f"doctor/{new_id()}"),
        "dead letters": dead_letter_faults,
    }
    made = []
    for name, look in checks.items():
        try:
            faults = list(look())
        except Failure as failure:
            faults = [(failure.reason, ADVICE[name])]
        problems = tuple(problem for problem, _ in faults)
        advice = tuple(dict.fromkeys(advice for _, advice in faults if advice))
        made.append(Check(name=name, ok=not faults, problems=problems, advice=advice))
    return [*made, *workers.all()]


def _redis_faults(client: "redis.Redis") -> Iterable[Fault]:
    """Yield the faults of Redis. Raises Retryable if it does not answer."""
    try:
        policy = client.info("memory").get("maxmemory_policy", "noeviction")
    except redis.RedisError as error:
        raise Retryable(f"Redis does not answer ({what(error)})") from error
    if policy != "noeviction":
        yield (
            f"Redis may evict results and jobs (maxmemory-policy {policy})",
            "Set maxmemory-policy to noeviction.",
        )


def _blob_faults(blobs: Blobs, key: str) -> Iterable[Fault]:
    """Write, read and delete a blob, and yield the faults."""
    with blobs.write(key) as file:
        file.write(b"doctor")
    if blobs.read(key, 0, 6) != b"doctor":
        yield "the blob store does not give back what was written", ADVICE["blobs"]
    blobs.delete(key)
