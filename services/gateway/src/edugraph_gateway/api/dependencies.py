"""The dependencies of routes: an admitted caller, and the parts of the gateway that a route needs."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from threading import Event
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import TypeAdapter, ValidationError

from edugraph_common.contracts.api import Check
from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.permissions import SCOPES, Scope
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.job_store import Jobs
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.sessions import token_sent
from edugraph_common.runtime.shared_state.source_registry import SourceRegistry
from edugraph_common.runtime.shared_state.task_owners import TaskOwners
from edugraph_gateway.auth.admission import Admission, missing_scope
from edugraph_gateway.auth.audit_trail import AuditTrail
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.event_streams import EventStreams
from edugraph_gateway.gateway import Gateway
from edugraph_gateway.operations.dead_letter_operator import DeadLetterOperator
from edugraph_gateway.operations.live_sources import LiveDays
from edugraph_gateway.operations.readiness import Probes
from edugraph_gateway.operations.restriction import Restrictions
from edugraph_gateway.operations.task_results import TaskResults
from edugraph_gateway.settings import GatewaySettings, SignedSender
from edugraph_gateway.submission.intake import Intake
from edugraph_gateway.submission.record_receiver import RecordReceiver
from edugraph_gateway.submission.statements import StatementReceiver

AUDIT_TIMEOUT_SECONDS = 2.0
bearer = HTTPBearer(
    auto_error=False, description="An API key (edugraph keys create) or an OIDC access token"
)


def gateway_of(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


async def token_of(
    request: Request,
    _described: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)] = None,
) -> str:
    """Return the caller's key, token or session. The parameter of `bearer` is for the OpenAPI document only.

    Raises Refusal 403 for a session without its CSRF token.
    """
    return token_sent(request.method, request.headers, request.cookies)


TokenDep = Annotated[str, Depends(token_of)]


def admitted(*any_of: Scope, personal: bool = False) -> Any:
    """Return the dependency that admits a caller with one of these scopes, and also the scope personal if asked for.

    The dependency raises Problem 401, 403, 429, or Retryable.
    """

    async def admit(request: Request, token: TokenDep) -> Caller:
        caller = await gateway_of(request).admission.admit(token, *any_of)
        if personal and not caller.may("personal"):
            raise missing_scope(caller, "personal")
        return caller

    return Depends(admit)


def part(select: Callable[[Gateway], Any]) -> Any:
    """Return the dependency that returns one part of the gateway."""

    # The function is async because FastAPI would run any other function in a thread.
    async def selected(request: Request) -> Any:
        return select(gateway_of(request))

    return Depends(selected)


AnyCaller = Annotated[Caller, admitted(*SCOPES)]
READS: tuple[Scope, ...] = ("read", "read:own")
Reader = Annotated[Caller, admitted(*READS)]
# With one of the other scopes, a caller sees only the tasks that this caller sent: reviews, exports, erasures.
TaskReader = Annotated[Caller, admitted(*READS, "review", "privacy", "erase")]
PersonalReader = Annotated[Caller, admitted(*READS, personal=True)]
Submitter = Annotated[Caller, admitted("submit")]
# Each scope opens its own types of record; rows of other types are set aside by the importer.
IMPORTING: tuple[Scope, ...] = ("submit", "roster")
Importer = Annotated[Caller, admitted(*IMPORTING)]
Reviewer = Annotated[Caller, admitted("review")]
Operator = Annotated[Caller, admitted("operate")]
PersonalOperator = Annotated[Caller, admitted("operate", personal=True)]
JobOperator = Annotated[Caller, admitted("operate", *IMPORTING)]
SourceReader = Annotated[Caller, admitted("operate", *IMPORTING)]
Eraser = Annotated[Caller, admitted("erase")]
Officer = Annotated[Caller, admitted("privacy", "erase")]
AuditReader = Annotated[Caller, admitted("privacy")]
PersonalOfficer = Annotated[Caller, admitted("privacy", "erase", personal=True)]
# An export shows everything about a person. A key that may only erase must not read data of persons.
Exporter = Annotated[Caller, admitted("privacy", personal=True)]


Purpose = Annotated[
    str,
    Header(
        alias="X-Purpose",
        max_length=200,
        pattern=r"^[\x20-\x7e]*$",
        description="why personal data is read, for the audit log; other letters than ASCII as %E7%94%A8",
    ),
]
_PURPOSE = TypeAdapter[str](Purpose)


async def audit_trail(request: Request, purpose: Purpose = "") -> AuditTrail:
    gateway = gateway_of(request)
    return AuditTrail(gateway.audit, purpose, gateway.now)


async def note_refusal(request: Request, refusal: Refusal) -> None:
    """Write a refusal into the audit log."""
    gateway = gateway_of(request)
    scope = request.scope
    try:
        purpose = _PURPOSE.validate_python(request.headers.get("x-purpose", ""))
    except ValidationError:
        purpose = "(not readable)"
    trail = AuditTrail(gateway.audit, purpose, gateway.now)
    route = str(getattr(scope.get("route"), "path", scope["path"]))
    note = partial(trail.refused, refusal, scope["method"], route, scope["path"])
    # The answer is the same if the log does not answer in time.
    with suppress(Retryable):
        await in_time(note, AUDIT_TIMEOUT_SECONDS, gateway.intake.submitter.threads)


AdmissionDep = Annotated[Admission, part(lambda gateway: gateway.admission)]
ApiKeysDep = Annotated[ApiKeys, part(lambda gateway: gateway.api_keys)]
BlobsDep = Annotated[Blobs, part(lambda gateway: gateway.blobs)]
AuditTrailDep = Annotated[AuditTrail, Depends(audit_trail)]
ClockDep = Annotated[Callable[[], datetime], part(lambda gateway: gateway.now)]
DeadLettersDep = Annotated[DeadLetterOperator, part(lambda gateway: gateway.dead_letters)]
DiagnoseDep = Annotated[Callable[[], list[Check]], part(lambda gateway: gateway.diagnose)]
EndingDep = Annotated[Event, part(lambda gateway: gateway.ending)]
EventStreamsDep = Annotated[EventStreams, part(lambda gateway: gateway.event_streams)]
IntakeDep = Annotated[Intake, part(lambda gateway: gateway.intake)]
LiveDaysDep = Annotated[LiveDays, part(lambda gateway: gateway.live_days)]
RecordsDep = Annotated[RecordReceiver, part(lambda gateway: gateway.records)]
StatementsDep = Annotated[StatementReceiver, part(lambda gateway: gateway.statements)]
JobsDep = Annotated[Jobs, part(lambda gateway: gateway.jobs)]
ProbesDep = Annotated[Probes, part(lambda gateway: gateway.probes)]
RestrictionsDep = Annotated[Restrictions, part(lambda gateway: gateway.restrictions)]
TaskOwnersDep = Annotated[TaskOwners, part(lambda gateway: gateway.task_owners)]
SourcesDep = Annotated[SourceRegistry, part(lambda gateway: gateway.intake.sources)]
SignedSendersDep = Annotated[
    dict[str, SignedSender], part(lambda gateway: gateway.settings.signed_senders)
]
SettingsDep = Annotated[GatewaySettings, part(lambda gateway: gateway.settings)]
PlatformPrefixesDep = Annotated[
    dict[str, str], part(lambda gateway: gateway.settings.platform_prefixes)
]
ResultsDep = Annotated[TaskResults, part(lambda gateway: gateway.results)]
