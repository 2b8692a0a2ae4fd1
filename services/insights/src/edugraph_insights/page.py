"""The web page: static files under /ui. `/` redirects there. The files are public, so they need no key.

The page gets its data from /v1/insights, as any other client does.
"""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

from edugraph_insights.insights import Insights
from edugraph_insights.settings import InsightsSettings

WEB = Path(__file__).parent / "web"
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'"
HEADERS = {
    # The page loads from this address only, sends to this address only, and no other page may show it in a frame.
    "Content-Security-Policy": f"{_POLICY}; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # A browser asks each time whether its copy is current, so that an upgrade does not mix files of two releases.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)
_files = StaticFiles(directory=WEB, html=True)


@router.get("/")
def to_page() -> Response:
    return RedirectResponse("/ui/", headers=HEADERS)


@router.api_route("/ui/{path:path}", methods=["GET", "HEAD"])
async def page(path: str, request: Request) -> Response:
    """Return a file of the page. Raises HTTPException 404 if the file does not exist."""
    response = await _files.get_response(path or ".", request.scope)
    insights: Insights = request.app.state.insights
    response.headers.update(headers_in_frames(insights.settings))
    return response


def headers_in_frames(settings: InsightsSettings, form_to: str = "'none'") -> dict[str, str]:
    """Return the headers of a file of the page, which the learning platforms of the settings may show in a frame.

    `form_to` is the address to which a form of the page goes.

    The cookie of a person who signed in here is sent from no frame. So a frame shows a session only if a launch from
    the platform began it.
    """
    frames: set[str] = set()
    for platform in settings.lti_platforms.values():
        frames.update(platform.frames)
    headers = dict(HEADERS)
    policy = _POLICY.replace("form-action 'none'", f"form-action {form_to}")
    headers["Content-Security-Policy"] = f"{policy}; frame-ancestors 'none'"
    if not frames:
        return headers
    # This older header knows no list. Browsers that know `frame-ancestors` ignore it.
    del headers["X-Frame-Options"]
    headers["Content-Security-Policy"] = f"{policy}; frame-ancestors {' '.join(sorted(frames))}"
    return headers
