"""POST /v1/actions: what a teacher did about a student becomes a record, by the way of all imports."""

import hashlib
from functools import partial
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request
from pydantic import Field, ValidationError, model_validator

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import ImportJob, ImportRights
from edugraph_common.contracts.record_fields import Id, Text
from edugraph_common.contracts.record_keys import ACTIONS_SOURCE
from edugraph_common.contracts.records import iso
from edugraph_common.contracts.school_records import Day, need_something
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.api.dependencies import (
    AUDIT_TIMEOUT_SECONDS,
    AnyCaller,
    AuditTrailDep,
    IntakeDep,
)
from edugraph_gateway.api.routes.imports import QUEUE, import_submission
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import invalid, problem_responses
from edugraph_gateway.submission.idempotency import Done, IdempotencyKey, idempotent_run, key_name
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.request_body import SMALL_BODY_BYTES, json_body
from edugraph_gateway.submission.rights import requested_by

router = APIRouter(tags=["actions"])
LONGEST_NOTE = 2_000  # characters


class ActionRequest(ContractModel):
    """An action as its author sends it. The author is the person of the caller, and the time is now."""

    student_id: Id
    course_id: Id
    spoken: bool = False
    text: Annotated[Text, Field(max_length=LONGEST_NOTE)] | None = None
    not_until: Day | None = None

    @model_validator(mode="after")
    def says_something(self) -> Self:
        need_something(spoken=self.spoken, text=self.text, not_until=self.not_until)
        return self


@router.post(
    "/v1/actions",
    status_code=202,
    responses=problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=described_body(ActionRequest),
)
async def write_action(
    request: Request,
    caller: AnyCaller,
    trail: AuditTrailDep,
    intake: IntakeDep,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Take an action about a student, from a teacher who leads the student.

    Insights says who leads whom: ask for a permit there first (POST /v1/insights/action-permits).
    """
    author = _author(caller)
    intake.backpressure.check(QUEUE)
    submitter = intake.submitter
    acceptance = await intake.next_acceptance_number()
    body = await json_body(request, intake.limits, SMALL_BODY_BYTES)
    try:
        action = ActionRequest.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        # Within `first`, so that a repeated request gets its answer also when the permit has ended.
        await _need_permit(caller, action, intake)
        note = partial(
            trail.did, caller, "student.action", "action", of=("student", action.student_id)
        )
        await in_time(note, AUDIT_TIMEOUT_SECONDS, submitter.threads)
        job_id = submitter.new_id()
        rights = ImportRights(
            learning=False, acts=True, source=ACTIONS_SOURCE, **requested_by(caller, job_id)
        )
        now = submitter.now()
        job = ImportJob(
            job_id=job_id,
            records=(_record(action, author, iso(now), job_id),),
            accepted_at=now.timestamp(),
            acceptance=acceptance,
            rights=rights,
        )
        accepted = await submitter.submit(import_submission(job, "action"), caller.client_id)
        return Done(fingerprint, accepted)

    async def seen() -> str:
        return fingerprint

    name = key_name(caller.client_id, "actions", idempotency_key) if idempotency_key else None
    return await idempotent_run(intake.idempotency, name, first, seen)


def _author(caller: Caller) -> str:
    """Return the person who writes the action. Raises Refusal 403 if the caller has no person."""
    if caller.person is None:
        words = "An action has an author, and this key or account does not say whose it is."
        raise Refusal(403, "rows", words, caller.client_id)
    return caller.person


async def _need_permit(caller: Caller, action: ActionRequest, intake: Intake) -> None:
    """Raise Refusal 403 if the caller has no permit for an action about this student, and Retryable."""
    has_permit = await in_time(
        partial(intake.action_permits.has, caller, action.student_id, action.course_id),
        AUDIT_TIMEOUT_SECONDS,
        intake.submitter.threads,
    )
    if not has_permit:
        words = (
            "Only who leads the student may write this; ask for a permit first: "
            "POST /v1/insights/action-permits."
        )
        raise Refusal(403, "rows", words, caller.client_id)


def _record(action: ActionRequest, author: str, time: str, record_id: str) -> dict[str, Any]:
    given = action.model_dump(mode="json", exclude_none=True)
    return {
        "type": "action_record",
        "timestamp": time,
        "record_id": record_id,
        "data": {**given, "teacher_id": author},
    }
