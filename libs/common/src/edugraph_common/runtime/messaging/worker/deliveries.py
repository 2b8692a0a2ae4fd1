"""Notes in Redis about the messages that a worker begins with.

The gateway's reaper uses them to find lost messages.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any

import structlog
from celery.signals import task_prerun

from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.routes import ROUTES
from edugraph_common.runtime.messaging.headers import published_at
from edugraph_common.runtime.messaging.publisher import job_of
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.job_store import Jobs, redis_of

# The note is tried only for a short time: if Redis is away, the task itself waits or fails.
TIMEOUT_SECONDS = 2.0

log = structlog.get_logger()


def note_deliveries(settings: Settings) -> None:
    """Make each process of this worker note the messages that it begins with."""

    @cache
    def jobs() -> Jobs:  # opened at the first use in each child of the pool
        return Jobs(redis_of(settings, timeout=TIMEOUT_SECONDS, retries=1))

    def note(task: Any, args: Any, **_: Any) -> None:
        job_id = job_of(args)
        if not job_id or task.name not in ROUTES:
            return
        # A message leaves out fields with their default.
        generation = args[-1].get("generation")
        field = task.contract.model_fields.get("generation")
        if field and "generation" not in args[-1]:
            generation = field.default
        if not isinstance(generation, int):
            generation = None  # the message is malformed, or its job has no generations
        try:
            published = published_at(task.request)
            jobs().note_delivery(
                job_id, generation, ROUTES[task.name].queue, published, datetime.now(UTC)
            )
        except Failure as away:
            log.warning("delivery_not_noted", reason=away.reason)

    task_prerun.connect(note, weak=False)
