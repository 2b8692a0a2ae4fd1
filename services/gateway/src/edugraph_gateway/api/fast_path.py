"""The short way to POST /v1/imports, of which thousands may come in a second.

FastAPI describes the route, and would serve it no differently; but its routing and its solving of dependencies take
longer than all the rest of a small submission.
"""

from collections.abc import Callable

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edugraph_gateway.api.routes.imports import router, start_import
from edugraph_gateway.auth.admission import submitter
from edugraph_gateway.submission.idempotency import given_key

ROUTE = next(route for route in router.routes if isinstance(route, APIRoute) and route.endpoint is start_import)


class ShortWay:
    """`problem` answers an error of the kinds `known`; others are raised."""

    def __init__(
        self, app: ASGIApp, known: tuple[type[Exception], ...], problem: Callable[[Exception], Response]
    ) -> None:
        self._app, self._known, self._problem = app, known, problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == ROUTE.path and scope["method"] == "POST":
            scope["route"] = ROUTE
            answer = await self._answer(Request(scope, receive))
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            accepted = await start_import(request, await submitter(request), given_key(request))
        except self._known as error:
            return self._problem(error)
        return Response(accepted.model_dump_json(), 202, media_type="application/json")
