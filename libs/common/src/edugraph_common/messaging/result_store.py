"""Celery's result store in Redis, for a Redis that may be full."""

from typing import Any

from celery import states
from celery.backends.redis import RedisBackend
from redis.exceptions import OutOfMemoryError


class ResultStore(RedisBackend):
    """Lets a task begin and wait although a full Redis cannot tell anybody.

    Celery notes STARTED around a task. Without this, each message would go back to its queue as it comes, until the
    delivery limit sends it to the dead letters. What a task has ended with must be kept, and is tried again.
    """

    def _store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._store_result(task_id, result, state, *args, **kwargs)  # type: ignore[misc]
        except OutOfMemoryError:
            if state in states.READY_STATES:
                raise
            return result
