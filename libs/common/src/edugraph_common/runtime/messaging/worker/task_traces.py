"""The traces of a worker: one span for each delivery of a task."""

from contextlib import ExitStack
from typing import Any

from celery.signals import task_postrun, task_prerun, worker_process_shutdown, worker_shutdown

from edugraph_common.contracts.routes import ROUTES
from edugraph_common.runtime.messaging.task_base import put_back_reason
from edugraph_common.runtime.service import tracing
from edugraph_common.runtime.service.tracing import Span


def trace_tasks(service: str, target: str) -> None:
    """Make a worker record a span for each delivery of a task. Raises Rejected if tracing cannot be turned on."""
    tracing.turn_on(service, target)
    if target == "off":
        return
    open_spans: dict[str, tuple[ExitStack, Span]] = {}

    def begin(task_id: str, task: Any, **_: Any) -> None:
        info = task.request.delivery_info or {}
        stack = ExitStack()
        made = stack.enter_context(
            tracing.span(f"run {task.name}", "consumer", **{"messaging.message.id": task_id})
        )
        made.say(tries=task.request.retries + 1, redelivered=bool(info.get("redelivered")))
        if task.name in ROUTES:
            # The name of the queue is used, because the routing key of a delayed message has 28 bits before it.
            made.say(**{"messaging.destination.name": ROUTES[task.name].queue})
        open_spans[task_id] = stack, made

    def end(task_id: str, task: Any, state: str | None, **_: Any) -> None:
        stack, made = open_spans.pop(task_id)
        reason = put_back_reason(task.request)
        if reason is not None:
            made.say(state="PUT BACK")
            made.fail(reason)
        elif state is None:
            made.say(state="PUT BACK")
            made.fail("Redis did not take the state of the task")
        else:
            made.say(state=state)
        stack.close()

    task_prerun.connect(begin, weak=False)
    task_postrun.connect(end, weak=False)
    for end_of_process in (
        worker_process_shutdown,
        worker_shutdown,
    ):  # of a child, and of a pool of threads
        end_of_process.connect(lambda **_: tracing.flush(), weak=False)
