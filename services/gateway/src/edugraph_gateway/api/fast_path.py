"""The fast path of POST /v1/imports, of which thousands may come in a second.

FastAPI describes the route, and would serve it no differently; but its routing and its solving of dependencies take
longer than all the rest of a small submission.
"""

from collections.abc import Callable

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edugraph_gateway.api.dependencies import bearer, gateway_of
from edugraph_gateway.api.routes.imports import router, start_import
from edugraph_gateway.submission.idempotency import given_key

ROUTE = next(route for route in router.routes if isinstance(route, APIRoute) and route.endpoint is start_import)


class FastPath:
    """`problem` answers an error of the types `expected`; others are raised."""

    def __init__(
        self, app: ASGIApp, expected: tuple[type[Exception], ...], problem: Callable[[Exception], Response]
    ) -> None:
        self._app, self._expected, self._problem = app, expected, problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != ROUTE.path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = ROUTE
        request = Request(scope, receive)
        gateway = gateway_of(request)
        try:
            credentials = await bearer(request)
            caller = await gateway.admission.admit(credentials.credentials if credentials else "", "submit")
            accepted = await start_import(request, caller, gateway.intake, given_key(request))
            answer = Response(accepted.model_dump_json(), 202, media_type="application/json")
        except self._expected as error:
            answer = self._problem(error)
        await answer(scope, receive, send)
