"""Before every operation: is the caller known, is the scope theirs, is it their turn."""

import asyncio
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from edugraph_common.contracts.errors import Retryable
from edugraph_common.platform.api_keys import Scope
from edugraph_gateway.auth.callers import ANYBODY, Caller, KeyRing
from edugraph_gateway.auth.oidc import Issuer
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.gateway import Gateway, gateway_of
from edugraph_gateway.problems import Problem

LONGEST = 2.0  # seconds
_bearer = HTTPBearer(auto_error=False, description="An API key (edugraph keys create) or an OIDC access token")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def _admission(scope: Scope) -> Any:
    async def admit(request: Request, credentials: Credentials) -> Caller:
        return await _admitted(request, credentials, scope)

    return Depends(admit)


async def submitter(request: Request) -> Caller:
    """What `Submitter` gives, for a route that has FastAPI solve nothing. Raises Problem."""
    return await _admitted(request, await _bearer(request), "submit")


async def _admitted(request: Request, credentials: HTTPAuthorizationCredentials | None, scope: Scope) -> Caller:
    gateway, token = gateway_of(request), credentials.credentials if credentials else ""
    at_once = _admit_at_once(gateway, token, scope)
    if at_once is not None:
        return at_once
    try:
        async with asyncio.timeout(LONGEST), gateway.lookups.setdefault(token, asyncio.Lock()):
            return await _admit_in_turn(gateway, token, scope)
    except TimeoutError:
        raise Retryable(f"the caller could not be looked up within {LONGEST:g} s") from None


async def _admit_in_turn(gateway: Gateway, token: str, scope: Scope) -> Caller:
    """One request of a caller asks at a time: what it brought may do for those that waited."""
    at_once = _admit_at_once(gateway, token, scope)
    if at_once is not None:
        return at_once
    return await in_time(lambda: _admit(gateway, token, scope), LONGEST, gateway.admitting)


def _admit(gateway: Gateway, token: str, scope: Scope) -> Caller:
    caller = known_caller(gateway, token)
    if scope not in caller.scopes:
        raise Problem(403, "scope", f"This needs the scope {scope}, which your key or token has not.")
    wait = gateway.turns.take(caller.client_id)
    if wait:
        raise Problem(429, "rate", "More requests than this client may send; slow down.", retry_after=wait)
    return caller


def _admit_at_once(gateway: Gateway, token: str, scope: Scope) -> Caller | None:
    """A caller who was there a moment ago; nobody is asked."""
    off = gateway.settings.auth == "off"
    caller = ANYBODY if off else _keeper(gateway, token).remembered(token, gateway.now())
    if caller is None or scope not in caller.scopes:
        return None
    return caller if gateway.turns.spend(caller.client_id) else None


def known_caller(gateway: Gateway, token: str) -> Caller:
    """Raises Problem 401."""
    if gateway.settings.auth == "off":
        return ANYBODY
    caller = _keeper(gateway, token).caller(token, gateway.now()) if token else None
    if caller is None:
        raise Problem(401, "key", "No valid API key: send Authorization: Bearer with one (edugraph keys create).")
    return caller


def _keeper(gateway: Gateway, token: str) -> KeyRing | Issuer:
    """Who knows such a token: an API key begins with eg_, which no JWT does."""
    return gateway.key_ring if gateway.issuer is None or token.startswith("eg_") else gateway.issuer


Reader = Annotated[Caller, _admission("read")]
Submitter = Annotated[Caller, _admission("submit")]
Operator = Annotated[Caller, _admission("operate")]
Eraser = Annotated[Caller, _admission("erase")]
