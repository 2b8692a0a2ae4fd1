"""GET /v1/tasks/{id}: the state and the result of a task."""

from typing import Annotated

from fastapi import APIRouter, Path

from edugraph_gateway.api.dependencies import (
    AuditTrailDep,
    RestrictionsDep,
    ResultsDep,
    TaskOwnersDep,
    TaskReader,
)
from edugraph_gateway.operations.restriction import json_without
from edugraph_gateway.operations.task_results import TaskAnswer
from edugraph_gateway.problems import not_found_for, problem_responses

router = APIRouter(tags=["tasks"])
TaskId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.-]+$")]


@router.get("/v1/tasks/{task_id}", responses=problem_responses(401, 403, 404, 422, 429, 503))
def show_task(
    *,
    caller: TaskReader,
    results: ResultsDep,
    owners: TaskOwnersDep,
    trail: AuditTrailDep,
    restrictions: RestrictionsDep,
    task_id: TaskId,
) -> TaskAnswer:
    """Return the state and the result of a task. An unknown task is PENDING.

    Callers without the scope read see only their own tasks. Without the scope personal the result has only counts and
    ids. With it, the result has no data of restricted students.
    """
    own = caller.owns(owners.owner(task_id))
    if not (own or caller.may("read")):
        raise not_found_for(caller.client_id, "task", task_id)
    answer = results.show(task_id)
    plain = answer.without_personal_data(own=own)
    if not caller.may("personal") or answer == plain:
        return plain
    who = restrictions.people()
    trail.shown(caller, "task", task_id)
    return answer.model_copy(update={"result": json_without(answer.result, who)})
