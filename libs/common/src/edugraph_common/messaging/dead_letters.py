"""A task that gives up sends its message to NAME.dead, with the reason."""

from datetime import UTC, datetime
from typing import Any

from celery import Task

from edugraph_common.contracts.routes import ROUTES
from edugraph_common.messaging.publisher import broker_errors
from edugraph_common.messaging.topology import DEAD

REASON, TRIES, DIED = "x-edugraph-reason", "x-edugraph-tries", "x-edugraph-died"


def publish_dead_letter(task: "Task[Any, Any]", args: tuple[Any, ...], reason: str) -> None:
    """Publish the running task's message to the dead letters of its queue, confirmed. Raises Retryable."""
    copy = task.signature_from_request(task.request, args, {}, retries=0)
    headers = {
        REASON: reason,
        TRIES: str(task.request.retries + 1),
        DIED: datetime.now(UTC).isoformat(),
    }
    with broker_errors():
        copy.apply_async(exchange=DEAD.name, routing_key=ROUTES[task.name].queue, headers=headers)
