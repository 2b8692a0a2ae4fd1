"""POST /v1/questions: let a model choose a typed question for a text whose names insights replaced."""

import hashlib
from datetime import timedelta
from functools import partial

from fastapi import APIRouter, Request
from pydantic import ValidationError

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.messages import ChooseQuestion
from edugraph_common.contracts.wordings import WordsBasis
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.draft_permits import permit_of
from edugraph_gateway.api.dependencies import AUDIT_TIMEOUT_SECONDS, IntakeDep, Reader
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import invalid, problem_responses
from edugraph_gateway.submission.idempotency import Done, IdempotencyKey, idempotent_run, key_name
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.request_body import SMALL_BODY_BYTES, json_body
from edugraph_gateway.submission.submit import Task

router = APIRouter(tags=["questions"])
QUEUE = "llm_analysis"
# A person waits for the question.
QUESTION_DEADLINE = timedelta(minutes=1)


@router.post(
    "/v1/questions",
    status_code=202,
    responses=problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=described_body(WordsBasis),
)
async def choose_question(
    request: Request,
    caller: Reader,
    intake: IntakeDep,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Let a model choose a typed question for this text, which came from POST /v1/insights/words.

    The result of the task is the name of a question and its parameters. Insights resolves them with the rights of the
    caller, and answers the typed question.
    """
    intake.backpressure.check(QUEUE)
    body = await json_body(request, intake.limits, SMALL_BODY_BYTES)
    try:
        basis = WordsBasis.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        # Within `first`, so that a repeated request gets its answer also when the permit has ended.
        permit = await _permit(caller, basis, intake)
        submitter = intake.submitter
        message = ChooseQuestion(
            job_id=submitter.new_id(),
            deadline=(submitter.now() + QUESTION_DEADLINE).timestamp(),
            basis=basis,
            permit=permit,
        )
        task = Task("choose_question_task", message, task_id_for(message.job_id, "question"))
        return Done(fingerprint, await submitter.send_task(task, caller.client_id))

    async def seen() -> str:
        return fingerprint

    name = key_name(caller.client_id, "questions", idempotency_key) if idempotency_key else None
    return await idempotent_run(intake.idempotency, name, first, seen)


async def _permit(caller: Caller, basis: WordsBasis, intake: Intake) -> str:
    """Return the permit of this text. Raises Refusal 403 if the caller has none, and Retryable."""
    permit = permit_of(caller, basis)
    is_valid = await in_time(
        partial(intake.draft_permits.holds, permit),
        AUDIT_TIMEOUT_SECONDS,
        intake.submitter.threads,
    )
    if not is_valid:
        words = (
            "There is no permit for this text; send it to POST /v1/insights/words first, and send what that returns "
            "unchanged."
        )
        raise Refusal(403, "rows", words, caller.client_id)
    return permit
