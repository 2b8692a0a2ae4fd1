"""POST /v1/drafts: let a model write a draft of feedback or a summary, from records that insights permits."""

from datetime import timedelta
from functools import partial

from fastapi import APIRouter, Request

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.drafts import DraftBasis
from edugraph_common.contracts.messages import WriteDraft
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.api.dependencies import (
    AUDIT_TIMEOUT_SECONDS,
    AuditTrailDep,
    IntakeDep,
    PersonalReader,
)
from edugraph_gateway.api.permitted_work import PermittedWork, take
from edugraph_gateway.auth.audit_trail import AuditTrail
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.idempotency import IdempotencyKey
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.submit import Task

router = APIRouter(tags=["drafts"])
# A person waits for the draft.
DRAFT_DEADLINE = timedelta(minutes=5)
NO_PERMIT = (
    "There is no permit for these records; ask for them first, and send them unchanged: "
    "POST /v1/insights/draft-permits."
)


@router.post(
    "/v1/drafts",
    status_code=202,
    responses=problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=described_body(DraftBasis),
)
async def write_draft(
    request: Request,
    caller: PersonalReader,
    trail: AuditTrailDep,
    intake: IntakeDep,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Let a model write a draft on these records, which came from POST /v1/insights/draft-permits.

    The result of the task is the draft. Nobody else is sent it. Each of its sentences cites records by their numbers.
    """

    async def send(basis: DraftBasis, permit: str) -> Accepted:
        await _note(caller, basis, trail, intake)
        submitter = intake.submitter
        message = WriteDraft(
            job_id=submitter.new_id(),
            deadline=(submitter.now() + DRAFT_DEADLINE).timestamp(),
            basis=basis,
            permit=permit,
        )
        task = Task("write_draft_task", message, task_id_for(message.job_id, "draft"))
        return await submitter.send_task(task, caller.client_id)

    work = PermittedWork("drafts", DraftBasis, NO_PERMIT, send)
    return await take(request, caller, intake, work, idempotency_key)


async def _note(caller: Caller, basis: DraftBasis, trail: AuditTrail, intake: Intake) -> None:
    about = ("course", basis.course_id)
    if basis.kind == "feedback":
        about = ("student", basis.students[0].student_id)
    note = partial(trail.did, caller, "draft.ask", basis.kind, of=about)
    await in_time(note, AUDIT_TIMEOUT_SECONDS, intake.submitter.threads)
