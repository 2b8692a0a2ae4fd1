"""/v1/students/{id} and /v1/erasures: erase, restrict or export a student.

The importer does the work, as the only writer of the graph.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints

from edugraph_common.contracts.api import Accepted, Erasures, Restricted
from edugraph_common.contracts.messages import (
    AdmitPerson,
    ErasePerson,
    ExportStudent,
    ReplayErasures,
    RestrictStudent,
)
from edugraph_common.contracts.record_fields import Id
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.object_store import ERASURES, tombstone_of
from edugraph_gateway.api.dependencies import (
    AUDIT_TIMEOUT_SECONDS,
    AuditTrailDep,
    BlobsDep,
    Eraser,
    Exporter,
    IntakeDep,
    Officer,
    PersonalOfficer,
    RestrictionsDep,
)
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import not_found, problem_responses
from edugraph_gateway.submission.rights import requested_by
from edugraph_gateway.submission.submit import JobSubmitter, Task

router = APIRouter(tags=["students"])
_REFUSALS = problem_responses(401, 403, 404, 422, 429, 503)
PIECE_BYTES = 1 << 20
ExportName = Annotated[str, Path(max_length=128, pattern=r"^\d{1,12}-[\w-]{1,100}\.zip$")]
StudentId = Annotated[Id, Path()]
MoreIds = Annotated[
    tuple[Id, ...],
    Query(max_length=19, description="other ids of the same person"),
]
Names = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=2, max_length=500)], ...],
    Query(
        max_length=20,
        description="what others may call the person in their texts, beside what the graph knows",
    ),
]
DryRun = Annotated[bool, Query(description="say what would be removed, and change nothing")]
Block = Annotated[
    bool, Query(description="refuse the ids from now on, also if nothing is known of them")
]


@router.delete("/v1/students/{student_id:path}", status_code=202, responses=_REFUSALS)
async def forget_student(  # noqa: PLR0917 - FastAPI reads the parameters of a request from these
    caller: Eraser,
    trail: AuditTrailDep,
    intake: IntakeDep,
    student_id: StudentId,
    also: MoreIds = (),
    name: Names = (),
    dry_run: DryRun = False,
    block: Block = False,
) -> Accepted:
    """Erase the name, the records and the relationships of a student in every store. Follow the task.

    A later import does not bring them back. The audit log calls a dry run so.
    """
    request_id = intake.submitter.new_id()
    by = requested_by(caller, request_id)
    task_id = task_id_for(request_id, "forget")
    what = ""
    if dry_run:
        what = "dry run"
    note = partial(trail.did, caller, "student.forget", what, of=("student", student_id))
    ids = tuple(dict.fromkeys((student_id, *also)))
    erase = ErasePerson(
        job_id=request_id,
        ids=ids,
        names=name,
        dry_run=dry_run,
        block=block,
        **by,
    )
    return await _sent(intake.submitter, caller, Task("erase_person_task", erase, task_id), note)


@router.get("/v1/erasures", responses=problem_responses(401, 403, 429, 503))
async def list_erasures(_: Officer, blobs: BlobsDep) -> Erasures:
    """List the students who were erased, as keyed hashes of their ids."""
    keys = await anyio.to_thread.run_sync(blobs.keys, ERASURES)
    return Erasures(tombstones=tuple(map(tombstone_of, keys)))


@router.post(
    "/v1/erasures/replay", status_code=202, responses=problem_responses(401, 403, 429, 503)
)
async def replay_erasures(caller: Eraser, trail: AuditTrailDep, intake: IntakeDep) -> Accepted:
    """Repeat all erasures and all undone imports, after a restore of a backup. Follow the task."""
    request_id = intake.submitter.new_id()
    by = requested_by(caller, request_id)
    message = ReplayErasures(job_id=request_id, **by)
    task = Task("replay_erasures_task", message, task_id_for(request_id, "replay"))
    note = partial(trail.did, caller, "erasures.replay", "")
    return await _sent(intake.submitter, caller, task, note)


@router.delete("/v1/erasures/{student_id:path}", status_code=202, responses=_REFUSALS)
async def admit_student(
    caller: Eraser, trail: AuditTrailDep, intake: IntakeDep, student_id: StudentId
) -> Accepted:
    """Allow an erased student to be imported again. The erased data do not come back by themselves."""
    message = AdmitPerson(job_id=intake.submitter.new_id(), ids=(student_id,))
    task = Task("admit_person_task", message, task_id_for(message.job_id, "admit"))
    note = partial(trail.did, caller, "student.admit", "", of=("student", student_id))
    return await _sent(intake.submitter, caller, task, note)


@router.post("/v1/students/{student_id:path}/restriction", status_code=202, responses=_REFUSALS)
async def restrict_student(
    caller: Officer, trail: AuditTrailDep, intake: IntakeDep, student_id: StudentId
) -> Accepted:
    """Restrict a student: the data are kept, but neither analysed nor shown. Follow the task."""
    message = RestrictStudent(job_id=intake.submitter.new_id(), student_id=student_id)
    task = Task("restrict_student_task", message, task_id_for(message.job_id, "restrict"))
    note = partial(trail.did, caller, "student.restrict", "", of=("student", student_id))
    return await _sent(intake.submitter, caller, task, note)


@router.post(
    "/v1/students/{student_id:path}/restriction/lift", status_code=202, responses=_REFUSALS
)
async def lift_restriction(
    caller: Officer, trail: AuditTrailDep, intake: IntakeDep, student_id: StudentId
) -> Accepted:
    """Lift the restriction of a student: the data are analysed and shown again. Follow the task."""
    message = RestrictStudent(job_id=intake.submitter.new_id(), student_id=student_id, lifted=True)
    task = Task("restrict_student_task", message, task_id_for(message.job_id, "lift"))
    note = partial(trail.did, caller, "student.lift", "", of=("student", student_id))
    return await _sent(intake.submitter, caller, task, note)


@router.get("/v1/restrictions", responses=problem_responses(401, 403, 429, 503))
def list_restrictions(
    caller: PersonalOfficer, trail: AuditTrailDep, restrictions: RestrictionsDep
) -> Restricted:
    """List the ids of all restricted students."""
    students = restrictions.ids()
    trail.shown(caller, "restrictions", "")
    return Restricted(students=tuple(sorted(students)))


@router.post("/v1/students/{student_id:path}/export", status_code=202, responses=_REFUSALS)
async def export_student(
    caller: Exporter, trail: AuditTrailDep, intake: IntakeDep, student_id: StudentId
) -> Accepted:
    """Write all data of a student into a ZIP. The result of the task names the ZIP. Fetch it within a day."""
    message = ExportStudent(job_id=intake.submitter.new_id(), student_id=student_id)
    task = Task("export_student_task", message, task_id_for(message.job_id, "export"))
    note = partial(trail.did, caller, "student.export", "", of=("student", student_id))
    return await _sent(intake.submitter, caller, task, note)


async def _sent(
    submitter: JobSubmitter, caller: Caller, task: Task, note: Callable[[], None]
) -> Accepted:
    """Write the action into the audit log, and then send the task. A failure of the log stops the task."""
    await in_time(note, AUDIT_TIMEOUT_SECONDS, submitter.threads)
    return await submitter.send_task(task, caller.client_id)


@router.get(
    "/v1/exports/{name}",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
        **problem_responses(401, 403, 404, 422, 429, 503),
    },
)
def download_export(
    caller: Exporter, trail: AuditTrailDep, blobs: BlobsDep, name: ExportName
) -> StreamingResponse:
    """Return the ZIP of an export. It is deleted after it was sent."""
    key = f"exports/{name}"
    if not blobs.exists(key):
        raise not_found("export", name)
    trail.shown(caller, "export", name)

    def pieces() -> Iterator[bytes]:
        with blobs.open(key) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
        blobs.delete(key)

    return StreamingResponse(pieces(), media_type="application/zip")
