"""POST /v1/questions: let a model choose a typed question for a text whose names insights replaced."""

from datetime import timedelta

from fastapi import APIRouter, Request

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.messages import ChooseQuestion
from edugraph_common.contracts.wordings import WordsBasis
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.described_body import described_body
from edugraph_gateway.api.dependencies import IntakeDep, Reader
from edugraph_gateway.api.permitted_work import PermittedWork, take
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.idempotency import IdempotencyKey
from edugraph_gateway.submission.submit import Task

router = APIRouter(tags=["questions"])
# A person waits for the question.
QUESTION_DEADLINE = timedelta(minutes=1)
NO_PERMIT = (
    "There is no permit for this text; send it to POST /v1/insights/words first, and send what that returns "
    "unchanged."
)


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

    async def send(basis: WordsBasis, permit: str) -> Accepted:
        submitter = intake.submitter
        message = ChooseQuestion(
            job_id=submitter.new_id(),
            deadline=(submitter.now() + QUESTION_DEADLINE).timestamp(),
            basis=basis,
            permit=permit,
        )
        task = Task("choose_question_task", message, task_id_for(message.job_id, "question"))
        return await submitter.send_task(task, caller.client_id)

    work = PermittedWork("questions", WordsBasis, NO_PERMIT, send)
    return await take(request, caller, intake, work, idempotency_key)
