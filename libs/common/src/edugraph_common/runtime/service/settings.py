"""Settings that several services share. They are read from environment variables EDUGRAPH_… only."""

import re
import sys
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.personal_data import PLACES, Store
from edugraph_common.contracts.platform_addresses import platform_key

JOB_RETENTION_DAYS = 30
AUDIT_RETENTION_DAYS = 365
DEAD_LETTER_RETENTION_DAYS = 30
LATE_MESSAGES_DAYS = 8  # more than the week that is the deadline of a job

_HOST = r"(?:[a-z0-9-]+\.)*[a-z0-9-]+(?::[0-9]{1,5})?"
_LOOPBACK = r"http://(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?"
_ORIGIN = re.compile(rf"https://{_HOST}|{_LOOPBACK}")
_WEB_ADDRESS = re.compile(rf"(?:https://{_HOST}|{_LOOPBACK})(?:/[!-~]*)?")
_PLATFORM_NAME = re.compile(r"[a-z0-9-]{1,40}")

S = TypeVar("S", bound=BaseSettings)

# Each service has its own user of the broker.
Service = Literal["gateway", "importer", "analyzer", "webhooks", "monitor"]


class BrokerSettings(BaseSettings):
    """The settings of every process that uses the broker. An address may hold a password, so it is a secret."""

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    broker_url: SecretStr = Field(
        description="amqp:// or amqps://, with user, password and virtual host; of a cluster each node's, ; between"
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="JSON, or readable on a terminal"
    )
    log_level: str = Field(default="INFO", description="of all loggers")
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        description="of each process's /metrics, apart from the gateway's API; 0: none",
    )
    metrics_host: str = Field(default="127.0.0.1", description="where /metrics listens")

    @property
    def broker_urls(self) -> list[str]:
        """The address of each node of a cluster. If a node is away, a client tries the next one."""
        return self.broker_url.get_secret_value().split(";")

    @property
    def on_rabbitmq(self) -> bool:
        """Whether the broker is RabbitMQ. In the embedded run it is a Valkey."""
        return self.broker_url.get_secret_value().startswith(("amqp://", "amqps://", "pyamqp://"))


class PlatformSettings(BaseSettings):
    """How the ids of several learning platforms become ids here (docs/identity.md)."""

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    platform_prefixes: dict[str, str] = Field(
        default={},
        description='JSON: of each learning platform, by its address, what its ids begin with; "" for your own',
    )

    @field_validator("platform_prefixes")
    @classmethod
    def prefixes_end_visibly(cls, value: dict[str, str]) -> dict[str, str]:
        """Raise ValueError for prefixes that could give two persons the same id."""
        for prefix in value.values():
            if prefix and (prefix != prefix.strip() or prefix[-1].isalnum()):
                raise ValueError(
                    f"the prefix {prefix!r} must end in a sign such as : so that ids begin visibly"
                )
        return value


class RedisSettings(BaseSettings):
    """The settings of every process that uses Redis."""

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    redis_url: SecretStr = Field(description="redis:// or rediss://: results, jobs, cache, limiter")
    redis_key_prefix: str = Field(
        default="",
        pattern=r"^([a-z0-9][a-z0-9._-]{0,62}:)?$",
        description="before the name of each key, where several schools share a Redis: school-a: (small letters, "
        "digits, . _ - and a colon at the end); it never changes; empty: names as they are",
    )

    @field_validator("redis_key_prefix")
    @classmethod
    def prefix_begins_no_other_key(cls, value: str) -> str:
        """Raise ValueError if keys with this prefix could be keys of an installation without one."""
        for place in PLACES:
            if place.store is not Store.REDIS or not value:
                continue
            for pattern in place.patterns:
                beginning = pattern.partition("*")[0]
                if beginning and value.startswith(beginning):
                    raise ValueError(f"must not begin as the keys {pattern} do")
                if beginning.startswith(value):
                    raise ValueError(f"must not be what the keys {pattern} begin with")
        return value


class Settings(RedisSettings, PlatformSettings, BrokerSettings):
    """The settings that the services share. The defaults do not open any access."""

    broker_management_url: SecretStr | None = Field(
        default=None,
        description="RabbitMQ's management API with user and password: policies and queue depths",
    )
    broker_users: dict[Service, SecretStr] = Field(
        default={},
        description='JSON, for `edugraph topology apply`: passwords of each service\'s own user, {"gateway": "…"}',
    )
    blob_url: str = Field(
        description="a folder, or a URL that fsspec knows, shared by gateway and workers; the images have s3://"
    )
    job_retention_days: int = Field(
        default=JOB_RETENTION_DAYS,
        ge=8,
        le=3_650,
        description="days that Redis keeps a job after its end; more than the week in which its messages may come",
    )
    source_retention_days: int = Field(
        default=30,
        ge=8,
        le=3_650,
        description="days that an imported file is kept, at least until its job ends; without it no job resumes",
    )
    reject_retention_days: int = Field(
        default=30,
        ge=8,
        le=3_650,
        description="days that rows which were set aside are kept, to be corrected",
    )
    result_retention_days: int = Field(
        default=7,
        ge=1,
        le=7,
        description="days that Redis keeps a task's result, with findings and quotes",
    )
    dead_letter_retention_days: int = Field(
        default=DEAD_LETTER_RETENTION_DAYS,
        ge=1,
        le=3_650,
        description="days that a dead letter waits for an operator; then it is deleted",
    )
    audit_retention_days: int = Field(
        default=AUDIT_RETENTION_DAYS,
        ge=1,
        le=3_650,
        description="days after which `edugraph audit end` takes an entry out of the audit log, which keeps 100,000 "
        "at most; the bundled Redis has a setting of its own",
    )
    graph_text_retention_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="days after which the graph forgets the texts of records about students, and quotes of them; "
        "0: never",
    )
    graph_record_retention_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="days after which a record about students, or the end of a membership, leaves the graph with its "
        "part of all sums, and older records are refused; 0: never",
    )
    orphan_review_retention_days: int = Field(
        default=90,
        ge=8,
        le=3_650,
        description="days that a record may be missing in the graph before what reviewers said of it goes",
    )
    privacy_secret: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="keys the hashes of persons: of those who were erased, so that the importer needs it, and in the "
        "audit log, which else has a random one in Redis; keep a copy apart from the backups",
    )
    imports_from: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="URLs, divided by spaces, below which imports may read files where they are: s3://exports/2026/",
    )
    keep_uploads: bool = Field(
        default=False,
        description="true: an uploaded file stays as long as its rows do; false: it is deleted when it was split",
    )
    shutdown_grace: int = Field(
        default=45, ge=0, description="seconds that SIGTERM leaves to what a worker runs"
    )
    dead_letter_limit: int = Field(
        default=20,
        ge=2,
        description="deaths in a row, of two jobs or more and not of rejected data; then a worker pauses its queue",
    )
    dead_letter_pause: float = Field(
        default=60, gt=0, description="seconds of the first pause; each next is longer"
    )
    child_memory_mib: int = Field(
        default=768,
        ge=0,
        description="MiB; a child of a worker's pool that has held more is replaced after its task; 0: no limit",
    )
    remote_control: bool = Field(
        default=True,
        description="workers answer `celery inspect` and Flower's pages on workers; false: they do not",
    )
    metrics_dir: str | None = Field(
        default=None,
        validation_alias=AliasChoices("EDUGRAPH_METRICS_DIR", "PROMETHEUS_MULTIPROC_DIR"),
        description="of one worker alone, emptied at its start; without it a temporary folder",
    )
    tracing: str = Field(
        default="off",
        description="otlp (with the usual OTEL_ variables), or file:PATH; needs the extra tracing (images have it)",
    )
    health_dir: str | None = Field(
        default=None, description="of one worker alone; see messaging/worker/health.py"
    )

    @field_validator("imports_from", mode="before")
    @classmethod
    def divided_by_spaces(cls, value: object) -> object:
        """Split the text at spaces. Raises ValueError for a URL that would allow a whole scheme."""
        urls = value
        if isinstance(value, str):
            urls = tuple(value.split())
        if isinstance(urls, tuple) and any(
            not re.fullmatch(r"[a-z][a-z0-9+.-]*://.*[^/].*", url) for url in urls
        ):
            raise ValueError("each must be a scheme and at least one name: s3://exports/")
        return urls

    @property
    def job_retention_seconds(self) -> int:
        return self.job_retention_days * 86_400

    @property
    def ledger_days(self) -> int:
        """The number of days within which a message of a forgotten job may still arrive.

        A message arrives within the deadline of its job, or later as a dead letter that is sent again.
        """
        return max(LATE_MESSAGES_DAYS, self.dead_letter_retention_days)


class OidcSettings(BaseSettings):
    """The settings of an OpenID Connect issuer. The services that people call have them."""

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    oidc_issuer: str | None = Field(
        default=None,
        description="https:// address of an OpenID Connect issuer: its access tokens are taken beside API keys",
    )
    oidc_audience: str | None = Field(
        default=None, description="what must be in `aud`; needed with an issuer"
    )
    oidc_scope_claim: str = Field(
        default="scope", description="the claim that has the scopes, as text or as a list"
    )
    oidc_scope_prefix: str = Field(
        default="edugraph:",
        description="before the name of each scope and role: edugraph:read, edugraph:teacher, …",
    )
    oidc_role_claim: str = Field(
        default="roles", description="the claim that has the roles, as text or as a list"
    )
    oidc_person_claim: str = Field(
        default="edugraph_person",
        description="the claim that has the caller's id as a teacher or student",
    )
    oidc_email_claim: str = Field(
        default="email",
        description="the claim of the access token that has the caller's mail address, to which a digest goes",
    )

    @model_validator(mode="after")
    def issuer_is_whole(self) -> Self:
        """Raise ValueError without an audience, since tokens for others would be valid, and without https."""
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError("EDUGRAPH_OIDC_ISSUER needs EDUGRAPH_OIDC_AUDIENCE")
        if self.oidc_issuer and not self.oidc_issuer.startswith(
            ("https://", "http://127.0.0.1:", "http://localhost:")
        ):
            raise ValueError("EDUGRAPH_OIDC_ISSUER must be an https:// address")
        return self


def is_web_address(value: str) -> bool:
    """Return whether an address is encrypted, or on this machine."""
    return _WEB_ADDRESS.fullmatch(value) is not None


def _web_address(value: str) -> str:
    """Return the value. Raises ValueError for an address that is neither encrypted nor on this machine."""
    if not is_web_address(value):
        raise ValueError("must be an https:// address")
    return value


def _origin(value: str) -> str:
    """Return the value. Raises ValueError unless it is an https:// address without a path."""
    if not _ORIGIN.fullmatch(value):
        raise ValueError("must be https:// and a name, without a path or a slash at the end")
    return value


WebAddress = Annotated[str, AfterValidator(_web_address)]
Origin = Annotated[str, AfterValidator(_origin)]


PersonClaim = Literal["sub", "person_sourcedid"]


class LtiPlatform(ContractModel):
    """A learning platform that opens the page by LTI 1.3. Its administrator has these values.

    `address` is the address of the platform in EDUGRAPH_PLATFORM_PREFIXES, where it is another than its issuer.
    `person_claim` says what is a person's id there: `sub`, or `person_sourcedid` of the claim `lis`. `frames` are the
    addresses whose pages may show the page in a frame.
    """

    issuer: WebAddress
    client_id: Annotated[str, Field(min_length=1, max_length=255)]
    deployment_ids: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(min_length=1)
    ]
    login_url: WebAddress
    keys_url: WebAddress
    address: WebAddress | None = None
    person_claim: PersonClaim = "sub"
    frames: tuple[Origin, ...] = ()

    @property
    def account_home(self) -> str:
        """The address by which EDUGRAPH_PLATFORM_PREFIXES knows the platform."""
        return self.address or self.issuer


class LtiSettings(PlatformSettings):
    """The learning platforms that open the page by LTI 1.3. The services that people call have them."""

    lti_platforms: dict[str, LtiPlatform] = Field(
        default={},
        description="JSON: of each learning platform that opens the page by LTI 1.3, under a name of its own: "
        "issuer, client_id, deployment_ids, login_url, keys_url, and what docs/identity.md lists",
    )

    @field_validator("lti_platforms")
    @classmethod
    def platforms_have_names(cls, value: dict[str, LtiPlatform]) -> dict[str, LtiPlatform]:
        """Raise ValueError for names that would not be clear in a caller's id, and for a client that stands twice."""
        clients = set()
        for name, platform in value.items():
            if not _PLATFORM_NAME.fullmatch(name):
                raise ValueError(
                    f"the name {name!r} must have small letters, digits and hyphens only, at most 40"
                )
            clients.add((platform.issuer, platform.client_id))
        if len(clients) < len(value):
            raise ValueError("two platforms have the same issuer and client_id")
        return value

    @model_validator(mode="after")
    def platforms_have_prefixes(self) -> Self:
        """Raise ValueError if the ids of a platform would not be those of its records."""
        known = {platform_key(address) for address in self.platform_prefixes}
        for name, platform in self.lti_platforms.items():
            if platform_key(platform.account_home) not in known:
                raise ValueError(
                    f"EDUGRAPH_PLATFORM_PREFIXES must name {platform.account_home}, the platform {name} of "
                    "EDUGRAPH_LTI_PLATFORMS, so that its persons and courses have the ids of its records"
                )
        return self


def passwords_of(users: dict[Service, SecretStr]) -> dict[Service, str]:
    return {service: password.get_secret_value() for service, password in users.items()}


def settings_or_exit(kind: type[S]) -> S:
    """Return settings of this kind, or end the process with a sentence for each setting that is wrong or missing.

    The sentences name no values, since a value may be a password.
    """
    try:
        return kind()
    except SettingsError as error:
        # A list or an object that is not JSON. The message of the library names the field and no value.
        sys.exit(f"{error}: write it as JSON")
    except ValidationError as error:
        sentences = []
        for each in error.errors(include_input=False, include_url=False):
            says = each["msg"].removeprefix("Value error, ")
            names = [f"EDUGRAPH_{part}".upper() for part in each["loc"][:1]]
            sentences.append(" ".join([*names, says]))
    sys.exit("\n".join(sentences))


def secret_of(setting: SecretStr | None) -> str | None:
    if not setting:
        return None
    return setting.get_secret_value()
