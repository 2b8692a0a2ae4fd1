"""GET /ui/session: who has signed in on the page, and the CSRF token with which the page may change something."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.platform.api_keys import Role
from edugraph_common.platform.sessions import COOKIE, csrf_token
from edugraph_insights.api import InsightsDep

router = APIRouter(include_in_schema=False)


class SessionState(ContractModel):
    """`open`: nobody has to sign in. `keys`: people have API keys, since no issuer is set.

    `out`, `in` and `ended` are of an installation where people sign in at `login`. The CSRF token is that of `in`,
    and goes back as X-CSRF-Token.
    """

    state: Literal["open", "keys", "out", "in", "ended"]
    login: str | None = None
    name: str = ""
    roles: tuple[Role, ...] = ()
    csrf: str = ""
    ends: datetime | None = None


@router.get("/ui/session")
def session_state(request: Request, response: Response, insights: InsightsDep) -> SessionState:
    """Raises Retryable while Redis is away."""
    response.headers["Cache-Control"] = "no-store"
    if insights.settings.auth == "off":
        return SessionState(state="open")
    if insights.sessions is None:
        return SessionState(state="keys")
    session_id = request.cookies.get(COOKIE, "")
    found = insights.sessions.find(session_id, insights.now())
    if found is None:
        return SessionState(state="ended" if session_id else "out")
    return SessionState(state="in", name=found.name, roles=found.roles, csrf=csrf_token(session_id), ends=found.ends)
