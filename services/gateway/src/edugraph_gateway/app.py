"""The FastAPI application: routes, and one form for every error."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from edugraph_common.contracts.errors import Failure
from edugraph_common.runtime.service import tracing
from edugraph_common.runtime.service.http_headers import NotStored
from edugraph_common.runtime.service.http_telemetry import BugsAnswered
from edugraph_common.runtime.service.loopback_only import LoopbackOnly
from edugraph_common.runtime.service.problems import Problem, Refusal
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_gateway.api.dependencies import note_refusal
from edugraph_gateway.api.routes import (
    actions,
    analyses,
    audit,
    caliper,
    dead_letters,
    diagnosis,
    documents,
    drafts,
    graph,
    health,
    imports,
    jobs,
    live_records,
    personal_data,
    previews,
    questions,
    reading_again,
    reviews,
    signed,
    source_trials,
    sources,
    students,
    tasks,
    xapi,
)
from edugraph_gateway.api.xapi_headers import XapiHeaders
from edugraph_gateway.gateway import Gateway
from edugraph_gateway.operations.dead_letter_operator import NotThere
from edugraph_gateway.operations.reaper import keep_reaping
from edugraph_gateway.operations.sweeper import keep_sweeping
from edugraph_gateway.problems import (
    PROBLEM_SCHEMA,
    http_problem,
    invalid_fields,
    problem_answer,
    problem_of,
)
from edugraph_gateway.telemetry import observe

EXPECTED_ERRORS = (Problem, Failure, MalformedFile, RequestValidationError, HTTPException)


def make_application(gateway: Gateway) -> FastAPI:
    """Nothing is connected before the first request."""

    @asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        working = [
            asyncio.create_task(
                keep_reaping(
                    gateway.intake.submitter, gateway.queue_depth, gateway.forget_lost_batches
                )
            ),
            asyncio.create_task(keep_sweeping(gateway.sweep, gateway.end_records)),
        ]
        if gateway.read_reports is not None:
            working.append(asyncio.create_task(gateway.read_reports()))
        yield
        for each in working:
            each.cancel()
        await gateway.publisher.close()
        tracing.turn_off()

    application = FastAPI(
        title="EduGraph",
        version=version("edugraph-gateway"),
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `observe` has its own
    )
    application.state.gateway = gateway
    of_work, of_graph = (
        (
            imports,
            live_records,
            xapi,
            caliper,
            signed,
            previews,
            # Its paths begin as those of analyses do, with `again` in place of a subject.
            reading_again,
            analyses,
            jobs,
            tasks,
            dead_letters,
        ),
        (graph, documents, students, reviews, actions, drafts, questions),
    )
    for module in (
        *of_work,
        *of_graph,
        sources,
        source_trials,
        health,
        diagnosis,
        audit,
        personal_data,
    ):
        application.include_router(module.router)

    async def answer_error(request: Request, error: Exception) -> Response:
        if isinstance(error, Refusal):
            await note_refusal(request, error)
        return error_answer(error)

    for error_type in EXPECTED_ERRORS:
        application.add_exception_handler(error_type, answer_error)

    # The problem is the one schema that no model of FastAPI makes.
    generate = application.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
        return document

    application.openapi = openapi  # type: ignore[method-assign]
    bug = Problem(
        500, "bug", "The gateway has an error; it is in its log. Sending it again may help."
    )
    application.add_middleware(
        BugsAnswered, event="gateway_bug", answer=lambda: problem_answer(bug)
    )
    if gateway.settings.auth == "off" and not gateway.settings.open_to_network:
        application.add_middleware(LoopbackOnly, answer=problem_answer)
    application.add_middleware(NotStored)
    application.add_middleware(XapiHeaders, origins=gateway.settings.xapi_origins, now=gateway.now)
    observe(application, gateway)
    return application


def error_answer(error: Exception) -> Response:
    """Return the problem that one of `EXPECTED_ERRORS` is to the client; any other error is raised again."""
    if isinstance(error, Problem):
        return problem_answer(error)
    if isinstance(error, NotThere):
        return problem_answer(
            Problem(404, "not-found", f"{error.reason[0].upper()}{error.reason[1:]}.")
        )
    if isinstance(error, Failure):
        return problem_answer(problem_of(error))
    if isinstance(error, MalformedFile):
        return problem_answer(Problem(422, "malformed-file", str(error)))
    if isinstance(error, RequestValidationError):
        return problem_answer(
            invalid_fields([(detail["loc"], detail["msg"]) for detail in error.errors()[:20]])
        )
    if isinstance(error, HTTPException):
        return problem_answer(http_problem(error.status_code, str(error.detail)))
    raise error
