"""An issuer of access tokens without a server, and the few commands of Redis that sessions need."""

from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from edugraph_common.runtime.service.settings import OidcSettings
from edugraph_common.runtime.shared_state.oidc import Issuer
from edugraph_common.runtime.shared_state.sessions import Session

URL, AUDIENCE = "https://issuer.example", "edugraph"
KEY = ECKey.generate_key("P-256", {"kid": "k"}, private=True)
STRANGER = ECKey.generate_key("P-256", {"kid": "k"}, private=True)


def made_issuer() -> Issuer:
    pages = {
        f"{URL}/.well-known/openid-configuration": {"issuer": URL, "jwks_uri": f"{URL}/keys"},
        f"{URL}/keys": {"keys": [KEY.as_dict(private=False)]},
    }
    settings = OidcSettings(oidc_issuer=URL, oidc_audience=AUDIENCE, oidc_scope_claim="roles")
    return Issuer(settings, pages.__getitem__)


def access_token(now: datetime, *roles: str, key: ECKey = KEY, **claims: Any) -> str:
    """Return a token of the issuer. `roles` are our roles and scopes."""
    usual: dict[str, Any] = {
        "iss": URL,
        "aud": AUDIENCE,
        "sub": "u",
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + 300,
        "roles": [f"edugraph:{role}" for role in roles],
        "edugraph_person": "T01",
    }
    given = {name: value for name, value in (usual | claims).items() if value is not None}
    return jwt.encode({"alg": "ES256", "kid": "k"}, given, key)


def made_session(now: datetime, *roles: str, minutes: int = 60, **fields: Any) -> Session:
    usual: dict[str, Any] = {
        "client_id": "oidc:u",
        "name": "Ada",
        "ends": now + timedelta(minutes=minutes),
        "renewed": now,
        "access_token": access_token(now, *roles),
    }
    return Session(**(usual | fields))


class SessionRedis:
    """The commands that sessions use."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.hashes: dict[str, dict[str, str]] = {}
        self.lifetimes: list[timedelta] = []

    def set(
        self, name: str, value: str, *, px: timedelta, nx: bool = False, xx: bool = False
    ) -> bool | None:
        if (nx and name in self.kept) or (xx and name not in self.kept):
            return None
        self.kept[name] = value
        self.lifetimes.append(px)
        return True

    def get(self, name: str) -> str | None:
        return self.kept.get(name)

    def delete(self, name: str) -> None:
        self.kept.pop(name, None)

    def hset(self, name: str, key: str, value: str) -> None:
        self.hashes.setdefault(name, {})[key] = value

    def hdel(self, name: str, *keys: str) -> None:
        for key in keys:
            self.hashes.get(name, {}).pop(key, None)

    def hgetall(self, name: str) -> dict[str, str]:
        return dict(self.hashes.get(name, {}))
