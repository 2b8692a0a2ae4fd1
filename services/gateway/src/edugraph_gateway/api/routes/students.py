"""DELETE /v1/students/{id}: a student is forgotten. The importer does it, as the only writer of the graph."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.messages import ForgetStudent
from edugraph_common.messaging.publisher import task_id_for
from edugraph_common.platform.audit import pseudonym
from edugraph_gateway.auth.admission import Eraser
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.gateway import Gateway, gateway_of
from edugraph_gateway.problems import problem_responses

NOTED = 2.0  # seconds
router = APIRouter(tags=["students"])
StudentId = Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]


@router.delete(
    "/v1/students/{student_id:path}",
    status_code=202,
    responses=problem_responses(401, 403, 404, 422, 429, 503),
)
async def forget_student(request: Request, caller: Eraser, student_id: StudentId) -> Accepted:
    """Their name, records and relationships leave the graph: follow the task. A later import does not undo it."""
    gateway = gateway_of(request)
    request_id = gateway.new_id()
    task_id = task_id_for(request_id, "forget")
    await in_time(lambda: _note(gateway, caller.client_id, student_id), NOTED, gateway.publishing)
    message = ForgetStudent(job_id=request_id, student_id=student_id)
    await gateway.sender.send("forget_student_task", message, task_id=task_id)
    return Accepted(job_id=request_id, task_id=task_id, links={"task": f"/v1/tasks/{task_id}"})


def _note(gateway: Gateway, who: str, student_id: str) -> None:
    gateway.audit.record(who, "student.forget", pseudonym(student_id), gateway.now())
