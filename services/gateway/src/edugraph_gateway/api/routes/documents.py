"""The OpenAPI document and its page. They need a caller like every route, since they list all routes."""

from enum import StrEnum
from importlib import resources
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from edugraph_gateway.api.dependencies import Reader

router = APIRouter(include_in_schema=False)
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}


class PageFile(StrEnum):
    """The files of the page: Swagger UI, from the package fastapi-offline."""

    SCRIPT = "swagger-ui-bundle.js"
    STYLE = "swagger-ui.css"
    ICON = "favicon.png"


_TYPES = {
    PageFile.SCRIPT: "text/javascript",
    PageFile.STYLE: "text/css",
    PageFile.ICON: "image/png",
}


@router.get("/openapi.json")
async def openapi(request: Request, _caller: Reader) -> dict[str, Any]:
    document: dict[str, Any] = request.app.openapi()
    return document


@router.get("/docs")
async def page(request: Request, _caller: Reader) -> HTMLResponse:
    """Return the page. It loads nothing from other sites, and cannot be put into a frame."""
    made = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=request.app.title,
        swagger_js_url=f"/docs/{PageFile.SCRIPT}",
        swagger_css_url=f"/docs/{PageFile.STYLE}",
        swagger_favicon_url=f"/docs/{PageFile.ICON}",
    )
    made.headers.update(HEADERS)
    return made


@router.get("/docs/{name}")
def page_file(_caller: Reader, name: PageFile) -> Response:
    content = resources.files("fastapi_offline").joinpath("static", name).read_bytes()
    return Response(content, media_type=_TYPES[name])
