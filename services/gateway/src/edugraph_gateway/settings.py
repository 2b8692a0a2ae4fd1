"""The settings of a gateway: environment variables that begin with EDUGRAPH_, and nothing else."""

import base64
import binascii
import re
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import NoDecode

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.data_sources import NewSourceName
from edugraph_common.contracts.messages import INLINE_BYTES
from edugraph_common.runtime.service.loopback_only import refuse_open_network
from edugraph_common.runtime.service.settings import LtiSettings, OidcSettings, Settings

GIBIBYTE = 1 << 30
_ORIGIN = re.compile(
    r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9a-f:]+\](?::[0-9]{1,5})?"
)


SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins, and not a secret
SHORTEST_SECRET = 16  # characters
SHORTEST_STANDARD_KEY = 24  # bytes, as the specification of Standard Webhooks says

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class SignedSender(ContractModel):
    """How the sender of a source signs its requests.

    - `scheme`: `standard` for Standard Webhooks; `hmac` for a header with the HMAC-SHA256 of the body.
    - `secrets`: one secret, or two while the sender changes it. A signature by either is right.
    - `header`, `encoding` and `prefix` belong to `hmac`: the name of the header, how the signature is written in it,
      and the characters before it, such as `sha256=`.
    """

    scheme: Literal["standard", "hmac"]
    secrets: Annotated[tuple[SecretStr, ...], Field(min_length=1, max_length=2)]
    header: HeaderName | None = None
    encoding: Literal["hex", "base64"] | None = None
    prefix: Annotated[str, StringConstraints(pattern=r"^[!-~]{0,32}$")] = ""

    @model_validator(mode="after")
    def is_whole(self) -> Self:
        """Raise ValueError for a sender whose signatures could not be checked, or could be guessed."""
        # No sentence repeats a secret.
        keys = self.signing_keys()
        is_hmac = self.scheme == "hmac"
        if is_hmac and (self.header is None or self.encoding is None):
            raise ValueError("the scheme hmac needs header and encoding")
        if not is_hmac and (self.header or self.encoding or self.prefix):
            raise ValueError("header, encoding and prefix belong to the scheme hmac")
        if len(set(keys)) < len(keys):
            raise ValueError("the two secrets are the same")
        return self

    def signing_keys(self) -> list[bytes]:
        """Return the key of each secret. Raises ValueError for a secret that is too short or has a wrong form."""
        read = _hmac_key if self.scheme == "hmac" else _standard_key
        return [read(secret.get_secret_value()) for secret in self.secrets]


def _hmac_key(secret: str) -> bytes:
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"a secret must have at least {SHORTEST_SECRET} characters")
    return secret.encode()


def _standard_key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            f"a secret of the scheme standard is base64, after {SECRET_PREFIX}"
        ) from None
    if len(key) < SHORTEST_STANDARD_KEY:
        raise ValueError(
            f"a secret of the scheme standard has at least {SHORTEST_STANDARD_KEY} bytes"
        )
    return key


class GatewaySettings(OidcSettings, LtiSettings, Settings):
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

    signed_senders: dict[NewSourceName, SignedSender] = Field(
        default={},
        description="a secret, JSON: of each source whose sender signs its requests and sends no key, by its name: "
        "scheme, secrets, and what docs/api.md lists",
    )

    @field_validator("signed_senders")
    @classmethod
    def each_sender_has_its_own_secrets(
        cls, value: dict[NewSourceName, SignedSender]
    ) -> dict[NewSourceName, SignedSender]:
        """Raise ValueError for a secret of two sources, since a request to one would be right at the other."""
        source_of: dict[bytes, str] = {}
        for name, sender in value.items():
            for key in sender.signing_keys():
                other = source_of.setdefault(key, name)
                if other != name:
                    raise ValueError(f"the sources {other} and {name} have a secret in common")
        return value

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
