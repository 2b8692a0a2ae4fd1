"""The settings of insights. They are environment variables that begin with EDUGRAPH_."""

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, TypeAdapter, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.data_sources import TimeZone
from edugraph_common.contracts.record_fields import Id
from edugraph_common.runtime.service.loopback_only import refuse_open_network
from edugraph_common.runtime.service.lti_key import LtiKey
from edugraph_common.runtime.service.settings import LtiSettings, OidcSettings, RedisSettings

# A mail address in ASCII. Nothing of it can end a header or begin another address.
ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$"
# A browser comes to this service by an encrypted address, or on the same machine.
_OWN_ADDRESS = r"(https://[^/?#]+|http://(127\.0\.0\.1|localhost)(:\d+)?)"


class HelpThresholds(ContractModel):
    """Thresholds from which on the question needs-help says that a student needs help."""

    inactive_school_days: int = Field(
        default=7, ge=1, le=365, description="whole school days without activity"
    )
    recent_school_days: int = Field(
        default=15,
        ge=1,
        le=365,
        description="school days before today whose tries and mistakes count, beside those of today",
    )
    stuck_tries: int = Field(
        default=3, ge=2, le=100, description="tries at one item, none of them right"
    )
    same_mistakes: int = Field(
        default=3, ge=2, le=100, description="unresolved mistakes of one type"
    )
    low_estimate: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="estimated share right, where an average student of the course has 0.5, under which a student is "
        "below the course",
    )


HeadSees = Literal["persons", "groups", "cells"]


class InsightsSettings(RedisSettings, OidcSettings, LtiSettings):
    """The settings of insights. Insights has no access to the broker or to the object store."""

    insights_host: str = Field(
        default="127.0.0.1", description="address to listen on; 0.0.0.0 in a container"
    )
    insights_port: int = Field(default=8081, ge=1, le=65_535, description="port to listen on")
    auth: Literal["on", "off"] = Field(
        default="on", description="off: everybody may ask everything about everybody"
    )
    open_to_network: bool = Field(
        default=False,
        description="with EDUGRAPH_AUTH=off: also answer other machines, and pages of other sites",
    )
    bootstrap_key: SecretStr | None = Field(
        default=None,
        description="the same as of the gateway: an API key with all scopes, valid until the first key is created",
    )

    oidc_client_id: str | None = Field(
        default=None,
        description="id of the client at the issuer, with which people sign in on the page",
    )
    oidc_client_secret: SecretStr | None = Field(default=None, description="secret of that client")
    oidc_redirect_url: str | None = Field(
        default=None,
        description="where the issuer sends people back to: https://, the public address, and /ui/callback",
    )
    oidc_login_scope: str = Field(
        default="openid profile",
        description="scopes that are requested at the issuer; openid must be one of them",
    )
    session_minutes: int = Field(
        default=120, ge=5, le=1_440, description="minutes after which a person has to sign in again"
    )

    lti_launch_url: str | None = Field(
        default=None,
        description="where learning platforms send people to: https://, the public address, and /ui/lti/launch; "
        "needed with EDUGRAPH_LTI_PLATFORMS",
    )
    lti_key: SecretStr | None = Field(
        default=None,
        description="PEM of a private RSA key: signs the links that teachers make in learning platforms, which fetch "
        "its public part from /ui/lti/keys; without it nobody makes links there",
    )

    questions_per_minute: int = Field(
        default=1_200,
        ge=1,
        le=1_000_000,
        description="requests of one key or person in a minute, over all replicas; more are answered with 429",
    )
    questions_at_once: int = Field(
        default=200, ge=1, description="requests of one caller in one burst, at most"
    )

    redis_url: SecretStr = Field(
        description="redis:// or rediss://: API keys, sessions, the audit log, and the changes of the graph"
    )
    privacy_secret: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="key of the hashes of persons in the audit log, and of the noise that analysts see",
    )
    head_sees: HeadSees = Field(
        default="persons",
        description="what callers with the role head see of the school: persons (each read is in the audit log), "
        "exact numbers of groups and courses, or cells as analysts do",
    )

    view_retention_days: int = Field(
        default=365,
        ge=1,
        le=3_650,
        description="days after which saved views are deleted if their owner neither lists nor changes them",
    )

    digest_page_url: str | None = Field(
        default=None,
        description="https://, the public address, and /ui/: links of weekly messages begin with it; needs "
        "EDUGRAPH_PRIVACY_SECRET, and the command edugraph-digest",
    )
    smtp_from: str = Field(
        default="",
        pattern=f"^$|{ADDRESS}",
        description="mail address from which digests come, such as no-reply@school.example: with it, and "
        "EDUGRAPH_DIGEST_PAGE_URL, teachers may subscribe to a weekly mail about a course",
    )
    digest_names: bool = Field(
        default=False,
        description="true: names of students stand in these mails; false: numbers only",
    )
    digest_retention_days: int = Field(
        default=180,
        ge=1,
        le=3_650,
        description="days after which a subscription ends if its owner neither looks at it nor changes it",
    )

    neo4j_uri: str = Field(
        description="address of the graph; the user needs only the right to read"
    )
    neo4j_user: str | None = Field(default=None, description="user of the graph")
    neo4j_password: SecretStr | None = Field(default=None, description="password of that user")
    neo4j_database: str = Field(default="neo4j", description="database that the importer writes to")
    query_timeout_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="time of one statement; a question that needs longer is refused and offers a narrower one",
    )

    school_name: str = Field(
        default="",
        max_length=100,
        description="name of the school, as the head of a printed page has it; empty: none is printed",
    )
    school_time_zone: TimeZone = Field(
        default="UTC",
        description="time zone of the school by its IANA name, such as Asia/Shanghai: days, weeks and moments "
        "without a time zone are those of its clocks",
    )

    answer_cache_bytes: int = Field(
        default=32 * 1_024 * 1_024,
        ge=0,
        description="size of the cache of answers, which a process keeps for a minute; 0: no cache",
    )

    help_thresholds: dict[str, HelpThresholds] = Field(
        default={},
        description='thresholds of needs-help by course, as JSON: {"MATH8": {"inactive_school_days": 10}}',
    )

    log_format: Literal["json", "console"] = Field(
        default="json", description="JSON for machines, console for a terminal"
    )
    log_level: str = Field(default="INFO", description="level of all loggers")
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        description="port of /metrics, separate from the API; 0: no metrics",
    )
    metrics_host: str = Field(default="127.0.0.1", description="address on which /metrics listens")

    @model_validator(mode="after")
    def without_keys_it_is_on_the_loopback(self) -> Self:
        refuse_open_network(self.auth, self.insights_host, open_to_network=self.open_to_network)
        return self

    @model_validator(mode="after")
    def login_is_whole(self) -> Self:
        """Raise ValueError if nobody could sign in with these settings, or only without encryption."""
        of_client = (self.oidc_client_id, self.oidc_client_secret, self.oidc_redirect_url)
        if any(of_client) and not (all(of_client) and self.oidc_issuer):
            raise ValueError(
                "EDUGRAPH_OIDC_CLIENT_ID, EDUGRAPH_OIDC_CLIENT_SECRET and EDUGRAPH_OIDC_REDIRECT_URL go together, "
                "and with EDUGRAPH_OIDC_ISSUER"
            )
        if self.oidc_client_id and self.oidc_client_id == self.oidc_audience:
            raise ValueError(
                "EDUGRAPH_OIDC_CLIENT_ID must not be EDUGRAPH_OIDC_AUDIENCE: an ID token has the client as its "
                "audience and would open the API as an access token does. Let access tokens have another one"
            )
        if self.oidc_redirect_url and not re.fullmatch(
            f"{_OWN_ADDRESS}/ui/callback", self.oidc_redirect_url
        ):
            raise ValueError(
                "EDUGRAPH_OIDC_REDIRECT_URL must be https://, a name, and /ui/callback"
            )
        return self

    @model_validator(mode="after")
    def lti_is_whole(self) -> Self:
        """Raise ValueError if no platform could send people here."""
        if self.lti_key is not None:
            try:
                LtiKey(self.lti_key.get_secret_value())
            except ValueError as error:
                raise ValueError(f"EDUGRAPH_LTI_KEY {error}") from None
        if self.lti_platforms and not self.lti_launch_url:
            raise ValueError("EDUGRAPH_LTI_PLATFORMS needs EDUGRAPH_LTI_LAUNCH_URL")
        if self.lti_launch_url and not re.fullmatch(
            f"{_OWN_ADDRESS}/ui/lti/launch", self.lti_launch_url
        ):
            raise ValueError("EDUGRAPH_LTI_LAUNCH_URL must be https://, a name, and /ui/lti/launch")
        return self

    @model_validator(mode="after")
    def digest_is_whole(self) -> Self:
        """Raise ValueError if the links of a digest would lead nowhere, or could not be signed."""
        if not self.digest_page_url:
            return self
        if not re.fullmatch(f"{_OWN_ADDRESS}/ui/", self.digest_page_url):
            raise ValueError("EDUGRAPH_DIGEST_PAGE_URL must be https://, a name, and /ui/")
        if self.privacy_secret is None:
            raise ValueError("EDUGRAPH_DIGEST_PAGE_URL needs EDUGRAPH_PRIVACY_SECRET")
        return self


class ChatChannel(ContractModel):
    """A channel of a chat that the school chose, and the courses about which it gets a message each week.

    Everybody with the address may write into the channel, so the address is a secret.
    """

    address: SecretStr
    courses: tuple[Id, ...] = Field(min_length=1)
    language: Literal["en", "zh"] = "en"


# The name that the school gives to a channel. Logs have it, so it is short and of plain signs.
CHANNEL_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_CHANNELS = TypeAdapter(dict[str, ChatChannel])


def channels_in(text: str) -> dict[str, ChatChannel]:
    """Return name -> channel. Raises ValueError, whose message has nothing of the text."""
    try:
        channels = _CHANNELS.validate_json(text)
    except ValidationError:
        raise ValueError(
            'must be JSON such as {"maths": {"address": "https://...", "courses": ["MATH8"]}}'
        ) from None
    addresses = set()
    for name, channel in channels.items():
        if not CHANNEL_NAME.fullmatch(name):
            raise ValueError("has a channel whose name is not of a-z, 0-9 and - alone")
        addresses.add(channel.address.get_secret_value())
        if len(set(channel.courses)) < len(channel.courses):
            raise ValueError(f"names a course twice in the channel {name}")
    # Two channels of one address would say the same twice.
    if len(addresses) < len(channels):
        raise ValueError("has two channels with the same address")
    return channels


class MailSettings(BaseSettings):
    """The settings of the mail server and of chats. Only the command `edugraph-digest` has them."""

    model_config = SettingsConfigDict(env_prefix="EDUGRAPH_", extra="ignore", frozen=True)

    smtp_url: SecretStr | None = Field(
        default=None,
        description="smtps://user:password@host:465, or smtp:// with STARTTLS, mostly on port 587; without it no "
        "mail is sent, and EDUGRAPH_DIGEST_CHATS is needed",
    )
    digest_chats: SecretStr | None = Field(
        default=None,
        description="channels of chats that get a message about courses each week, without names of students, as "
        'JSON: {"maths": {"address": "https://...", "courses": ["MATH8"], "language": "zh"}}',
    )

    @property
    def server_url(self) -> str:
        """The address of the mail server with its password, or "" if the school sends messages to chats alone."""
        if self.smtp_url is None:
            return ""
        return self.smtp_url.get_secret_value()

    @property
    def channels(self) -> dict[str, ChatChannel]:
        """Name -> channel. Empty if the school has chosen none."""
        text = ""
        if self.digest_chats is not None:
            text = self.digest_chats.get_secret_value()
        if not text:
            return {}
        return channels_in(text)

    @model_validator(mode="after")
    def channels_are_whole(self) -> Self:
        """Raise ValueError if the channels cannot be read."""
        try:
            _ = self.channels
        except ValueError as error:
            raise ValueError(f"EDUGRAPH_DIGEST_CHATS {error}") from None
        return self

    @model_validator(mode="after")
    def server_is_named(self) -> Self:
        """Raise ValueError if the address does not name a server, or if nothing says where messages go."""
        if not self.server_url:
            if not self.channels:
                raise ValueError("EDUGRAPH_SMTP_URL and EDUGRAPH_DIGEST_CHATS are missing: set one")
            return self
        parts = urlsplit(self.server_url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ValueError(
                "EDUGRAPH_SMTP_URL must be smtps:// or smtp://, and the name of a server"
            )
        return self


class DigestSettings(InsightsSettings, MailSettings):
    """The settings of the command that sends digests."""

    @model_validator(mode="after")
    def there_are_digests(self) -> Self:
        if not self.digest_page_url:
            raise ValueError("EDUGRAPH_DIGEST_PAGE_URL is missing: links of messages begin with it")
        if self.server_url and not self.smtp_from:
            raise ValueError("EDUGRAPH_SMTP_FROM is missing: it is the sender of the mails")
        return self
