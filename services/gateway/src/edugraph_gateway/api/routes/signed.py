"""POST /v1/sources/{name}/signed: requests that a tool signs in place of sending a key, as its webhooks do.

The webhooks that EduGraph sends itself are in `edugraph_gateway.webhooks`.
"""

from collections.abc import Sequence
from typing import Any

import anyio
from fastapi import APIRouter, Request
from pydantic import BaseModel

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.data_sources import DataSource, SourceKind
from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.sources import mapping_of_source
from edugraph_common.sources.answer_sheets import records_of_sheet
from edugraph_gateway.api.dependencies import (
    AdmissionDep,
    ClockDep,
    IntakeDep,
    RecordsDep,
    SignedSendersDep,
    StatementsDep,
)
from edugraph_gateway.api.routes.caliper import Envelope, statements_of_envelope
from edugraph_gateway.api.routes.live_records import RecordsToSend, records_of
from edugraph_gateway.api.routes.sources import Name
from edugraph_gateway.auth.signatures import claim_of, is_signed, wrong_signature
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.problems import not_found_for, problem_responses
from edugraph_gateway.submission import statements as receiving
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.request_body import json_body
from edugraph_gateway.submission.submit import WRITE_TIMEOUT_SECONDS

router = APIRouter(tags=["sources"])
# The whole body must come within this time, since anybody can begin to send one.
BODY_SECONDS = 10.0
RETRY_AFTER_SECONDS = 5
# The kinds of source that a signed request can write.
FORMATS: dict[SourceKind, Format] = {"records": "ndjson", "xapi": "xapi", "table": "csv"}


class SignedAccepted(ContractModel):
    """The number of accepted records, statements or events."""

    accepted: int


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


_STATEMENT = {"type": "object", "required": ["actor", "verb", "object"]}
_SHEET_OF_TYPEFORM = {"type": "object", "required": ["form_response"]}
_SHEET_OF_TALLY = {"type": "object", "required": ["eventType", "data"]}
_BODIES = [
    _schema(RecordsToSend),
    _schema(Envelope),
    _STATEMENT,
    {"type": "array", "items": _STATEMENT},
    _SHEET_OF_TYPEFORM,
    _SHEET_OF_TALLY,
]


@router.post(
    "/v1/sources/{name}/signed",
    status_code=202,
    responses=problem_responses(400, 401, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"anyOf": _BODIES}}},
        }
    },
)
async def send_signed(
    *,
    request: Request,
    senders: SignedSendersDep,
    admission: AdmissionDep,
    intake: IntakeDep,
    records: RecordsDep,
    statements: StatementsDep,
    now: ClockDep,
    name: Name,
) -> SignedAccepted:
    """Take the webhook of a tool. Its signature stands in place of a key.

    `EDUGRAPH_SIGNED_SENDERS` says how the sender of the source signs. A source of the kind `records` takes records,
    one of the kind `xapi` takes statements or an envelope of Caliper. One of the kind `table` takes an answer sheet
    of Typeform or Tally, which its mapping reads. The broker has confirmed all of them when the answer comes. The
    same request again counts once.
    """
    sender = senders.get(name)
    if sender is None:
        # The answer does not tell whether the source exists.
        raise not_found_for("unknown", "source", name)
    async with records.noting_refusals(name):
        claim = claim_of(sender, request.headers, now())
        body = await _unproven_body(request, intake)
        if not is_signed(sender, claim, body):
            raise wrong_signature()
    caller = Caller(f"signed:{name}", ("submit",))
    await admission.admit_signed(caller)
    source = await _source(intake, caller, name)
    if source.kind == "xapi":
        async with records.noting_refusals(name):
            found = _statements_of(body)
        if found:
            await statements.receive(
                receiving.Request(
                    caller, source, found, is_single=False, attachments=receiving.Attachments()
                )
            )
        return SignedAccepted(accepted=len(found))
    rows: Sequence[dict[str, Any]]
    async with records.noting_refusals(name):
        if source.kind == "records":
            rows = records_of(body)
        else:
            rows = await in_time(
                lambda: _rows_of_sheet(body, source),
                WRITE_TIMEOUT_SECONDS,
                intake.submitter.threads,
            )
    received = await records.receive(caller, name, source, rows)
    return SignedAccepted(accepted=received.accepted)


async def _unproven_body(request: Request, intake: Intake) -> bytes:
    """Return the body of a sender who has not proven yet who they are.

    Raises Problem 408, 413, 415, and 503 if as many such bodies are being read as the gateway reads at a time.
    """
    slots = intake.unproven_slots
    if slots.available_tokens < 1:
        words = "As many signed requests as the gateway reads at a time are under way."
        raise Problem(503, "busy", words, retry_after=RETRY_AFTER_SECONDS)
    try:
        async with slots:
            with anyio.fail_after(BODY_SECONDS):
                return await json_body(request, intake.limits)
    except TimeoutError:
        words = f"The body did not come within {BODY_SECONDS:g} s; send it again."
        raise Problem(408, "slow", words) from None


async def _source(intake: Intake, caller: Caller, name: str) -> DataSource:
    """Return the source of a sender who has proven who they are, and note that it is in use.

    Raises Refusal 404, Problem 422 for a kind that signed requests do not write, 503 if it is paused, Retryable.
    """
    found = await in_time(
        lambda: intake.sources.find(name), WRITE_TIMEOUT_SECONDS, intake.submitter.threads
    )
    if found is None:
        raise not_found_for(caller.client_id, "source", name)
    file_format = FORMATS.get(found.kind)
    if file_format is None:
        words = f"The source {name} is of the kind {found.kind}; signed requests write records, xapi and table."
        raise Problem(422, "source", words)
    source = await intake.use_live_source(caller, name, file_format, is_signed=True)
    if source is None:
        raise not_found_for(caller.client_id, "source", name)
    return source


def _rows_of_sheet(body: bytes, source: DataSource) -> list[dict[str, Any]]:
    """Return the records of an answer sheet, or an empty list if it has no answer to an item.

    Raises Problem 400 and 422, and MalformedFile. No sentence has the text of an answer, since the tool shows it.
    """
    value = receiving.decoded_body(body)
    if source.mapping is None:
        words = f"The source {source.name} has no mapping, which says what the questions are."
        raise Problem(422, "source", words)
    mapping = mapping_of_source(source.mapping, source)
    try:
        return [record.to_json() for record in records_of_sheet(value, mapping)]
    except InvalidRecord as wrong:
        words = f"The answer sheet is not read: {wrong}."
        raise Problem(422, "invalid-records", words) from None


def _statements_of(body: bytes) -> list[dict[str, Any]]:
    """Return the statements of a body, or those that the events of an envelope mean.

    Raises Problem 422, and Problem 400 for a statement that would count again if somebody sent the request again.
    """
    value = receiving.decoded_body(body)
    if isinstance(value, dict) and "dataVersion" in value:
        statements, _ = statements_of_envelope(value)
    else:
        statements, _ = receiving.parsed_statements(body)
    for statement in statements:
        if receiving.needs_both(statement):
            words = "A statement of a signed request needs an id or a timestamp, so that it counts once."
            raise Problem(400, "statement", words)
    return statements
