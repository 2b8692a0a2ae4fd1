"""/v1/jobs: what is done, what is stuck, what failed; stop it, go on with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import StreamingResponse

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.outcomes import ENDED, JobReport, JobState
from edugraph_gateway.api.answers import JobAnswer, JobList, job_answer
from edugraph_gateway.auth.admission import Operator, Reader
from edugraph_gateway.gateway import Gateway, gateway_of
from edugraph_gateway.operations.resume import resume
from edugraph_gateway.problems import Problem, not_found, problem_responses

router = APIRouter(tags=["jobs"])
PIECE = 1 << 16  # bytes
LOOKED = 0.5  # seconds between two looks at a job that is followed
ALIVE = 15.0  # seconds after which a quiet stream says that it is alive

JobId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("/v1/jobs", responses=problem_responses(401, 403, 422, 429, 503))
def list_jobs(
    request: Request, _caller: Reader, limit: Limit = 20, offset: Offset = 0, state: JobState | None = None
) -> JobList:
    """The newest first. With `state`, the newest of those, and `offset` counts only them."""
    gateway = gateway_of(request)
    now = gateway.now()
    reports = gateway.jobs.newest(limit, offset, now, state)
    only = f"&state={state}".replace(" ", "%20") if state else ""
    links = {"self": f"/v1/jobs?limit={limit}&offset={offset}{only}"}
    if len(reports) == limit:
        links["next"] = f"/v1/jobs?limit={limit}&offset={offset + limit}{only}"
    return JobList(jobs=tuple(job_answer(report, now) for report in reports), links=links)


@router.get("/v1/jobs/{job_id}", responses=problem_responses(401, 403, 404, 422, 429, 503))
def show_job(request: Request, _caller: Reader, job_id: JobId) -> JobAnswer:
    return _answer(gateway_of(request), job_id)


@router.post("/v1/jobs/{job_id}/cancel", responses=problem_responses(401, 403, 404, 409, 422, 429, 503))
def cancel_job(request: Request, caller: Operator, job_id: JobId) -> JobAnswer:
    """What has not begun stays undone; what is done is kept."""
    gateway = gateway_of(request)
    report = known_job(gateway, job_id)
    gateway.audit.record(caller.client_id, "job.cancel", job_id, gateway.now())
    if not gateway.jobs.cancel(job_id, gateway.now()):
        raise Problem(409, "ended", f"The job has ended already: {report.state}.")
    return _answer(gateway, job_id)


@router.post("/v1/jobs/{job_id}/resume", responses=problem_responses(401, 403, 404, 409, 422, 429, 503))
async def resume_job(request: Request, caller: Operator, job_id: JobId) -> JobAnswer:
    """Do the rest of a job that was cancelled, or of one with failures; what is written is not written again."""
    gateway = gateway_of(request)
    await anyio.to_thread.run_sync(_note_resume, gateway, caller.client_id, job_id)
    await resume(gateway, job_id)
    return await anyio.to_thread.run_sync(_answer, gateway, job_id)


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **problem_responses(401, 403, 404, 422, 429, 503),
    },
)
async def follow_job(request: Request, _caller: Reader, job_id: JobId) -> StreamingResponse:
    """Server-Sent Events: the job at each change (event `job`), until it has ended."""
    gateway = gateway_of(request)
    await anyio.to_thread.run_sync(known_job, gateway, job_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_changes(gateway, job_id), media_type="text/event-stream", headers=headers)


@router.get(
    "/v1/jobs/{job_id}/rejects",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}},
        **problem_responses(401, 403, 404, 422, 429, 503),
    },
)
def download_rejects(request: Request, _caller: Reader, job_id: JobId) -> StreamingResponse:
    """All records that were set aside, one JSON a line: line, field, expected, found, reason and the raw record."""
    gateway = gateway_of(request)
    known_job(gateway, job_id)
    keys = gateway.blobs.keys(f"jobs/{job_id}/rejects")
    disposition = f'attachment; filename="rejects-{job_id}.ndjson"'
    return StreamingResponse(
        _joined(gateway, keys), media_type="application/x-ndjson", headers={"Content-Disposition": disposition}
    )


def known_job(gateway: Gateway, job_id: str) -> JobReport:
    report = gateway.jobs.report(job_id, gateway.now())
    if report is None:
        raise not_found("job", job_id)
    return report


def _note_resume(gateway: Gateway, who: str, job_id: str) -> None:
    known_job(gateway, job_id)
    gateway.audit.record(who, "job.resume", job_id, gateway.now())


def _answer(gateway: Gateway, job_id: str) -> JobAnswer:
    return job_answer(known_job(gateway, job_id), gateway.now())


async def _changes(gateway: Gateway, job_id: str) -> AsyncIterator[str]:
    """A Redis that is away for a while is waited for: the stream stays open. A gateway that ends closes it."""
    last: JobReport | None = None
    quiet, number = 0.0, 0
    while (last is None or last.state not in ENDED) and not gateway.ending.is_set():
        report = last
        with suppress(Retryable):
            report = await anyio.to_thread.run_sync(known_job, gateway, job_id)
        if report is not None and report != last:
            number, last, quiet = number + 1, report, 0.0
            shown = job_answer(report, gateway.now()).model_dump_json()
            yield f"id: {number}\nevent: job\ndata: {shown}\n\n"
        elif quiet >= ALIVE:
            quiet = 0.0
            yield ": alive\n\n"
        await asyncio.sleep(LOOKED)
        quiet += LOOKED


def _joined(gateway: Gateway, keys: list[str]) -> Iterator[bytes]:
    for key in keys:
        with gateway.blobs.open(key) as file:
            while piece := file.read(PIECE):
                yield piece
