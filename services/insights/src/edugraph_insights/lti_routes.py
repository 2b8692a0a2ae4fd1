"""/ui/lti/login and /ui/lti/launch: a learning platform opens the page by LTI 1.3 (docs/identity.md)."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.lti_key import LtiKey
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.lti import Launch
from edugraph_common.runtime.shared_state.sessions import COOKIE, Sessions
from edugraph_insights.api import InsightsDep
from edugraph_insights.insights import Insights
from edugraph_insights.lti_links import answer_with, links, page, request_in, stamped
from edugraph_insights.lti_tool import LaunchAttempt, LtiTool, NotLaunched, view_of
from edugraph_insights.page import headers_in_frames
from edugraph_insights.session_cookie import (
    forget_session,
    keep_session_in_frame,
    set_in_frame,
)
from edugraph_insights.session_routes import UNKEPT, not_signed_in

LOGIN = "/ui/lti/login"
LAUNCH = "/ui/lti/launch"
KEYS = "/ui/lti/keys"
ATTEMPT_COOKIE = "edugraph_lti_"
ATTEMPT_SECONDS = 600
MOST_FIELDS = 50  # of a form; a platform sends two or eight

router = APIRouter(include_in_schema=False)


@router.get(LOGIN)
def begin_by_link(request: Request, insights: InsightsDep) -> Response:
    """Redirect to the platform that began a launch. Raises Problem 404 without a platform in the settings."""
    return begin_launch(request.query_params, insights)


@router.get(KEYS)
def published_keys(insights: InsightsDep) -> JSONResponse:
    """Return the public part of the key that signs links. Raises Problem 404 without a key in the settings."""
    key = insights.settings.lti_key
    if key is None:
        raise Problem(404, "not-found", "This installation signs no links (EDUGRAPH_LTI_KEY).")
    return JSONResponse(LtiKey(key.get_secret_value()).public())


@router.post(LOGIN)
async def begin_by_form(request: Request, insights: InsightsDep) -> Response:
    """Redirect to the platform that began a launch. Raises Problem 404 without a platform in the settings."""
    form = await form_of(request)
    return begin_launch(form, insights)


@router.post(LAUNCH)
async def finish_launch(request: Request, insights: InsightsDep) -> Response:
    """Begin a session, with a new id, for a person whom a platform sent, and show the course.

    Raises Problem 404 without a platform in the settings.
    """
    form = await form_of(request)
    return await run_in_threadpool(launched, request.cookies, form, insights)


def begin_launch(given: Mapping[str, str], insights: Insights) -> Response:
    tool, _ = tool_of(insights)
    try:
        address, attempt = tool.begin(given)
    except NotLaunched as failure:
        return not_signed_in(failure.why)
    answer = RedirectResponse(address, 303, UNKEPT)
    name = ATTEMPT_COOKIE + attempt.state
    set_in_frame(answer, name, attempt.cookie(), LAUNCH, ATTEMPT_SECONDS)
    return answer


def launched(cookies: Mapping[str, str], form: Mapping[str, str], insights: Insights) -> Response:
    """Return the answer to a launch. Raises Problem 404 without a platform in the settings."""
    tool, sessions = tool_of(insights)
    state = form.get("state", "")
    attempt = LaunchAttempt.of_cookie(state, cookies.get(ATTEMPT_COOKIE + state, ""))
    now = insights.now()
    try:
        token = form.get("id_token", "")
        launch = tool.finish(attempt, token, now)
        if launch.message_type == "LtiDeepLinkingRequest":
            answer = links_offered(launch, insights)
        else:
            insights.audit.record(launch.caller.client_id, "session.begin", "", now)
            session_id = sessions.begin(tool.session_of(launch, token, now), now)
            sessions.end(cookies.get(COOKIE, ""))
            answer = RedirectResponse(f"/ui/#{view_of(launch)}", 303, UNKEPT)
            keep_session_in_frame(answer, session_id)
    except NotLaunched as failure:
        answer = not_signed_in(failure.why)
        if failure.why == "lti_role":
            # The person at the browser is known to be another one than before, or to have lost the role.
            sessions.end(cookies.get(COOKIE, ""))
            forget_session(answer, knows_frames=True)
    except Retryable:
        answer = not_signed_in("away")
    if attempt is not None:
        set_in_frame(answer, ATTEMPT_COOKIE + attempt.state, "", LAUNCH, 0)
    return answer


def links_offered(launch: Launch, insights: Insights) -> Response:
    """Return the page on which a teacher chooses a link. Raises NotLaunched and Retryable."""
    settings = insights.settings
    asked = request_in(launch)
    if settings.lti_key is None or asked is None:
        raise NotLaunched("lti_link")
    if "teacher" not in launch.caller.roles:
        raise NotLaunched("lti_role")
    key = LtiKey(settings.lti_key.get_secret_value())
    platform = settings.lti_platforms[launch.platform]
    launch_url = settings.lti_launch_url or ""
    signed = []
    for link in links(insights, launch):
        claims = answer_with(link, launch, asked, platform, launch_url)
        signed.append((link, key.sign(stamped(claims, insights.now()))))
    if not signed:
        raise NotLaunched("lti_link")
    headers = {**headers_in_frames(settings, asked.origin), "Cache-Control": "no-store"}
    return HTMLResponse(page(signed, asked), headers=headers)


def tool_of(insights: Insights) -> tuple[LtiTool, Sessions]:
    """Return the parts for launches. Raises Problem 404 without a platform in the settings."""
    if insights.settings.auth == "off" or insights.lti is None or insights.sessions is None:
        words = "No learning platform is set up here (EDUGRAPH_LTI_PLATFORMS, docs/identity.md)."
        raise Problem(404, "not-found", words)
    return insights.lti, insights.sessions


async def form_of(request: Request) -> Mapping[str, str]:
    """Return the first value of each field of a form. A form with too many fields counts as an empty one."""
    body = await request.body()
    try:
        fields = parse_qs(body.decode(errors="replace"), max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
