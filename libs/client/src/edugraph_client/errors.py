"""The errors of a call, and when the same call may be tried again."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
from tenacity import RetryCallState

# Statuses for: too many requests, no answer from a server behind the gateway, the gateway is not ready.
FOR_NOW = (429, 502, 503, 504)
MOST_PAUSE_SECONDS = 30.0


class Refused(Exception):
    """The gateway or insights refused the request.

    `detail` is the sentence of the answer, `status` is the HTTP status, and `retry_after` is the number of seconds
    after which the request may be sent again, or None.
    """

    def __init__(
        self, status: int, detail: str, body: Mapping[str, Any], retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.body = body
        self.retry_after = retry_after


class Unreachable(Exception):
    """The gateway or insights does not answer."""


def is_for_now(error: BaseException) -> bool:
    """Return whether the same request may succeed a little later."""
    if isinstance(error, Refused):
        return error.status in FOR_NOW
    return isinstance(error, Unreachable)


def pause_seconds(tries: RetryCallState) -> float:
    """Return the seconds to wait before the next try: as the gateway asked, or else 1, 2, 4, …, at most 30."""
    seconds: float = 2.0 ** (tries.attempt_number - 1)
    error = tries.outcome.exception() if tries.outcome else None
    if isinstance(error, Refused) and error.retry_after is not None:
        seconds = error.retry_after
    return min(seconds, MOST_PAUSE_SECONDS)


def refusal(answer: httpx.Response, content: bytes) -> Refused:
    """Return the refusal of an answer. Without a problem document (RFC 9457) it has only the status."""
    try:
        body = json.loads(content)
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    detail = str(body.get("detail") or f"The gateway answered {answer.status_code}.")
    retry_after = None
    header = answer.headers.get("retry-after", "")
    if header.isdecimal():
        retry_after = float(header)
    return Refused(answer.status_code, detail, body, retry_after)


def unreachable(address: str, error: httpx.HTTPError, *, of_insights: bool) -> Unreachable:
    """Return the error for a server at an address that does not answer."""
    who = "The gateway"
    setting = "EDUGRAPH_URL"
    if of_insights:
        who = "Insights"
        setting = "EDUGRAPH_INSIGHTS_URL"
    return Unreachable(
        f"{who} at {address} does not answer ({type(error).__name__}). "
        f"Check that it runs, and that {setting} is its address."
    )
