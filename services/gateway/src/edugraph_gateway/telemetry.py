"""What the gateway shows of itself: each request counted, timed and given a trace, and /metrics."""

import time
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edugraph_common.platform import metrics, trace_context, tracing
from edugraph_common.platform.build_info import describe_build
from edugraph_common.platform.instruments import CONTENT_TYPE, exposition, open_all
from edugraph_common.platform.metrics_server import serve_metrics
from edugraph_gateway.gateway import Gateway
from edugraph_gateway.operations.broker_figures import figures_of
from edugraph_gateway.request_log import request_log

UNKNOWN = "(no such route)"
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
router = APIRouter(include_in_schema=False)


def observe(application: FastAPI, gateway: Gateway) -> None:
    """With a port of its own for them, metrics are not on the public one."""
    figures = figures_of(gateway.settings, gateway.publisher)
    application.state.metrics = lambda: exposition(figures)
    if not gateway.settings.metrics_port:
        application.include_router(router)
    tracing.turn_on("gateway", gateway.settings.tracing)
    open_all(metrics.INSTRUMENTS, ["gateway"])
    describe_build("gateway")
    application.add_middleware(Observed, log=request_log(gateway.settings, __name__))


def serve_own_metrics(application: FastAPI, gateway: Gateway) -> None:
    """For the process, once."""
    if gateway.settings.metrics_port:
        serve_metrics(gateway.settings.metrics_host, gateway.settings.metrics_port, application.state.metrics)


@router.get("/metrics")
def get_metrics(request: Request) -> Response:
    return PlainTextResponse(request.app.state.metrics(), media_type=CONTENT_TYPE)


class Observed:
    """Outermost, so that it sees every answer there is."""

    def __init__(self, app: ASGIApp, log: Any) -> None:
        self._app, self._log = app, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        token = trace_context.enter(_given_traceparent(scope))
        metrics.HTTP_ACTIVE.add(1)
        try:
            with tracing.span(scope["method"], "server") as made:
                _begin_trace()
                try:
                    await self._app(scope, receive, watched)
                finally:
                    made.rename(f"{scope['method']} {_route(scope)}")
                    made.say(**{"http.response.status_code": status})
                    self._count(scope, status, time.perf_counter() - begun)
        finally:
            metrics.HTTP_ACTIVE.add(-1)
            structlog.contextvars.unbind_contextvars("trace_id")
            trace_context.leave(token)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        """The log has what is asked for by people and programs, not by probes and scrapes."""
        route = _route(scope)
        if route not in PROBES:
            self._log.info("request", method=scope["method"], route=route, status=status, seconds=round(seconds, 4))
        metrics.HTTP_REQUESTS.add(method=scope["method"], route=route, status=str(status))
        metrics.HTTP_SECONDS.observe(seconds, route=route)


def _begin_trace() -> None:
    """With tracing off there is a trace all the same, in logs and messages, without spans."""
    current = trace_context.current() or trace_context.new()
    trace_context.enter(current)
    structlog.contextvars.bind_contextvars(trace_id=trace_context.trace_id(current))


def _route(scope: Scope) -> str:
    """The template, never the path: paths hold ids."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", UNKNOWN))


def _given_traceparent(scope: Scope) -> str | None:
    given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
    return trace_context.accepted(given.decode("latin-1"))
