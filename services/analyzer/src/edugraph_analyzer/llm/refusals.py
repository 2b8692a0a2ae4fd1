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
_TOO_LONG_MEANWHILE = "context size has been exceeded"  # told with 500
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
# An empty account is told with 402, 429 or 400, and in these words or codes.
_NO_CREDIT = (
    "insufficient_quota",
    "exceeded_current_quota",
    "insufficient balance",
    "insufficient_balance",
    "arrearage",
    "account is in good standing",
    "credit balance",
    "freetieronly",
    "余额不足",
    "欠费",
)
# A limit of a minute that is told in words of an empty account.
_ALLOCATED = "allocated quota exceeded, please increase"
# What a refusal is told as: one sentence that says what to set.
_UNKNOWN_MODEL = (
    "the provider does not know the model {model!r} (or the address): "
    "set EDUGRAPH_MODEL, or EDUGRAPH_OPENAI_BASE_URL, to one that it has"
)
_SENTENCES = {
    UNAUTHORIZED: "the provider does not accept the key ({status}): set EDUGRAPH_OPENAI_API_KEY to a valid one",
    FORBIDDEN: "the key may not use {model!r} ({status}): set another EDUGRAPH_MODEL or EDUGRAPH_OPENAI_API_KEY",
}
_EMPTY_ACCOUNT = (
    "the provider's account has no credit or quota left ({status}): top it up, or set another EDUGRAPH_OPENAI_API_KEY"
)
_REFUSED = "the provider refuses the request ({status}): ask `edugraph provider check` what it accepts"
_NUMBER = re.compile(r"\d+(?:\.\d+)?")

Meaning = Literal["limit", "fault", "too long", "filtered", "form", "account", "refused"]


def words_of(body: object, message: str) -> str:
    """Return what an error body says, in small letters. Gemini has it in a list of one."""
    if isinstance(body, list) and body and isinstance(body[0], dict):
        body = body[0].get("error", body[0])
    told = body if isinstance(body, dict) else {}
    parts = (*(told.get(name) for name in ("code", "param", "type", "message")), message)
    return " ".join(str(part) for part in parts if part).casefold()


def meaning_of(status: int, words: str) -> Meaning:
    """Say what a status means with these words. A "form" that cannot be changed means "refused"."""
    of_form = status in (BAD_REQUEST, UNPROCESSABLE)
    meaning: Meaning = "refused"
    if status == TOO_MANY_REQUESTS and (_ALLOCATED in words or not _has(words, _NO_CREDIT)):
        meaning = "limit"
    elif status == PAYMENT_REQUIRED or _has(words, _NO_CREDIT):
        meaning = "account"
    elif status == TOO_LARGE or (of_form and _has(words, _TOO_LONG)) or _TOO_LONG_MEANWHILE in words:
        meaning = "too long"
    elif status >= SERVER_ERROR or status in (CONFLICT, TIMED_OUT, TOO_EARLY):
        meaning = "fault"
    elif of_form and _has(words, _FILTERED):
        meaning = "filtered"
    elif status in (UNAUTHORIZED, FORBIDDEN, NOT_FOUND) or (of_form and _has(words, (*_ABOUT_MODEL, *_ABOUT_KEY))):
        meaning = "account"
    elif of_form:
        meaning = "form"
    return meaning


def _has(words: str, any_of: tuple[str, ...]) -> bool:
    return any(word in words for word in any_of)


def refusal(status: int, words: str, model: str) -> str:
    """Return the sentence for what no request of the job can be answered for."""
    if status == PAYMENT_REQUIRED or _has(words, _NO_CREDIT):
        return _EMPTY_ACCOUNT.format(status=status)
    about_model = status == NOT_FOUND or _has(words, _ABOUT_MODEL)
    about = UNAUTHORIZED if _has(words, _ABOUT_KEY) else status
    sentence = _UNKNOWN_MODEL if about_model else _SENTENCES.get(about, _REFUSED)
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
