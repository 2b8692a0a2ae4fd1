"""What an endpoint accepts: found once by asking, downgraded step by step, and remembered in Redis for all processes.

Three ways to get a structured answer are tried from the best down: a strict JSON schema, any JSON object, and the
schema in the prompt alone. Names of parameters are found likewise.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace

import redis

from edugraph_analyzer.findings.schema import read_json
from edugraph_analyzer.models_file import LimitName, Parameters, Step
from edugraph_analyzer.prompting.questions import LLMResponse

STEPS: tuple[Step, ...] = ("json_schema", "json_object", "prompt")
_REMEMBERED_SECONDS = 7 * 86_400
_REFUSED_SECONDS = 30  # a refused key or model is not tried again for so long
_FORM = 2  # of what is remembered; a release that knows another form asks anew
_ABOUT_FORMAT = ("response_format", "json_schema", "json_object", "structured", "grammar", "schema")
_TOO_LARGE = ("too large", "at most", "range", "exceed", "less than", "maximum")
_ABOUT_STREAM = ("stream", "does not support http call")  # the latter is DashScope's
_LIMIT_NAMES = ("max_tokens", "max_completion_tokens")
_SMALLEST_LIMIT = 64
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class EndpointCapabilities:
    """How an endpoint wants a model to be asked. `proven` is True once it has answered to exactly this.

    `stream`: it answers piece by piece. `stream_usage`: it can be asked for the tokens with it. `thinking_off`: it
    wants to be told not to think. `headroom`: tokens beyond those of the answer that it needs. `most_tokens`: the
    largest limit of an answer that it takes.
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
    def told(cls, parameters: Parameters) -> "EndpointCapabilities":
        """Return what the settings say of an endpoint that was never asked."""
        return cls(
            step=parameters.response_format or "json_schema",
            limit_name=parameters.limit_parameter or "max_tokens",
            stream=bool(parameters.stream),
        )

    def downgraded(self) -> "EndpointCapabilities | None":
        """Return the next step down of structured answers, or None below the last."""
        below = STEPS.index(self.step) + 1
        return replace(self, step=STEPS[below], proven=False) if below < len(STEPS) else None

    def downgraded_for(self, words: str, limit: int) -> "EndpointCapabilities | None":
        """Return what to try after a 400 with these words, or None if the request itself must be wrong.

        `limit` is the most tokens that the request allowed for the answer. An endpoint that has never answered may
        refuse a format in words that do not name it.
        """
        too_large = any(word in words for word in _TOO_LARGE) and "instead" not in words
        if too_large and limit > _SMALLEST_LIMIT and any(name in words for name in _LIMIT_NAMES):
            # The largest one that the refusal names and that is no more than what was asked, or half of it.
            named = [number for number in map(int, _NUMBER.findall(words)) if limit // 8 <= number < limit]
            return replace(self, most_tokens=max(named, default=limit // 2))
        other: EndpointCapabilities | None = None
        if self.limit_name == "max_tokens" and "max_completion_tokens" in words:
            other = replace(self, limit_name="max_completion_tokens")
        elif self.temperature and "temperature" in words:
            other = replace(self, temperature=False)
        elif self.stream and self.stream_usage and "stream_options" in words:
            other = replace(self, stream_usage=False)
        elif not self.thinking_off and "enable_thinking" in words:
            other = replace(self, thinking_off=True)
        elif not self.stream and any(word in words for word in _ABOUT_STREAM):
            other = replace(self, stream=True)
        elif not self.proven or any(word in words for word in _ABOUT_FORMAT):
            other = self.downgraded()
        return other

    def after(self, response: LLMResponse) -> "EndpointCapabilities":
        """Return what is known after a response.

        JSON proves the capabilities, and a whole answer that needed more tokens the headroom. Prose in a whole answer
        to unproven ones means that the server ignored the format.
        """
        is_json = read_json(response.text) is not None
        known = self
        if is_json and response.complete and response.headroom > self.headroom:
            known = replace(known, headroom=response.headroom)
        if known.proven or not (is_json or response.complete):
            return known
        return replace(known, proven=True) if is_json else known.downgraded() or known


class EndpointMemory:
    """Remembers the capabilities and refusals of one key at one address, in this process and in Redis.

    Without Redis they are found again.
    """

    def __init__(self, server: "redis.Redis", address: str, secret: str | None) -> None:
        self._redis, self._address, self._secret = server, address, secret
        self._capabilities: dict[tuple[str, str], EndpointCapabilities] = {}

    def capabilities_of(self, model: str, told: Parameters) -> EndpointCapabilities:
        """Return what is known of a model, beginning with what the settings tell; other settings begin anew."""
        name = model, told.model_dump_json(exclude_unset=True)
        if name not in self._capabilities:
            kept = self._read(self._key("form", *name))
            known = EndpointCapabilities(**json.loads(kept)) if kept else EndpointCapabilities.told(told)
            self._capabilities[name] = known
        return self._capabilities[name]

    def remember(self, model: str, told: Parameters, capabilities: EndpointCapabilities) -> None:
        name = model, told.model_dump_json(exclude_unset=True)
        if capabilities != self._capabilities.get(name):
            self._capabilities[name] = capabilities
            self._write(self._key("form", *name), json.dumps(asdict(capabilities)), _REMEMBERED_SECONDS)

    def refusal_of(self, model: str) -> str | None:
        """Return why this model or key was refused just now, so that a job's packs do not all try it again."""
        return self._read(self._key("refusal", model, self._secret or ""))

    def remember_refusal(self, model: str, sentence: str) -> None:
        """Remember a refusal of this key alone: another key is tried at once."""
        self._write(self._key("refusal", model, self._secret or ""), sentence, _REFUSED_SECONDS)

    def _key(self, what: str, *parts: str) -> str:
        endpoint = "|".join((self._address, *parts, str(_FORM)))
        return f"edugraph:llm:{what}:{hashlib.sha256(endpoint.encode()).hexdigest()[:16]}"

    def _read(self, key: str) -> str | None:
        try:
            kept = self._redis.get(key)
        except redis.RedisError:
            return None
        return kept.decode() if isinstance(kept, bytes) else kept

    def _write(self, key: str, value: str, seconds: int) -> None:
        try:
            self._redis.set(key, value, ex=seconds)
        except redis.RedisError:
            return
