"""What the gateway shows of itself: each request counted, timed and given a trace, and /metrics."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edugraph_common import metrics, trace_context, tracing
from edugraph_common.build_info import describe_build
from edugraph_common.instruments import CONTENT_TYPE, exposition, open_all
from edugraph_common.metrics_server import serve_metrics
from edugraph_gateway.broker_figures import figures_of
from edugraph_gateway.gateway import Gateway

UNKNOWN = "(no such route)"
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
log = structlog.get_logger()
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
    application.add_middleware(Observed)


def serve_own_metrics(application: FastAPI, gateway: Gateway) -> None:
    """For the process, once."""
    if gateway.settings.metrics_port:
        serve_metrics(gateway.settings.metrics_host, gateway.settings.metrics_port, application.state.metrics)


@router.get("/metrics")
def get_metrics(request: Request) -> Response:
    return PlainTextResponse(request.app.state.metrics(), media_type=CONTENT_TYPE)


class Observed:
    """Outermost, so that it sees every answer there is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

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
            with _traced(scope["method"]) as made:
                try:
                    await self._app(scope, receive, watched)
                finally:
                    made.rename(f"{scope['method']} {_route(scope)}")
                    made.say(**{"http.response.status_code": status})
                    _count(scope, status, time.perf_counter() - begun)
        finally:
            metrics.HTTP_ACTIVE.add(-1)
            trace_context.leave(token)


@contextmanager
def _traced(name: str) -> Iterator[tracing.Span]:
    """With tracing off there is a trace all the same, in logs and messages, without spans."""
    with tracing.span(name, "server") as made:
        current = trace_context.current() or trace_context.new()
        trace_context.enter(current)
        with structlog.contextvars.bound_contextvars(trace_id=trace_context.trace_id(current)):
            yield made


def _count(scope: Scope, status: int, seconds: float) -> None:
    """The log has what is asked for by people and programs, not by probes and scrapes."""
    route = _route(scope)
    if route not in PROBES:
        log.info("request", method=scope["method"], route=route, status=status, seconds=round(seconds, 4))
    metrics.HTTP_REQUESTS.add(method=scope["method"], route=route, status=str(status))
    metrics.HTTP_SECONDS.observe(seconds, route=route)


def _route(scope: Scope) -> str:
    """The template, never the path: paths hold ids."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", UNKNOWN))


def _given_traceparent(scope: Scope) -> str | None:
    given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
    return trace_context.accepted(given.decode("latin-1"))
