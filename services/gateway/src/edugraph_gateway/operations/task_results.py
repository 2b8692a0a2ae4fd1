"""The state and the result of a task, from the result store."""

import re
from typing import Any

from celery import states
from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.outcomes import given_up_state
from edugraph_common.runtime.messaging.celery_app import make_app
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.service.settings import Settings

# These fields of a result, and numbers, are not personal data. Other fields are left out, also those of later
# releases.
PLAIN_TEXTS = frozenset({"job_id", "pack", "state"})
PLAIN_COUNTS = frozenset({"by_type", "reasons", "nodes", "wrong"})


class TaskAnswer(ContractModel):
    """The state and the result of a task. An unknown task is PENDING, as a task that has not begun."""

    task_id: str
    state: str = Field(description="PENDING, STARTED, WAITING, RETRY, SUCCESS, FAILURE or REVOKED")
    result: Any = None
    error: str | None = None
    links: dict[str, str] = {}

    def without_personal_data(self, *, own: bool) -> "TaskAnswer":
        """Return the answer without values that may quote a record or name a person.

        The error of another caller's task is cut to its type.
        """
        error = self.error
        if error is not None and not own:
            error = error.partition(":")[0]
        return self.model_copy(update={"result": _counts_and_ids(self.result), "error": error})


class TaskResults:
    """Reads results. Both methods block, and raise Retryable if Redis does not answer."""

    def __init__(self, settings: Settings, timeout_seconds: float) -> None:
        self._app = make_app("edugraph-results", settings)
        self._app.conf.update(
            redis_socket_timeout=timeout_seconds, redis_socket_connect_timeout=timeout_seconds
        )
        self._app.conf.result_backend_always_retry = False

    def is_done(self, task_id: str) -> bool:
        """Return whether the task has succeeded. A member of a chord that gave up has not, although it is SUCCESS."""
        with redis_errors():
            meta = self._app.backend.get_task_meta(task_id, cache=False)
        return meta["status"] == states.SUCCESS and given_up_state(meta.get("result")) is None

    def show(self, task_id: str) -> TaskAnswer:
        """Return the state and the result of a task."""
        with redis_errors():
            meta = self._app.backend.get_task_meta(task_id, cache=False)
        result = meta.get("result")
        error = None
        if isinstance(result, BaseException):
            error = f"{type(result).__name__}: {result}"
            result = None
        return TaskAnswer(
            task_id=task_id,
            state=str(meta["status"]),
            result=result,
            error=error,
            links={"self": f"/v1/tasks/{task_id}"},
        )


def _counts_and_ids(result: Any) -> Any:
    """Return the parts of a result that are not personal data."""
    if isinstance(result, str):
        is_id_of_group = re.fullmatch(r"[0-9a-f-]{32,36}", result) is not None
        if not is_id_of_group:
            return None
        return result
    if not isinstance(result, dict):
        return None
    plain = {}
    for name, value in result.items():
        if isinstance(value, int | float) or name in PLAIN_TEXTS or name in PLAIN_COUNTS:
            plain[name] = value
    return plain
