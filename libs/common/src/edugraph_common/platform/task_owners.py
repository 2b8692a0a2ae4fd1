"""Which client sent a task: who may read only what is their own may read the results of those."""

from typing import cast

import redis

from edugraph_common.platform.redis_errors import redis_errors

KEPT_SECONDS = 7 * 86_400  # as long as the result of a task


def task_owner_key(task_id: str) -> str:
    return f"edugraph:task-owner:{task_id}"


class TaskOwners:
    """Raises Retryable when Redis does not answer. The first task of a job is noted with the job (create_job.lua)."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def note(self, task_id: str, owner: str) -> None:
        with redis_errors():
            self._redis.set(task_owner_key(task_id), owner, ex=KEPT_SECONDS)

    def owner(self, task_id: str) -> str:
        """Return nothing for a task that no client sent, or that is older than its result."""
        with redis_errors():
            return cast("str | None", self._redis.get(task_owner_key(task_id))) or ""
