"""The client of the language model: one request, and one response or one of the three verdicts.

Every physical attempt passes the rate limiter. The SDK's own retries are off, and no redirect is followed. A hook of
its HTTP client reserves the slot. It is confirmed once the connection is there, right before the request's head: what
DNS, TCP and TLS take is not between a slot and its request. `bounded_http` ends each exchange in time.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import redis

from edugraph_analyzer import telemetry
from edugraph_analyzer.findings.schema import schema_of
from edugraph_analyzer.llm.access import Access
from edugraph_analyzer.llm.batches import ProviderBatches
from edugraph_analyzer.llm.bounded_http import BoundedClient, TooLarge
from edugraph_analyzer.llm.capabilities import EndpointCapabilities, EndpointMemory
from edugraph_analyzer.llm.rate_limiter import RateLimiter, Slot, name_of_key
from edugraph_analyzer.llm.refusals import MOVED, meaning_of, moved_to, refusal, retry_after, words_of
from edugraph_analyzer.llm.responses import Asked, ToldError, Unreadable, body_of, response_of
from edugraph_analyzer.models_file import Endpoint, Parameters
from edugraph_analyzer.prompting.questions import (
    Cancelled,
    LLMRequest,
    LLMResponse,
    Unanswerable,
    estimated_request,
    with_schema,
)
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Failure, ProviderBusy, Refused, Rejected, Retryable, Wait
from edugraph_common.contracts.findings import Kind
from edugraph_common.platform import tracing

_KEPT_OPEN_SECONDS = 50.0  # a connection that is not used; a minute is what many servers allow
_MOST_CONNECTIONS = 1_000


@dataclass(frozen=True)
class ResponseWithHeaders:
    """A response of the model, with the headers of the HTTP response that brought it."""

    response: LLMResponse
    headers: Mapping[str, str]


@dataclass
class Attempt:
    """One physical attempt. The hooks of the HTTP client fill in the slot and the time of sending."""

    access: Access
    model: str
    tokens: int
    check: Callable[[], None]
    slot: Slot | None = None
    sent_at: float | None = None


class ProviderError(Exception):
    """An error of the provider, by the status of its response or the one that its body names.

    `output_tokens` is the estimate for what was written before the error came.
    """

    def __init__(self, status: int, words: str, headers: Mapping[str, str], output_tokens: int = 0) -> None:
        super().__init__(status)
        self.status, self.words, self.headers, self.output_tokens = status, words, headers, output_tokens


def no_check() -> None:
    """Let every request leave."""


def no_count(_input_tokens: int, _output_tokens: int) -> None:
    """Count nothing."""


class LLMClient:
    """The client of the endpoints of the settings, which are asked in their order.

    It opens its connections at the first request of each process; `process_id` tells a fork apart. `now` gives
    seconds since the epoch, against which a date in a Retry-After header is read. `limiter_of` makes the rate limiter
    of a key at an endpoint.
    """

    def __init__(
        self,
        settings: AnalyzerSettings,
        server: "redis.Redis",
        limiter_of: Callable[[Endpoint, str], RateLimiter],
        *,
        process_id: Callable[[], int],
        now: Callable[[], float],
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._settings, self._server, self._now = settings, server, now
        self._process_id, self._transport, self._limiter_of = process_id, transport, limiter_of
        self._opening = threading.Lock()
        self._http: dict[bool, tuple[int, httpx2.Client]] = {}
        self._limiters: dict[str, RateLimiter] = {}
        self._memories: dict[tuple[str, str], EndpointMemory] = {}
        self._attempt: ContextVar[Attempt] = ContextVar("attempt")

    def complete(
        self,
        request: LLMRequest,
        check: Callable[[], None] = no_check,
        count_lost: Callable[[int, int], None] = no_count,
    ) -> LLMResponse:
        """Ask the model once. A key or a model that was just refused is not tried again by each of a job's packs.

        What one key cannot answer now, the next one is asked. `check` is called before each attempt, when its slot
        has come: to wait for that may take a minute. `count_lost` is called with the estimated tokens, in and out, of
        each attempt that left and brought no answer: a provider bills a time-out too.

        Raises Retryable, Wait or Rejected (Refused where no request of the job can be answered), Unanswerable for
        what concerns only the items of this request, and what `check` raises.
        """
        failures: list[Failure] = []
        accesses = self.accesses(request.kind)
        if len(accesses) > 1:  # those that are paused just now come last; a single one is asked in any case
            accesses.sort(key=lambda access: access.limiter.paused_seconds(access.model))
        for access in accesses:
            told = access.memory.refusal_of(access.name)
            if told:
                failures.append(Refused(told))
                continue
            try:
                return self._asked(access, request, check, count_lost).response
            except (Retryable, Wait, Refused) as failure:
                failures.append(failure)
        raise min(failures, key=_how_late)

    def judge(self, reason: str) -> float:
        """Say of the response that came last here that it could not be used, and why; an empty reason: it could.

        Return for how many seconds nobody asks that model, because too many in a row could not be used; 0 mostly.
        """
        attempt = self._attempt.get()
        if not reason:
            attempt.access.limiter.worked(attempt.model)
            return 0.0
        return attempt.access.limiter.pause(attempt.model, "useless", reason, None, attempt.slot)

    def complete_with_headers(self, request: LLMRequest, check: Callable[[], None] = no_check) -> ResponseWithHeaders:
        """Ask the first endpoint with its first key, whatever was refused before. Raises as `complete` does."""
        return self._asked(self.accesses(request.kind)[0], request, check, no_count)

    def capabilities(self, kind: Kind) -> EndpointCapabilities:
        """Return what is known now of the endpoint that answers questions of this kind first."""
        first = self.accesses(kind)[0]
        return first.memory.capabilities_of(first.name, first.parameters)

    def accesses(self, kind: Kind) -> list[Access]:
        """Return all keys of all endpoints of a kind's model, in the order of the settings."""
        model, parameters = self._settings.model_for(kind), self._settings.parameters_for(kind)
        told, found = self._settings.models.models.get(model), list[Access]()
        for endpoint in self._settings.endpoints_for(model):
            name = told.names.get(endpoint.name, model) if told else model
            for secret in tuple(key.get_secret_value() for key in endpoint.keys) or (None,):
                key = name_of_key(endpoint, secret)
                with self._opening:
                    if key not in self._limiters:
                        self._limiters[key] = self._limiter_of(endpoint, key)
                    address = endpoint.base_url or ""
                    if (address, key) not in self._memories:
                        self._memories[address, key] = EndpointMemory(self._server, address, secret)
                memory = self._memories[address, key]
                found.append(Access(model, parameters, endpoint, secret, name, key, self._limiters[key], memory))
        return found

    def _asked(
        self,
        access: Access,
        request: LLMRequest,
        check: Callable[[], None],
        count_lost: Callable[[int, int], None],
    ) -> ResponseWithHeaders:
        """Ask one endpoint. A request that it refuses for its form is sent again with downgraded capabilities."""
        model, parameters = access.model, access.parameters
        capabilities = access.memory.capabilities_of(access.name, parameters)
        while True:
            limit = request.max_answer_tokens + max(request.headroom, capabilities.headroom)
            limit = min(limit, capabilities.most_tokens or limit)
            form = form_of(access, request, parameters, capabilities, limit)
            asked = Asked(estimated_request(form["messages"]), limit, max(limit - request.max_answer_tokens, 0))
            attempt = Attempt(access, model, asked.input_tokens + limit // 2, check)
            self._attempt.set(attempt)
            try:
                raw, response = self._exchanged(attempt, form, asked, request.kind)
            except ProviderError as error:
                _count(attempt, str(error.status))
                if error.output_tokens:
                    count_lost(asked.input_tokens, error.output_tokens)
                capabilities = self._downgraded(attempt, request, capabilities, limit, error)
                continue
            except Unreadable as error:
                _count(attempt, "unreadable")
                if error.is_billed:
                    count_lost(asked.input_tokens, min(error.output_tokens, limit))
                raise self._failed(attempt, error.reason) from None
            except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
                if attempt.sent_at is not None:
                    count_lost(asked.input_tokens, 0)
                raise self._failure_of(attempt, error) from None
            finally:
                if attempt.slot is not None:
                    access.limiter.leave(model, attempt.slot.name)
            if attempt.sent_at is None or attempt.slot is None:
                raise RuntimeError("a request has left without a slot: the HTTP client no longer tells when it sends")
            _count(attempt, str(raw.status_code))
            used = response.input_tokens + response.output_tokens
            access.limiter.settle(model, attempt.slot, used or None)
            access.memory.remember(access.name, parameters, capabilities.after(response))
            return ResponseWithHeaders(response, raw.headers)

    def _exchanged(
        self, attempt: Attempt, form: dict[str, Any], asked: Asked, kind: Kind
    ) -> tuple[httpx2.Response, LLMResponse]:
        """Send one request and read its answer. The SDK sends, and its reading of answers is not used.

        The SDK takes each value of a body for what it should be, so that a wrong one ends in an error anywhere.
        Raises ProviderError, Unreadable, and what the SDK raises.
        """
        access = attempt.access
        attributes = {"gen_ai.request.model": attempt.model, "edugraph.kind": kind}
        timeout = self._timeout(access.parameters)
        with tracing.span(f"chat {attempt.model}", "client", **attributes):
            try:
                given = self._sdk(access).chat.completions.with_raw_response.create(**form, timeout=timeout)
            except openai.APIStatusError as error:
                words = words_of(error.body, error.message)
                raise ProviderError(error.status_code, words, error.response.headers) from None
            raw: httpx2.Response = given.http_response
            try:
                return raw, response_of(body_of(raw.read()), asked)
            except ToldError as error:
                raise ProviderError(error.status, error.words, raw.headers, error.output_tokens) from None

    def batchable(self, kind: Kind) -> Access | None:
        """Return the first key that was not refused just now, if its endpoint answers without a stream."""
        for access in self.accesses(kind):
            if not access.memory.refusal_of(access.name):
                return None if access.memory.capabilities_of(access.name, access.parameters).stream else access
        return None

    def batch_body(self, access: Access, request: LLMRequest) -> dict[str, Any]:
        """Return the body of a request that is asked in a batch."""
        capabilities = access.memory.capabilities_of(access.name, access.parameters)
        limit = request.max_answer_tokens + max(request.headroom, capabilities.headroom)
        limit = min(limit, capabilities.most_tokens or limit)
        asked = form_of(access, request, access.parameters, capabilities, limit)
        more: dict[str, Any] = asked.pop("extra_body", {})
        return asked | more

    def batches(self, access: Access) -> ProviderBatches:
        """Return the files and batches of a key. They have connections of their own, which take no slots."""
        sdk = self._sdk(access, in_slots=False).with_options(timeout=self._timeout(access.parameters))
        return ProviderBatches(sdk, access, self._now)

    def _timeout(self, parameters: Parameters) -> httpx2.Timeout:
        seconds = parameters.timeout_seconds or self._settings.call_timeout_seconds
        return httpx2.Timeout(seconds, connect=self._settings.connect_timeout_seconds)

    def _sdk(self, access: Access, *, in_slots: bool = True) -> openai.OpenAI:
        """Return the SDK's client of one key. They share the connections of this process."""
        return openai.OpenAI(
            api_key=access.secret or "none",  # a server of one's own asks for no key, the SDK does
            base_url=access.endpoint.base_url,
            max_retries=0,
            http_client=self._opened(in_slots=in_slots),
        )

    def _opened(self, *, in_slots: bool = True) -> httpx2.Client:
        """Return the HTTP client of this process. A fork must not share the connections that its parent opened.

        `in_slots`: each of its requests takes a slot of the rate limiter.
        """
        process = self._process_id()
        with self._opening:
            if in_slots not in self._http or self._http[in_slots][0] != process:
                limits = httpx2.Limits(
                    max_connections=_MOST_CONNECTIONS,
                    max_keepalive_connections=_MOST_CONNECTIONS,
                    keepalive_expiry=_KEPT_OPEN_SECONDS,
                )
                hooks: dict[str, list[Callable[..., Any]]] = {"request": [self._reserve_slot]} if in_slots else {}
                http = BoundedClient(event_hooks=hooks, limits=limits, transport=self._transport)
                self._http[in_slots] = (process, http)
            return self._http[in_slots][1]

    def _reserve_slot(self, sent: httpx2.Request) -> None:
        """Wait until the slot is near, and have it confirmed when the connection is there."""
        attempt = self._attempt.get()
        limiter, begun = attempt.access.limiter, time.perf_counter()
        with tracing.span("wait for a place"):
            attempt.slot = limiter.reserve(attempt.model, attempt.tokens)

        def confirm(event: str, details: Mapping[str, Any]) -> None:
            """Wait for the slot right before the head of the request is sent; a proxy's CONNECT needs none."""
            head = event.endswith("send_request_headers.started")
            if not head or getattr(details.get("request"), "method", b"") == b"CONNECT" or attempt.slot is None:
                return
            attempt.slot = limiter.confirm(attempt.model, attempt.slot)
            telemetry.waited_for_slot(attempt.model, time.perf_counter() - begun)
            try:
                attempt.check()
            except Cancelled:
                limiter.settle(attempt.model, attempt.slot, 0)
                raise
            attempt.sent_at = time.perf_counter()

        sent.extensions["trace"] = confirm

    def _downgraded(
        self,
        attempt: Attempt,
        request: LLMRequest,
        capabilities: EndpointCapabilities,
        limit: int,
        error: ProviderError,
    ) -> EndpointCapabilities:
        """Return the capabilities to try next, or raise what the status means for these items, this job, or all."""
        status, words, access, model = error.status, error.words, attempt.access, attempt.model
        told = retry_after(error.headers, self._now())
        meaning = meaning_of(status, words)
        about_limit = meaning == "form" or limit > request.max_answer_tokens or "max_tokens" in words
        if meaning in ("form", "too long") and about_limit:
            downgraded = capabilities.downgraded_for(words, limit)
            # The failures in a row stay: that the form was refused says nothing of what comes in another form.
            if downgraded is not None:
                return downgraded
        if attempt.slot is not None and meaning not in ("limit", "fault"):
            access.limiter.settle(model, attempt.slot, None)
        match meaning:
            case "limit":
                reason = "the provider says that its limit is reached (429)"
                seconds = access.limiter.pause(model, "refused", reason, told, attempt.slot)
                raise ProviderBusy(reason, seconds) from None
            case "fault":
                raise self._failed(attempt, f"the provider answered {status}", told) from None
            case "filtered":
                raise Unanswerable("the provider's content filter refused it") from None
            case "too long":
                raise Unanswerable("its text is too long for the model") from None
        sentence = refusal(status, words, access.name)
        if meaning == "moved":
            address = access.endpoint.base_url or ""
            sentence = MOVED.format(there=moved_to(address, error.headers.get("location", "")), status=status)
        if meaning not in ("account", "moved"):
            raise Rejected(sentence) from None
        access.memory.remember_refusal(access.name, sentence)
        raise Refused(sentence) from None

    def _failed(self, attempt: Attempt, reason: str, told_seconds: float | None = None) -> Failure:
        """Return what a failure of the provider means: once, try again; often in a row, a pause for all."""
        seconds = attempt.access.limiter.pause(attempt.model, "failed", reason, told_seconds, attempt.slot)
        return ProviderBusy(reason, seconds) if seconds else Retryable(reason)

    def _failure_of(self, attempt: Attempt, error: Exception) -> Failure | Cancelled:
        """Return the verdict where there is no usable response.

        What was raised in a hook comes out as it was.
        """
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, Failure | Cancelled):
                return cause
            if isinstance(cause, TooLarge):
                error = cause
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            status, reason = "timeout", "the provider did not answer in time"
        elif isinstance(error, TooLarge):
            status, reason = "unreadable", "the provider's answer is too large to be one"
        elif isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
            status, reason = "cut", "the connection to the provider failed or was cut"
        else:
            status, reason = "unreadable", f"the provider's answer cannot be read ({type(error).__name__})"
        _count(attempt, status)
        return self._failed(attempt, reason)


def form_of(
    access: Access, request: LLMRequest, parameters: Parameters, capabilities: EndpointCapabilities, limit: int
) -> dict[str, Any]:
    """Return what the SDK is given for a request, in the form that the endpoint takes."""
    in_prompt = capabilities.step != "json_schema"
    asked: dict[str, Any] = {
        "model": access.name,
        "messages": with_schema(request) if in_prompt else request.messages,
        capabilities.limit_name: limit,
    }
    if capabilities.temperature and parameters.temperature not in (None, "default"):
        asked["temperature"] = parameters.temperature
    if parameters.reasoning_effort:
        asked["reasoning_effort"] = parameters.reasoning_effort
    extra_body = {"enable_thinking": False} if capabilities.thinking_off else {}
    if extra_body := extra_body | parameters.extra_body:
        asked["extra_body"] = extra_body
    if capabilities.stream:
        asked["stream"] = True
        if capabilities.stream_usage:
            asked["stream_options"] = {"include_usage": True}
    if capabilities.step == "json_object":
        asked["response_format"] = {"type": "json_object"}
    elif capabilities.step == "json_schema":
        wanted = {"name": request.kind, "strict": True, "schema": schema_of(request.kind)}
        asked["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return asked


def _how_late(failure: Failure) -> tuple[int, float]:
    """Order failures by when another try may help: soonest first, and never last."""
    if isinstance(failure, Wait):
        return 1, failure.seconds
    return (0, 0.0) if isinstance(failure, Retryable) else (2, 0.0)


def _count(attempt: Attempt, status: str) -> None:
    """Count what has left. A request whose slot was refused has not."""
    if attempt.sent_at is not None:
        telemetry.provider_answered(attempt.model, status, time.perf_counter() - attempt.sent_at)
