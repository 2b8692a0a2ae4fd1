"""GET /v1/tasks/{id}: one task's state and result."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from edugraph_gateway.auth.admission import Reader
from edugraph_gateway.gateway import gateway_of
from edugraph_gateway.operations.task_results import TaskAnswer
from edugraph_gateway.problems import problem_responses

router = APIRouter(tags=["tasks"])
TaskId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]


@router.get("/v1/tasks/{task_id}", responses=problem_responses(401, 403, 404, 422, 429, 503))
def show_task(request: Request, _caller: Reader, task_id: TaskId) -> TaskAnswer:
    """A task that nobody has heard of shows PENDING."""
    return gateway_of(request).results.show(task_id)
