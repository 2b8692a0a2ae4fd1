"""The client of the language model: one request, and one response or one of the three verdicts.

Every physical attempt passes the rate limiter. The SDK's own retries are off, and the slot is taken in a hook of its
HTTP client, because that hook runs for redirects too.
"""

import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import redis

from edugraph_analyzer import telemetry
from edugraph_analyzer.findings.schema import schema_of
from edugraph_analyzer.llm.capabilities import EndpointCapabilities, EndpointMemory
from edugraph_analyzer.llm.rate_limiter import RateLimiter, Slot
from edugraph_analyzer.prompting.questions import (
    Cancelled,
    LLMRequest,
    LLMResponse,
    Unanswerable,
    estimated_request,
    with_schema,
)
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Failure, Rejected, Retryable, Wait
from edugraph_common.contracts.findings import Kind
from edugraph_common.platform import tracing

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

_BAD_REQUEST, _PAYMENT_REQUIRED, _NOT_FOUND, _TIMED_OUT = 400, 402, 404, 408
_CONFLICT, _UNPROCESSABLE, _TOO_EARLY, _TOO_MANY_REQUESTS = 409, 422, 425, 429
_SERVER_ERROR = 500
_ABOUT_ACCOUNT = frozenset({401, _PAYMENT_REQUIRED, 403, _NOT_FOUND})
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
# What a refusal is told as: one sentence that says what to set.
_UNKNOWN_MODEL = (
    "the provider does not know the model {model!r} (or the address): "
    "set EDUGRAPH_MODEL, or EDUGRAPH_OPENAI_BASE_URL, to one that it has"
)
_REFUSALS = {
    401: "the provider does not accept the key (401): set EDUGRAPH_OPENAI_API_KEY to a valid one",
    403: "the key may not use {model!r} (403): set another EDUGRAPH_MODEL or EDUGRAPH_OPENAI_API_KEY",
    _PAYMENT_REQUIRED: "the account has no credit left (402): top it up, or set another EDUGRAPH_OPENAI_API_KEY",
    _TOO_MANY_REQUESTS: (
        "the provider's account has no quota left: top it up, or set another EDUGRAPH_OPENAI_API_KEY"
    ),
}
_REFUSED = "the provider refuses the request ({status}): ask `edugraph provider check` what it accepts"
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class ResponseWithHeaders:
    """A response of the model, with the headers of the HTTP response that brought it."""

    response: LLMResponse
    headers: Mapping[str, str]


@dataclass
class Attempt:
    """One physical attempt. The hook of the HTTP client fills in the slot and the time of sending."""

    model: str
    tokens: int
    check: Callable[[], None]
    slot: Slot | None = None
    sent_at: float | None = None


def no_check() -> None:
    """Let every request leave."""


class LLMClient:
    """The client of one provider.

    It opens its connections at the first request of each process; `process_id` tells a fork apart. `now` gives
    seconds since the epoch, against which a date in a Retry-After header is read.
    """

    def __init__(
        self,
        settings: AnalyzerSettings,
        server: "redis.Redis",
        limiter: RateLimiter,
        *,
        process_id: Callable[[], int],
        now: Callable[[], float],
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._settings, self._limiter, self._now = settings, limiter, now
        self._memory = EndpointMemory(settings, server)
        self._process_id, self._transport = process_id, transport
        self._sdk: tuple[int, openai.OpenAI] | None = None
        self._attempt: ContextVar[Attempt] = ContextVar("attempt")

    def complete(self, request: LLMRequest, check: Callable[[], None] = no_check) -> LLMResponse:
        """Ask the model once. A key or a model that was just refused is not tried again by each of a job's packs.

        `check` is called before each attempt, when its slot has come: to wait for that may take a minute. Raises
        Retryable, Wait or Rejected, Unanswerable for what concerns only the items of this request, and what `check`
        raises.
        """
        refusal = self._memory.refusal_of(self._settings.model_for(request.kind))
        if refusal:
            raise Rejected(refusal)
        return self.complete_with_headers(request, check).response

    def complete_with_headers(self, request: LLMRequest, check: Callable[[], None] = no_check) -> ResponseWithHeaders:
        """Ask the model, whatever was refused before. Raises as `complete` does.

        A request that the endpoint refuses for its form is sent again with downgraded capabilities.
        """
        model = self._settings.model_for(request.kind)
        capabilities = self._memory.capabilities_of(model)
        while True:
            in_prompt = capabilities.step != "json_schema"
            parameters: dict[str, Any] = {
                "model": model,
                "messages": with_schema(request) if in_prompt else request.messages,
                capabilities.limit_name: request.max_answer_tokens,
            }
            if capabilities.temperature and self._settings.temperature is not None:
                parameters["temperature"] = self._settings.temperature
            if capabilities.step == "json_object":
                parameters["response_format"] = {"type": "json_object"}
            elif capabilities.step == "json_schema":
                schema = schema_of(request.kind, request.max_items, request.max_points)
                wanted = {"name": request.kind, "strict": True, "schema": schema}
                parameters["response_format"] = {"type": "json_schema", "json_schema": wanted}
            tokens = estimated_request(parameters["messages"]) + request.max_answer_tokens // 2
            attempt = Attempt(model, tokens, check)
            self._attempt.set(attempt)
            attributes = {"gen_ai.request.model": model, "edugraph.kind": request.kind}
            try:
                with tracing.span(f"chat {model}", "client", **attributes):
                    raw = self._opened().chat.completions.with_raw_response.create(**parameters)
                completion = raw.parse()
            except openai.APIStatusError as error:
                _count(attempt, str(error.status_code))
                capabilities = self._downgraded(model, capabilities, error)
                continue
            except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
                timed_out, cut = (
                    isinstance(error, openai.APITimeoutError),
                    isinstance(error, openai.APIConnectionError),
                )
                _count(attempt, "timeout" if timed_out else "cut" if cut else "unreadable")
                raise _failure_of(error) from None
            _count(attempt, str(raw.http_response.status_code))
            response = _response_of(completion)
            if attempt.slot is not None and response.input_tokens:
                self._limiter.settle(model, attempt.slot, response.input_tokens + response.output_tokens)
            self._memory.remember(model, capabilities.after(response))
            return ResponseWithHeaders(response, raw.headers)

    def capabilities(self, kind: Kind) -> EndpointCapabilities:
        """Return what is known now of the endpoint that answers questions of this kind."""
        return self._memory.capabilities_of(self._settings.model_for(kind))

    def _opened(self) -> openai.OpenAI:
        """Return the SDK's client of this process. A fork must not share the connections that its parent opened."""
        process = self._process_id()
        if self._sdk is None or self._sdk[0] != process:
            settings = self._settings
            timeout = httpx2.Timeout(settings.call_timeout_seconds, connect=settings.connect_timeout_seconds)

            def take_slot(_request: httpx2.Request) -> None:
                attempt = self._attempt.get()
                with tracing.span("wait for a place"):
                    slot = self._limiter.acquire(attempt.model, attempt.tokens)
                try:
                    attempt.check()
                except Cancelled:
                    self._limiter.settle(attempt.model, slot, 0)
                    raise
                attempt.slot = slot
                attempt.sent_at = time.perf_counter()

            hooks = {"request": [take_slot]}
            http = openai.DefaultHttpxClient(event_hooks=hooks, timeout=timeout, transport=self._transport)
            sdk = openai.OpenAI(
                api_key=settings.secret or "none",  # a server of one's own asks for no key, the SDK does
                base_url=settings.openai_base_url,
                timeout=timeout,
                max_retries=0,
                http_client=http,
            )
            self._sdk = (process, sdk)
        return self._sdk[1]

    def _downgraded(
        self, model: str, capabilities: EndpointCapabilities, error: openai.APIStatusError
    ) -> EndpointCapabilities:
        """Return the capabilities to try next, or raise what the status means for these items, this job, or all.

        The words of the error body are used for matching only: they may repeat what was sent, and so are never shown.
        """
        status, body = error.status_code, error.body if isinstance(error.body, dict) else {}
        parts = (body.get("code"), body.get("param"), body.get("type"), body.get("message"), error.message)
        words = " ".join(str(part) for part in parts if part).casefold()
        if status == _TOO_MANY_REQUESTS and "insufficient_quota" not in words:
            told = retry_after(error.response.headers, self._now())
            raise Wait(
                "the provider says that its limit is reached (429)", self._limiter.pause(model, told)
            ) from None
        if status >= _SERVER_ERROR or status in (_CONFLICT, _TIMED_OUT, _TOO_EARLY):
            raise Retryable(f"the provider answered {status}") from None
        if status in (_BAD_REQUEST, _UNPROCESSABLE):
            if any(word in words for word in _TOO_LONG):
                raise Unanswerable("its text is too long for the model") from None
            if any(word in words for word in _FILTERED):
                raise Unanswerable("the provider's content filter refused it") from None
            downgraded = capabilities.downgraded_for(words)
            if downgraded is not None:
                return downgraded
        about_model = status == _NOT_FOUND or any(word in words for word in _ABOUT_MODEL)
        sentence = _UNKNOWN_MODEL if about_model else _REFUSALS.get(status, _REFUSED)
        reason = sentence.format(model=model, status=status)
        if status in _ABOUT_ACCOUNT:
            self._memory.remember_refusal(model, reason)
        raise Rejected(reason) from None


def _count(attempt: Attempt, status: str) -> None:
    """Count what has left. A request whose slot was refused has not."""
    if attempt.sent_at is not None:
        telemetry.provider_answered(attempt.model, status, time.perf_counter() - attempt.sent_at)


def _response_of(completion: "ChatCompletion | Any") -> LLMResponse:
    """Read a body. Raises Retryable for one that is no chat completion, and Unanswerable for a refusal."""
    choice = next(iter(getattr(completion, "choices", None) or ()), None)
    message = getattr(choice, "message", None)
    if choice is None or message is None:
        raise Retryable("the provider answered something that is not a chat completion")
    if choice.finish_reason == "content_filter" or getattr(message, "refusal", None):
        raise Unanswerable("the provider's content filter refused it")
    usage = getattr(completion, "usage", None)
    return LLMResponse(
        text=message.content or "",
        complete=choice.finish_reason != "length",
        input_tokens=getattr(usage, "prompt_tokens", None) or 0,
        output_tokens=getattr(usage, "completion_tokens", None) or 0,
    )


def _failure_of(error: Exception) -> Failure | Cancelled:
    """Return the verdict where there is no usable response.

    What was raised in the hook comes out as it was.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Failure | Cancelled):
            return cause
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, openai.APITimeoutError):
        return Retryable("the provider did not answer in time")
    if isinstance(error, openai.APIConnectionError):
        return Retryable("the connection to the provider failed or was cut")
    return Retryable(f"the provider's answer cannot be read ({type(error).__name__})")


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
