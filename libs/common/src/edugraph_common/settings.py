"""Settings that two services share, read from EDUGRAPH_… and nowhere else."""

from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Addresses may hold passwords, so they are secrets. None has a default that would open anything."""

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    broker_url: SecretStr
    broker_management_url: SecretStr | None = None
    redis_url: SecretStr
    blob_url: str
    log_format: Literal["json", "console"] = "json"
    log_level: str = "INFO"

    @property
    def on_rabbitmq(self) -> bool:
        """False in the embedded run, whose broker is a Valkey."""
        return self.broker_url.get_secret_value().startswith(("amqp://", "amqps://", "pyamqp://"))
