"""DELETE /v1/students/{id}: a student is forgotten. The importer does it, as the only writer of the graph."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.messages import ForgetStudent
from edugraph_common.messaging.publisher import task_id_for
from edugraph_gateway.api.dependencies import AUDIT_TIMEOUT_SECONDS, AuditTrailDep, Eraser, IntakeDep
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.submit import Task

router = APIRouter(tags=["students"])
StudentId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]


@router.delete(
    "/v1/students/{student_id:path}",
    status_code=202,
    responses=problem_responses(401, 403, 404, 422, 429, 503),
)
async def forget_student(caller: Eraser, trail: AuditTrailDep, intake: IntakeDep, student_id: StudentId) -> Accepted:
    """Their name, records and relationships leave the graph: follow the task. A later import does not undo it."""
    submitter = intake.submitter
    note = partial(trail.did, caller, "student.forget", "", of=("student", student_id))
    await in_time(note, AUDIT_TIMEOUT_SECONDS, submitter.threads)
    request_id = submitter.new_id()
    message = ForgetStudent(job_id=request_id, student_id=student_id)
    task = Task("forget_student_task", message, task_id_for(request_id, "forget"))
    return await submitter.send_task(task, caller.client_id)
