"""Celery's result store in Redis, for a Redis that may be full."""

from typing import Any

from celery import states
from celery.backends.redis import RedisBackend
from redis.exceptions import OutOfMemoryError, RedisError


class ResultStore(RedisBackend):
    """Lets a task begin and wait although a full Redis cannot tell anybody.

    Celery notes STARTED around a task. Without this, each message would go back to its queue as it comes, until the
    delivery limit sends it to the dead letters. What a task has ended with must be kept, and is tried again: the
    reject policy holds the message while `is_full`.
    """

    def is_full(self) -> bool:
        """Say whether Redis refuses whatever needs memory. A Redis that does not answer is not known to be full."""
        try:
            # To write nothing at the beginning of a key changes nothing and makes no key, but a full Redis refuses it
            # like any other write.
            self.client.setrange(self.get_key_for_task("is-full"), 0, "")
        except OutOfMemoryError:
            return True
        except RedisError:
            return False
        return False

    def _store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._store_result(task_id, result, state, *args, **kwargs)  # type: ignore[misc]
        except OutOfMemoryError:
            if state in states.READY_STATES:
                raise
            return result
