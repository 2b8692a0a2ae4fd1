"""The model room: the only place that knows the `openai` package. One request, one reply or one of three failures.

Every physical attempt passes the limiter: the SDK's own retries are off, and the place is taken in a hook of its HTTP
client, which runs for redirects too. Three steps of structured answers are tried from the best down; which one an
endpoint takes, and which names of parameters, is found once and remembered in Redis for all processes.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import httpx2
import openai
import redis

from edugraph_analyzer import counting
from edugraph_analyzer.answers import read_json, schema_of
from edugraph_analyzer.limiter import Limiter, Place
from edugraph_analyzer.questions import Ask, Cancelled, Reply, Unanswerable, estimated_request, with_schema
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Failure, Rejected, Retryable, Wait
from edugraph_common.contracts.findings import Kind
from edugraph_common.platform import tracing

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

Step = Literal["json_schema", "json_object", "prompt"]
STEPS: tuple[Step, ...] = ("json_schema", "json_object", "prompt")
_REMEMBERED = 7 * 86_400  # seconds
_REFUSED = 30  # seconds in which a refused key or model is not tried again
_TOO_MANY, _BAD_REQUEST, _UNPROCESSABLE, _PAYMENT = 429, 400, 422, 402
_NOT_FOUND = 404
_ABOUT_ACCOUNT = frozenset({401, _PAYMENT, 403, _NOT_FOUND})
_SERVER_ERROR = 500
_CONFLICT, _TIMED_OUT, _TOO_EARLY = 409, 408, 425


@dataclass(frozen=True)
class Form:
    """How an endpoint wants to be asked. `proven`: it has answered to this form before."""

    step: Step = "json_schema"
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: bool = True
    proven: bool = False


@dataclass(frozen=True)
class Answered:
    """A reply with the headers of its response."""

    reply: Reply
    headers: Mapping[str, str]


def _no_check() -> None:
    return


class Model:
    """One provider. Opens its connections at the first request of each process (`process_id` tells a fork apart)."""

    def __init__(
        self,
        settings: AnalyzerSettings,
        server: "redis.Redis",
        limiter: Limiter,
        *,
        process_id: Callable[[], int],
        now: Callable[[], float],
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._settings, self._redis, self._limiter, self._now = settings, server, limiter, now
        self._process_id, self._transport = process_id, transport
        self._client: tuple[int, openai.OpenAI] | None = None
        self._forms: dict[str, Form] = {}
        self._request: ContextVar[tuple[str, int, Callable[[], None]]] = ContextVar("request")
        self._place: ContextVar[Place | None] = ContextVar("place", default=None)
        self._sent: ContextVar[float | None] = ContextVar("sent", default=None)

    def ask(self, ask: Ask, check: Callable[[], None] = _no_check) -> Reply:
        """Raises Retryable, Wait or Rejected; Unanswerable for what concerns only these items; what `check` raises.

        `check` is called before each attempt, when its place has come: to wait for that may take a minute. A key or a
        model that was just refused is not tried again by each of a job's packs.
        """
        name = self._settings.model_for(ask.kind)
        refusal = self._recalled(self._memory(name, "refusal"))
        if refusal:
            raise Rejected(refusal)
        return self.ask_in_full(ask, check).reply

    def ask_in_full(self, ask: Ask, check: Callable[[], None] = _no_check) -> Answered:
        name = self._settings.model_for(ask.kind)
        form = self._form(name)
        while True:
            try:
                answered = self._attempt(name, ask, form, check)
            except openai.APIStatusError as error:
                form = self._conceded(name, form, error)
                continue
            self._learn(name, form, answered.reply)
            return answered

    def step(self, kind: Kind) -> Form:
        """What is known of the endpoint now."""
        return self._form(self._settings.model_for(kind))

    # --- one attempt ------------------------------------------------------------------------------------------

    def _attempt(self, name: str, ask: Ask, form: Form, check: Callable[[], None]) -> Answered:
        """Raises openai.APIStatusError for what another form of the request may put right."""
        parameters = self._parameters(name, ask, form)
        tokens = estimated_request(parameters["messages"]) + ask.limit // 2
        self._request.set((name, tokens, check))
        self._sent.set(None)
        try:
            with tracing.span(f"chat {name}", "client", **{"gen_ai.request.model": name, "edugraph.kind": ask.kind}):
                raw = self._opened().chat.completions.with_raw_response.create(**parameters)
            completion = raw.parse()
        except openai.APIStatusError as error:
            self._answered(name, str(error.status_code))
            self._raise_for_status(name, form, error)
        except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
            self._answered(name, _missing(error))
            raise _unreached(error) from None
        self._answered(name, str(raw.http_response.status_code))
        reply = _reply(completion)
        self._settle(name, reply)
        return Answered(reply, raw.headers)

    def _parameters(self, name: str, ask: Ask, form: Form) -> dict[str, Any]:
        messages = ask.messages if form.step == "json_schema" else with_schema(ask)
        parameters: dict[str, Any] = {"model": name, "messages": messages, form.limit_name: ask.limit}
        if form.temperature and self._settings.temperature is not None:
            parameters["temperature"] = self._settings.temperature
        if form.step != "prompt":
            parameters["response_format"] = _response_format(form.step, ask.kind, ask.items, ask.points)
        return parameters

    def _settle(self, name: str, reply: Reply) -> None:
        place = self._place.get()
        if place is not None and reply.input_tokens:
            self._limiter.settle(name, place, reply.input_tokens + reply.output_tokens)

    def _opened(self) -> openai.OpenAI:
        process = self._process_id()
        if self._client is None or self._client[0] != process:
            self._client = (process, self._open())
        return self._client[1]

    def _open(self) -> openai.OpenAI:
        settings = self._settings
        timeout = httpx2.Timeout(settings.call_timeout, connect=settings.connect_timeout)
        hooks = {"request": [self._take_place]}
        http = openai.DefaultHttpxClient(event_hooks=hooks, timeout=timeout, transport=self._transport)
        return openai.OpenAI(
            api_key=settings.secret or "none",  # a server of one's own asks for no key, the SDK does
            base_url=settings.openai_base_url,
            timeout=timeout,
            max_retries=0,
            http_client=http,
        )

    def _take_place(self, _request: httpx2.Request) -> None:
        name, tokens, check = self._request.get()
        with tracing.span("wait for a place"):
            place = self._limiter.acquire(name, tokens)
        try:
            check()
        except Cancelled:
            self._limiter.settle(name, place, 0)
            raise
        self._place.set(place)
        self._sent.set(time.perf_counter())

    def _answered(self, name: str, status: str) -> None:
        """Counts what has left; a request whose place was refused has not."""
        sent = self._sent.get()
        if sent is not None:
            counting.answered(name, status, time.perf_counter() - sent)

    # --- failures ---------------------------------------------------------------------------------------------

    def _raise_for_status(self, name: str, form: Form, error: openai.APIStatusError) -> NoReturn:
        status, words = error.status_code, _words_of(error)
        if status == _TOO_MANY and "insufficient_quota" not in words:
            told = retry_after(error.response.headers, self._now())
            raise Wait("the provider says that its limit is reached (429)", self._limiter.pause(name, told)) from None
        if status >= _SERVER_ERROR or status in (_CONFLICT, _TIMED_OUT, _TOO_EARLY):
            raise Retryable(f"the provider answered {status}") from None
        if status in (_BAD_REQUEST, _UNPROCESSABLE):
            _raise_for_items(words)
            if _concession(form, words) is not None:
                raise error
        raise self._refused(name, status, words) from None

    def _refused(self, name: str, status: int, words: str) -> Rejected:
        sentence = _refusal(status, words, name)
        if status in _ABOUT_ACCOUNT:
            self._keep(self._memory(name, "refusal"), sentence, _REFUSED)
        return Rejected(sentence)

    def _conceded(self, name: str, form: Form, error: openai.APIStatusError) -> Form:
        conceded = _concession(form, _words_of(error))
        if conceded is None:
            raise self._refused(name, error.status_code, _words_of(error)) from None
        return conceded

    # --- what is remembered of an endpoint --------------------------------------------------------------------

    def _form(self, name: str) -> Form:
        if name not in self._forms:
            self._forms[name] = self._recall(name)
        return self._forms[name]

    def _recall(self, name: str) -> Form:
        kept = self._recalled(self._memory(name, "form"))
        return Form(**json.loads(kept)) if kept else Form()

    def _learn(self, name: str, form: Form, reply: Reply) -> None:
        """A form is proven by JSON; prose in answer to an unproven one means that the server ignored the format."""
        is_json = read_json(reply.text) is not None
        if form.proven or not (is_json or reply.complete):
            learnt = form
        elif is_json:
            learnt = replace(form, proven=True)
        else:
            learnt = _stepped_down(form) or form
        if learnt != self._forms.get(name):
            self._forms[name] = learnt
            self._keep(self._memory(name, "form"), json.dumps(asdict(learnt)), _REMEMBERED)

    def _recalled(self, key: str) -> str | None:
        try:
            kept = self._redis.get(key)
        except redis.RedisError:
            return None
        return kept.decode() if isinstance(kept, bytes) else kept

    def _keep(self, key: str, value: str, seconds: int) -> None:
        try:
            self._redis.set(key, value, ex=seconds)
        except redis.RedisError:
            return

    def _memory(self, name: str, what: Literal["form", "refusal"]) -> str:
        """A refusal is one of this key: another key is tried at once."""
        secret = self._settings.secret or "" if what == "refusal" else ""
        endpoint = f"{self._settings.openai_base_url or ''}|{name}" + (f"|{secret}" if secret else "")
        return f"edugraph:llm:{what}:{hashlib.sha256(endpoint.encode()).hexdigest()[:16]}"


@lru_cache
def _response_format(step: Step, kind: Kind, items: int, points: int) -> dict[str, Any]:
    if step == "json_object":
        return {"type": "json_object"}
    schema = schema_of(kind, items, points)
    return {"type": "json_schema", "json_schema": {"name": kind, "strict": True, "schema": schema}}


def _reply(completion: "ChatCompletion | Any") -> Reply:
    """Raises Retryable for a body that is no chat completion, Unanswerable for a refusal."""
    choice = next(iter(getattr(completion, "choices", None) or ()), None)
    message = getattr(choice, "message", None)
    if choice is None or message is None:
        raise Retryable("the provider answered something that is not a chat completion")
    if choice.finish_reason == "content_filter" or getattr(message, "refusal", None):
        raise Unanswerable("the provider's content filter refused it")
    usage = getattr(completion, "usage", None)
    return Reply(
        text=message.content or "",
        complete=choice.finish_reason != "length",
        input_tokens=getattr(usage, "prompt_tokens", None) or 0,
        output_tokens=getattr(usage, "completion_tokens", None) or 0,
    )


def _unreached(error: Exception) -> Failure | Cancelled:
    """No usable response. What was raised inside the hook comes out as it was."""
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


def _missing(error: Exception) -> str:
    """Why there is no answer, in one word."""
    if isinstance(error, openai.APITimeoutError):
        return "timeout"
    return "cut" if isinstance(error, openai.APIConnectionError) else "unreadable"


def _words_of(error: openai.APIStatusError) -> str:
    """Code, parameter and message of an error body, for matching only: they may repeat what was sent."""
    body = error.body if isinstance(error.body, dict) else {}
    parts = (body.get("code"), body.get("param"), body.get("type"), body.get("message"), error.message)
    return " ".join(str(part) for part in parts if part).casefold()


_TOO_LONG = ("context_length_exceeded", "maximum context length", "context size", "too many tokens", "context window")
_FILTERED = ("content_filter", "content management policy", "data_inspection_failed", "content_policy")
_ABOUT_FORMAT = ("response_format", "json_schema", "json_object", "structured", "grammar", "schema")


def _raise_for_items(words: str) -> None:
    if any(word in words for word in _TOO_LONG):
        raise Unanswerable("its text is too long for the model")
    if any(word in words for word in _FILTERED):
        raise Unanswerable("the provider's content filter refused it")


def _concession(form: Form, words: str) -> Form | None:
    """The next form to try after a 400; None if the request itself must be wrong.

    An endpoint that has never answered may refuse a format in words that do not name it.
    """
    if form.limit_name == "max_tokens" and "max_completion_tokens" in words:
        return replace(form, limit_name="max_completion_tokens")
    if form.temperature and "temperature" in words:
        return replace(form, temperature=False)
    if not form.proven or any(word in words for word in _ABOUT_FORMAT):
        return _stepped_down(form)
    return None


def _stepped_down(form: Form) -> Form | None:
    below = STEPS.index(form.step) + 1
    return replace(form, step=STEPS[below], proven=False) if below < len(STEPS) else None


_ABOUT_MODEL = (
    "model_not_found",
    "does not exist",
    "model not found",
    "unknown model",
    "no such model",
    "invalid model",
)


def _refusal(status: int, words: str, model: str) -> str:
    """One sentence that says what to set. The provider's own words are left out: they may repeat the text."""
    if status == _NOT_FOUND or any(word in words for word in _ABOUT_MODEL):
        return (
            f"the provider does not know the model {model!r} (or the address): "
            "set EDUGRAPH_MODEL, or EDUGRAPH_OPENAI_BASE_URL, to one that it has"
        )
    sentences = {
        401: "the provider does not accept the key (401): set EDUGRAPH_OPENAI_API_KEY to a valid one",
        403: f"the key may not use {model!r} (403): set another EDUGRAPH_MODEL or EDUGRAPH_OPENAI_API_KEY",
        _PAYMENT: "the account has no credit left (402): top it up, or set another EDUGRAPH_OPENAI_API_KEY",
        _TOO_MANY: "the provider's account has no quota left: top it up, or set another EDUGRAPH_OPENAI_API_KEY",
    }
    return sentences.get(
        status, f"the provider refuses the request ({status}): ask `edugraph provider check` what it accepts"
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the headers ask to wait: in milliseconds, seconds or by a date (RFC 9110 10.2.3), or None."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if _NUMBER.fullmatch(value):
            return float(value) * unit
    value = headers.get("retry-after", "").strip()
    return _until(value, now) if value else None


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _until(date: str, now: float) -> float | None:
    try:
        return max(parsedate_to_datetime(date).timestamp() - now, 0.0)
    except ValueError:
        return None
