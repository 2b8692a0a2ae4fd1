"""What the gateway shows of itself: each request counted, timed and given a trace, and /metrics on its own port."""

import time
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edugraph_common.platform import metrics, trace_context, tracing
from edugraph_common.platform.build_info import describe_build
from edugraph_common.platform.instruments import exposition, open_all
from edugraph_common.platform.metrics_server import serve_metrics
from edugraph_gateway.gateway import Gateway
from edugraph_gateway.request_log import request_log

UNKNOWN = "(no such route)"
PROBES = frozenset({"/healthz", "/readyz"})


def observe(application: FastAPI, gateway: Gateway) -> None:
    tracing.turn_on("gateway", gateway.settings.tracing)
    open_all(metrics.INSTRUMENTS, ["gateway"])
    describe_build("gateway")
    application.add_middleware(Telemetry, log=request_log(gateway.settings, __name__))


def serve_own_metrics(gateway: Gateway) -> None:
    """Start the metrics server of this process, once. The public port has no /metrics, as an ingress shows it to all.

    The gateway is one process (uvicorn without workers), so one port has all of its figures.
    """
    if gateway.settings.metrics_port:
        figures, backlog = gateway.broker_figures, gateway.analysis_backlog
        serve_metrics(
            gateway.settings.metrics_host, gateway.settings.metrics_port, lambda: exposition(figures, backlog)
        )


class Telemetry:
    """Counts, times, traces and logs each request. It is the outermost middleware, so that it sees every answer."""

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

        given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        token = trace_context.enter(trace_context.accepted(given.decode("latin-1")))
        metrics.HTTP_ACTIVE.add(1)
        try:
            with tracing.span(scope["method"], "server") as made:
                # With tracing off there is a trace all the same, in logs and messages, without spans.
                current = trace_context.current() or trace_context.new()
                trace_context.enter(current)
                structlog.contextvars.bind_contextvars(trace_id=trace_context.trace_id(current))
                try:
                    await self._app(scope, receive, watched)
                finally:
                    # The route is the template, never the path: paths hold ids.
                    route = str(getattr(scope.get("route"), "path", UNKNOWN))
                    made.rename(f"{scope['method']} {route}")
                    made.say(**{"http.response.status_code": status})
                    self._count(scope["method"], route, status, time.perf_counter() - begun)
        finally:
            metrics.HTTP_ACTIVE.add(-1)
            structlog.contextvars.unbind_contextvars("trace_id")
            trace_context.leave(token)

    def _count(self, method: str, route: str, status: int, seconds: float) -> None:
        """The log has what is asked for by people and programs, not by probes."""
        if route not in PROBES:
            self._log.info("request", method=method, route=route, status=status, seconds=round(seconds, 4))
        metrics.HTTP_REQUESTS.add(method=method, route=route, status=str(status))
        metrics.HTTP_SECONDS.observe(seconds, route=route)
