"""/xapi: the receiver of xAPI statements (1.0.3 and 2.0). It is not a learning record store."""

import base64
import binascii
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.permissions import Scope
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.sources.xapi import people_of_statement
from edugraph_gateway.api.dependencies import (
    AuditTrailDep,
    IntakeDep,
    RestrictionsDep,
    StatementsDep,
    gateway_of,
)
from edugraph_gateway.api.xapi_headers import VERSION_HEADER, VERSIONS, known_version
from edugraph_gateway.auth.admission import missing_scope
from edugraph_gateway.problems import not_found_for, problem_responses
from edugraph_gateway.submission import statements as receiving
from edugraph_gateway.submission.attachments import JSON, MOST_BYTES, split_files
from edugraph_gateway.submission.live_sources import refuse_paused
from edugraph_gateway.submission.request_body import BodyLimits, body_of

STATEMENT_PARAMETERS = frozenset({"statementId", "format", "attachments"})


class About(ContractModel):
    """The versions of xAPI that the receiver takes."""

    version: tuple[str, ...] = VERSIONS


def check_version(request: Request) -> None:
    """Raise Problem 400 if the request has no known version."""
    if known_version(request.headers.get(VERSION_HEADER, "")) is None:
        words = f"Send the header {VERSION_HEADER} with 1.0.3 or 2.0.0."
        raise Problem(400, "version", words)


async def token_of_client(request: Request) -> str:
    """Return the key or token of Authorization. With Basic, the user is the id of a key and the password its secret.

    A browser's session is not taken, since pages of other origins may send statements.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        user, colon, secret = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return ""
    if not colon or not user or not secret:
        return ""
    return f"eg_{user}_{secret}"


def admitted_client(*any_of: Scope, personal: bool = False) -> Any:
    """Return the dependency that admits a client with one of these scopes, and the scope personal if asked for."""

    async def admit(request: Request, token: Annotated[str, Depends(token_of_client)]) -> Caller:
        caller = await gateway_of(request).admission.admit(token, *any_of)
        if personal and not caller.may("personal"):
            raise missing_scope(caller, "personal")
        return caller

    return Depends(admit)


Sender = Annotated[Caller, admitted_client("submit")]
SenderWhoReads = Annotated[Caller, admitted_client("submit", personal=True)]
StatementId = Annotated[str | None, Query(alias="statementId", max_length=128)]
router = APIRouter(prefix="/xapi", tags=["xapi"])
_ERRORS = (400, 401, 403, 404, 408, 409, 413, 422, 429, 503)
_STATEMENT = {
    "type": "object",
    "required": ["actor", "verb", "object"],
    "description": "a statement as in the xAPI specification",
}
_VERSION_PARAMETER = {
    "name": VERSION_HEADER,
    "in": "header",
    "required": True,
    "schema": {"type": "string", "enum": list(VERSIONS)},
}


def _described(schema: dict[str, Any] | None) -> dict[str, Any]:
    described: dict[str, Any] = {"parameters": [_VERSION_PARAMETER]}
    if schema is not None:
        content = {JSON: {"schema": schema}}
        described["requestBody"] = {"required": True, "content": content}
    return described


@router.head("/about", include_in_schema=False)
@router.get("/about")
async def about(request: Request) -> About:
    """Return the versions of xAPI that the receiver takes. It needs no key, as the specification asks.

    A client that names a version 1.0 gets those of 1.0 alone, since such clients fail at a version that they do not
    know.
    """
    if known_version(request.headers.get(VERSION_HEADER, "")) == VERSIONS[0]:
        return About(version=VERSIONS[:1])
    return About()


@router.post(
    "/statements",
    responses=problem_responses(*_ERRORS),
    openapi_extra=_described({"anyOf": [_STATEMENT, {"type": "array", "items": _STATEMENT}]}),
)
async def post_statements(
    request: Request, caller: Sender, intake: IntakeDep, receiver: StatementsDep
) -> list[str]:
    """Take statements. Return their ids once the broker has confirmed them.

    They belong to the source of the kind `xapi` that this key writes.
    """
    check_version(request)
    if request.query_params:
        raise Problem(400, "statement", "POST has no parameters here.")
    body, attachments = await _body(request, intake.limits)
    statements, is_single = receiving.parsed_statements(body)
    source = await intake.use_source(caller, None, "xapi", is_live=True)
    refuse_paused(source)
    return await receiver.receive(
        receiving.Request(caller, source, statements, is_single, attachments)
    )


@router.put(
    "/statements",
    status_code=204,
    responses=problem_responses(*_ERRORS),
    openapi_extra=_described(_STATEMENT),
)
async def put_statement(
    *,
    request: Request,
    caller: Sender,
    intake: IntakeDep,
    receiver: StatementsDep,
    wanted: StatementId = None,
) -> Response:
    """Take one statement with the id in `statementId`."""
    check_version(request)
    if wanted is None or set(request.query_params) != {"statementId"}:
        raise Problem(400, "statement", "PUT has the one parameter statementId.")
    body, attachments = await _body(request, intake.limits)
    statements, is_single = receiving.parsed_statements(body)
    if not is_single:
        raise Problem(400, "statement", "PUT takes one statement, and not a list.")
    [statement] = statements
    given = statement.get("id", wanted)
    if not isinstance(given, str) or given.strip().lower() != wanted.strip().lower():
        raise Problem(400, "statement", "The id of the statement is not that of statementId.")
    source = await intake.use_source(caller, None, "xapi", is_live=True)
    refuse_paused(source)
    statement = {**statement, "id": wanted}
    await receiver.receive(receiving.Request(caller, source, [statement], True, attachments))
    return Response(status_code=204)


@router.head("/statements", include_in_schema=False)
@router.get(
    "/statements",
    response_model=dict[str, Any],
    responses=problem_responses(400, 401, 403, 404, 422, 429, 503),
    openapi_extra=_described(None),
)
async def get_statement(
    *,
    request: Request,
    caller: SenderWhoReads,
    intake: IntakeDep,
    receiver: StatementsDep,
    restrictions: RestrictionsDep,
    trail: AuditTrailDep,
    wanted: StatementId = None,
) -> Response:
    """Return a statement of the last ten minutes by its id. Statements are not listed, since this is not an LRS."""
    check_version(request)
    if wanted is None or not set(request.query_params) <= STATEMENT_PARAMETERS:
        words = "This receiver answers by statementId, for ten minutes. It is not a learning record store."
        raise Problem(400, "not-lrs", words)
    source = await intake.use_source(caller, None, "xapi", is_live=True)
    source_name = DEFAULT_SOURCE if source is None else source.name
    statement = await receiver.find(source_name, wanted)
    if statement is not None:
        ids = people_of_statement(statement, receiver.platforms).ids

        def may_be_shown() -> bool:
            who = restrictions.people()
            if who is not None and who.is_among(ids):
                return False
            trail.shown(caller, "statement", wanted)
            return True

        if await anyio.to_thread.run_sync(may_be_shown):
            stored = datetime.fromisoformat(statement["stored"])
            headers = {"Last-Modified": format_datetime(stored.astimezone(UTC), usegmt=True)}
            return JSONResponse(statement, headers=headers)
    raise not_found_for(caller.client_id, "statement", wanted)


async def _body(request: Request, limits: BodyLimits) -> tuple[bytes, receiving.Attachments]:
    """Return the JSON of a body, and what it has of files. Raises Problem 400, 408, 413."""
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if "content-encoding" in request.headers:
        raise Problem(400, "content-type", "Send the body without a content encoding.")
    if kind == JSON:
        return await body_of(request, limits), receiving.Attachments()
    if kind != "multipart/mixed":
        raise Problem(400, "content-type", f"Send {JSON}, or multipart/mixed with attachments.")
    body = await body_of(request, limits, max_bytes=MOST_BYTES)
    statements, attachments = await anyio.to_thread.run_sync(split_files, content_type, body)
    if len(statements) > limits.max_json_bytes:
        raise Problem(
            413, "too-large", f"The statements have more than {limits.max_json_bytes:,} bytes."
        )
    return statements, attachments
