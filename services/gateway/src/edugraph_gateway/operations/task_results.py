"""State and result of a task by its id, from the result store."""

import re
from typing import Any

from celery import states
from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.outcomes import given_up_state
from edugraph_common.messaging.celery_app import make_app
from edugraph_common.platform.redis_errors import redis_errors
from edugraph_common.platform.settings import Settings

# What a result may hold beside numbers that is no personal data. All else is left out, also of later releases.
PLAIN_TEXTS = frozenset({"job_id", "pack", "state"})
PLAIN_COUNTS = frozenset({"by_type", "reasons", "nodes", "wrong"})


class TaskAnswer(ContractModel):
    """A task that nobody has heard of shows PENDING: Celery cannot tell it from one that has not begun."""

    task_id: str
    state: str = Field(description="PENDING, STARTED, WAITING, RETRY, SUCCESS, FAILURE or REVOKED")
    result: Any = None
    error: str | None = None
    links: dict[str, str] = {}

    def without_personal_data(self, *, own: bool) -> "TaskAnswer":
        """Leave out what may quote a record or name a person; of an error its type stays, of one's own all of it."""
        error = self.error if own or self.error is None else self.error.partition(":")[0]
        return self.model_copy(update={"result": _counts_and_ids(self.result), "error": error})


class TaskResults:
    """Both methods block, and raise Retryable when Redis does not answer."""

    def __init__(self, settings: Settings, timeout_seconds: float) -> None:
        self._app = make_app("edugraph-results", settings)
        self._app.conf.update(redis_socket_timeout=timeout_seconds, redis_socket_connect_timeout=timeout_seconds)
        self._app.conf.result_backend_always_retry = False

    def is_done(self, task_id: str) -> bool:
        """Whether the task has succeeded. A member of a chord that gave up has not, although Celery says SUCCESS."""
        with redis_errors():
            meta = self._app.backend.get_task_meta(task_id, cache=False)
        return meta["status"] == states.SUCCESS and given_up_state(meta.get("result")) is None

    def show(self, task_id: str) -> TaskAnswer:
        with redis_errors():
            meta = self._app.backend.get_task_meta(task_id, cache=False)
        result = meta.get("result")
        failed = isinstance(result, BaseException)
        return TaskAnswer(
            task_id=task_id,
            state=str(meta["status"]),
            result=None if failed else result,
            error=f"{type(result).__name__}: {result}" if failed else None,
            links={"self": f"/v1/tasks/{task_id}"},
        )


def _counts_and_ids(result: Any) -> Any:
    if isinstance(result, str):
        return result if re.fullmatch(r"[0-9a-f-]{32,36}", result) else None  # the id of a chord or a group
    if not isinstance(result, dict):
        return None
    return {
        name: value
        for name, value in result.items()
        if isinstance(value, int | float) or name in PLAIN_TEXTS or name in PLAIN_COUNTS
    }
