"""/v1/jobs: list, show, follow, cancel, resume, undo and delete jobs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Annotated

import anyio.to_thread
import structlog
from fastapi import APIRouter, Path, Query
from starlette.responses import StreamingResponse

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.errors import Failure, Retryable
from edugraph_common.contracts.live_days import is_live_job
from edugraph_common.contracts.messages import UndoImport
from edugraph_common.contracts.outcomes import ENDED, JobReport, JobState
from edugraph_common.contracts.permissions import Scope
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.job_store import Jobs, Place
from edugraph_common.runtime.shared_state.object_store import cancelled_key
from edugraph_common.runtime.shared_state.source_registry import NotOwnSource, SourceRegistry
from edugraph_common.sources import ReadPlan, stored_read_plan
from edugraph_gateway.api.answers import JobAnswer, JobDeleted, JobList, job_answer, names_somebody
from edugraph_gateway.api.dependencies import (
    READS,
    AdmissionDep,
    AuditTrailDep,
    BlobsDep,
    ClockDep,
    EndingDep,
    EventStreamsDep,
    IntakeDep,
    JobOperator,
    JobsDep,
    PersonalReader,
    Reader,
    RestrictionsDep,
    TokenDep,
)
from edugraph_gateway.event_streams import EventStream
from edugraph_gateway.operations.restriction import rejects_without
from edugraph_gateway.operations.resume import resume
from edugraph_gateway.problems import invalid_fields, not_found, not_found_for, problem_responses
from edugraph_gateway.submission.rights import requested_by
from edugraph_gateway.submission.submit import Task

log = structlog.get_logger()
router = APIRouter(tags=["jobs"])
# The first and the longest pause between two looks at a followed job. Many jobs end soon, and the others last
# minutes.
FIRST_PAUSE_SECONDS = 0.1
LOOK_INTERVAL_SECONDS = 0.5
# A stream without a change for this long sends a comment, which shows that it is alive.
ALIVE_SECONDS = 15.0

JobId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]{1,12}(\.[0-9]{1,9})?:[A-Za-z0-9_-]{1,64}$",
        description="from `next` of the page before",
    ),
]


@router.get("/v1/jobs", responses=problem_responses(401, 403, 422, 429, 503))
def list_jobs(
    *,
    caller: Reader,
    jobs: JobsDep,
    trail: AuditTrailDep,
    restrictions: RestrictionsDep,
    clock: ClockDep,
    limit: Limit = 20,
    cursor: Cursor = None,
    state: JobState | None = None,
    offset: Annotated[
        int | None, Query(deprecated=True, description="refused: pages go by cursor")
    ] = None,
) -> JobList:
    """List jobs, the newest first, all or those of one `state`. `links.next` is the next page, if there is one.

    Callers with the scope read:own and not read get their own jobs. New jobs do not move other jobs to another page.
    """
    if offset is not None:
        raise invalid_fields(
            [(("query", "offset"), "is not taken any more: follow links.next, or send its cursor")]
        )
    now = clock()
    owner = None
    if not caller.may("read"):
        owner = caller.client_id
    start = None
    if cursor:
        start = Place.of(cursor)
    reports, following = jobs.newest(limit, now, state, start, owner=owner)
    if any(names_somebody(report, caller) for report in reports):
        trail.shown(caller, "jobs", "")
    by_state = ""
    if state:
        by_state = f"&state={state}".replace(" ", "%20")
    at_cursor = ""
    if cursor:
        at_cursor = f"&cursor={cursor}"
    links = {"self": f"/v1/jobs?limit={limit}{at_cursor}{by_state}"}
    if following:
        links["next"] = f"/v1/jobs?limit={limit}&cursor={following}{by_state}"
    answers = [job_answer(report, now, caller, restrictions) for report in reports]
    return JobList(jobs=tuple(answers), links=links)


@router.get("/v1/jobs/{job_id}", responses=problem_responses(401, 403, 404, 422, 429, 503))
def show_job(
    *,
    caller: Reader,
    jobs: JobsDep,
    trail: AuditTrailDep,
    restrictions: RestrictionsDep,
    now: ClockDep,
    job_id: JobId,
) -> JobAnswer:
    """Return one job."""
    report = existing_job(jobs, caller, job_id, now(), "read")
    if names_somebody(report, caller):
        trail.shown(caller, "job", job_id)
    return job_answer(report, now(), caller, restrictions)


@router.post(
    "/v1/jobs/{job_id}/cancel", responses=problem_responses(401, 403, 404, 409, 422, 429, 503)
)
def cancel_job(
    *,
    caller: JobOperator,
    jobs: JobsDep,
    blobs: BlobsDep,
    trail: AuditTrailDep,
    restrictions: RestrictionsDep,
    now: ClockDep,
    job_id: JobId,
) -> JobAnswer:
    """Cancel a job. Finished work stays, and the rest is not begun. Own jobs need only the scope submit or roster."""
    report = existing_job(jobs, caller, job_id, now(), "operate")
    refuse_live(job_id)
    with trail.doing(caller, "job.cancel", job_id):
        if not jobs.cancel(job_id, now()):
            raise Problem(409, "ended", f"The job has ended already: {report.state}.")
    try:
        with blobs.write(cancelled_key(job_id)) as file:
            file.write(b"{}")
    except Retryable as away:
        # The job is cancelled anyway. The mark is needed only if Redis loses its data.
        log.warning("cancellation_not_marked", job=job_id, reason=away.reason)
    return job_answer(
        existing_job(jobs, caller, job_id, now(), "operate"), now(), caller, restrictions
    )


@router.post(
    "/v1/jobs/{job_id}/resume", responses=problem_responses(401, 403, 404, 409, 422, 429, 503)
)
async def resume_job(
    *,
    caller: JobOperator,
    jobs: JobsDep,
    trail: AuditTrailDep,
    intake: IntakeDep,
    restrictions: RestrictionsDep,
    now: ClockDep,
    job_id: JobId,
) -> JobAnswer:
    """Do the rest of a job that was cancelled or has failures. Written records are not written again."""

    def note() -> None:
        report = existing_job(jobs, caller, job_id, now(), "operate")
        refuse_live(job_id)
        check_source(intake.sources, caller, report)
        trail.did(caller, "job.resume", job_id)

    await anyio.to_thread.run_sync(note)
    try:
        await resume(intake.submitter, job_id, caller.person)
    except (Failure, Problem):
        await anyio.to_thread.run_sync(trail.failed, caller, "job.resume", job_id)
        raise
    return await anyio.to_thread.run_sync(
        lambda: job_answer(
            existing_job(jobs, caller, job_id, now(), "operate"), now(), caller, restrictions
        )
    )


@router.post(
    "/v1/jobs/{job_id}/undo",
    status_code=202,
    responses=problem_responses(401, 403, 404, 409, 422, 429, 503),
)
async def undo_import(
    *,
    caller: JobOperator,
    jobs: JobsDep,
    trail: AuditTrailDep,
    intake: IntakeDep,
    now: ClockDep,
    job_id: JobId,
) -> Accepted:
    """Undo an import: remove its records, and restore those that it replaced. Follow the task.

    Own jobs need only the scope submit or roster.
    """

    def note() -> None:
        report = existing_job(jobs, caller, job_id, now(), "operate")
        if report.kind != "import":
            raise Problem(
                409, "no-import", "The job is an analysis, and only an import can be undone."
            )
        refuse_live(job_id)
        check_source(intake.sources, caller, report)
        if report.state not in ENDED:
            raise Problem(409, "not-ended", "The job has not ended: cancel it first.")
        trail.did(caller, "job.undo", job_id)

    await anyio.to_thread.run_sync(note)
    request_id = intake.submitter.new_id()
    message = UndoImport(job_id=request_id, import_id=job_id, **requested_by(caller, request_id))
    task = Task("undo_import_task", message, task_id_for(message.job_id, "undo"))
    try:
        return await intake.submitter.send_task(task, caller.client_id)
    except Failure:
        await anyio.to_thread.run_sync(trail.failed, caller, "job.undo", job_id)
        raise


@router.delete("/v1/jobs/{job_id}", responses=problem_responses(401, 403, 404, 409, 422, 429, 503))
def delete_job(
    *,
    caller: JobOperator,
    jobs: JobsDep,
    blobs: BlobsDep,
    trail: AuditTrailDep,
    now: ClockDep,
    job_id: JobId,
) -> JobDeleted:
    """Delete the file, the rejects and the report of a job. Its records stay in the graph.

    Own jobs need only the scope submit or roster.
    """
    existing_job(jobs, caller, job_id, now(), "operate")
    with trail.doing(caller, "job.delete", job_id):
        if not jobs.delete(job_id, now()):
            raise Problem(409, "not-ended", "The job has not ended: cancel it first.")
        blobs.delete(f"jobs/{job_id}")
    return JobDeleted(deleted=job_id)


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **problem_responses(401, 403, 404, 422, 429, 503),
    },
)
async def follow_job(
    *,
    caller: Reader,
    token: TokenDep,
    admission: AdmissionDep,
    streams: EventStreamsDep,
    jobs: JobsDep,
    trail: AuditTrailDep,
    restrictions: RestrictionsDep,
    now: ClockDep,
    ending: EndingDep,
    job_id: JobId,
) -> EventStream:
    """Send the job at each change as a Server-Sent Event `job`, until it has ended or the key is revoked."""

    def look() -> JobAnswer:
        return job_answer(
            existing_job(jobs, caller, job_id, now(), "read"), now(), caller, restrictions
        )

    def note() -> None:
        look()
        if caller.may("personal"):
            trail.shown(caller, "job", job_id)

    await anyio.to_thread.run_sync(note)

    async def goes_on() -> bool:
        return not ending.is_set() and await admission.holds(token, *READS)

    give_back = streams.take(caller.client_id)
    return EventStream(changes(look, goes_on), give_back)


@router.get(
    "/v1/jobs/{job_id}/rejects",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}},
        **problem_responses(401, 403, 404, 422, 429, 503),
    },
)
def download_rejects(
    *,
    caller: PersonalReader,
    jobs: JobsDep,
    blobs: BlobsDep,
    trail: AuditTrailDep,
    restrictions: RestrictionsDep,
    now: ClockDep,
    job_id: JobId,
) -> StreamingResponse:
    """Return all rejected records, one JSON a line: line, field, expected, found, reason and the raw record.

    A record of a restricted student shows only that it was rejected.
    """
    existing_job(jobs, caller, job_id, now(), "read")
    who = restrictions.people()
    trail.shown(caller, "rejects", job_id)
    # The rows must be read only if a student is restricted, to find out whom they name.
    plan = None
    if who:
        plan = stored_read_plan(blobs, job_id)

    def lines(keys: list[str]) -> Iterator[bytes]:
        for key in keys:
            with blobs.open(key) as file:
                yield from file

    return StreamingResponse(
        rejects_without(lines(blobs.keys(f"jobs/{job_id}/rejects")), plan or ReadPlan(), who),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="rejects-{job_id}.ndjson"'},
    )


def existing_job(
    jobs: Jobs, caller: Caller, job_id: str, now: datetime, of_others: Scope
) -> JobReport:
    """Return a job of the caller, or any job for a caller with the scope `of_others`.

    Raises Problem 404 for a missing job, and for a job that the caller may not see, so that it does not show that the
    job exists.
    """
    report = jobs.report(job_id, now)
    if report is None:
        raise not_found("job", job_id)
    if not (caller.may(of_others) or caller.owns(report.owner)):
        raise not_found_for(caller.client_id, "job", job_id)
    return report


def refuse_live(job_id: str) -> None:
    """Raise Problem 409 for the job of a source and day, which begins and ends by itself."""
    if is_live_job(job_id):
        words = (
            "The job counts the live records of a day, and their rows are not kept: take the source from its key to "
            "stop it, send failed messages again with edugraph dead replay live_records, and take records back by "
            "their ids (withdrawn: true)."
        )
        raise Problem(409, "live", words)


def check_source(sources: SourceRegistry, caller: Caller, report: JobReport) -> None:
    """Raise Refusal 403 if the caller has lost the source of the job since the job was accepted."""
    if caller.may("operate"):
        return
    try:
        sources.choose(caller.client_id, report.source_name)
    except NotOwnSource:
        words = (
            f"Your key does not write the source {report.source_name} any more; ask an operator."
        )
        raise Refusal(403, "source", words, caller.client_id) from None


async def changes(
    look: Callable[[], JobAnswer],
    goes_on: Callable[[], Awaitable[bool]],
) -> AsyncIterator[str]:
    """Yield a Server-Sent Event at each change of a job until the job has ended. `look` reads the job.

    While Redis does not answer, the stream stays open, until `goes_on` returns False.
    """
    last: JobAnswer | None = None
    pause_seconds = FIRST_PAUSE_SECONDS
    quiet_seconds = 0.0
    number = 0
    while await goes_on():
        report = last
        with suppress(Retryable):
            report = await anyio.to_thread.run_sync(look)
        if report is not None and not report.says_the_same_as(last):
            number += 1
            last = report
            quiet_seconds = 0.0
            yield f"id: {number}\nevent: job\ndata: {report.model_dump_json()}\n\n"
        elif quiet_seconds >= ALIVE_SECONDS:
            quiet_seconds = 0.0
            yield ": alive\n\n"
        if last is not None and last.state in ENDED:
            return
        await asyncio.sleep(pause_seconds)
        quiet_seconds += pause_seconds
        pause_seconds = min(2 * pause_seconds, LOOK_INTERVAL_SECONDS)
