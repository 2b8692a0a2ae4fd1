"""/v1/students/{id}: a student is forgotten, restricted or exported. The importer does it, as it writes the graph."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.messages import ExportStudent, ForgetStudent, RestrictStudent
from edugraph_common.messaging.publisher import task_id_for
from edugraph_gateway.api.dependencies import AUDIT_TIMEOUT_SECONDS, AuditTrailDep, BlobsDep, Eraser, IntakeDep
from edugraph_gateway.auth.callers import Caller
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import not_found, problem_responses
from edugraph_gateway.submission.submit import JobSubmitter, Task

router = APIRouter(tags=["students"])
_REFUSALS = problem_responses(401, 403, 404, 422, 429, 503)
PIECE_BYTES = 1 << 20
ExportName = Annotated[str, Path(max_length=128, pattern=r"^\d{1,12}-[\w-]{1,100}\.zip$")]
StudentId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]


@router.delete("/v1/students/{student_id:path}", status_code=202, responses=_REFUSALS)
async def forget_student(caller: Eraser, trail: AuditTrailDep, intake: IntakeDep, student_id: StudentId) -> Accepted:
    """Their name, records and relationships leave the graph: follow the task. A later import does not undo it."""
    message = ForgetStudent(job_id=intake.submitter.new_id(), student_id=student_id)
    task = Task("forget_student_task", message, task_id_for(message.job_id, "forget"))
    note = partial(trail.did, caller, "student.forget", "", of=("student", student_id))
    return await _sent(intake.submitter, caller, task, note)


@router.post("/v1/students/{student_id:path}/restriction", status_code=202, responses=_REFUSALS)
async def restrict_student(
    caller: Eraser, trail: AuditTrailDep, intake: IntakeDep, student_id: StudentId
) -> Accepted:
    """What is known of them is kept, but neither analysed nor shown: follow the task."""
    message = RestrictStudent(job_id=intake.submitter.new_id(), student_id=student_id)
    task = Task("restrict_student_task", message, task_id_for(message.job_id, "restrict"))
    note = partial(trail.did, caller, "student.restrict", "", of=("student", student_id))
    return await _sent(intake.submitter, caller, task, note)


@router.post("/v1/students/{student_id:path}/restriction/lift", status_code=202, responses=_REFUSALS)
async def lift_restriction(
    caller: Eraser, trail: AuditTrailDep, intake: IntakeDep, student_id: StudentId
) -> Accepted:
    """They are analysed and shown again: follow the task."""
    message = RestrictStudent(job_id=intake.submitter.new_id(), student_id=student_id, lifted=True)
    task = Task("restrict_student_task", message, task_id_for(message.job_id, "lift"))
    note = partial(trail.did, caller, "student.lift", "", of=("student", student_id))
    return await _sent(intake.submitter, caller, task, note)


@router.post("/v1/students/{student_id:path}/export", status_code=202, responses=_REFUSALS)
async def export_student(caller: Eraser, trail: AuditTrailDep, intake: IntakeDep, student_id: StudentId) -> Accepted:
    """All that is kept of them is written as a ZIP: follow the task, whose result names it; fetch it within a day."""
    message = ExportStudent(job_id=intake.submitter.new_id(), student_id=student_id)
    task = Task("export_student_task", message, task_id_for(message.job_id, "export"))
    note = partial(trail.did, caller, "student.export", "", of=("student", student_id))
    return await _sent(intake.submitter, caller, task, note)


async def _sent(submitter: JobSubmitter, caller: Caller, task: Task, note: Callable[[], None]) -> Accepted:
    """Send nothing that could not be written down before."""
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
def download_export(caller: Eraser, trail: AuditTrailDep, blobs: BlobsDep, name: ExportName) -> StreamingResponse:
    """The ZIP, once: it is deleted when it has been sent."""
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
