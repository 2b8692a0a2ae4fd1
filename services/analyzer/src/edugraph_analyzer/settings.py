"""What an analyzer can be told, from EDUGRAPH_… and the two names that every OpenAI tool reads."""

from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from edugraph_common.findings import Kind

Seconds = Annotated[float, Field(gt=0)]


class Price(BaseModel):
    """Money for a million tokens, in the one currency of the table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class AnalyzerSettings(BaseSettings):
    """Without a key or an address the offline analyser answers. Times in seconds, tokens estimated."""

    model_config = SettingsConfigDict(
        env_prefix="EDUGRAPH_", extra="ignore", frozen=True, populate_by_name=True, protected_namespaces=()
    )

    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("EDUGRAPH_OPENAI_API_KEY", "OPENAI_API_KEY")
    )
    openai_base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("EDUGRAPH_OPENAI_BASE_URL", "OPENAI_BASE_URL")
    )
    model: str = "gpt-4o-mini"
    interaction_model: str | None = None
    error_model: str | None = None
    knowledge_points_model: str | None = None
    temperature: float | None = Field(default=0.0, ge=0, le=2, description="None: the provider's own default")
    answer_tokens: int | None = Field(default=None, ge=16, description="most for one item; None: by its kind")
    thinking_tokens: int = Field(default=0, ge=0, description="added to each answer's limit for models that think")

    call_timeout: Seconds = 60.0
    connect_timeout: Seconds = 10.0
    requests_per_minute: int = Field(default=100, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    longest_wait: Seconds = Field(default=60.0, description="a place further off than this is not reserved")

    pack_size: int = Field(default=10, ge=1, le=100)
    pack_tokens: int = Field(default=4_000, ge=1, description="text of all items of one request")
    longest_item_tokens: int = Field(default=32_000, ge=1)
    known_points: int = Field(default=15, ge=1, description="of a course, sent with each of its mistakes")

    redaction: bool = True
    cache_ttl: int = Field(default=30 * 86_400, ge=1)
    lease_ttl: Seconds = 30.0
    confidence_without_evidence: float = Field(default=0.5, ge=0, le=1)

    prices: dict[str, Price] = Field(default_factory=lambda: {"gpt-4o-mini": Price(input=0.15, output=0.60)})
    budget_per_job: float | None = Field(default=None, ge=0)
    budget_pause: Seconds = 60.0

    @field_validator(
        "openai_api_key",
        "openai_base_url",
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
        """An empty variable in a compose file or a chart means that it is not set."""
        return None if isinstance(value, str) and not value.strip() else value

    @property
    def secret(self) -> str | None:
        return self.openai_api_key.get_secret_value() if self.openai_api_key else None

    @property
    def has_provider(self) -> bool:
        """A server of one's own may need no key, so its address alone is enough."""
        return self.secret is not None or self.openai_base_url is not None

    def model_for(self, kind: Kind) -> str:
        own = {
            "interaction": self.interaction_model,
            "error": self.error_model,
            "knowledge_points": self.knowledge_points_model,
        }
        return own[kind] or self.model
