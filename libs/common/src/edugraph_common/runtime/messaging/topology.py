"""Exchanges, queues, bindings and policies, in the forms of kombu and RabbitMQ. The names are in contracts.routes.

Routing keys are exact, and the keys of tasks and of events begin with different words. Celery's delayed delivery
binds every task queue with `#.<key>`, so an overlapping key would be delivered twice (celery 5.7, kombu
native_delayed_delivery). Limits and dead-lettering are policies and never queue arguments, because an argument cannot
be changed later.
"""

from typing import Any

from kombu import Exchange, Queue, binding

from edugraph_common.contracts.routes import (
    QUEUES,
    ROUTING_KEYS,
    WORKER_REPORT_KEY,
    WORKER_REPORTS,
    dead_queue_name,
)
from edugraph_common.runtime.service.settings import DEAD_LETTER_RETENTION_DAYS

TASKS = Exchange("edugraph.tasks", type="topic", durable=True)
DEAD = Exchange("edugraph.dead", type="topic", durable=True)
EVENTS = Exchange("edugraph.events", type="topic", durable=True)
# The name of the queue of `edugraph-webhooks`, and of the exchange between it and its delay queues. That process
# declares them, so an installation without webhooks does not have them.
WEBHOOKS = "edugraph.webhooks"

DELIVERY_LIMIT = 5
# By default a quorum queue drops a message that was put back 20 times.
NO_LIMIT = -1
# The size limit of the bodies in one task queue. All full queues together fit the bundled broker's volume of 4 GiB,
# with room for dead letters. A full disk would raise an alarm, which also stops workers, since they publish before
# they acknowledge.
TASK_QUEUE_BYTES = 614 * 1024**2
# Messages about large files refer to the file, so tens of thousands fit into little room. Live records need more
# room, since they wait in their queue while the graph is away.
_BYTES_OF_QUEUE = {"import_splits": 32 * 1024**2, "live_records": 1_196 * 1024**2}
# RabbitMQ closes the channel of a consumer that holds a message for longer than this. So it is longer than the hard
# time limit of a task (3,600 s) and the time of delivery together.
CONSUMER_TIMEOUT_MS = 4_500_000


def task_queues(*, quorum: bool = True) -> list[Queue]:
    """Return all task queues. Publishers need them too, since the delay of a retry depends on their type.

    On RabbitMQ only `edugraph topology apply` declares them, because the permission to declare a queue also allows
    deleting it.
    """
    queues = []
    for name, keys in ROUTING_KEYS.items():
        queue = Queue(
            name,
            TASKS,
            routing_key=keys[0],
            bindings=[binding(TASKS, routing_key=key) for key in keys],
            queue_arguments=_arguments(quorum=quorum),
            durable=True,
            no_declare=quorum,
        )
        queues.append(queue)
    return queues


def dead_queues(*, quorum: bool = True) -> list[Queue]:
    """Return the queues in which dead letters wait until they are stored."""
    arguments = _arguments(quorum=quorum)
    return [
        Queue(dead_queue_name(q), DEAD, routing_key=q, queue_arguments=arguments) for q in QUEUES
    ]


def worker_reports_queue() -> Queue:
    """Return the queue in which workers report whether their servers can be used."""
    return Queue(
        WORKER_REPORTS,
        TASKS,
        routing_key=WORKER_REPORT_KEY,
        queue_arguments=_arguments(quorum=True),
        no_declare=True,
    )


def policies(
    dead_letter_retention_days: int = DEAD_LETTER_RETENTION_DAYS,
) -> dict[str, dict[str, Any]]:
    """Return name -> policy in the form of RabbitMQ's management API. One policy applies to each queue."""
    found = {f"edugraph.{queue}": _policy_of_task_queue(queue) for queue in QUEUES}
    # A letter that cannot be stored goes back to its queue, however often, until its retention is over.
    found["edugraph.dead"] = {
        "pattern": r"^.*\.dead$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {
            "delivery-limit": NO_LIMIT,
            "message-ttl": dead_letter_retention_days * 86_400_000,
            "overflow": "reject-publish",
        },
    }
    # A report is outdated when the next one arrives.
    found["edugraph.worker_reports"] = {
        "pattern": f"^{WORKER_REPORTS}$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {"max-length": 1_000, "message-ttl": 120_000, "overflow": "drop-head"},
    }
    return found


def most_bytes(queue: str) -> int:
    """Return the size limit of the bodies in a task queue."""
    return _BYTES_OF_QUEUE.get(queue, TASK_QUEUE_BYTES)


def _policy_of_task_queue(queue: str) -> dict[str, Any]:
    return {
        "pattern": f"^{queue}$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {
            "consumer-timeout": CONSUMER_TIMEOUT_MS,
            "dead-letter-exchange": DEAD.name,
            "dead-letter-routing-key": queue,
            # At least once: a message leaves the task queue only when the dead-letter queue has it.
            "dead-letter-strategy": "at-least-once",
            "delivery-limit": DELIVERY_LIMIT,
            "max-length-bytes": most_bytes(queue),
            # The sender gets an error if there is no room. The default would drop the oldest message.
            "overflow": "reject-publish",
        },
    }


def _arguments(*, quorum: bool) -> dict[str, Any]:
    if not quorum:
        return {}
    return {"x-queue-type": "quorum"}
