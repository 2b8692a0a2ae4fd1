"""GET /v1/audit: the audit log, for an officer who has no login at Redis."""

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.runtime.shared_state.audit import Entry
from edugraph_gateway.api.dependencies import AuditReader, AuditTrailDep
from edugraph_gateway.problems import problem_responses

router = APIRouter(tags=["audit"])


class AuditPage(ContractModel):
    """The newest entries first. `links.next` is the page after it, where there is one."""

    entries: tuple[Entry, ...]
    links: dict[str, str]


class AuditState(ContractModel):
    """Whether the log is whole. `fault` says what is wrong, and is null if nothing is.

    `last` is the place of the newest entry: its number and its hash.
    """

    entries: int
    last: str
    fault: str | None
    links: dict[str, str]


@router.get("/v1/audit", responses=problem_responses(401, 403, 422, 429, 503))
def list_audit(
    *,
    caller: AuditReader,
    trail: AuditTrailDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    before: Annotated[
        int | None, Query(ge=1, description="entries with smaller numbers than this one")
    ] = None,
    who: Annotated[
        str | None, Query(max_length=300, description="what this key's id or oidc:SUBJECT did")
    ] = None,
    action: Annotated[str | None, Query(max_length=64)] = None,
    of: Annotated[
        str | None,
        Query(
            max_length=200,
            pattern=r"^[a-z]+:.+$",
            description="what concerns this: student:ID, teacher:ID, job:ID",
        ),
    ] = None,
) -> AuditPage:
    """Return entries of the audit log: actions, reads of personal data, refusals. This read becomes an entry, too.

    The log has the HMAC of persons in place of their ids. `of` limits the entries to those about one person.
    """
    trail.shown(caller, "audit", of or "")
    keyed = None
    if of is not None:
        kind, _, identifier = of.partition(":")
        keyed = trail.audit.object_of(kind, identifier)
    chosen = (
        entry
        for entry in trail.audit.newest(before)
        if who in (None, entry.who)
        and action in (None, entry.action)
        and keyed in (None, entry.object)
    )
    found = tuple(islice(chosen, limit))
    links = {"self": "/v1/audit"}
    if len(found) == limit:
        links["next"] = f"/v1/audit?limit={limit}&before={found[-1].number}"
    return AuditPage(entries=found, links=links)


@router.get("/v1/audit/state", responses=problem_responses(401, 403, 422, 429, 503))
def verify_audit(
    *,
    _caller: AuditReader,
    trail: AuditTrailDep,
    expect: Annotated[
        str,
        Query(
            max_length=100,
            pattern=r"^([0-9]{1,15}:[0-9a-f]{64})?$",
            description="a place that was seen before",
        ),
    ] = "",
) -> AuditState:
    """Look whether an entry of the log was changed or taken out."""
    found = trail.audit.verify(expect)
    return AuditState(
        entries=found.entries, last=found.last, fault=found.fault, links={"self": "/v1/audit/state"}
    )
