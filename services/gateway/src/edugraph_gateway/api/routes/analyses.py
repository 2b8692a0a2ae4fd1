"""POST /v1/analyses/…: analyse records that are sent in the request, without importing a file."""

import hashlib
from dataclasses import replace
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Request
from pydantic import Field, ValidationError

from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.findings import KIND_OF_SUBJECT, Kind, Subject, kind_to_read
from edugraph_common.contracts.messages import (
    INLINE_RECORDS,
    PACK_RECORDS,
    RECORDS_IN_MESSAGE_BYTES,
    REQUEST_CONTENT_PACK,
    Analysis,
    AnalysisBatch,
    AnalysisEstimate,
    ByteRange,
)
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE, SourceName
from edugraph_common.contracts.records import InvalidRecord, Record, parse_record
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.sources.keyed import keyed
from edugraph_common.sources.rows import as_invalid_record
from edugraph_gateway.api.dependencies import AuditTrailDep, IntakeDep, Submitter
from edugraph_gateway.problems import invalid, problem_responses
from edugraph_gateway.submission.idempotency import Done, IdempotencyKey, idempotent_run, key_name
from edugraph_gateway.submission.request_body import json_body
from edugraph_gateway.submission.submit import Submission, Task

router = APIRouter(tags=["analyses"])
QUEUE = "llm_analysis"
PACK_TASKS: dict[Kind, str] = {
    "interaction": "analyze_interaction_task",
    "error": "analyze_error_task",
    "knowledge_points": "extract_knowledge_points_task",
}
BATCH_TASKS: dict[Kind, str] = {
    "interaction": "batch_analyze_interactions_task",
    "error": "batch_analyze_errors_task",
}


class AnalysisRequest(ContractModel):
    """`source`: the source that the records belong to; without it, the only source of the caller, or else `default`.

    `economy` sends the texts in batches of the provider, which take up to a day and cost less.
    """

    source: SourceName | None = None
    records: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=INLINE_RECORDS)]
    economy: bool = False


_REQUEST_BODY = described_body(AnalysisRequest)


@router.post(
    "/v1/analyses/{subject}",
    status_code=202,
    responses=problem_responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=_REQUEST_BODY,
)
async def start_analysis(
    *,
    request: Request,
    caller: Submitter,
    intake: IntakeDep,
    trail: AuditTrailDep,
    subject: Subject,
    idempotency_key: IdempotencyKey = None,
) -> Accepted:
    """Analyse records. Each must be valid and have a text. If one of them is wrong, none is taken."""
    kind = KIND_OF_SUBJECT[subject]
    submitter = intake.submitter
    intake.backpressure.check(QUEUE)
    acceptance = await intake.next_acceptance_number()
    body = await json_body(request, intake.limits)
    wanted, records = parse_records(body, kind)
    fingerprint = hashlib.sha256(body).hexdigest()

    async def first() -> Done:
        job_id = submitter.new_id()
        source = await intake.use_source(caller, wanted.source)
        if source is not None and not source.analyse:
            words = f"Texts of the source {source.name} are not analysed."
            raise Refusal(403, "source", words, caller.client_id)
        source_name = source.name if source else DEFAULT_SOURCE
        with_keys = _keyed(records, source_name)
        stored = None
        # The importer writes this entry for each import that begins.
        await anyio.to_thread.run_sync(trail.did, caller, "job.submit", job_id)
        if len(body) > RECORDS_IN_MESSAGE_BYTES and kind in BATCH_TASKS:
            stored = await submitter.store_rows(job_id, [record.to_json() for record in records])
            stored = stored.model_copy(update={"source_name": source_name})
        # Rows that are stored get the keys of their source when they are read.
        submission = analysis_submission(
            job_id,
            kind,
            with_keys,
            stored,
            acceptance,
            economy=wanted.economy,
        )
        submission = replace(submission, source_name=source_name)
        return Done(fingerprint, await submitter.submit(submission, caller.client_id))

    async def seen() -> str:
        return fingerprint

    name = (
        key_name(caller.client_id, f"analyses/{subject}", idempotency_key)
        if idempotency_key
        else None
    )
    return await idempotent_run(intake.idempotency, name, first, seen)


@router.post(
    "/v1/analyses/{subject}/estimate",
    status_code=202,
    responses=problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=_REQUEST_BODY,
)
async def estimate_analysis(
    request: Request, caller: Submitter, intake: IntakeDep, subject: Subject
) -> Accepted:
    """Estimate the cost of an analysis. The result of the task has the estimate. The model is not asked."""
    kind = KIND_OF_SUBJECT[subject]
    submitter = intake.submitter
    intake.backpressure.check(QUEUE)
    wanted, records = parse_records(await json_body(request, intake.limits), kind)
    request_id = submitter.new_id()
    values = tuple(record.to_json() for record in records)
    message = AnalysisEstimate(job_id=request_id, kind=kind, records=values, economy=wanted.economy)
    task = Task("estimate_analysis_task", message, task_id_for(request_id, "estimate"))
    return await submitter.send_task(task, caller.client_id)


def parse_records(body: bytes, kind: Kind) -> tuple[AnalysisRequest, list[Record]]:
    """Return the request and its records.

    Raises Problem 422, which lists the wrong records.
    """
    try:
        wanted = AnalysisRequest.model_validate_json(body)
        values = wanted.records
    except ValidationError as error:
        raise invalid(error) from None
    records: list[Record] = []
    wrong: list[dict[str, Any]] = []
    for index, value in enumerate(values):
        try:
            record = parse_record(value)
            if kind_to_read(record) != kind:
                expected = f"a record with a text for {kind}"
                raise InvalidRecord("type", expected, record.type, "has nothing to read here")  # noqa: TRY301
            records.append(record)
        except Exception as fault:  # noqa: BLE001 - the boundary of a row: a fault concerns this row only
            problem = as_invalid_record(fault)
            entry = {
                "record": index,
                "field": problem.field,
                "expected": problem.expected,
                "found": problem.found,
                "reason": problem.reason,
            }
            wrong.append(entry)
    if wrong:
        few = f"{len(wrong)} of {len(values)} records cannot be read as {kind}; correct them and send all again."
        raise Problem(422, "invalid-records", few, errors=wrong)
    return wanted, records


def _keyed(records: list[Record], source_name: str) -> list[Record]:
    """Return the records with the keys of their source. Raises Problem 422 if an id is too long for that."""
    try:
        return [keyed(record, source_name) for record in records]
    except InvalidRecord as problem:
        raise Problem(422, "invalid-records", str(problem)) from None


def analysis_submission(
    job_id: str,
    kind: Kind,
    records: list[Record],
    stored: ByteRange | None,
    acceptance: int,
    *,
    economy: bool = False,
) -> Submission:
    """Return one task for all records if the kind has a task for batches, and otherwise one task for each pack.

    A batch refers to its records if they are `stored`. Packs of course texts carry their records, because these are
    not personal data.
    """
    values = tuple(record.to_json() for record in records)
    if stored or (len(values) > 1 and kind in BATCH_TASKS):
        inline = None if stored else values
        batch = AnalysisBatch(
            job_id=job_id,
            batch=0,
            kind=kind,
            rows=stored,
            records=inline,
            expected=len(values),
            acceptance=acceptance,
            pack_records=PACK_RECORDS if economy else None,
            economy=economy,
        )
        tasks = [Task(BATCH_TASKS[kind], batch, task_id_for(job_id, f"analysis-{kind}-0"))]
    else:
        tasks = []
        for start in range(0, len(values), REQUEST_CONTENT_PACK):
            pack = f"{kind}-0-{start // REQUEST_CONTENT_PACK}"
            some = values[start : start + REQUEST_CONTENT_PACK]
            message = Analysis(
                job_id=job_id,
                pack=pack,
                kind=kind,
                records=some,
                acceptance=acceptance,
                economy=economy,
            )
            tasks.append(Task(PACK_TASKS[kind], message, task_id_for(job_id, pack)))
    source = f"{kind} inline"
    return Submission(
        job_id=job_id, kind="analysis", source=source, tasks=tasks, to_analyse=len(records)
    )
