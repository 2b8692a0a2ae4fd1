"""The FastAPI application: routes, error answers, and the log and metrics of requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from edugraph_common.contracts.errors import Failure, Retryable
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.service.build_info import describe_build
from edugraph_common.runtime.service.http_headers import NotStored
from edugraph_common.runtime.service.http_telemetry import UNKNOWN, BugsAnswered, Telemetry
from edugraph_common.runtime.service.instruments import open_all
from edugraph_common.runtime.service.loopback_only import LoopbackOnly
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_insights import (
    action_routes,
    api,
    choices,
    digest_routes,
    draft_routes,
    graph_api,
    lti_routes,
    page,
    query_routes,
    session_routes,
    view_routes,
    word_routes,
)
from edugraph_insights.bounded_bodies import BoundedBodies
from edugraph_insights.columns.store import ColumnStore
from edugraph_insights.insights import Insights
from edugraph_insights.mcp_server import PATH, McpEndpoint
from edugraph_insights.problems import PROBLEM_SCHEMA, TITLES, problem_answer

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 5
COMPRESSED_FROM_BYTES = 1024
DROP_COLUMNS_EVERY_SECONDS = 60.0
EXPECTED_ERRORS = (Problem, Failure, RequestValidationError, HTTPException, ClientDisconnect)


def make_application(insights: Insights) -> FastAPI:
    """Return the application. Servers are connected at the first request."""

    # This handler is not async, so it runs in a thread: a refusal is written to Redis.
    def answer_error(request: Request, error: Exception) -> Response:
        if isinstance(error, Refusal):
            note_refusal(insights, request, error)
        return error_answer(error)

    agents = McpEndpoint(insights, answer_error)

    @asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        dropping = None
        if insights.columns is not None:
            dropping = asyncio.create_task(drop_unused_columns(insights.columns))
        async with agents.sessions.run():
            yield
        if dropping is not None:
            dropping.cancel()
        insights.graph.close()

    application = FastAPI(
        title="EduGraph insights",
        version=version("edugraph-insights"),
        lifespan=lifespan,
        openapi_url="/v1/insights/openapi.json",
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # the middleware has its own
    )
    application.state.insights = insights
    for module in (
        api,
        choices,
        graph_api,
        session_routes,
        lti_routes,
        digest_routes,
        page,
        query_routes,
        view_routes,
        action_routes,
        draft_routes,
        word_routes,
    ):
        application.include_router(module.router)
    application.router.routes.append(Route(PATH, endpoint=agents))

    for error_type in EXPECTED_ERRORS:
        application.add_exception_handler(error_type, answer_error)

    # FastAPI makes all schemas except that of problems.
    generate = application.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
        return document

    application.openapi = openapi  # type: ignore[method-assign]
    bug = Problem(500, "bug", "Insights has an error; it is in its log. Asking again may help.")
    application.add_middleware(
        BugsAnswered, event="insights_bug", answer=lambda: problem_answer(bug)
    )
    # Compression makes the answer about a course ten times smaller. Small answers, among them the CSRF token of a
    # session, are not compressed, because the length of a compressed answer reveals whether it repeats parts of the
    # request.
    application.add_middleware(GZipMiddleware, minimum_size=COMPRESSED_FROM_BYTES)
    application.add_middleware(BoundedBodies, answer=problem_answer)
    if insights.settings.auth == "off" and not insights.settings.open_to_network:
        application.add_middleware(LoopbackOnly, answer=problem_answer)
    application.add_middleware(NotStored)
    application.add_middleware(Telemetry, service="insights")
    describe_build("insights")
    open_all(metrics.INSTRUMENTS, ["insights"])
    return application


async def drop_unused_columns(columns: ColumnStore) -> None:
    """Drop the columns of courses about which nobody asks, until the task is cancelled."""
    while True:
        await asyncio.sleep(DROP_COLUMNS_EVERY_SECONDS)
        try:
            await asyncio.to_thread(columns.drop_unused)
        except Exception as error:  # noqa: BLE001 - the columns are dropped by the deadline, whatever failed before
            log.error("columns_not_dropped", error=type(error).__name__)  # noqa: TRY400 - no message: it may quote a value


def error_answer(error: Exception) -> Response:
    """Return the answer to an expected error. Any other error is raised again."""
    if isinstance(error, Problem):
        return problem_answer(error)
    if isinstance(error, Failure):
        reason = getattr(error, "reason", type(error).__name__)
        return problem_answer(
            Problem(503, "unavailable", f"{reason}; ask again", retry_after=RETRY_AFTER_SECONDS)
        )
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return problem_answer(Problem(422, "invalid", f"{place}: {first['msg']}"))
    if isinstance(error, ClientDisconnect):
        return problem_answer(
            Problem(400, "disconnected", "The connection ended before the body did.")
        )
    if isinstance(error, HTTPException):
        status = error.status_code if error.status_code in TITLES else 400
        name = {404: "not-found", 405: "method"}.get(status, "request")
        return problem_answer(Problem(status, name, str(error.detail)))
    raise error


def note_refusal(insights: Insights, request: Request, refusal: Refusal) -> None:
    """Write a refusal into the audit log. If Redis does not answer, the request is refused all the same."""
    route = str(getattr(request.scope.get("route"), "path", UNKNOWN))
    # The audit log keeps only a hash of the address.
    address = f"{request.method} {request.url.path}?{request.url.query}"
    with suppress(Retryable):
        insights.audit.record(
            refusal.actor,
            "refused",
            f"{request.method} {route}",
            insights.now(),
            outcome="refused",
            of=("address", address),
        )
