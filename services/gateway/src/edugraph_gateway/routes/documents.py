"""The OpenAPI document and its page: as guarded as all else, since they tell what there is."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse

from edugraph_gateway.admission import Reader

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def openapi(request: Request, _caller: Reader) -> dict[str, Any]:
    document: dict[str, Any] = request.app.openapi()
    return document


@router.get("/docs")
async def page(request: Request, _caller: Reader) -> HTMLResponse:
    """Loads its script from a CDN; the document itself needs no network."""
    return get_swagger_ui_html(openapi_url="/openapi.json", title=request.app.title)
