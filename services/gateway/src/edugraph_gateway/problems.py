"""The form of all error answers: application/problem+json after RFC 9457.

`type` is `urn:edugraph:problem:<name>`; docs/api.md lists the names.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

from edugraph_common.contracts.errors import (
    Failure,
    QueueFull,
    RedisFull,
    Rejected,
    Retryable,
    Wait,
)
from edugraph_common.runtime.service.problems import (
    MEDIA_TYPE,
    Problem,
    Refusal,
    described_problems,
    problem_headers,
    problem_members,
    problem_schema,
)

# The seconds after which a client may send again, where the failure itself names no time.
RETRY_AFTER_SECONDS = 5
# Status -> `title` of its error answers.
TITLES = {
    400: "The request is not well formed",
    401: "An API key is needed",
    403: "This API key may not do that",
    404: "There is no such thing",
    405: "This address does not take that method",
    408: "The body came too slowly",
    409: "It is in conflict with what is there",
    413: "The body is too large",
    415: "This content type is not taken",
    422: "The content cannot be used",
    429: "Too many requests",
    500: "An error of the gateway",
    503: "Not now",
}


def problem_answer(problem: Problem) -> JSONResponse:
    """Return the HTTP answer for a problem."""
    members = problem_members(problem, TITLES)
    return JSONResponse(members, problem.status, problem_headers(problem), media_type=MEDIA_TYPE)


def problem_of(failure: Failure) -> Problem:
    """Return the problem that the client gets for a failure."""
    if isinstance(failure, Rejected):
        return Problem(422, "rejected", failure.reason)
    if isinstance(failure, QueueFull):
        words = f"{failure.reason}; nothing was taken, send it again later."
        return Problem(503, "pressure", words, retry_after=failure.seconds)
    if isinstance(failure, RedisFull):
        words = f"{failure.reason}; nothing was taken, send it again later."
        return Problem(503, "full", words, retry_after=failure.seconds)
    if isinstance(failure, Wait):
        return Problem(503, "wait", failure.reason, retry_after=failure.seconds)
    if isinstance(failure, Retryable):
        return Problem(
            503, "unavailable", f"{failure.reason}; send it again", retry_after=RETRY_AFTER_SECONDS
        )
    return Problem(500, "bug", type(failure).__name__)


def http_problem(status: int, detail: str) -> Problem:
    """Return the problem for an error of the web framework itself."""
    if status in TITLES:
        shown_status = status
    elif status >= 500:
        shown_status = 500
    else:
        shown_status = 400
    name = {404: "not-found", 405: "method"}.get(shown_status, "request")
    return Problem(shown_status, name, detail)


def invalid(error: ValidationError) -> Problem:
    """Return the problem that names the wrong fields of a body, without their values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:20]
    return invalid_fields([(detail["loc"], detail["msg"]) for detail in found])


def invalid_fields(found: Sequence[tuple[Sequence[str | int], str]]) -> Problem:
    """Return the problem for (path of a field, reason) pairs."""
    errors = []
    for path, reason in found:
        field = ".".join(map(str, path)) or "(body)"
        errors.append({"field": field, "reason": reason})
    return Problem(422, "invalid", f"{errors[0]['field']}: {errors[0]['reason']}", errors=errors)


def not_found(what: str, identifier: str) -> Problem:
    return Problem(404, "not-found", _not_there(what, identifier))


def not_found_for(actor: str, what: str, identifier: str) -> Refusal:
    """Return the same answer for a thing that exists, but that this client may not see."""
    return Refusal(404, "not-found", _not_there(what, identifier), actor)


def _not_there(what: str, identifier: str) -> str:
    return f"There is no {what} {identifier[:128]}; check the id."


PROBLEM_SCHEMA = problem_schema(
    errors={"type": "array", "items": {"type": "object"}},
    missing={"type": "array", "items": {"type": "string"}},
)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of an operation, for the OpenAPI document."""
    return described_problems(TITLES, *statuses)
