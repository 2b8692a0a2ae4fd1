"""GET /v1/graph/…: what is in the graph. POST: have the importer compare it with its records, or derive it anew."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from edugraph_common.contracts.api import Accepted, GraphPicture, GraphSummary
from edugraph_common.contracts.messages import DeriveGraph, Removable, RemoveFromGraph
from edugraph_common.messaging.publisher import task_id_for
from edugraph_common.platform.callers import Caller
from edugraph_gateway.api.answers import GraphDigest
from edugraph_gateway.api.dependencies import (
    AUDIT_TIMEOUT_SECONDS,
    AuditTrailDep,
    GraphCaller,
    GraphDep,
    IntakeDep,
    Operator,
    PictureCaller,
)
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.submit import Task

SMALLEST_GROUP_STUDENTS = 10

router = APIRouter(tags=["graph"], responses=problem_responses(401, 403, 422, 429, 503))


@router.get("/v1/graph/digest")
def graph_digest(_caller: GraphCaller, graph: GraphDep) -> GraphDigest:
    """One hash over all nodes, relationships and properties; two imports of the same records give the same."""
    return GraphDigest(digest=graph.digest(), links={"self": "/v1/graph/digest"})


@router.get("/v1/graph/summary")
def graph_summary(caller: GraphCaller, graph: GraphDep) -> GraphSummary:
    """Nodes by label, relationships by type, and the knowledge points with the most mistakes.

    Without the scope personal, of points only those behind mistakes of ten students or more: a model names points by
    words of the texts.
    """
    at_least = 0 if caller.may("personal") else SMALLEST_GROUP_STUDENTS
    return graph.summary(at_least).model_copy(update={"links": {"self": "/v1/graph/summary"}})


@router.get("/v1/graph/picture")
def graph_picture(
    caller: PictureCaller, graph: GraphDep, trail: AuditTrailDep, limit: Annotated[int, Query(ge=1, le=5_000)] = 500
) -> GraphPicture:
    """Some relationships and their ends, people with their names, to be drawn."""
    trail.shown(caller, "picture", "")
    return graph.picture(limit).model_copy(update={"links": {"self": f"/v1/graph/picture?limit={limit}"}})


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
    node_id: Annotated[str, Query(alias="id", min_length=1, max_length=128)],
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


async def _derive(intake: Intake, caller: Caller, *, repair: bool) -> Accepted:
    request_id = intake.submitter.new_id()
    message = DeriveGraph(job_id=request_id, repair=repair)
    task = Task("derive_graph_task", message, task_id_for(request_id, "derive"))
    return await intake.submitter.send_task(task, caller.client_id)
