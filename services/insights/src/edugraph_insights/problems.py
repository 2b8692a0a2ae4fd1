"""Every error answer has one form, as at the gateway: application/problem+json after RFC 9457."""

import math
from typing import Any

from fastapi.responses import JSONResponse

TITLES = {
    400: "The request is not well formed",
    401: "An API key is needed",
    403: "This caller may not ask that",
    404: "There is no such thing",
    405: "This address does not take that method",
    406: "This form of answer is not given",
    422: "The question cannot be answered as it was asked",
    500: "An error of insights",
    503: "Not now",
}


class Problem(Exception):
    """An answer that says what happened, to what, and what to do next. `more` are further members of its JSON."""

    def __init__(self, status: int, name: str, detail: str, *, retry_after: float | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail, self.retry_after, self.more = status, name, detail, retry_after, more


class Refusal(Problem):
    """An answer to who may not: it stands in the audit log. `actor` is the client, or "unknown"."""

    def __init__(self, status: int, name: str, detail: str, actor: str = "unknown") -> None:
        super().__init__(status, name, detail)
        self.actor = actor


class TooLarge(Problem):
    """More would have to be read than one answer may. `offer` says which narrower question can be answered."""

    def __init__(self, found: str, offer: str) -> None:
        super().__init__(422, "too-large", f"{found}. {offer}", narrower=offer)


def problem_answer(problem: Problem) -> JSONResponse:
    body = {
        "type": f"urn:edugraph:problem:{problem.name}",
        "title": TITLES[problem.status],
        "status": problem.status,
        "detail": problem.detail,
        **problem.more,
    }
    headers = {} if problem.retry_after is None else {"Retry-After": str(math.ceil(problem.retry_after))}
    if problem.status == 401:  # noqa: PLR2004 - RFC 9110: a 401 names the scheme
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what happened, to what, and what to do next"},
        "narrower": {"type": "string", "description": "which narrower question can be answered"},
    },
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of an operation, for the OpenAPI document."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": TITLES[status], "content": content} for status in statuses}
