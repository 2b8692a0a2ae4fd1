"""Error answers. They have the form of RFC 9457, application/problem+json, as at the gateway."""

from typing import Any

from fastapi.responses import JSONResponse

from edugraph_common.runtime.service.problems import (
    MEDIA_TYPE,
    Problem,
    described_problems,
    problem_headers,
    problem_members,
    problem_schema,
)

TITLES = {
    400: "The request is not well formed",
    401: "An API key is needed",
    403: "This caller may not ask that",
    404: "There is no such thing",
    405: "This address does not take that method",
    406: "This form of answer is not given",
    408: "The body did not come in time",
    413: "The request is too large",
    422: "The question cannot be answered as it was asked",
    429: "Too many requests",
    500: "An error of insights",
    503: "Not now",
}


class TooLarge(Problem):
    """A question would read more records than one answer may read.

    `offer` says which narrower question can be answered.
    """

    def __init__(self, found: str, offer: str) -> None:
        super().__init__(422, "too-large", f"{found}. {offer}", narrower=offer)


class Busy(Problem):
    """A question took too long, or too many others are running. It may be answered later.

    `offer` says which narrower question would take less time.
    """

    def __init__(self, found: str, offer: str, *, retry_after_seconds: float) -> None:
        super().__init__(
            503, "busy", f"{found}. {offer}", retry_after=retry_after_seconds, narrower=offer
        )


def problem_answer(problem: Problem) -> JSONResponse:
    members = problem_members(problem, TITLES)
    return JSONResponse(members, problem.status, problem_headers(problem), media_type=MEDIA_TYPE)


PROBLEM_SCHEMA = problem_schema(
    missing={"type": "array", "items": {"type": "string"}},
    narrower={"type": "string", "description": "a narrower question that can be answered"},
)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of an operation, for the OpenAPI document."""
    return described_problems(TITLES, *statuses)
