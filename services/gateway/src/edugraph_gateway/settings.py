"""The settings of a gateway: environment variables that begin with EDUGRAPH_, and nothing else."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from edugraph_common.contracts.messages import INLINE_BYTES
from edugraph_common.runtime.service.loopback_only import refuse_open_network
from edugraph_common.runtime.service.settings import OidcSettings, Settings

GIBIBYTE = 1 << 30
_ORIGIN = re.compile(
    r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9a-f:]+\](?::[0-9]{1,5})?"
)


class GatewaySettings(OidcSettings, Settings):
    host: str = Field(default="127.0.0.1", description="where it listens; 0.0.0.0 in a container")
    port: int = Field(default=8080, ge=1, le=65_535, description="where it listens")
    auth: Literal["on", "off"] = Field(default="on", description="off: everybody may do everything")
    open_to_network: bool = Field(
        default=False,
        description="with EDUGRAPH_AUTH=off: answer other machines, and pages of other sites, too",
    )
    bootstrap_key: SecretStr | None = Field(
        default=None,
        description="eg_<id>_<secret>: an API key with all scopes that ends when the first is made",
    )

    client_requests_per_minute: int = Field(
        default=60_000, ge=1, description="of one client, over all gateways"
    )
    client_burst_requests: int = Field(
        default=1_000, ge=1, description="of one client's minute, how many in one burst"
    )
    max_streams_per_client: int = Field(
        default=50,
        ge=1,
        description="jobs that one client may follow at once, of one gateway; one more gets 429",
    )
    max_queue_depth: int = Field(
        default=10_000, ge=1, description="messages that may wait before POSTs get 503"
    )

    publish_timeout_seconds: float = Field(
        default=4.0,
        gt=0,
        le=30,
        description="how long the broker's confirm is waited for; then 503",
    )
    max_body_bytes: int = Field(default=INLINE_BYTES, ge=1_024, description="of a JSON body")
    max_upload_bytes: int = Field(
        default=5 * GIBIBYTE, ge=1_024, description="of a file as it is sent"
    )
    max_unpacked_bytes: int = Field(
        default=50 * GIBIBYTE, ge=1_024, description="of a compressed upload"
    )
    max_concurrent_uploads: int = Field(
        default=16, ge=1, description="of one gateway; one more gets 503"
    )
    upload_idle_timeout_seconds: float = Field(
        default=30.0, gt=0, description="longest wait for the next bytes of a body"
    )

    xapi_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="origins, divided by spaces, whose pages may send xAPI statements: https://lms.example.org",
    )

    @field_validator("xapi_origins", mode="before")
    @classmethod
    def origins_are_whole(cls, value: object) -> object:
        """Split the text at spaces. Raises ValueError for a value that is not an origin."""
        origins = value
        if isinstance(value, str):
            origins = tuple(value.split())
        if isinstance(origins, tuple) and not all(map(_ORIGIN.fullmatch, origins)):
            raise ValueError("each must be a scheme and a host: https://lms.example.org")
        return origins

    @model_validator(mode="after")
    def without_keys_it_is_on_the_loopback(self) -> Self:
        refuse_open_network(self.auth, self.host, open_to_network=self.open_to_network)
        return self
