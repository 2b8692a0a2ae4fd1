"""Exchanges, queues, bindings and policies as kombu and RabbitMQ take them; the names are in contracts.routes.

Keys are exact and the first words of tasks and events differ, because Celery's delayed delivery binds every task
queue with `#.<key>`: an overlapping key would be delivered twice (celery 5.7, kombu native_delayed_delivery).
Limits and dead-lettering are policies, never queue arguments: an argument cannot be changed afterwards.
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
from edugraph_common.platform.settings import DEAD_LETTER_RETENTION_DAYS

TASKS = Exchange("edugraph.tasks", type="topic", durable=True)
DEAD = Exchange("edugraph.dead", type="topic", durable=True)
EVENTS = Exchange("edugraph.events", type="topic", durable=True)
# The queue of `edugraph-webhooks`, and the exchange between it and its delay queues. That process declares them: an
# installation without webhooks has none.
WEBHOOKS = "edugraph.webhooks"

DELIVERY_LIMIT = 5
# Without it a quorum queue drops a message that was put back 20 times.
NO_LIMIT = -1
# Of the bodies that wait in one task queue. Four full queues fit the bundled broker's volume of 4 GiB, with room for
# dead letters: a disk alarm would stop workers too, which publish before they acknowledge.
TASK_QUEUE_BYTES = 768 * 1024**2
# Longer than the hard time limit of a task (3,600 s) and its way to the worker: RabbitMQ closes the channel of a
# consumer that holds a message for longer.
CONSUMER_TIMEOUT_MS = 4_500_000


def task_queues(*, quorum: bool = True) -> list[Queue]:
    """Return all task queues. Every publisher knows them too, since the delay of a retry depends on their type.

    On RabbitMQ nobody but `edugraph topology apply` declares them: who may declare a queue may delete it.
    """
    return [
        Queue(
            name,
            TASKS,
            routing_key=keys[0],
            bindings=[binding(TASKS, routing_key=key) for key in keys],
            queue_arguments=_arguments(quorum=quorum),
            durable=True,
            no_declare=quorum,
        )
        for name, keys in ROUTING_KEYS.items()
    ]


def dead_queues(*, quorum: bool = True) -> list[Queue]:
    """Return the queues of dead letters, where they wait until somebody stores them."""
    arguments = _arguments(quorum=quorum)
    return [Queue(dead_queue_name(q), DEAD, routing_key=q, queue_arguments=arguments) for q in QUEUES]


def worker_reports_queue() -> Queue:
    """Return the queue in which workers say whether their servers can be used."""
    return Queue(
        WORKER_REPORTS, TASKS, routing_key=WORKER_REPORT_KEY, queue_arguments=_arguments(quorum=True), no_declare=True
    )


def policies(dead_letter_retention_days: int = DEAD_LETTER_RETENTION_DAYS) -> dict[str, dict[str, Any]]:
    """Return RabbitMQ's policies by name, as the management API takes them. One policy applies to a queue."""
    of_task_queues = {
        f"edugraph.{queue}": {
            "pattern": f"^{queue}$",
            "apply-to": "queues",
            "priority": 10,
            "definition": {
                "consumer-timeout": CONSUMER_TIMEOUT_MS,
                "dead-letter-exchange": DEAD.name,
                "dead-letter-routing-key": queue,
                # At least once: a dead letter leaves its queue only when the other queue has it.
                "dead-letter-strategy": "at-least-once",
                "delivery-limit": DELIVERY_LIMIT,
                "max-length-bytes": TASK_QUEUE_BYTES,
                # The sender is told that there is no room, where the default would drop the oldest message.
                "overflow": "reject-publish",
            },
        }
        for queue in QUEUES
    }
    # A letter that cannot be stored goes back. However often that happens, it stays until its time is over.
    of_dead_queues = {
        "pattern": r"^.*\.dead$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {
            "delivery-limit": NO_LIMIT,
            "message-ttl": dead_letter_retention_days * 86_400_000,
            "overflow": "reject-publish",
        },
    }
    # A report is of no use when the next one is there.
    of_reports = {
        "pattern": f"^{WORKER_REPORTS}$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {"max-length": 1_000, "message-ttl": 120_000, "overflow": "drop-head"},
    }
    return of_task_queues | {"edugraph.dead": of_dead_queues, "edugraph.worker_reports": of_reports}


def _arguments(*, quorum: bool) -> dict[str, Any]:
    return {"x-queue-type": "quorum"} if quorum else {}
