"""The client that sent a task. The gateway writes it and reads it.

A caller who may read only their own data may read the results of their tasks.
"""

from typing import cast

import redis

from edugraph_common.runtime.service.redis_errors import redis_errors

KEPT_SECONDS = 7 * 86_400  # as long as the result of a task


def task_owner_key(task_id: str) -> str:
    return f"edugraph:task-owner:{task_id}"


class TaskOwners:
    """The owners of tasks. Each method raises Retryable when Redis does not answer.

    The owner of a job's first task is written together with the job (create_job.lua).
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def note(self, task_id: str, owner: str) -> None:
        with redis_errors():
            self._redis.set(task_owner_key(task_id), owner, ex=KEPT_SECONDS)

    def owner(self, task_id: str) -> str:
        """Return the client that sent a task, or an empty text if no client did or the entry has expired."""
        with redis_errors():
            return cast("str | None", self._redis.get(task_owner_key(task_id))) or ""
