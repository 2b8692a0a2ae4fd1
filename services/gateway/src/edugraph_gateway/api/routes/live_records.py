"""POST /v1/sources/{name}/records: records of a running system, in the graph within moments.

GET /v1/sources/{name}/live counts what the source sent on a day, and GET /v1/live-sources the latest day of each.
"""

from datetime import UTC, date
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.data_sources import LiveDay, LiveSource
from edugraph_common.contracts.messages import INLINE_RECORDS
from edugraph_common.runtime.service.described_body import described_body
from edugraph_gateway.api.dependencies import (
    ClockDep,
    Importer,
    IntakeDep,
    LiveDaysDep,
    RecordsDep,
    SourceReader,
    SourcesDep,
)
from edugraph_gateway.api.routes.sources import Name, seen_by, show_source
from edugraph_gateway.operations.live_sources import is_silent
from edugraph_gateway.problems import invalid, problem_responses
from edugraph_gateway.submission.request_body import json_body

router = APIRouter(tags=["sources"])


class RecordsToSend(ContractModel):
    """Records are not checked here: those that are not valid are set aside by the importer, one by one."""

    records: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=INLINE_RECORDS)]


class RecordsAccepted(ContractModel):
    """The number of accepted records, and the job of their source and day, which has their counts and rejects."""

    accepted: int
    job_id: str
    links: dict[str, str] = {}


class LiveSources(ContractModel):
    """Sources in the order of their names."""

    sources: tuple[LiveSource, ...]
    links: dict[str, str]


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
    receiver: RecordsDep,
    name: Name,
) -> RecordsAccepted:
    """Take records of a running system. The broker has confirmed them when the answer comes.

    The records of all requests within a quarter of a second are written together. Send a refused request again: a
    record that has an id is written once, however often it is sent.
    """
    records = records_of(await json_body(request, intake.limits))
    source = await intake.use_live_source(caller, name, "ndjson")
    received = await receiver.receive(caller, name, source, records)
    job = f"/v1/jobs/{received.job_id}"
    links = {"job": job, "rejects": f"{job}/rejects"}
    return RecordsAccepted(accepted=received.accepted, job_id=received.job_id, links=links)


def records_of(body: bytes) -> tuple[dict[str, Any], ...]:
    """Return the records of a body. Raises Problem 422."""
    try:
        return RecordsToSend.model_validate_json(body).records
    except ValidationError as error:
        raise invalid(error) from None


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


@router.get("/v1/live-sources", responses=problem_responses(401, 403, 429, 503))
def list_live_sources(
    *, caller: SourceReader, sources: SourcesDep, days: LiveDaysDep, now: ClockDep
) -> LiveSources:
    """List the sources of `GET /v1/sources`, each with the numbers of the latest day on which it sent live."""
    shown = seen_by(caller, sources)
    latest = days.latest(shown)
    found = []
    for source in shown:
        day_of_source = latest.get(source.name)
        last_accepted = day_of_source.last_accepted if day_of_source else None
        silent = is_silent(source, last_accepted, now())
        found.append(LiveSource(source=source, silent=silent, latest=day_of_source))
    return LiveSources(sources=tuple(found), links={"self": "/v1/live-sources"})
