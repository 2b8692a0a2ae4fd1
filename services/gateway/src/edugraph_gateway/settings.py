"""What one gateway is told from outside: EDUGRAPH_… and nothing else."""

from typing import Literal

from pydantic import Field, SecretStr

from edugraph_common.messages import INLINE_BYTES
from edugraph_common.settings import Settings

GIBIBYTE = 1 << 30


class GatewaySettings(Settings):
    """Sizes are bytes, times are seconds. Without `neo4j_uri` the graph pages answer 503."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65_535)
    auth: Literal["on", "off"] = "on"
    bootstrap_key: SecretStr | None = Field(
        default=None, description="the first API key, eg_<id>_<secret>, all scopes"
    )

    neo4j_uri: str | None = None
    neo4j_user: str | None = None
    neo4j_password: SecretStr | None = None
    neo4j_database: str = "neo4j"

    client_requests_per_minute: int = Field(default=60_000, ge=1, description="of one client, over all gateways")
    requests_at_once: int = Field(default=1_000, ge=1)
    deepest_queue: int = Field(default=10_000, ge=1, description="messages that may wait before POSTs get 503")

    publish_timeout: float = Field(default=4.0, gt=0, le=30)
    publishers: int = Field(default=8, ge=1, le=10, description="connections to the broker; Celery's pool has 10")
    largest_body: int = Field(default=INLINE_BYTES, ge=1_024)
    largest_upload: int = Field(default=5 * GIBIBYTE, ge=1_024)
    largest_unpacked: int = Field(default=50 * GIBIBYTE, ge=1_024, description="of a compressed upload")
    uploads_at_once: int = Field(default=16, ge=1)
    idle_upload: float = Field(default=30.0, gt=0, description="longest wait for the next bytes of a body")
