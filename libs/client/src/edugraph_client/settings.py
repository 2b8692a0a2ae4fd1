"""The settings of the client: the addresses of the API, and the key."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClientSettings(BaseSettings):
    """The environment variables EDUGRAPH_URL, EDUGRAPH_API_KEY and EDUGRAPH_INSIGHTS_URL.

    EDUGRAPH_INSIGHTS_URL is needed if insights has an address of its own. With a proxy or an ingress in front of
    gateway and insights, both have the same address.
    """

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    url: str = "http://127.0.0.1:8080"
    api_key: SecretStr | None = None
    insights_url: str | None = None
