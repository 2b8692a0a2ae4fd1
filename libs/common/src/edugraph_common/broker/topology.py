"""Exchanges, queues and routing keys: the one source of truth, used to publish, to consume and to declare.

Keys are exact and the first words of tasks and events differ, because Celery's delayed delivery binds every task
queue with `#.<key>`: an overlapping key would be delivered twice (celery 5.7, kombu native_delayed_delivery).
Limits and dead-lettering are policies, never queue arguments: an argument cannot be changed afterwards.
"""

import re
from typing import Any, NamedTuple

from kombu import Exchange, Queue, binding

TASKS = Exchange("edugraph.tasks", type="topic", durable=True)
DEAD = Exchange("edugraph.dead", type="topic", durable=True)
EVENTS = Exchange("edugraph.events", type="topic", durable=True)

# The first key of a queue is also the key of its delayed messages.
ROUTING_KEYS: dict[str, tuple[str, ...]] = {
    "data_import": ("import.batch", "import.split", "import.aggregate"),
    "graph_findings": ("findings.record",),
    "llm_analysis": (
        "analysis.batch",
        "analysis.interaction",
        "analysis.error",
        "analysis.knowledge_points",
    ),
}
QUEUES: tuple[str, ...] = tuple(ROUTING_KEYS)
DELIVERY_LIMIT = 5
NO_LIMIT = -1  # without it a quorum queue drops what was put back 20 times
# Longer than the hard time limit of a task (3,600 s) and its way to the worker: RabbitMQ closes the channel of a
# consumer that holds a message for longer.
CONSUMER_TIMEOUT_MS = 4_500_000
# What Celery puts before the key of a delayed message.
DELAY = re.compile(r"^(?:[01]\.){28}")


class Route(NamedTuple):
    queue: str
    key: str


ROUTES: dict[str, Route] = {
    "import_records_async": Route("data_import", "import.split"),
    "import_records_with_callback": Route("data_import", "import.split"),
    "forget_student_task": Route("data_import", "import.split"),
    "import_batch_task": Route("data_import", "import.batch"),
    "aggregate_import_results": Route("data_import", "import.aggregate"),
    "record_findings_task": Route("graph_findings", "findings.record"),
    "batch_analyze_interactions_task": Route("llm_analysis", "analysis.batch"),
    "batch_analyze_errors_task": Route("llm_analysis", "analysis.batch"),
    "estimate_analysis_task": Route("llm_analysis", "analysis.batch"),
    "analyze_interaction_task": Route("llm_analysis", "analysis.interaction"),
    "analyze_error_task": Route("llm_analysis", "analysis.error"),
    "extract_knowledge_points_task": Route("llm_analysis", "analysis.knowledge_points"),
}


def dead_queue_name(queue: str) -> str:
    return f"{queue}.dead"


def task_queues(*, quorum: bool = True) -> list[Queue]:
    """All task queues. Every publisher declares them too: the delay of a retry depends on their type."""
    return [_task_queue(name, _arguments(quorum=quorum)) for name in QUEUES]


def dead_queues(*, quorum: bool = True) -> list[Queue]:
    """Where dead letters stay until an operator decides."""
    arguments = _arguments(quorum=quorum)
    return [Queue(dead_queue_name(q), DEAD, routing_key=q, queue_arguments=arguments) for q in QUEUES]


def notices_queue(queue: str, *, quorum: bool = True) -> Queue:
    """A copy of each dead letter of the queue, for the workers of the queue: they tell what became of its task."""
    return Queue(f"{queue}.notices", DEAD, routing_key=queue, queue_arguments=_arguments(quorum=quorum))


def policies() -> dict[str, dict[str, Any]]:
    """RabbitMQ policies by name, as the management API takes them. One policy applies to a queue."""
    return {f"edugraph.{name}": _policy(name) for name in QUEUES} | {"edugraph.dead": _dead_policy()}


def queue_of(routing_key: str) -> str | None:
    """The task queue of a routing key, which of a delayed message has 28 bits before it."""
    key = DELAY.sub("", routing_key)
    return next((queue for queue, keys in ROUTING_KEYS.items() if key in keys), None)


def _task_queue(name: str, arguments: dict[str, Any]) -> Queue:
    keys = ROUTING_KEYS[name]
    bindings = [binding(TASKS, routing_key=key) for key in keys]
    return Queue(name, TASKS, routing_key=keys[0], bindings=bindings, queue_arguments=arguments, durable=True)


def _arguments(*, quorum: bool) -> dict[str, Any]:
    return {"x-queue-type": "quorum"} if quorum else {}


def _policy(queue: str) -> dict[str, Any]:
    return {
        "pattern": f"^{queue}$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {
            "consumer-timeout": CONSUMER_TIMEOUT_MS,
            "dead-letter-exchange": DEAD.name,
            "dead-letter-routing-key": queue,
            # At least once: a dead letter leaves its queue only when the other has it.
            "dead-letter-strategy": "at-least-once",
            "delivery-limit": DELIVERY_LIMIT,
            "overflow": "reject-publish",
        },
    }


def _dead_policy() -> dict[str, Any]:
    """Whoever looks at dead letters puts them back: however often, they stay."""
    return {
        "pattern": r"^.*\.(dead|notices)$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {"delivery-limit": NO_LIMIT, "overflow": "reject-publish"},
    }
