"""POST /v1/sources/{name}/records: records of a running system, in the graph within moments.

GET /v1/sources/{name}/live counts what the source sent on a day.
"""

from collections import Counter
from contextlib import suppress
from datetime import UTC, date
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.data_sources import LiveDay
from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.live_days import day_of_live_job, live_job_id_of_day
from edugraph_common.contracts.messages import INLINE_RECORDS
from edugraph_common.contracts.records import Record, Withdrawal, parse_row
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.sources.rights import check_rights
from edugraph_gateway.api.dependencies import (
    ClockDep,
    Importer,
    IntakeDep,
    LiveCountsDep,
    LiveDaysDep,
    LiveDep,
    SourceReader,
    SourcesDep,
)
from edugraph_gateway.api.routes.previews import MARK_ID
from edugraph_gateway.api.routes.sources import Name, show_source
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import invalid, problem_responses
from edugraph_gateway.submission.live_records import LiveRecords
from edugraph_gateway.submission.live_sources import (
    is_too_old,
    observed,
    texts_to_analyse,
)
from edugraph_gateway.submission.request_body import json_body
from edugraph_gateway.submission.rights import rights_of
from edugraph_gateway.submission.submit import WRITE_TIMEOUT_SECONDS

router = APIRouter(tags=["sources"])


class RecordsToSend(ContractModel):
    """Records are not checked here: those that are not valid are set aside by the importer, one by one."""

    records: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=INLINE_RECORDS)]


class RecordsAccepted(ContractModel):
    """The number of accepted records, and the job of their source and day, which has their counts and rejects."""

    accepted: int
    job_id: str
    links: dict[str, str] = {}


@router.post(
    "/v1/sources/{name}/records",
    status_code=202,
    responses=problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=described_body(RecordsToSend),
)
async def send_records(
    *,
    request: Request,
    caller: Importer,
    intake: IntakeDep,
    live: LiveDep,
    counts: LiveCountsDep,
    now: ClockDep,
    name: Name,
) -> RecordsAccepted:
    """Take records of a running system. The broker has confirmed them when the answer comes.

    The records of all requests within a quarter of a second are written together. Send a refused request again: a
    record that has an id is written once, however often it is sent.
    """
    body = await json_body(request, intake.limits)
    try:
        records = RecordsToSend.model_validate_json(body).records
    except ValidationError as error:
        raise invalid(error) from None
    source = await intake.use_live_source(caller, name, "ndjson")
    at = now()
    threads = intake.submitter.threads
    younger = tuple(each for each in records if not is_too_old(source, each.get("timestamp")))
    numbers = Counter(older=len(records) - len(younger))
    job_id = live_job_id_of_day(name, at.astimezone(UTC).date())
    if source is not None and source.live == "observe":
        stored = await in_time(lambda: counts.of(name, at.date()), WRITE_TIMEOUT_SECONDS, threads)
        rights = rights_of(caller, MARK_ID, name)

        def read(row: Any) -> Record | Withdrawal:
            content = parse_row(row)
            if isinstance(content, Record):
                check_rights(content, rights, MARK_ID)
            return content

        numbers.update(observed(younger, read, stored, at))
    elif younger:
        texts = texts_to_analyse(source, at)
        job_id = await live.send(LiveRecords(caller, name, younger, texts=texts))
        numbers["accepted"] = len(younger)
    accepted_at = at if numbers["accepted"] else None
    with suppress(Retryable):  # the records are accepted
        await in_time(
            lambda: counts.add(name, numbers, day_of_live_job(job_id), accepted_at=accepted_at),
            WRITE_TIMEOUT_SECONDS,
            threads,
        )
    links = {"job": f"/v1/jobs/{job_id}", "rejects": f"/v1/jobs/{job_id}/rejects"}
    return RecordsAccepted(accepted=numbers["accepted"], job_id=job_id, links=links)


@router.get("/v1/sources/{name}/live", responses=problem_responses(401, 403, 404, 422, 429, 503))
def show_live_day(
    *,
    caller: SourceReader,
    sources: SourcesDep,
    days: LiveDaysDep,
    now: ClockDep,
    name: Name,
    day: date | None = None,
) -> LiveDay:
    """Return the numbers of a day in UTC, or of today: what the source sent live. They are kept for 40 days."""
    show_source(caller=caller, sources=sources, name=name)
    return days.of(name, day or now().astimezone(UTC).date())
