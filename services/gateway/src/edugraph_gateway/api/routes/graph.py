"""POST /v1/graph/…: the importer compares the graph with its records, derives it anew, or takes a part out of it.

Or it calls something in it by another id.
"""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.messages import DeriveGraph, Removable, RemoveFromGraph, Renamable, RenameInGraph
from edugraph_common.contracts.record_fields import Id
from edugraph_common.messaging.publisher import task_id_for
from edugraph_common.platform.callers import Caller
from edugraph_common.platform.problems import Problem
from edugraph_gateway.api.dependencies import AUDIT_TIMEOUT_SECONDS, AuditTrailDep, IntakeDep, Operator
from edugraph_gateway.auth.admission import missing_scope
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.submit import Task

PERSONS: frozenset[Renamable] = frozenset({"student", "teacher"})

router = APIRouter(tags=["graph"], responses=problem_responses(401, 403, 422, 429, 503))


@router.post("/v1/graph/verify", status_code=202)
async def verify_graph(caller: Operator, intake: IntakeDep) -> Accepted:
    """Compare every sum, name and prerequisite with the records: follow the task, whose result says what is wrong."""
    return await _derive(intake, caller, repair=False)


@router.post("/v1/graph/rebuild", status_code=202)
async def rebuild_graph(caller: Operator, trail: AuditTrailDep, intake: IntakeDep) -> Accepted:
    """Derive every sum, name and prerequisite from the records: follow the task, whose result says what was wrong."""
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
    """Take a course or a group out of the graph with its records: follow the task, which says what is left and why.

    A file that is imported again brings them back.
    """
    note = partial(trail.did, caller, "graph.remove", f"{of} {node_id}")
    await in_time(note, AUDIT_TIMEOUT_SECONDS, intake.submitter.threads)
    request_id = intake.submitter.new_id()
    message = RemoveFromGraph(job_id=request_id, of=of, node_id=node_id)
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
    merge: Annotated[bool, Query(description="something may have the new id already, and is the same")] = False,
) -> Accepted:
    """All records that name it name it by the new id: follow the task, which says how many, or why none.

    Of a person, whoever asks needs the scope erase, too: two persons who were made one cannot be told apart again.
    """
    if of in PERSONS and not caller.may("erase"):
        raise missing_scope(caller, "erase")
    if node_id == new_id:
        raise Problem(422, "invalid", "to: it is the id that it has already")
    what = of if of in PERSONS else f"{of} {node_id} to {new_id}"
    note = partial(trail.did, caller, "graph.rename", what, of=(of, node_id) if of in PERSONS else None)
    await in_time(note, AUDIT_TIMEOUT_SECONDS, intake.submitter.threads)
    request_id = intake.submitter.new_id()
    message = RenameInGraph(job_id=request_id, of=of, node_id=node_id, new_id=new_id, merge=merge)
    task = Task("rename_in_graph_task", message, task_id_for(request_id, "rename"))
    return await intake.submitter.send_task(task, caller.client_id)


async def _derive(intake: Intake, caller: Caller, *, repair: bool) -> Accepted:
    request_id = intake.submitter.new_id()
    message = DeriveGraph(job_id=request_id, repair=repair)
    task = Task("derive_graph_task", message, task_id_for(request_id, "derive"))
    return await intake.submitter.send_task(task, caller.client_id)
