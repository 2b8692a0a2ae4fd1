"""What can go wrong with a call, and when the same call may be tried again."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
from tenacity import RetryCallState

# Too many requests, a server behind the gateway that is away, a gateway that is not ready.
FOR_NOW = (429, 502, 503, 504)
MOST_PAUSE_SECONDS = 30.0


class Refused(Exception):
    """The gateway or insights refused the request. `detail` is its own sentence, `status` the HTTP status.

    `retry_after` is after how many seconds it said that the request may come again.
    """

    def __init__(self, status: int, detail: str, body: Mapping[str, Any], retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.body, self.retry_after = status, detail, body, retry_after


class Unreachable(Exception):
    """The gateway or insights does not answer."""


def is_for_now(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    return isinstance(error, Unreachable) or (isinstance(error, Refused) and error.status in FOR_NOW)


def pause_seconds(tries: RetryCallState) -> float:
    """Return how long to wait before the next try: as long as the gateway said, else 1, 2, 4 … seconds."""
    error = tries.outcome.exception() if tries.outcome else None
    asked = error.retry_after if isinstance(error, Refused) else None
    return min(2.0 ** (tries.attempt_number - 1) if asked is None else asked, MOST_PAUSE_SECONDS)


def refusal(answer: httpx.Response, content: bytes) -> Refused:
    """Return what a problem document (RFC 9457) says, or only the status if the content is none."""
    try:
        body = json.loads(content)
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    detail = str(body.get("detail") or f"The gateway answered {answer.status_code}.")
    after = answer.headers.get("retry-after", "")
    return Refused(answer.status_code, detail, body, float(after) if after.isdecimal() else None)


def unreachable(address: str, error: httpx.HTTPError, *, of_insights: bool) -> Unreachable:
    who, setting = ("Insights", "EDUGRAPH_INSIGHTS_URL") if of_insights else ("The gateway", "EDUGRAPH_URL")
    return Unreachable(
        f"{who} at {address} does not answer ({type(error).__name__}). "
        f"Check that it runs, and that {setting} is its address."
    )
