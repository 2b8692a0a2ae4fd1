"""POST /v1/sources/{name}/caliper: the envelopes in which a sensor of Caliper sends events."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import INLINE_RECORDS
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.sources.caliper import is_envelope, is_event, statement_of_event
from edugraph_gateway.api.dependencies import Importer, IntakeDep, StatementsDep
from edugraph_gateway.api.routes.sources import Name
from edugraph_gateway.problems import invalid, problem_responses
from edugraph_gateway.submission import statements as receiving
from edugraph_gateway.submission.request_body import json_body

router = APIRouter(tags=["sources"])


class Envelope(BaseModel):
    """An envelope of a sensor. `data` has events, and entities that a sensor describes. Other fields are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sensor: Annotated[str, Field(min_length=1)]
    version: Annotated[
        Literal[
            "http://purl.imsglobal.org/ctx/caliper/v1p2",
            "http://purl.imsglobal.org/ctx/caliper/v1p1",
        ],
        Field(alias="dataVersion"),
    ]
    data: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=INLINE_RECORDS)]


class EventsAccepted(ContractModel):
    """The number of accepted events, and that of entities, which are left out since nobody does anything in them."""

    accepted: int
    entities: int


@router.post(
    "/v1/sources/{name}/caliper",
    status_code=202,
    responses=problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=described_body(Envelope),
)
async def send_envelope(
    *,
    request: Request,
    caller: Importer,
    intake: IntakeDep,
    receiver: StatementsDep,
    name: Name,
) -> EventsAccepted:
    """Take an envelope of Caliper 1.2 or 1.1. The broker has confirmed its events when the answer comes.

    The source has the kind `xapi`, since an event is read as the statement that means the same. Send a refused
    envelope again: an event is written once, however often it is sent.
    """
    body = await json_body(request, intake.limits)
    statements, entities = statements_of_envelope(receiving.decoded_body(body))
    source = await intake.use_live_source(caller, name, "xapi")
    if statements:
        await receiver.receive(
            receiving.Request(
                caller, source, statements, is_single=False, attachments=receiving.Attachments()
            )
        )
    return EventsAccepted(accepted=len(statements), entities=entities)


def statements_of_envelope(envelope: Any) -> tuple[list[dict[str, Any]], int]:
    """Return the statements that the events of an envelope mean, and the number of its entities.

    Raises Problem 422.
    """
    try:
        data = Envelope.model_validate(envelope).data
    except ValidationError as error:
        raise invalid(error) from None
    statements = []
    for each in data:
        if is_event(each) and not is_envelope(each):
            statements.append(statement_of_event(each))
    return statements, len(data) - len(statements)
