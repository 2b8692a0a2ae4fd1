"""What an endpoint accepts: found once by asking, downgraded step by step, and remembered in Redis for all processes.

Three ways to get a structured answer are tried from the best down: a strict JSON schema, any JSON object, and the
schema in the prompt alone. Names of parameters are found likewise.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

import redis

from edugraph_analyzer.findings.schema import read_json
from edugraph_analyzer.prompting.questions import LLMResponse
from edugraph_analyzer.settings import AnalyzerSettings

Step = Literal["json_schema", "json_object", "prompt"]
STEPS: tuple[Step, ...] = ("json_schema", "json_object", "prompt")
_REMEMBERED_SECONDS = 7 * 86_400
_REFUSED_SECONDS = 30  # a refused key or model is not tried again for so long
_ABOUT_FORMAT = ("response_format", "json_schema", "json_object", "structured", "grammar", "schema")


@dataclass(frozen=True)
class EndpointCapabilities:
    """How an endpoint wants to be asked. `proven` is True once it has answered to exactly this."""

    step: Step = "json_schema"
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: bool = True
    proven: bool = False

    def downgraded(self) -> "EndpointCapabilities | None":
        """Return the next step down of structured answers, or None below the last."""
        below = STEPS.index(self.step) + 1
        return replace(self, step=STEPS[below], proven=False) if below < len(STEPS) else None

    def downgraded_for(self, words: str) -> "EndpointCapabilities | None":
        """Return what to try after a 400 with these words, or None if the request itself must be wrong.

        An endpoint that has never answered may refuse a format in words that do not name it.
        """
        if self.limit_name == "max_tokens" and "max_completion_tokens" in words:
            return replace(self, limit_name="max_completion_tokens")
        if self.temperature and "temperature" in words:
            return replace(self, temperature=False)
        if not self.proven or any(word in words for word in _ABOUT_FORMAT):
            return self.downgraded()
        return None

    def after(self, response: LLMResponse) -> "EndpointCapabilities":
        """Return what is known after a response.

        JSON proves the capabilities. Prose in a whole answer to unproven ones means that the server ignored the
        format.
        """
        is_json = read_json(response.text) is not None
        if self.proven or not (is_json or response.complete):
            return self
        return replace(self, proven=True) if is_json else self.downgraded() or self


class EndpointMemory:
    """Remembers capabilities and refusals by model, in this process and in Redis.

    Without Redis they are found again.
    """

    def __init__(self, settings: AnalyzerSettings, server: "redis.Redis") -> None:
        self._redis = server
        self._address = settings.openai_base_url or ""
        self._secret = settings.secret
        self._capabilities: dict[str, EndpointCapabilities] = {}

    def capabilities_of(self, model: str) -> EndpointCapabilities:
        if model not in self._capabilities:
            kept = self._read(self._key("form", model))
            self._capabilities[model] = EndpointCapabilities(**json.loads(kept)) if kept else EndpointCapabilities()
        return self._capabilities[model]

    def remember(self, model: str, capabilities: EndpointCapabilities) -> None:
        if capabilities != self._capabilities.get(model):
            self._capabilities[model] = capabilities
            self._write(self._key("form", model), json.dumps(asdict(capabilities)), _REMEMBERED_SECONDS)

    def refusal_of(self, model: str) -> str | None:
        """Return why this model or key was refused just now, so that a job's packs do not all try it again."""
        return self._read(self._key("refusal", model, self._secret))

    def remember_refusal(self, model: str, sentence: str) -> None:
        """Remember a refusal of this key alone: another key is tried at once."""
        self._write(self._key("refusal", model, self._secret), sentence, _REFUSED_SECONDS)

    def _key(self, what: Literal["form", "refusal"], model: str, secret: str | None = None) -> str:
        endpoint = f"{self._address}|{model}" + (f"|{secret}" if secret else "")
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
