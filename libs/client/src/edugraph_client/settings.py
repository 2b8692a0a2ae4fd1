"""Where the API is, and as whom it is asked."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClientSettings(BaseSettings):
    """EDUGRAPH_URL and EDUGRAPH_API_KEY, by which the command line finds its gateway.

    Insights has the same address where a proxy or an ingress is in front of both; elsewhere it has its own.
    """

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    url: str = "http://127.0.0.1:8080"
    api_key: SecretStr | None = None
    insights_url: str | None = None
