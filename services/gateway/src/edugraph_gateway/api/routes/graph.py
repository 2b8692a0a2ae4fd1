"""POST /v1/graph/…: verify or rebuild the graph, remove a part of it, or rename a node. The importer does it."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.messages import (
    DeriveGraph,
    Removable,
    RemoveFromGraph,
    Renamable,
    RenameInGraph,
)
from edugraph_common.contracts.record_fields import Id
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.api.dependencies import (
    AUDIT_TIMEOUT_SECONDS,
    AuditTrailDep,
    IntakeDep,
    Operator,
)
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.rights import requested_by
from edugraph_gateway.submission.submit import Task

router = APIRouter(tags=["graph"], responses=problem_responses(401, 403, 422, 429, 503))


@router.post("/v1/graph/verify", status_code=202)
async def verify_graph(caller: Operator, intake: IntakeDep) -> Accepted:
    """Compare every sum, name and prerequisite with the records. The result of the task lists the differences."""
    return await _derive(intake, caller, repair=False)


@router.post("/v1/graph/rebuild", status_code=202)
async def rebuild_graph(caller: Operator, trail: AuditTrailDep, intake: IntakeDep) -> Accepted:
    """Derive every sum, name and prerequisite from the records. The result of the task lists the corrections."""
    note = partial(trail.did, caller, "graph.rebuild", "all")
    await in_time(note, AUDIT_TIMEOUT_SECONDS, intake.submitter.threads)
    return await _derive(intake, caller, repair=True)


@router.post("/v1/graph/remove", status_code=202)
async def remove_from_graph(
    caller: Operator,
    trail: AuditTrailDep,
    intake: IntakeDep,
    of: Removable,
    node_id: Annotated[Id, Query(alias="id")],
) -> Accepted:
    """Remove a course or a group and its records from the graph. The result of the task says what is left, and why.

    They come back if a file with them is imported again.
    """
    note = partial(trail.did, caller, "graph.remove", f"{of} {node_id}")
    await in_time(note, AUDIT_TIMEOUT_SECONDS, intake.submitter.threads)
    request_id = intake.submitter.new_id()
    message = RemoveFromGraph(
        job_id=request_id, of=of, node_id=node_id, **requested_by(caller, request_id)
    )
    task = Task("remove_from_graph_task", message, task_id_for(request_id, "remove"))
    return await intake.submitter.send_task(task, caller.client_id)


@router.post("/v1/graph/rename", status_code=202)
async def rename_in_graph(  # noqa: PLR0917 - FastAPI reads the parameters of a request from these
    caller: Operator,
    trail: AuditTrailDep,
    intake: IntakeDep,
    of: Renamable,
    node_id: Annotated[str, Query(alias="id", min_length=1, max_length=128)],
    new_id: Annotated[Id, Query(alias="to")],
    merge: Annotated[
        bool, Query(description="something may have the new id already, and is the same")
    ] = False,
) -> Accepted:
    """Change an id in all records. The result of the task has the number of records, or the reason for none.

    The ids of a person are joined by a person_record.
    """
    if node_id == new_id:
        raise Problem(422, "invalid", "to: it is the id that it has already")
    note = partial(trail.did, caller, "graph.rename", f"{of} {node_id} to {new_id}", of=None)
    await in_time(note, AUDIT_TIMEOUT_SECONDS, intake.submitter.threads)
    request_id = intake.submitter.new_id()
    message = RenameInGraph(
        job_id=request_id,
        of=of,
        node_id=node_id,
        new_id=new_id,
        merge=merge,
        **requested_by(caller, request_id),
    )
    task = Task("rename_in_graph_task", message, task_id_for(request_id, "rename"))
    return await intake.submitter.send_task(task, caller.client_id)


async def _derive(intake: Intake, caller: Caller, *, repair: bool) -> Accepted:
    request_id = intake.submitter.new_id()
    message = DeriveGraph(job_id=request_id, repair=repair, **requested_by(caller, request_id))
    task = Task("derive_graph_task", message, task_id_for(request_id, "derive"))
    return await intake.submitter.send_task(task, caller.client_id)
