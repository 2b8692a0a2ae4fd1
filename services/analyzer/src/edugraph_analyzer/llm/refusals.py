"""The meaning of a provider's refusal: for these items, for the form of the request, for now, or for the whole job.

The words of an error body are used for matching only. They may repeat the request, so they are never shown.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urljoin, urlsplit

BAD_REQUEST = 400
UNAUTHORIZED = 401
PAYMENT_REQUIRED = 402
FORBIDDEN = 403
NOT_FOUND = 404
TIMED_OUT = 408
CONFLICT = 409
TOO_LARGE = 413
UNPROCESSABLE = 422
TOO_EARLY = 425
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500

_TOO_LONG = (
    "context_length_exceeded",
    "maximum context length",
    "context size",
    "too many tokens",
    "context window",
    "exceeded model token limit",
    "input token count",
    "range of input length",
    "prompt 超长",
)
# These words come with the status 500.
_TOO_LONG_MEANWHILE = "context size has been exceeded"
_FILTERED = (
    "content_filter",
    "content management policy",
    "data_inspection_failed",
    "content_policy",
    "content exists risk",
    "敏感内容",
)
_ABOUT_MODEL = (
    "model_not_found",
    "model not found",
    "model not exist",
    "unknown model",
    "no such model",
    "invalid model",
    "模型不存在",
)
_ABOUT_KEY = ("api key not valid", "api_key_invalid")
# An empty account has the status 402, 429 or 400, and these words or codes.
_NO_CREDIT = (
    "insufficient_quota",
    "exceeded_current_quota",
    "insufficient balance",
    "insufficient_balance",
    "arrearage",
    "account is in good standing",
    "credit balance",
    "insufficient credit",
    "freetieronly",
    "余额不足",
    "欠费",
)
# A limit per minute that is reached, although the words are those of an empty account.
_ALLOCATED = "allocated quota exceeded, please increase"
# The sentences for refusals say which setting to change.
_UNKNOWN_MODEL = (
    "the provider does not know the model {model!r} (or the address): "
    "set EDUGRAPH_MODEL, or EDUGRAPH_OPENAI_BASE_URL, to one that it has"
)
_SENTENCES = {
    UNAUTHORIZED: "the provider does not accept the key ({status}): set EDUGRAPH_OPENAI_API_KEY to a valid one",
    FORBIDDEN: "the key may not use {model!r} ({status}): set another EDUGRAPH_MODEL or EDUGRAPH_OPENAI_API_KEY",
}
_EMPTY_ACCOUNT = (
    "the provider's account has no credit or quota left ({status}): "
    "top it up, or set another EDUGRAPH_OPENAI_API_KEY"
)
MOVED = (
    "the provider's address redirects to {there} ({status}), and redirects are not followed: "
    "set EDUGRAPH_OPENAI_BASE_URL (or base_url in the models' file) to the new address"
)
_REFUSED = (
    "the provider refuses the request ({status}): ask `edugraph provider check` what it accepts"
)
# The provider may ask for days. It is asked after this time, as with the longest pause of the rate limiter.
_LONGEST_WAIT_SECONDS = 3_600.0
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_HOST = re.compile(r"[a-z0-9.:_-]{1,253}")
_STATUS = re.compile(r"[45][0-9]{2}")
_NO_STATUS = 600
# (status, codes and words that providers use for it), for errors that name no number
_STATUS_BY_WORDS = (
    (PAYMENT_REQUIRED, _NO_CREDIT),
    (
        TOO_MANY_REQUESTS,
        (
            "rate_limit",
            "rate limit",
            "too many requests",
            "too_many_requests",
            "resource_exhausted",
        ),
    ),
    (
        UNAUTHORIZED,
        (
            "invalid_api_key",
            "incorrect api key",
            "authentication",
            "unauthorized",
            "not authenticated",
            "unauthenticated",
            *_ABOUT_KEY,
        ),
    ),
    (FORBIDDEN, ("permission", "forbidden")),
    (NOT_FOUND, _ABOUT_MODEL),
    (BAD_REQUEST, ("invalid_request", "bad_request", "badrequest", *_TOO_LONG, *_FILTERED)),
    (SERVER_ERROR, ("overloaded", "unavailable", "server_error", "internal error")),
)

Meaning = Literal["limit", "fault", "too long", "filtered", "form", "account", "moved", "refused"]


_FIELDS_WITH_WORDS = (
    "code",
    "param",
    "type",
    "status",
    "message",
    "msg",
    "error_msg",
)


def words_of(body: object, message: str) -> str:
    """Return what an error body says, in small letters. Gemini has it in a list of one."""
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0].get("error", body[0])
    told = body if isinstance(body, dict) else {}
    parts = (*(told.get(name) for name in _FIELDS_WITH_WORDS), message)
    return " ".join(_written(part) for part in parts if part).casefold()


def _written(part: object) -> str:
    """Return a part of an error as text. The message of Mistral is an object."""
    if isinstance(part, str | int | float):
        return str(part)
    try:
        return json.dumps(part, ensure_ascii=False)
    except RecursionError:
        return ""


def status_in(error: object) -> int | None:
    """Return the HTTP status that an error in a body names by a number or by its words, or None."""
    fields: dict[str, object] = {}
    message = ""
    if isinstance(error, dict):
        fields = error
    elif isinstance(error, str):
        message = error
    for name in ("code", "status", "status_code", "http_code", "error_code", "errorCode"):
        number = fields.get(name)
        if isinstance(number, str) and _STATUS.fullmatch(number):
            number = int(number)
        if isinstance(number, int) and BAD_REQUEST <= number < _NO_STATUS:
            return number
    words = words_of(fields, message)
    # These may quote the request, so they count only where nothing else names a status.
    for name in ("detail", "errors"):
        words += f" {_written(fields.get(name, '')).casefold()}"
    for status, any_of in _STATUS_BY_WORDS:
        if _has(words, any_of):
            return status
    return None


def meaning_of(status: int, words: str) -> Meaning:
    """Return the meaning of a status with these words. A "form" that cannot be changed means "refused"."""
    of_form = status in (BAD_REQUEST, UNPROCESSABLE)
    meaning: Meaning = "refused"
    if status == TOO_MANY_REQUESTS and (_ALLOCATED in words or not _has(words, _NO_CREDIT)):
        meaning = "limit"
    elif status == PAYMENT_REQUIRED or _has(words, _NO_CREDIT):
        meaning = "account"
    elif (
        status == TOO_LARGE or (of_form and _has(words, _TOO_LONG)) or _TOO_LONG_MEANWHILE in words
    ):
        meaning = "too long"
    elif status >= SERVER_ERROR or status in (CONFLICT, TIMED_OUT, TOO_EARLY):
        meaning = "fault"
    elif status < BAD_REQUEST:
        meaning = "moved"
    elif of_form and _has(words, _FILTERED):
        meaning = "filtered"
    elif status in (UNAUTHORIZED, FORBIDDEN, NOT_FOUND) or (
        of_form and _has(words, (*_ABOUT_MODEL, *_ABOUT_KEY))
    ):
        meaning = "account"
    elif of_form:
        meaning = "form"
    return meaning


def _has(words: str, any_of: tuple[str, ...]) -> bool:
    return any(word in words for word in any_of)


def refusal(status: int, words: str, model: str) -> str:
    """Return the sentence for a refusal that concerns all requests of the job."""
    if status == PAYMENT_REQUIRED or _has(words, _NO_CREDIT):
        return _EMPTY_ACCOUNT.format(status=status)
    if status == NOT_FOUND or _has(words, _ABOUT_MODEL):
        sentence = _UNKNOWN_MODEL
    elif _has(words, _ABOUT_KEY):
        sentence = _SENTENCES[UNAUTHORIZED]
    else:
        sentence = _SENTENCES.get(status, _REFUSED)
    return sentence.format(model=model, status=status)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the headers ask to wait, at most an hour, or None.

    The headers have milliseconds, seconds, or a date (RFC 9110, 10.2.3). A date without a time zone is in UTC.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if _NUMBER.fullmatch(value):
            return min(float(value) * unit, _LONGEST_WAIT_SECONDS)
    date = headers.get("retry-after", "").strip()
    if not date:
        return None
    try:
        end = parsedate_to_datetime(date)
        if end.tzinfo is None:
            end = end.replace(tzinfo=UTC)
        return min(max(end.timestamp() - now, 0.0), _LONGEST_WAIT_SECONDS)
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        # The text is not a date, or a date that no calendar has.
        return None


def moved_to(address: str, location: str) -> str:
    """Return where a redirect leads, without its path and query, which may contain a secret."""
    try:
        there = urlsplit(urljoin(address, location))
        host = there.hostname or ""
        port = ""
        if there.port:
            port = f":{there.port}"
    except ValueError:
        return "another address"
    if not _HOST.fullmatch(host):
        return "another address"
    if host == urlsplit(address).hostname and there.scheme == urlsplit(address).scheme:
        return f"another path of {host}{port}"
    return f"{there.scheme}://{host}{port}"
