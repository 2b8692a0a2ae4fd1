"""DELETE /v1/students/{id} and /v1/erasures: who is forgotten, and stays so.

The importer does it, as the only writer of the graph.
"""

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Query
from pydantic import StringConstraints

from edugraph_common.contracts.api import Accepted, Erasures
from edugraph_common.contracts.messages import AdmitPerson, ErasePerson, ForgetStudent, ReplayErasures
from edugraph_common.messaging.publisher import task_id_for
from edugraph_common.platform.audit import pseudonym
from edugraph_common.platform.object_store import ERASURES, tombstone_of
from edugraph_gateway.api.dependencies import AuditDep, BlobsDep, ClockDep, Eraser, IntakeDep
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.submit import Task

AUDIT_TIMEOUT_SECONDS = 2.0
router = APIRouter(tags=["students"])
_ID = r"^[^\x00-\x1f\x7f]+$"
StudentId = Annotated[str, Path(min_length=1, max_length=128, pattern=_ID)]
MoreIds = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_ID)], ...],
    Query(max_length=19, description="other ids of the same person"),
]
Names = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=2, max_length=500)], ...],
    Query(max_length=20, description="what others may call the person in their texts, beside what the graph knows"),
]
DryRun = Annotated[bool, Query(description="say what would be removed, and change nothing")]
Block = Annotated[bool, Query(description="refuse the ids from now on, also if nothing is known of them")]


@router.delete(
    "/v1/students/{student_id:path}",
    status_code=202,
    responses=problem_responses(401, 403, 404, 422, 429, 503),
)
async def forget_student(  # noqa: PLR0917 - FastAPI reads the parameters of a request from these
    caller: Eraser,
    audit: AuditDep,
    now: ClockDep,
    intake: IntakeDep,
    student_id: StudentId,
    also: MoreIds = (),
    name: Names = (),
    dry_run: DryRun = False,
    block: Block = False,
) -> Accepted:
    """Their name, records and relationships leave every store: follow the task. A later import does not undo it."""
    submitter, who, named = intake.submitter, caller.client_id, pseudonym(student_id)
    await in_time(lambda: audit.record(who, "student.forget", named, now()), AUDIT_TIMEOUT_SECONDS, submitter.threads)
    request_id = submitter.new_id()
    task_id = task_id_for(request_id, "forget")
    if not (also or name or dry_run or block):  # a worker of the release before knows this message
        message = ForgetStudent(job_id=request_id, student_id=student_id)
        return await submitter.send_task(Task("forget_student_task", message, task_id))
    ids = tuple(dict.fromkeys((student_id, *also)))
    erase = ErasePerson(job_id=request_id, ids=ids, names=name, dry_run=dry_run, block=block)
    return await submitter.send_task(Task("erase_person_task", erase, task_id))


@router.get("/v1/erasures", responses=problem_responses(401, 403, 429, 503))
async def list_erasures(_: Eraser, blobs: BlobsDep) -> Erasures:
    """Who was erased, as keyed hashes of their ids."""
    keys = await anyio.to_thread.run_sync(blobs.keys, ERASURES)
    return Erasures(tombstones=tuple(map(tombstone_of, keys)))


@router.post("/v1/erasures/replay", status_code=202, responses=problem_responses(401, 403, 429, 503))
async def replay_erasures(caller: Eraser, audit: AuditDep, now: ClockDep, intake: IntakeDep) -> Accepted:
    """All who were erased are erased again, after a backup was restored: follow the task."""
    submitter, who = intake.submitter, caller.client_id
    await in_time(lambda: audit.record(who, "erasures.replay", "", now()), AUDIT_TIMEOUT_SECONDS, submitter.threads)
    request_id = submitter.new_id()
    task_id = task_id_for(request_id, "replay")
    return await submitter.send_task(Task("replay_erasures_task", ReplayErasures(job_id=request_id), task_id))


@router.delete(
    "/v1/erasures/{student_id:path}", status_code=202, responses=problem_responses(401, 403, 404, 422, 429, 503)
)
async def admit_student(
    caller: Eraser, audit: AuditDep, now: ClockDep, intake: IntakeDep, student_id: StudentId
) -> Accepted:
    """A student who was erased may be imported again. What was erased does not come back by itself."""
    submitter, who, named = intake.submitter, caller.client_id, pseudonym(student_id)
    await in_time(lambda: audit.record(who, "student.admit", named, now()), AUDIT_TIMEOUT_SECONDS, submitter.threads)
    request_id = submitter.new_id()
    message = AdmitPerson(job_id=request_id, ids=(student_id,))
    return await submitter.send_task(Task("admit_person_task", message, task_id_for(request_id, "admit")))
