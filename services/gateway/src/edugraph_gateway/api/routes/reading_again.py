"""POST /v1/analyses/again: read the texts of a course again that were read before."""

from typing import Annotated, get_args

import anyio.to_thread
from fastapi import APIRouter, Query

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import ReadAgain
from edugraph_common.contracts.record_fields import Id
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller
from edugraph_gateway.api.dependencies import AuditTrailDep, IntakeDep, Submitter
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.rights import requested_by
from edugraph_gateway.submission.submit import WRITE_TIMEOUT_SECONDS, Task, deadline_of_job

router = APIRouter(tags=["analyses"])
QUEUE = "llm_analysis"
CourseOption = Annotated[Id, Query(description="the id of the course")]
EconomyOption = Annotated[
    bool, Query(description="in batches of the provider, which cost less and take up to a day")
]


@router.post(
    "/v1/analyses/again",
    status_code=202,
    responses=problem_responses(401, 403, 422, 429, 503),
)
async def read_again(
    caller: Submitter,
    intake: IntakeDep,
    trail: AuditTrailDep,
    course: CourseOption,
    economy: EconomyOption = False,
) -> Accepted:
    """Read the texts of a course again that were read before, for example after its points were imported.

    The result of the task says how many texts a job with the same id reads, and how many cannot be read again.
    """
    request_id = intake.submitter.new_id()
    message = await _read_again(intake, caller, request_id, course)
    await anyio.to_thread.run_sync(trail.did, caller, "job.submit", request_id)
    message = message.model_copy(
        update={"economy": economy, "deadline": deadline_of_job(intake.submitter.now())}
    )
    task = Task("read_again_task", message, task_id_for(request_id, "again"))
    return await intake.submitter.send_task(task, caller.client_id)


@router.post(
    "/v1/analyses/again/estimate",
    status_code=202,
    responses=problem_responses(401, 403, 422, 429, 503),
)
async def estimate_reading_again(
    caller: Submitter,
    intake: IntakeDep,
    course: CourseOption,
    economy: EconomyOption = False,
) -> Accepted:
    """Estimate what it costs to read the texts of a course again. The model is not asked.

    The result of the task names the tasks of analyzers that estimate a sample of each kind of text.
    """
    submitter = intake.submitter
    request_id = submitter.new_id()
    message = await _read_again(intake, caller, request_id, course)
    message = message.model_copy(update={"economy": economy, "estimate": True})

    def note_estimates() -> None:
        for kind in get_args(Kind):
            submitter.task_owners.note(
                task_id_for(request_id, f"estimate-{kind}"), caller.client_id
            )

    await in_time(note_estimates, WRITE_TIMEOUT_SECONDS, submitter.threads)
    task = Task("read_again_task", message, task_id_for(request_id, "again"))
    return await submitter.send_task(task, caller.client_id)


async def _read_again(intake: Intake, caller: Caller, request_id: str, course: str) -> ReadAgain:
    """Return the message to read the texts of a course again that are of the sources of the caller."""
    intake.backpressure.check(QUEUE)
    may_any = caller is ANYBODY
    sources = await in_time(
        lambda: intake.sources.analysed_by(caller.client_id, may_any=may_any),
        WRITE_TIMEOUT_SECONDS,
        intake.submitter.threads,
    )
    asked_by = requested_by(caller, request_id)
    return ReadAgain(job_id=request_id, course_id=course, sources=sources, **asked_by)
