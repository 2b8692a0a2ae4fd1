"""/ui/login, /ui/callback, /ui/logout: sign in and out on the page. /ui/session: the person who has signed in.

The part of the page that a person looked at stands behind the # of the address, which is not sent to a server. So the
page itself remembers it and goes back there after signing in.
"""

from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.permissions import Role
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.sessions import COOKIE, Sessions, csrf_token, token_sent
from edugraph_common.runtime.shared_state.signing_keys import LEEWAY_SECONDS
from edugraph_insights.api import InsightsDep
from edugraph_insights.insights import Insights
from edugraph_insights.login import Attempt, Login, NotSignedIn
from edugraph_insights.page import HEADERS
from edugraph_insights.session_cookie import forget_session, keep_session

LOGIN = "/ui/login"
CALLBACK = "/ui/callback"
ATTEMPT_COOKIE = "edugraph_login"
ATTEMPT_SECONDS = 600
# A session that begins so long after the issuer made a logout token may be one that the token is meant for.
MOST_CLOCK_DIFFERENCE = timedelta(seconds=LEEWAY_SECONDS)
UNKEPT = {**HEADERS, "Cache-Control": "no-store"}

router = APIRouter(include_in_schema=False)


class SessionState(ContractModel):
    """Whether the person at the page has signed in.

    `open`: nobody has to sign in. `keys`: neither an issuer nor a learning platform is set, so people use API keys.
    With an issuer, people sign in at `login`. With a learning platform alone, `login` is None. `out` means not signed
    in, `in` signed in, `ended` that the session has ended. In the state `in` the page sends `csrf` back as
    X-CSRF-Token.
    """

    state: Literal["open", "keys", "out", "in", "ended"]
    login: str | None = None
    name: str = ""
    roles: tuple[Role, ...] = ()
    csrf: str = ""
    ends: datetime | None = None


class SignedOut(ContractModel):
    """The next address to go to. The issuer has a session of its own, which would sign in the next person."""

    next: str


@router.get("/ui/session")
def session_state(request: Request, response: Response, insights: InsightsDep) -> SessionState:
    """Return whether the caller has signed in. Raises Retryable if Redis does not answer."""
    response.headers.update(UNKEPT)
    if insights.settings.auth == "off":
        return SessionState(state="open")
    if insights.sessions is None or (insights.login is None and insights.lti is None):
        return SessionState(state="keys")
    login = None
    if insights.login is not None:
        login = LOGIN
    session_id = request.cookies.get(COOKIE, "")
    insights.keep_fresh(session_id)
    now = insights.now()
    found = insights.sessions.find(session_id, now)
    caller = None
    if found is not None:
        caller = insights.sessions.caller_in(found, now)
    if found is None or caller is None:
        return SessionState(state="ended" if session_id else "out", login=login)
    return SessionState(
        state="in",
        login=login,
        name=found.name,
        roles=caller.roles,
        csrf=csrf_token(session_id),
        ends=found.ends,
    )


@router.get(LOGIN)
def begin_login(insights: InsightsDep) -> Response:
    """Redirect to the issuer. Raises Problem 404 if nobody signs in here."""
    login, _ = signing_in(insights)
    try:
        address, attempt = login.begin()
    except Retryable:
        return not_signed_in("away")
    answer = RedirectResponse(address, 303, UNKEPT)
    answer.set_cookie(
        ATTEMPT_COOKIE,
        attempt.cookie(),
        max_age=ATTEMPT_SECONDS,
        path=CALLBACK,
        secure=login.is_secure,
        httponly=True,
        samesite="lax",
    )
    return answer


@router.get(CALLBACK)
def finish_login(request: Request, insights: InsightsDep) -> Response:
    """Begin a session, with a new id, for a person who comes back from the issuer.

    Raises Problem 404 if nobody signs in here.
    """
    login, sessions = signing_in(insights)
    attempt = Attempt.of_cookie(request.cookies.get(ATTEMPT_COOKIE, ""))
    now = insights.now()
    try:
        session = login.finish(attempt, request.query_params, now)
        insights.audit.record(session.client_id, "session.begin", "", now)
        session_id = sessions.begin(session, now)
        sessions.end(request.cookies.get(COOKIE, ""))
    except NotSignedIn as failure:
        answer = not_signed_in(failure.why)
    except Retryable:
        answer = not_signed_in("away")
    else:
        answer = RedirectResponse("/ui/", 303, UNKEPT)
        knows_frames = insights.lti is not None
        keep_session(answer, session_id, secure=login.is_secure, knows_frames=knows_frames)
    answer.delete_cookie(ATTEMPT_COOKIE, path=CALLBACK)
    return answer


@router.post("/ui/logout")
def log_out(request: Request, response: Response, insights: InsightsDep) -> SignedOut:
    """End the session for gateway and insights. Raises Problem 404, Refusal 403 without CSRF token, Retryable."""
    sessions = insights.sessions
    if insights.settings.auth == "off" or sessions is None:
        raise nobody_signs_in()
    session_id = token_sent(request.method, request.headers, request.cookies)
    session = sessions.find(session_id, insights.now())
    sessions.end(session_id)
    response.headers.update(UNKEPT)
    forget_session(response, knows_frames=insights.lti is not None)
    is_of_platform = session is not None and bool(session.platform)
    if insights.login is None or is_of_platform:
        # A learning platform has no address for signing out.
        return SignedOut(next="/ui/")
    return SignedOut(next=insights.login.address_after(session))


@router.post("/ui/backchannel-logout")
async def log_out_by_issuer(request: Request, insights: InsightsDep) -> Response:
    """End sessions that the issuer ended (OpenID Connect Back-Channel Logout).

    The caller needs no key, since the issuer signs the logout token. Raises Problem 404 if nobody signs in here, and
    Retryable.
    """
    login, sessions = signing_in(insights)
    form = parse_qs((await request.body()).decode(errors="replace"))
    token = form.get("logout_token", [""])[0]

    def end() -> bool:
        now = insights.now()
        logged_out = login.logged_out(token, now)
        if logged_out is None:
            return False
        # The token is also valid if the session has ended by itself.
        latest = logged_out.at + MOST_CLOCK_DIFFERENCE
        ended = sessions.end_of(logged_out.client_id, logged_out.sid, latest)
        insights.audit.record(
            logged_out.client_id or "issuer", "session.end", f"{ended} by the issuer", now
        )
        return True

    if await run_in_threadpool(end):
        return Response(status_code=200, headers=UNKEPT)
    return JSONResponse({"error": "invalid_request"}, 400, UNKEPT)


def signing_in(insights: Insights) -> tuple[Login, Sessions]:
    """Return the parts for signing in. Raises Problem 404 if nobody signs in here."""
    if insights.settings.auth == "off" or insights.login is None or insights.sessions is None:
        raise nobody_signs_in()
    return insights.login, insights.sessions


def nobody_signs_in() -> Problem:
    words = "Nobody signs in here: no OIDC client is set (docs/operations.md)."
    return Problem(404, "not-found", words)


def not_signed_in(why: str) -> Response:
    """Return a redirect to the page, which says why and offers to sign in again."""
    return RedirectResponse(f"/ui/#overview?login={why}", 303, UNKEPT)
