"""POST /v1/drafts: let a model write a draft of feedback or a summary, from records that insights permits."""

import hashlib
from datetime import timedelta
from functools import partial

from fastapi import APIRouter, Request
from pydantic import ValidationError

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.drafts import DraftBasis
from edugraph_common.contracts.messages import WriteDraft
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.draft_permits import permit_of
from edugraph_gateway.api.dependencies import (
    AUDIT_TIMEOUT_SECONDS,
    AuditTrailDep,
    IntakeDep,
    PersonalReader,
)
from edugraph_gateway.auth.audit_trail import AuditTrail
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import invalid, problem_responses
from edugraph_gateway.submission.idempotency import Done, IdempotencyKey, idempotent_run, key_name
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.request_body import SMALL_BODY_BYTES, json_body
from edugraph_gateway.submission.submit import Task

router = APIRouter(tags=["drafts"])
QUEUE = "llm_analysis"
# A person waits for the draft.
DRAFT_DEADLINE = timedelta(minutes=5)


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
    intake.backpressure.check(QUEUE)
    body = await json_body(request, intake.limits, SMALL_BODY_BYTES)
    try:
        basis = DraftBasis.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        # Within `first`, so that a repeated request gets its answer also when the permit has ended.
        permit = await _permit(caller, basis, intake)
        await _note(caller, basis, trail, intake)
        submitter = intake.submitter
        message = WriteDraft(
            job_id=submitter.new_id(),
            deadline=(submitter.now() + DRAFT_DEADLINE).timestamp(),
            basis=basis,
            permit=permit,
        )
        task = Task("write_draft_task", message, task_id_for(message.job_id, "draft"))
        return Done(fingerprint, await submitter.send_task(task, caller.client_id))

    async def seen() -> str:
        return fingerprint

    name = key_name(caller.client_id, "drafts", idempotency_key) if idempotency_key else None
    return await idempotent_run(intake.idempotency, name, first, seen)


async def _permit(caller: Caller, basis: DraftBasis, intake: Intake) -> str:
    """Return the permit of these records. Raises Refusal 403 if the caller has none, and Retryable."""
    permit = permit_of(caller, basis)
    is_valid = await in_time(
        partial(intake.draft_permits.holds, permit),
        AUDIT_TIMEOUT_SECONDS,
        intake.submitter.threads,
    )
    if not is_valid:
        words = (
            "There is no permit for these records; ask for them first, and send them unchanged: "
            "POST /v1/insights/draft-permits."
        )
        raise Refusal(403, "rows", words, caller.client_id)
    return permit


async def _note(caller: Caller, basis: DraftBasis, trail: AuditTrail, intake: Intake) -> None:
    about = ("course", basis.course_id)
    if basis.kind == "feedback":
        about = ("student", basis.students[0].student_id)
    note = partial(trail.did, caller, "draft.ask", basis.kind, of=about)
    await in_time(note, AUDIT_TIMEOUT_SECONDS, intake.submitter.threads)
