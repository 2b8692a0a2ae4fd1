"""The web page: static files under /ui. `/` redirects there. The files are public, so they need no key.

The page gets its data from /v1/insights, as any other client does.
"""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

WEB = Path(__file__).parent / "web"
HEADERS = {
    # The page loads from this address only, sends to this address only, and no other page may show it in a frame.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'",
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
    response.headers.update(HEADERS)
    return response
