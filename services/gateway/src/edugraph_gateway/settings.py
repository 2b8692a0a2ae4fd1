"""The settings of a gateway: environment variables that begin with EDUGRAPH_, and nothing else."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from edugraph_common.contracts.messages import INLINE_BYTES
from edugraph_common.platform.settings import Settings

GIBIBYTE = 1 << 30


class GatewaySettings(Settings):
    """Without `neo4j_uri` the graph pages answer 503."""

    host: str = Field(default="127.0.0.1", description="where it listens; 0.0.0.0 in a container")
    port: int = Field(default=8080, ge=1, le=65_535, description="where it listens")
    auth: Literal["on", "off"] = Field(default="on", description="off: everybody may do everything")
    bootstrap_key: SecretStr | None = Field(
        default=None,
        description="eg_<id>_<secret>: an API key with all scopes that ends when the first is made",
    )

    oidc_issuer: str | None = Field(
        default=None,
        description="https:// address of an OpenID Connect issuer: its access tokens are taken beside API keys",
    )
    oidc_audience: str | None = Field(default=None, description="what must be in `aud`; needed with an issuer")
    oidc_scope_claim: str = Field(default="scope", description="the claim that has the scopes, as text or as a list")
    oidc_scope_prefix: str = Field(default="edugraph:", description="before each scope's name: edugraph:read, …")

    neo4j_uri: str | None = Field(default=None, description="for the graph pages; without it they answer 503")
    neo4j_user: str | None = Field(default=None, description="one that may only read is enough")
    neo4j_password: SecretStr | None = Field(default=None, description="of that user")
    neo4j_database: str = Field(default="neo4j", description="the database the importer writes to")

    client_requests_per_minute: int = Field(default=60_000, ge=1, description="of one client, over all gateways")
    client_burst_requests: int = Field(
        default=1_000, ge=1, description="of one client's minute, how many in one burst"
    )
    max_streams_per_client: int = Field(
        default=50, ge=1, description="jobs that one client may follow at once, of one gateway; one more gets 429"
    )
    max_queue_depth: int = Field(default=10_000, ge=1, description="messages that may wait before POSTs get 503")

    publish_timeout_seconds: float = Field(
        default=4.0, gt=0, le=30, description="how long the broker's confirm is waited for; then 503"
    )
    max_body_bytes: int = Field(default=INLINE_BYTES, ge=1_024, description="of a JSON body")
    max_upload_bytes: int = Field(default=5 * GIBIBYTE, ge=1_024, description="of a file as it is sent")
    max_unpacked_bytes: int = Field(default=50 * GIBIBYTE, ge=1_024, description="of a compressed upload")
    max_concurrent_uploads: int = Field(default=16, ge=1, description="of one gateway; one more gets 503")
    upload_idle_timeout_seconds: float = Field(
        default=30.0, gt=0, description="longest wait for the next bytes of a body"
    )

    @model_validator(mode="after")
    def issuer_is_whole(self) -> Self:
        """Raises ValueError: a token for another audience would be good for us, a plain one could be forged."""
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError("EDUGRAPH_OIDC_ISSUER needs EDUGRAPH_OIDC_AUDIENCE")
        if self.oidc_issuer and not self.oidc_issuer.startswith(
            ("https://", "http://127.0.0.1:", "http://localhost:")
        ):
            raise ValueError("EDUGRAPH_OIDC_ISSUER must be an https:// address")
        return self
