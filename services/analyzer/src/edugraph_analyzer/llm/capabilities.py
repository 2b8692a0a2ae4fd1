"""The capabilities of an endpoint: found by asking, downgraded step by step, and stored in Redis for all processes.

Three ways to get a structured answer are tried, the best one first: a strict JSON schema, any JSON object, and the
schema in the prompt only. Names of parameters are found in the same way.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import redis

from edugraph_analyzer.findings.schema import read_json
from edugraph_analyzer.models_file import LimitName, Parameters, Step
from edugraph_analyzer.prompting.questions import LLMResponse

STEPS: tuple[Step, ...] = ("json_schema", "json_object", "prompt")
_REMEMBERED_SECONDS = 7 * 86_400
# A refused key or model is not tried again before this time is over.
_REFUSED_SECONDS = 30
# The version of the stored form. A release with another version ignores what this one stored.
_FORM = 2
_ABOUT_FORMAT = ("response_format", "json_schema", "json_object", "structured", "grammar", "schema")
_TOO_LARGE = ("too large", "at most", "range", "exceed", "less than", "maximum")
# DashScope says "does not support http call".
_ABOUT_STREAM = ("stream", "does not support http call")
_LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
_SMALLEST_LIMIT = 64
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class EndpointCapabilities:
    """The form of request that an endpoint accepts. `proven` is True once it has answered a request of this form.

    `stream` says that it answers in a stream, and `stream_usage` that the stream can report the tokens.
    `thinking_off` says that the request must switch thinking off. `headroom` is the number of tokens that it needs
    beyond those of the answer. `most_tokens` is the largest limit of an answer that it accepts.
    """

    step: Step = "json_schema"
    limit_name: LimitName = "max_tokens"
    temperature: bool = True
    stream: bool = False
    stream_usage: bool = True
    thinking_off: bool = False
    headroom: int = 0
    most_tokens: int | None = None
    proven: bool = False

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> "EndpointCapabilities":
        """Return the capabilities that the settings give to an endpoint that was never asked."""
        return cls(
            step=parameters.response_format or "json_schema",
            limit_name=parameters.limit_parameter or "max_tokens",
            stream=bool(parameters.stream),
        )

    def downgraded(self) -> "EndpointCapabilities | None":
        """Return these capabilities with the next way of structured answers, or None after the last way."""
        next_index = STEPS.index(self.step) + 1
        if next_index == len(STEPS):
            return None
        return replace(self, step=STEPS[next_index], proven=False)

    def downgraded_for(self, words: str, limit: int) -> "EndpointCapabilities | None":
        """Return the capabilities to try after a 400 with these words, or None if the request itself must be wrong.

        `limit` is the number of tokens that the request allowed for the answer. An endpoint that has never answered
        may refuse a format in words that do not name it.
        """
        is_too_large = _has(words, _TOO_LARGE) and "instead" not in words
        if is_too_large and limit > _SMALLEST_LIMIT and _has(words, _LIMIT_NAMES):
            # The refusal may name the largest limit. Otherwise half of the limit is tried.
            numbers = [int(number) for number in _NUMBER.findall(words)]
            plausible = [number for number in numbers if limit // 8 <= number < limit]
            return replace(self, most_tokens=max(plausible, default=limit // 2))
        other: EndpointCapabilities | None = None
        if self.limit_name == "max_tokens" and "max_completion_tokens" in words:
            other = replace(self, limit_name="max_completion_tokens")
        elif self.temperature and "temperature" in words:
            other = replace(self, temperature=False)
        elif self.stream and self.stream_usage and "stream_options" in words:
            other = replace(self, stream_usage=False)
        elif not self.thinking_off and "enable_thinking" in words:
            other = replace(self, thinking_off=True)
        elif not self.stream and _has(words, _ABOUT_STREAM):
            other = replace(self, stream=True)
        elif not self.proven or _has(words, _ABOUT_FORMAT):
            other = self.downgraded()
        return other

    def after(self, response: LLMResponse) -> "EndpointCapabilities":
        """Return the capabilities that are known after a response.

        JSON proves the capabilities. A complete answer that needed more tokens proves its headroom. Prose in a
        complete answer shows that the server ignored the format, if the capabilities were not proven.
        """
        is_json = read_json(response.text) is not None
        known = self
        if is_json and response.complete and response.headroom > self.headroom:
            known = replace(known, headroom=response.headroom)
        if known.proven:
            return known
        if is_json:
            return replace(known, proven=True)
        if response.complete:
            return known.downgraded() or known
        return known


def _has(words: str, any_of: Iterable[str]) -> bool:
    return any(word in words for word in any_of)


class EndpointMemory:
    """Remembers the capabilities and refusals of one key at one address, in this process and in Redis.

    If Redis does not answer, they are found again.
    """

    def __init__(self, server: "redis.Redis", address: str, secret: str | None) -> None:
        self._redis = server
        self._address = address
        self._secret = secret
        # (name of the model, parameters in the settings) -> capabilities
        self._capabilities: dict[tuple[str, str], EndpointCapabilities] = {}

    def capabilities_of(self, model: str, parameters: Parameters) -> EndpointCapabilities:
        """Return the known capabilities of a model. `parameters`, its settings, give the first ones."""
        name = model, parameters.model_dump_json(exclude_unset=True)
        if name not in self._capabilities:
            stored = self._read(self._key("form", *name))
            if stored:
                self._capabilities[name] = EndpointCapabilities(**json.loads(stored))
            else:
                self._capabilities[name] = EndpointCapabilities.from_parameters(parameters)
        return self._capabilities[name]

    def remember(
        self, model: str, parameters: Parameters, capabilities: EndpointCapabilities
    ) -> None:
        """Remember the capabilities of a model, in Redis only if they changed."""
        name = model, parameters.model_dump_json(exclude_unset=True)
        if capabilities != self._capabilities.get(name):
            self._capabilities[name] = capabilities
            self._write(
                self._key("form", *name), json.dumps(asdict(capabilities)), _REMEMBERED_SECONDS
            )

    def refusal_of(self, model: str) -> str | None:
        """Return why this model or key was refused a moment ago, so that not every pack of a job tries it again."""
        return self._read(self._key("refusal", model, self._secret or ""))

    def remember_refusal(self, model: str, sentence: str) -> None:
        """Remember a refusal of this key. It does not stop another key."""
        self._write(self._key("refusal", model, self._secret or ""), sentence, _REFUSED_SECONDS)

    def _key(self, what: str, *parts: str) -> str:
        endpoint = "|".join((self._address, *parts, str(_FORM)))
        return f"edugraph:llm:{what}:{hashlib.sha256(endpoint.encode()).hexdigest()[:16]}"

    def _read(self, key: str) -> str | None:
        try:
            kept = self._redis.get(key)
        except redis.RedisError:
            return None
        if isinstance(kept, bytes):
            return kept.decode()
        return kept

    def _write(self, key: str, value: str, seconds: int) -> None:
        try:
            self._redis.set(key, value, ex=seconds)
        except redis.RedisError:
            return
