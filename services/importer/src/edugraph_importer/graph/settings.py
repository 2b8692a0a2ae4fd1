"""Where the graph database is."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class GraphSettings(BaseSettings):
    """Read from EDUGRAPH_NEO4J_URI, …_USER, …_PASSWORD and …_DATABASE."""

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_NEO4J_", extra="ignore", frozen=True)

    uri: str
    user: str
    password: SecretStr
    database: str = "neo4j"
