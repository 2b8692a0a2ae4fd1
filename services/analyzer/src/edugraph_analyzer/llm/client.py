"""The client of the language model: one request, and one response or a failure.

Every physical attempt needs a slot of the rate limiter. The SDK's own retries are off, and no redirect is followed. A
hook of its HTTP client reserves the slot. The slot is confirmed when the connection is open, right before the head of
the request is sent, so that the time for DNS, TCP and TLS is not between a slot and its request. `bounded_http` ends
each exchange in time.
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
from edugraph_analyzer.llm.access import Access
from edugraph_analyzer.llm.batches import ProviderBatches
from edugraph_analyzer.llm.bounded_http import BoundedClient, EncodedTwice, TooLarge
from edugraph_analyzer.llm.capabilities import EndpointCapabilities, EndpointMemory
from edugraph_analyzer.llm.rate_limiter import RateLimiter, Slot, name_of_key
from edugraph_analyzer.llm.refusals import (
    MOVED,
    meaning_of,
    moved_to,
    refusal,
    retry_after,
    words_of,
)
from edugraph_analyzer.llm.responses import AnsweredError, Asked, Unreadable, body_of, response_of
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
from edugraph_common.contracts.errors import (
    Failure,
    ProviderBusy,
    Refused,
    Rejected,
    Retryable,
    Wait,
)
from edugraph_common.contracts.findings import Kind
from edugraph_common.runtime.service import tracing

# An unused connection stays open this long. Many servers close it after a minute.
_KEPT_OPEN_SECONDS = 50.0
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
    """An error of the provider. `status` is that of its response, or the status that its body names.

    `output_tokens` is the estimate for the text that came before the error.
    """

    def __init__(
        self, status: int, words: str, headers: Mapping[str, str], output_tokens: int = 0
    ) -> None:
        super().__init__(status)
        self.status = status
        self.words = words
        self.headers = headers
        self.output_tokens = output_tokens


def no_check() -> None:
    """Let every request be sent."""


def no_count(_input_tokens: int, _output_tokens: int) -> None:
    """Count nothing."""


class LLMClient:
    """The client of the endpoints in the settings, which are asked in their order.

    It opens its connections at the first request of each process. `process_id` shows whether the process was forked.
    `now` returns seconds since the epoch, to which a date in a Retry-After header is compared. `limiter_of` makes the
    rate limiter of a key at an endpoint.
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
        self._settings = settings
        self._server = server
        self._now = now
        self._process_id = process_id
        self._transport = transport
        self._limiter_of = limiter_of
        self._opening = threading.Lock()
        # whether its requests take slots -> (id of the process that opened it, client)
        self._http: dict[bool, tuple[int, httpx2.Client]] = {}
        # name of a key -> its limiter
        self._limiters: dict[str, RateLimiter] = {}
        # (address, name of a key) -> its memory
        self._memories: dict[tuple[str, str], EndpointMemory] = {}
        self._attempt: ContextVar[Attempt] = ContextVar("attempt")

    def complete(
        self,
        request: LLMRequest,
        check: Callable[[], None] = no_check,
        count_lost: Callable[[int, int], None] = no_count,
    ) -> LLMResponse:
        """Return the answer to a request. If a key fails, the next key is asked.

        A key or a model that was refused a moment ago is not tried, so that not every pack of a job tries it again.
        `check` is called before each attempt, when the attempt has its slot, for which it may wait a minute.
        `count_lost` is called with the estimated input and output tokens of each attempt that was sent and brought no
        answer, because providers bill time-outs too.

        Raises Retryable, Wait, Rejected (or Refused if it concerns all requests of the job), Unanswerable if it
        concerns only the items of this request, and the exceptions of `check`.
        """
        failures: list[Failure] = []
        accesses = self.accesses(request.kind)
        # Paused keys come last. A single key is asked in any case.
        if len(accesses) > 1:
            accesses.sort(key=lambda access: access.limiter.paused_seconds(access.model))
        for access in accesses:
            refused = access.memory.refusal_of(access.name)
            if refused:
                failures.append(Refused(refused))
                continue
            try:
                return self._asked(access, request, check, count_lost).response
            except (Retryable, Wait, Refused) as failure:
                failures.append(failure)
        raise min(failures, key=_how_late)

    def judge(self, reason: str) -> float:
        """Count the last response of this thread as useless for a `reason`, or as useful if `reason` is "".

        Return the length of the pause in seconds that follows too many useless responses in a row, or 0.
        """
        attempt = self._attempt.get()
        if not reason:
            attempt.access.limiter.worked(attempt.model)
            return 0.0
        return attempt.access.limiter.pause(attempt.model, "useless", reason, None, attempt.slot)

    def complete_with_headers(
        self, request: LLMRequest, check: Callable[[], None] = no_check
    ) -> ResponseWithHeaders:
        """Ask the first endpoint with its first key, also after a refusal. Raises the errors of `complete`."""
        return self._asked(self.accesses(request.kind)[0], request, check, no_count)

    def capabilities(self, kind: Kind) -> EndpointCapabilities:
        """Return the known capabilities of the endpoint that is asked first for this kind."""
        first = self.accesses(kind)[0]
        return first.memory.capabilities_of(first.name, first.parameters)

    def accesses(self, kind: Kind) -> list[Access]:
        """Return all keys of all endpoints of a kind's model, in the order of the settings."""
        model = self._settings.model_for(kind)
        parameters = self._settings.parameters_for(kind)
        in_file = self._settings.models.models.get(model)
        accesses = list[Access]()
        for endpoint in self._settings.endpoints_for(model):
            name = model
            if in_file:
                name = in_file.names.get(endpoint.name, model)
            address = endpoint.base_url or ""
            secrets: list[str | None] = [key.get_secret_value() for key in endpoint.keys]
            for secret in secrets or [None]:
                key = name_of_key(endpoint, secret)
                with self._opening:
                    if key not in self._limiters:
                        self._limiters[key] = self._limiter_of(endpoint, key)
                    if (address, key) not in self._memories:
                        self._memories[address, key] = EndpointMemory(self._server, address, secret)
                access = Access(
                    model=model,
                    parameters=parameters,
                    endpoint=endpoint,
                    secret=secret,
                    name=name,
                    key=key,
                    limiter=self._limiters[key],
                    memory=self._memories[address, key],
                )
                accesses.append(access)
        return accesses

    def _asked(
        self,
        access: Access,
        request: LLMRequest,
        check: Callable[[], None],
        count_lost: Callable[[int, int], None],
    ) -> ResponseWithHeaders:
        """Ask one endpoint. If it refuses the form of a request, the request is sent again in another form."""
        model = access.model
        parameters = access.parameters
        capabilities = access.memory.capabilities_of(access.name, parameters)
        while True:
            limit = _limit_of(request, capabilities)
            form = form_of(access, request, parameters, capabilities, limit)
            asked = Asked(
                estimated_request(form["messages"]),
                limit,
                max(limit - request.max_answer_tokens, 0),
            )
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
                raise RuntimeError(
                    "a request has left without a slot: the HTTP client no longer tells when it sends"
                )
            _count(attempt, str(raw.status_code))
            used = response.input_tokens + response.output_tokens
            access.limiter.settle(model, attempt.slot, used or None)
            access.memory.remember(access.name, parameters, capabilities.after(response))
            return ResponseWithHeaders(response, raw.headers)

    def _exchanged(
        self, attempt: Attempt, form: dict[str, Any], asked: Asked, kind: Kind
    ) -> tuple[httpx2.Response, LLMResponse]:
        """Send one request and read its answer. The SDK sends the request, and does not read the answer.

        The SDK does not check the values of a body, so a wrong value would raise an error anywhere.
        Raises ProviderError, Unreadable, and the exceptions of the SDK.
        """
        access = attempt.access
        attributes = {"gen_ai.request.model": attempt.model, "edugraph.kind": kind}
        timeout = self._timeout(access.parameters)
        with tracing.span(f"chat {attempt.model}", "client", **attributes):
            try:
                given = self._sdk(access).chat.completions.with_raw_response.create(
                    **form, timeout=timeout
                )
            except openai.APIStatusError as error:
                words = words_of(error.body, error.message)
                raise ProviderError(error.status_code, words, error.response.headers) from None
            raw: httpx2.Response = given.http_response
            try:
                return raw, response_of(body_of(raw.read()), asked)
            except AnsweredError as error:
                raise ProviderError(
                    error.status, error.words, raw.headers, error.output_tokens
                ) from None

    def batchable(self, kind: Kind) -> Access | None:
        """Return the first key that was not refused a moment ago, or None if its endpoint answers in streams only."""
        for access in self.accesses(kind):
            if access.memory.refusal_of(access.name):
                continue
            capabilities = access.memory.capabilities_of(access.name, access.parameters)
            if capabilities.stream:
                return None
            return access
        return None

    def batch_body(self, access: Access, request: LLMRequest) -> dict[str, Any]:
        """Return the body of a request that is part of a batch."""
        capabilities = access.memory.capabilities_of(access.name, access.parameters)
        limit = _limit_of(request, capabilities)
        body = form_of(access, request, access.parameters, capabilities, limit)
        extra: dict[str, Any] = body.pop("extra_body", {})
        return body | extra

    def batches(self, access: Access) -> ProviderBatches:
        """Return the files and batches of a key. They use connections of their own, which take no slots."""
        sdk = self._sdk(access, in_slots=False).with_options(
            timeout=self._timeout(access.parameters)
        )
        return ProviderBatches(sdk, access, self._now)

    def _timeout(self, parameters: Parameters) -> httpx2.Timeout:
        seconds = parameters.timeout_seconds or self._settings.call_timeout_seconds
        return httpx2.Timeout(seconds, connect=self._settings.connect_timeout_seconds)

    def _sdk(self, access: Access, *, in_slots: bool = True) -> openai.OpenAI:
        """Return the SDK's client of one key. All of them share the connections of this process."""
        return openai.OpenAI(
            # The SDK requires a key, although a server in the school may need none.
            api_key=access.secret or "none",
            base_url=access.endpoint.base_url,
            max_retries=0,
            http_client=self._opened(in_slots=in_slots),
        )

    def _opened(self, *, in_slots: bool = True) -> httpx2.Client:
        """Return the HTTP client of this process. A fork must not share the connections that its parent opened.

        `in_slots` says that each of its requests takes a slot of the rate limiter.
        """
        process = self._process_id()
        with self._opening:
            process_that_opened, _ = self._http.get(in_slots, (None, None))
            if process_that_opened != process:
                limits = httpx2.Limits(
                    max_connections=_MOST_CONNECTIONS,
                    max_keepalive_connections=_MOST_CONNECTIONS,
                    keepalive_expiry=_KEPT_OPEN_SECONDS,
                )
                hooks: dict[str, list[Callable[..., Any]]] = {}
                if in_slots:
                    hooks["request"] = [self._reserve_slot]
                http = BoundedClient(event_hooks=hooks, limits=limits, transport=self._transport)
                self._http[in_slots] = (process, http)
            return self._http[in_slots][1]

    def _reserve_slot(self, sent: httpx2.Request) -> None:
        """Wait until the slot is near, and let the HTTP client confirm it when the connection is open."""
        attempt = self._attempt.get()
        limiter = attempt.access.limiter
        begun = time.perf_counter()
        with tracing.span("wait for a place"):
            attempt.slot = limiter.reserve(attempt.model, attempt.tokens)

        def confirm(event: str, details: Mapping[str, Any]) -> None:
            """Wait for the slot right before the head of the request is sent. A CONNECT to a proxy needs no slot."""
            is_head = event.endswith("send_request_headers.started")
            is_connect = getattr(details.get("request"), "method", b"") == b"CONNECT"
            if not is_head or is_connect or attempt.slot is None:
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
        """Return the capabilities to try next, or raise the failure of these items, of this job, or of all jobs."""
        status = error.status
        words = error.words
        access = attempt.access
        model = attempt.model
        asked_seconds = retry_after(error.headers, self._now())
        meaning = meaning_of(status, words)
        may_be_limit = limit > request.max_answer_tokens or "max_tokens" in words
        if meaning == "form" or (meaning == "too long" and may_be_limit):
            downgraded = capabilities.downgraded_for(words, limit)
            # The slot is not settled here, so the count of failures in a row stays: another form may fail as well.
            if downgraded is not None:
                return downgraded
        if attempt.slot is not None and meaning not in ("limit", "fault"):
            access.limiter.settle(model, attempt.slot, None)
        match meaning:
            case "limit":
                reason = "the provider says that its limit is reached (429)"
                seconds = access.limiter.pause(
                    model, "refused", reason, asked_seconds, attempt.slot
                )
                raise ProviderBusy(reason, seconds) from None
            case "fault":
                raise self._failed(
                    attempt, f"the provider answered {status}", asked_seconds
                ) from None
            case "filtered":
                raise Unanswerable("the provider's content filter refused it") from None
            case "too long":
                raise Unanswerable("its text is too long for the model") from None
        sentence = refusal(status, words, access.name)
        if meaning == "moved":
            address = access.endpoint.base_url or ""
            sentence = MOVED.format(
                there=moved_to(address, error.headers.get("location", "")), status=status
            )
        if meaning not in ("account", "moved"):
            raise Rejected(sentence) from None
        access.memory.remember_refusal(access.name, sentence)
        raise Refused(sentence) from None

    def _failed(self, attempt: Attempt, reason: str, asked_seconds: float | None = None) -> Failure:
        """Count a failure of the provider. Return Retryable, or ProviderBusy if failures in a row begin a pause."""
        seconds = attempt.access.limiter.pause(
            attempt.model, "failed", reason, asked_seconds, attempt.slot
        )
        if seconds:
            return ProviderBusy(reason, seconds)
        return Retryable(reason)

    def _failure_of(self, attempt: Attempt, error: Exception) -> Failure | Cancelled:
        """Return the failure to raise if there is no usable response.

        A failure that a hook of the HTTP client raised is returned as it is.
        """
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, Failure | Cancelled):
                return cause
            if isinstance(cause, TooLarge | EncodedTwice):
                error = cause
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            status = "timeout"
            reason = "the provider did not answer in time"
        elif isinstance(error, TooLarge):
            status = "unreadable"
            reason = "the provider's answer is too large to be one"
        elif isinstance(error, EncodedTwice):
            status = "unreadable"
            reason = "the provider's answer cannot be read: it is compressed more than once"
        elif isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
            status = "cut"
            reason = "the connection to the provider failed or was cut"
        else:
            status = "unreadable"
            reason = f"the provider's answer cannot be read ({type(error).__name__})"
        _count(attempt, status)
        return self._failed(attempt, reason)


def form_of(
    access: Access,
    request: LLMRequest,
    parameters: Parameters,
    capabilities: EndpointCapabilities,
    limit: int,
) -> dict[str, Any]:
    """Return the arguments for the SDK, in the form that the endpoint accepts."""
    messages = request.messages
    if capabilities.step != "json_schema":
        messages = with_schema(request)
    asked: dict[str, Any] = {
        "model": access.name,
        "messages": messages,
        capabilities.limit_name: limit,
    }
    if capabilities.temperature and parameters.temperature not in (None, "default"):
        asked["temperature"] = parameters.temperature
    if parameters.reasoning_effort:
        asked["reasoning_effort"] = parameters.reasoning_effort
    extra_body: dict[str, Any] = {}
    if capabilities.thinking_off:
        extra_body["enable_thinking"] = False
    extra_body |= parameters.extra_body
    if extra_body:
        asked["extra_body"] = extra_body
    if capabilities.stream:
        asked["stream"] = True
        if capabilities.stream_usage:
            asked["stream_options"] = {"include_usage": True}
    if capabilities.step == "json_object":
        asked["response_format"] = {"type": "json_object"}
    elif capabilities.step == "json_schema":
        form = request.answer_form
        wanted = {"name": form.name, "strict": True, "schema": form.schema}
        asked["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return asked


def _limit_of(request: LLMRequest, capabilities: EndpointCapabilities) -> int:
    """Return the limit of an answer in tokens: with the headroom, and at most what the endpoint accepts."""
    limit = request.max_answer_tokens + max(request.headroom, capabilities.headroom)
    return min(limit, capabilities.most_tokens or limit)


def _how_late(failure: Failure) -> tuple[int, float]:
    """Return a key that sorts failures by the time when another try may help. Failures that stay come last."""
    if isinstance(failure, Wait):
        return 1, failure.seconds
    if isinstance(failure, Retryable):
        return 0, 0.0
    return 2, 0.0


def _count(attempt: Attempt, status: str) -> None:
    """Count an attempt that was sent. A request without a slot was not sent."""
    if attempt.sent_at is not None:
        telemetry.provider_answered(attempt.model, status, time.perf_counter() - attempt.sent_at)
