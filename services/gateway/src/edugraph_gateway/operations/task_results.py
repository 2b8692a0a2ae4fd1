"""State and result of a task by its id, from the result store."""

from typing import Any

from pydantic import Field

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.messaging.celery_app import make_app
from edugraph_common.platform.redis_errors import redis_errors
from edugraph_common.platform.settings import Settings
from edugraph_gateway.operations.dead_letter_operator import succeeded


class TaskAnswer(Frozen):
    """A task that nobody has heard of shows PENDING: Celery cannot tell it from one that has not begun."""

    task_id: str
    state: str = Field(description="PENDING, STARTED, WAITING, RETRY, SUCCESS, FAILURE or REVOKED")
    result: Any = None
    error: str | None = None
    links: dict[str, str] = {}


class TaskResults:
    def __init__(self, settings: Settings, timeout: float) -> None:
        self._app = make_app("edugraph-results", settings)
        self._app.conf.update(redis_socket_timeout=timeout, redis_socket_connect_timeout=timeout)
        self._app.conf.result_backend_always_retry = False

    def is_done(self, task_id: str) -> bool:
        """Raises Retryable when Redis does not answer."""
        with redis_errors():
            return succeeded(self._app)(task_id)

    def show(self, task_id: str) -> TaskAnswer:
        """Raises Retryable when Redis does not answer."""
        with redis_errors():
            meta = self._app.backend.get_task_meta(task_id, cache=False)
        return _answer(task_id, meta)


def _answer(task_id: str, meta: dict[str, Any]) -> TaskAnswer:
    state, result = str(meta["status"]), meta.get("result")
    failed = isinstance(result, BaseException)
    return TaskAnswer(
        task_id=task_id,
        state=state,
        result=None if failed else result,
        error=f"{type(result).__name__}: {result}" if failed else None,
        links={"self": f"/v1/tasks/{task_id}"},
    )
