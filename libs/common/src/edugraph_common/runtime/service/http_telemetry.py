"""Middleware for the log, metrics and traces of requests, and for the answer to a bug. Pure ASGI."""

import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from edugraph_common.runtime.service import metrics, trace_context, tracing

if TYPE_CHECKING:  # the services depend on starlette, this package does not
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNKNOWN = "(no such route)"
PROBES = frozenset({"/healthz", "/readyz"})
log = structlog.get_logger()


class Telemetry:
    """Counts, times, traces and logs each request. It is the outermost middleware, so that it sees every answer."""

    def __init__(self, app: "ASGIApp", service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500

        async def watched(message: "Message") -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        given = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        token = trace_context.enter(trace_context.accepted(given.decode("latin-1")))
        metrics.HTTP_ACTIVE.add(1, service=self._service)
        try:
            with tracing.span(scope["method"], "server") as made:
                # With tracing off there are no spans, but logs and messages still carry the trace.
                current = trace_context.current() or trace_context.new()
                trace_context.enter(current)
                structlog.contextvars.bind_contextvars(trace_id=trace_context.trace_id(current))
                try:
                    await self._app(scope, receive, watched)
                finally:
                    # The route is the template and never the path, because paths hold ids.
                    route = str(getattr(scope.get("route"), "path", UNKNOWN))
                    made.rename(f"{scope['method']} {route}")
                    made.say(**{"http.response.status_code": status})
                    self._count(scope["method"], route, status, time.perf_counter() - begun)
        finally:
            metrics.HTTP_ACTIVE.add(-1, service=self._service)
            structlog.contextvars.unbind_contextvars("trace_id")
            trace_context.leave(token)

    def _count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Log and count a request. The log leaves out requests of probes."""
        if route not in PROBES:
            log.info(
                "request", method=method, route=route, status=status, seconds=round(seconds, 4)
            )
        metrics.HTTP_REQUESTS.add(
            service=self._service, method=method, route=route, status=str(status)
        )
        metrics.HTTP_SECONDS.observe(seconds, service=self._service, route=route)


class BugsAnswered:
    """Answers a bug with a problem.

    It logs only the exception's type and place, since its text may quote a record.
    """

    def __init__(self, app: "ASGIApp", event: str, answer: Callable[[], "ASGIApp"]) -> None:
        self._app = app
        self._event = event
        self._answer = answer

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        begun = False

        async def watched(message: "Message") -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            place = "".join(traceback.format_tb(error.__traceback__))
            log.error(self._event, error=type(error).__name__, place=place)  # noqa: TRY400
            if begun or scope["type"] != "http":
                raise
            await self._answer()(scope, receive, send)
