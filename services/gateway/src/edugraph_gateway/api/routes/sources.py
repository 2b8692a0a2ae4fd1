"""/v1/sources: create, change, list and show the sources that data comes from."""

from typing import Annotated, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ValidationError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.data_sources import (
    DataSource,
    NewSource,
    SourceCursor,
    SourceSettings,
)
from edugraph_common.contracts.record_keys import LONGEST_SOURCE_NAME
from edugraph_common.runtime.service.described_body import described_body
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.source_registry import (
    CursorChanged,
    KindIsFixed,
    SourceExists,
    SourceRegistry,
    UnknownSource,
)
from edugraph_common.sources import mapping_of_source
from edugraph_gateway.api.dependencies import (
    ApiKeysDep,
    AuditTrailDep,
    ClockDep,
    Importer,
    IntakeDep,
    Operator,
    SourceReader,
    SourcesDep,
)
from edugraph_gateway.problems import (
    invalid,
    invalid_fields,
    not_found,
    not_found_for,
    problem_responses,
)
from edugraph_gateway.submission.request_body import SMALL_BODY_BYTES, json_body

router = APIRouter(tags=["sources"])
# The ids of callers who sign in, or who send a token of the issuer, begin with this.
ACCOUNT = "oidc:"
ModelT = TypeVar("ModelT", bound=BaseModel)

Name = Annotated[
    str, Path(min_length=1, max_length=LONGEST_SOURCE_NAME, pattern=r"^[a-z0-9-]{1,40}$")
]


class SourceList(ContractModel):
    """Sources in the order of their names."""

    sources: tuple[DataSource, ...]
    links: dict[str, str]


@router.post(
    "/v1/sources",
    status_code=201,
    responses=problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=described_body(NewSource),
)
async def create_source(
    *,
    request: Request,
    caller: Operator,
    intake: IntakeDep,
    keys: ApiKeysDep,
    trail: AuditTrailDep,
    now: ClockDep,
) -> DataSource:
    """Create a source. Its name cannot be changed later."""
    body = await json_body(request, intake.limits, SMALL_BODY_BYTES)

    def create() -> DataSource:
        wanted = _parsed(NewSource, body)
        check_settings(wanted, keys)
        with trail.doing(caller, "source.create", wanted.name):
            try:
                return intake.sources.create(wanted, now())
            except SourceExists:
                words = f"There is a source {wanted.name} already; choose another name, or change that source."
                raise Problem(409, "exists", words) from None

    return await anyio.to_thread.run_sync(create)


@router.put(
    "/v1/sources/{name}",
    responses=problem_responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=described_body(SourceSettings),
)
async def change_source(
    *,
    request: Request,
    caller: Operator,
    intake: IntakeDep,
    keys: ApiKeysDep,
    trail: AuditTrailDep,
    name: Name,
) -> DataSource:
    """Replace all settings of a source. Jobs that were accepted before keep what they began with.

    The kind of a source with an accepted import stays.
    """
    body = await json_body(request, intake.limits, SMALL_BODY_BYTES)

    def change() -> DataSource:
        wanted = _parsed(SourceSettings, body)
        check_settings(wanted, keys)
        with trail.doing(caller, "source.change", name):
            try:
                return intake.sources.change(name, wanted)
            except UnknownSource:
                raise not_found("source", name) from None
            except KindIsFixed:
                words = f"Imports of the source {name} were accepted, so its kind stays; create another source."
                raise Problem(409, "in-use", words) from None

    return await anyio.to_thread.run_sync(change)


@router.get("/v1/sources", responses=problem_responses(401, 403, 429, 503))
def list_sources(*, caller: SourceReader, sources: SourcesDep) -> SourceList:
    """List the sources: all for the scope operate, otherwise the sources that the caller writes."""
    shown = tuple(seen_by(caller, sources))
    return SourceList(sources=shown, links={"self": "/v1/sources"})


@router.get("/v1/sources/{name}", responses=problem_responses(401, 403, 404, 422, 429, 503))
def show_source(*, caller: SourceReader, sources: SourcesDep, name: Name) -> DataSource:
    """Return one source."""
    for source in seen_by(caller, sources):
        if source.name == name:
            return source
    raise not_found_for(caller.client_id, "source", name)


@router.get("/v1/sources/{name}/cursor", responses=problem_responses(401, 403, 404, 422, 429, 503))
def show_cursor(*, caller: Importer, sources: SourcesDep, name: Name) -> SourceCursor:
    """Return how far a connector has pulled a source."""
    show_source(caller=caller, sources=sources, name=name)
    return sources.cursor(name)


@router.put(
    "/v1/sources/{name}/cursor",
    responses=problem_responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=described_body(SourceCursor),
)
async def save_cursor(
    *, request: Request, caller: Importer, intake: IntakeDep, name: Name
) -> SourceCursor:
    """Replace how far a source was pulled. 409 if another caller has written it since its version was read."""
    body = await json_body(request, intake.limits)

    def save() -> SourceCursor:
        show_source(caller=caller, sources=intake.sources, name=name)
        try:
            return intake.sources.save_cursor(name, _parsed(SourceCursor, body))
        except CursorChanged:
            words = (
                f"Another connector has pulled the source {name} meanwhile; read its cursor again."
            )
            raise Problem(409, "changed", words) from None

    return await anyio.to_thread.run_sync(save)


def _parsed(model: type[ModelT], body: bytes) -> ModelT:
    """Return the content of a body. Raises Problem 422."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None


def seen_by(caller: Caller, sources: SourceRegistry) -> list[DataSource]:
    """Return the sources that the caller may see. Only operators see which other keys write a source."""
    found = sources.all()
    if caller.may("operate"):
        return found
    own = []
    for source in found:
        if caller.client_id in source.keys:
            own.append(source.model_copy(update={"keys": (caller.client_id,)}))
    return own


def check_settings(wanted: SourceSettings, keys: ApiKeys) -> None:
    """Raise Problem 422 for a key that does not exist, and MalformedFile for a mapping that cannot be used."""
    for client_id in wanted.keys:
        if not client_id.startswith(ACCOUNT) and keys.find(client_id) is None:
            reason = f"there is no key {client_id}; see: edugraph keys list"
            raise invalid_fields([(("keys",), reason)])
    if wanted.mapping is not None:
        mapping_of_source(wanted.mapping, wanted)
