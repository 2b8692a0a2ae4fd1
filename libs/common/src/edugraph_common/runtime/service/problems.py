"""The form of all error answers: application/problem+json as in RFC 9457.

`type` is `urn:edugraph:problem:<name>`. Each service has its own titles, since a status may mean something else
there.
"""

import math
from collections.abc import Mapping
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An error answer.

    It says what happened, to what, and what to do next. `more` are further members of its JSON.
    """

    def __init__(
        self, status: int, name: str, detail: str, *, retry_after: float | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.retry_after = retry_after
        self.more = more


class Refusal(Problem):
    """A refused request. It is written to the audit log. `actor` is the client, or "unknown"."""

    def __init__(self, status: int, name: str, detail: str, actor: str = "unknown") -> None:
        super().__init__(status, name, detail)
        self.actor = actor


def problem_members(problem: Problem, titles: Mapping[int, str]) -> dict[str, Any]:
    """Return the JSON of a problem."""
    return {
        "type": f"urn:edugraph:problem:{problem.name}",
        "title": titles[problem.status],
        "status": problem.status,
        "detail": problem.detail,
        **problem.more,
    }


def problem_headers(problem: Problem) -> dict[str, str]:
    headers = {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(problem.retry_after))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def problem_schema(**more: Any) -> dict[str, Any]:
    """Return the JSON schema of problems. `more` are the schemas of further members."""
    return {
        "type": "object",
        "title": "Problem",
        "description": "RFC 9457",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {
                "type": "string",
                "description": "what happened, to what, and what to do next",
            },
            **more,
        },
    }


def described_problems(
    titles: Mapping[int, str], *statuses: int
) -> dict[int | str, dict[str, Any]]:
    """Return the error answers of an operation, for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": titles[status], "content": content} for status in statuses}
