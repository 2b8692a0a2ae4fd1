"""A learning platform that opens the page by LTI 1.3, without a server: its keys and the launches that it signs."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import Key, KeySet, RSAKey

CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
INSTITUTION = "http://purl.imsglobal.org/vocab/lis/v2/institution/person"
TEACHER = f"{MEMBERSHIP}#Instructor"
LEARNER = f"{MEMBERSHIP}#Learner"


@dataclass
class MadePlatform:
    """`keys` are those that it publishes. The first one signs."""

    issuer: str
    client_id: str
    deployment: str = "1"
    keys: list[Key] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.keys:
            self.keys.append(
                RSAKey.generate_key(2048, {"kid": f"{self.client_id}-1"}, private=True)
            )

    def described(self, **changed: Any) -> dict[str, Any]:
        """Return the entry of this platform in EDUGRAPH_LTI_PLATFORMS."""
        return {
            "issuer": self.issuer,
            "client_id": self.client_id,
            "deployment_ids": [self.deployment],
            "login_url": f"{self.issuer}/auth",
            "keys_url": f"{self.issuer}/keys",
            "frames": [self.issuer],
            **changed,
        }

    def fetch(self, url: str) -> Any:
        self.fetched.append(url)
        assert url == f"{self.issuer}/keys"
        return KeySet(self.keys).as_dict(private=False)

    def login(self, **changed: str) -> dict[str, str]:
        """Return the form by which the platform begins a launch."""
        return {
            "iss": self.issuer,
            "client_id": self.client_id,
            "login_hint": "hint-1",
            "lti_message_hint": "message-1",
            "target_link_uri": "https://school.example/ui/lti/launch",
            **changed,
        }

    def claims(self, nonce: str, now: datetime, /, **changed: Any) -> dict[str, Any]:
        """Return the claims of a launch. `changed` has a claim by its name, and None for one to leave out.

        A name without `://` that the base of LTI does not have is a claim of LTI.
        """
        seconds = int(now.timestamp())
        usual: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.client_id,
            "sub": "17",
            "name": "Ada Lovelace",
            "nonce": nonce,
            "iat": seconds,
            "exp": seconds + 300,
            f"{CLAIM}message_type": "LtiResourceLinkRequest",
            f"{CLAIM}version": "1.3.0",
            f"{CLAIM}deployment_id": self.deployment,
            f"{CLAIM}target_link_uri": "https://school.example/ui/lti/launch",
            f"{CLAIM}roles": [TEACHER],
            f"{CLAIM}context": {"id": "C1", "title": "Algebra"},
            f"{CLAIM}resource_link": {"id": "link-1"},
        }
        for name, value in changed.items():
            is_plain = name in {
                "iss",
                "aud",
                "azp",
                "sub",
                "name",
                "nonce",
                "iat",
                "exp",
                "nbf",
                "email",
            }
            usual[name if is_plain else CLAIM + name] = value
        return {name: value for name, value in usual.items() if value is not None}

    def sign(self, claims: dict[str, Any], key: Key | None = None, alg: str = "RS256") -> str:
        key = key or self.keys[0]
        return jwt.encode({"alg": alg, "kid": key.kid}, claims, key, algorithms=[alg])


def sent_along(address: str) -> dict[str, str]:
    """Return the parameters of the address at the platform to which the tool sends a browser."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
