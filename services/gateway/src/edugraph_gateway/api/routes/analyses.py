"""POST /v1/analyses/…: have records read by the model, without importing them from a file first."""

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, ValidationError

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.findings import KIND_OF_SUBJECT, Kind, Subject, kind_to_read
from edugraph_common.contracts.messages import INLINE_RECORDS, Analysis, AnalysisBatch, AnalysisEstimate
from edugraph_common.contracts.records import InvalidRecord, Record, parse_record
from edugraph_common.messaging.publisher import task_id_for
from edugraph_gateway.auth.admission import Submitter
from edugraph_gateway.gateway import gateway_of
from edugraph_gateway.problems import Problem, invalid, problem_responses
from edugraph_gateway.submission.idempotency import IdempotencyKey, key_name
from edugraph_gateway.submission.idempotent_run import Done, once
from edugraph_gateway.submission.request_body import json_body
from edugraph_gateway.submission.submit import Submission, Task, submit

router = APIRouter(tags=["analyses"])
QUEUE = "llm_analysis"
CONTENT_PACK = 10  # course texts in one message


PACK_TASKS: dict[Kind, str] = {
    "interaction": "analyze_interaction_task",
    "error": "analyze_error_task",
    "knowledge_points": "extract_knowledge_points_task",
}
BATCH_TASKS: dict[Kind, str] = {
    "interaction": "batch_analyze_interactions_task",
    "error": "batch_analyze_errors_task",
}


class AnalysisRequest(Frozen):
    records: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=INLINE_RECORDS)]


_REQUEST_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": AnalysisRequest.model_json_schema()}},
    }
}


@router.post(
    "/v1/analyses/{subject}",
    status_code=202,
    responses=problem_responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=_REQUEST_BODY,
)
async def start_analysis(
    request: Request, caller: Submitter, subject: Subject, idempotency_key: IdempotencyKey = None
) -> Accepted:
    """Each record must be valid and have a text to read; if one is not, none is taken."""
    gateway, kind = gateway_of(request), KIND_OF_SUBJECT[subject]
    gateway.depths.check(QUEUE, gateway.settings.deepest_queue)
    body = await json_body(request, gateway.settings)
    records = readable(_records(body), kind)
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        return Done(fingerprint, await submit(gateway, _submission(gateway.new_id(), kind, records)))

    async def seen() -> str:
        return fingerprint

    name = key_name(caller, f"analyses/{subject}", idempotency_key) if idempotency_key else None
    return await once(gateway, name, first, seen)


@router.post(
    "/v1/analyses/{subject}/estimate",
    status_code=202,
    responses=problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=_REQUEST_BODY,
)
async def estimate_analysis(request: Request, _caller: Submitter, subject: Subject) -> Accepted:
    """What reading these records would cost: the result of the task, made by an analyzer without asking the model."""
    gateway, kind = gateway_of(request), KIND_OF_SUBJECT[subject]
    gateway.depths.check(QUEUE, gateway.settings.deepest_queue)
    records = readable(_records(await json_body(request, gateway.settings)), kind)
    request_id = gateway.new_id()
    task_id = task_id_for(request_id, "estimate")
    message = AnalysisEstimate(job_id=request_id, kind=kind, records=tuple(record.to_json() for record in records))
    await gateway.sender.send("estimate_analysis_task", message, task_id=task_id)
    return Accepted(job_id=request_id, task_id=task_id, links={"task": f"/v1/tasks/{task_id}"})


def _records(body: bytes) -> tuple[dict[str, Any], ...]:
    try:
        return AnalysisRequest.model_validate_json(body).records
    except ValidationError as error:
        raise invalid(error) from None


def readable(values: tuple[dict[str, Any], ...], kind: Kind) -> list[Record]:
    """Raises Problem 422, which lists the records that are wrong."""
    records, wrong = [], []
    for index, value in enumerate(values):
        try:
            records.append(_readable(value, kind))
        except InvalidRecord as problem:
            wrong.append(_shown(index, problem))
    if wrong:
        few = f"{len(wrong)} of {len(values)} records cannot be read as {kind}; correct them and send all again."
        raise Problem(422, "invalid-records", few, errors=wrong)
    return records


def _readable(value: object, kind: Kind) -> Record:
    record = parse_record(value)
    if kind_to_read(record) != kind:
        raise InvalidRecord("type", f"a record with a text for {kind}", record.type, "has nothing to read here")
    return record


def _shown(index: int, problem: InvalidRecord) -> dict[str, Any]:
    named = {name: getattr(problem, name) for name in ("field", "expected", "found", "reason")}
    return {"record": index, **named}


def _submission(job_id: str, kind: Kind, records: list[Record]) -> Submission:
    tasks = list(_tasks(job_id, kind, tuple(record.to_json() for record in records)))
    return Submission(job_id=job_id, kind="analysis", source=f"{kind} inline", tasks=tasks, to_analyse=len(records))


def _tasks(job_id: str, kind: Kind, records: tuple[dict[str, Any], ...]) -> Iterator[Task]:
    if len(records) > 1 and kind in BATCH_TASKS:
        batch = AnalysisBatch(job_id=job_id, batch=0, kind=kind, records=records, expected=len(records))
        yield Task(BATCH_TASKS[kind], batch, task_id_for(job_id, f"analysis-{kind}-0"))
        return
    for start in range(0, len(records), CONTENT_PACK):
        pack = f"{kind}-0-{start // CONTENT_PACK}"
        message = Analysis(job_id=job_id, pack=pack, kind=kind, records=records[start : start + CONTENT_PACK])
        yield Task(PACK_TASKS[kind], message, task_id_for(job_id, pack))
