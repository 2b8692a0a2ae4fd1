"""What a provider's refusal means: for these items, for the request's form, for now, or for the whole job.

The words of an error body are used for matching only. They may repeat what was sent, and so are never shown.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Literal

BAD_REQUEST, UNAUTHORIZED, PAYMENT_REQUIRED, FORBIDDEN, NOT_FOUND, TIMED_OUT = 400, 401, 402, 403, 404, 408
CONFLICT, TOO_LARGE, UNPROCESSABLE, TOO_EARLY, TOO_MANY_REQUESTS = 409, 413, 422, 425, 429
SERVER_ERROR = 500

_TOO_LONG = ("context_length_exceeded", "maximum context length", "context size", "too many tokens", "context window")
_FILTERED = ("content_filter", "content management policy", "data_inspection_failed", "content_policy")
_ABOUT_MODEL = (
    "model_not_found",
    "does not exist",
    "model not found",
    "unknown model",
    "no such model",
    "invalid model",
)
# An empty account is told with 402, 429 or 400, and in these words or codes.
_NO_CREDIT = (
    "insufficient_quota",
    "exceeded_current_quota",
    "insufficient balance",
    "insufficient_balance",
    "arrearage",
    "account is in good standing",
    "credit balance",
    "余额不足",
    "欠费",
)
# What a refusal is told as: one sentence that says what to set.
_UNKNOWN_MODEL = (
    "the provider does not know the model {model!r} (or the address): "
    "set EDUGRAPH_MODEL, or EDUGRAPH_OPENAI_BASE_URL, to one that it has"
)
_SENTENCES = {
    UNAUTHORIZED: "the provider does not accept the key (401): set EDUGRAPH_OPENAI_API_KEY to a valid one",
    FORBIDDEN: "the key may not use {model!r} (403): set another EDUGRAPH_MODEL or EDUGRAPH_OPENAI_API_KEY",
}
_EMPTY_ACCOUNT = (
    "the provider's account has no credit or quota left ({status}): top it up, or set another EDUGRAPH_OPENAI_API_KEY"
)
_REFUSED = "the provider refuses the request ({status}): ask `edugraph provider check` what it accepts"
_NUMBER = re.compile(r"\d+(?:\.\d+)?")

Meaning = Literal["limit", "fault", "too long", "filtered", "form", "account", "refused"]


def words_of(body: object, message: str) -> str:
    """Return what an error body says, in small letters."""
    told = body if isinstance(body, dict) else {}
    parts = (*(told.get(name) for name in ("code", "param", "type", "message")), message)
    return " ".join(str(part) for part in parts if part).casefold()


def meaning_of(status: int, words: str) -> Meaning:
    """Say what a status means with these words. A "form" that cannot be changed means "refused"."""
    meaning: Meaning = "refused"
    if status == PAYMENT_REQUIRED or any(word in words for word in _NO_CREDIT):
        meaning = "account"
    elif status == TOO_MANY_REQUESTS:
        meaning = "limit"
    elif status >= SERVER_ERROR or status in (CONFLICT, TIMED_OUT, TOO_EARLY):
        meaning = "fault"
    elif status in (BAD_REQUEST, UNPROCESSABLE) and any(word in words for word in _FILTERED):
        meaning = "filtered"
    elif status == TOO_LARGE or (status in (BAD_REQUEST, UNPROCESSABLE) and any(word in words for word in _TOO_LONG)):
        meaning = "too long"
    elif status in (BAD_REQUEST, UNPROCESSABLE):
        meaning = "form"
    elif status in (UNAUTHORIZED, FORBIDDEN, NOT_FOUND):
        meaning = "account"
    return meaning


def refusal(status: int, words: str, model: str) -> str:
    """Return the sentence for what no request of the job can be answered for."""
    if status == PAYMENT_REQUIRED or any(word in words for word in _NO_CREDIT):
        return _EMPTY_ACCOUNT.format(status=status)
    about_model = status == NOT_FOUND or any(word in words for word in _ABOUT_MODEL)
    sentence = _UNKNOWN_MODEL if about_model else _SENTENCES.get(status, _REFUSED)
    return sentence.format(model=model, status=status)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the headers ask to wait, or None.

    They may be told in milliseconds, in seconds, or by a date (RFC 9110, 10.2.3).
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if _NUMBER.fullmatch(value):
            return float(value) * unit
    date = headers.get("retry-after", "").strip()
    try:
        return max(parsedate_to_datetime(date).timestamp() - now, 0.0) if date else None
    except ValueError:
        return None
