"""What every task message carries besides its body: when it was published, and the trace it belongs to."""

import time
from typing import Any

from celery.signals import before_task_publish

from edugraph_common.platform import trace_context, tracing

PUBLISHED, TRACEPARENT = "edugraph_published", "traceparent"


def stamp_messages() -> None:
    """From now on this process stamps each message; a second call changes nothing."""
    before_task_publish.connect(_stamp, weak=False, dispatch_uid="edugraph.headers")


def published_at(request: Any) -> float | None:
    """Seconds since 1970, of the publication that led to this delivery."""
    value = request.get(PUBLISHED)
    return value / 1_000 if isinstance(value, int) else None


def traceparent_of(request: Any) -> str | None:
    value = request.get(TRACEPARENT)
    return value if isinstance(value, str) else None


def _stamp(sender: str, headers: dict[str, Any], **_: Any) -> None:
    headers[PUBLISHED] = time.time_ns() // 1_000_000  # whole: not every client of AMQP can write a float
    with tracing.span(f"publish {sender}", "producer"):
        current = trace_context.current()
    if current is not None:
        headers[TRACEPARENT] = current
