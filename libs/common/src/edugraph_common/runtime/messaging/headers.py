"""Headers of every task message: the time of its publication and its trace."""

import time
from typing import Any

from celery.signals import before_task_publish

from edugraph_common.runtime.service import trace_context, tracing

PUBLISHED, TRACEPARENT = "edugraph_published", "traceparent"


def stamp_messages() -> None:
    """Make this process add the headers to each message that it publishes. A second call has no effect."""

    def stamp(sender: str, headers: dict[str, Any], **_: Any) -> None:
        # The time is a whole number of milliseconds, because not every client of AMQP can write a float.
        headers[PUBLISHED] = time.time_ns() // 1_000_000
        with tracing.span(f"publish {sender}", "producer"):
            current = trace_context.current()
        if current is not None:
            headers[TRACEPARENT] = current

    before_task_publish.connect(stamp, weak=False, dispatch_uid="edugraph.headers")


def published_at(request: Any) -> float | None:
    """Return when the message of a delivery was published, in seconds since 1970, or None without the header."""
    value = request.get(PUBLISHED)
    if not isinstance(value, int):
        return None
    return value / 1_000


def traceparent_of(request: Any) -> str | None:
    value = request.get(TRACEPARENT)
    if not isinstance(value, str):
        return None
    return value
