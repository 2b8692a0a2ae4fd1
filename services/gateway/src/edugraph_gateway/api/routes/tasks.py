"""GET /v1/tasks/{id}: one task's state and result."""

from typing import Annotated

from fastapi import APIRouter, Path

from edugraph_gateway.api.dependencies import Reader, ResultsDep
from edugraph_gateway.operations.task_results import TaskAnswer
from edugraph_gateway.problems import problem_responses

router = APIRouter(tags=["tasks"])
TaskId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]


@router.get("/v1/tasks/{task_id}", responses=problem_responses(401, 403, 404, 422, 429, 503))
def show_task(_caller: Reader, results: ResultsDep, task_id: TaskId) -> TaskAnswer:
    """A task that nobody has heard of shows PENDING."""
    return results.show(task_id)
