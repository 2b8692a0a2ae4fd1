"""Access tokens of an OpenID Connect issuer: signature, issuer, audience and time are checked here, offline.

Its keys are fetched once and kept. A key that is not among them may be new, so they are fetched again, but not at the
wish of whoever makes up key ids.
"""

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from edugraph_common.contracts.errors import Retryable
from edugraph_common.platform.api_keys import SCOPES
from edugraph_gateway.auth.callers import Caller
from edugraph_gateway.settings import GatewaySettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
KEPT = 3_600.0  # seconds the keys are good for
SOONEST = 30.0  # seconds between two fetches
AWAY = 5.0  # seconds, when the issuer did not answer
LONGEST = 0.9  # seconds for each of the two answers
LEEWAY = 30  # seconds that clocks may differ
LARGEST_TOKEN = 16_384
_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS))


class Issuer:
    """`fetch` gives the JSON of an address; it raises httpx.HTTPError or ValueError."""

    def __init__(
        self,
        settings: GatewaySettings,
        fetch: Callable[[str], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._prefix = (settings.oidc_issuer or "").rstrip("/"), settings.oidc_scope_prefix
        self._issuer, self._scope_claim = settings.oidc_issuer or "", settings.oidc_scope_claim
        self._audience = settings.oidc_audience or ""
        self._fetch, self._clock = fetch or _fetch, clock
        self._fetching = threading.Lock()
        self._keys: KeySet | None = None
        self._fetched, self._tried = -KEPT, -SOONEST

    def caller(self, token: str, now: datetime) -> Caller | None:
        """None for a token that is not good. Raises Retryable while there are no keys and the issuer is away."""
        key_id = _key_id(token)
        if key_id is None:
            return None
        if not self._has(key_id):
            self._renew(key_id)
        return self.remembered(token, now)

    def remembered(self, token: str, now: datetime) -> Caller | None:
        """The same by the keys that are here. Never waits."""
        key_id = _key_id(token)
        if self._keys is None or key_id is None or not self._has(key_id):
            return None
        try:
            claims = jwt.decode(token, self._keys, registry=_REGISTRY).claims
            self._rules(now).validate(claims)
        except (JoseError, ValueError):
            return None
        return self._caller(claims)

    def _rules(self, now: datetime) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._audience},
            exp={"essential": True},
            sub={"essential": True},
        )

    def _caller(self, claims: dict[str, Any]) -> Caller | None:
        subject, given = claims["sub"], claims.get(self._scope_claim)
        if not isinstance(subject, str) or not subject.isprintable() or len(subject) > 255:  # noqa: PLR2004
            return None
        names = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
        return Caller(f"oidc:{subject}", tuple(scope for scope in SCOPES if f"{self._prefix}{scope}" in names))

    def _has(self, key_id: str) -> bool:
        return self._clock() - self._fetched < KEPT and self._knows(key_id)

    def _knows(self, key_id: str) -> bool:
        return self._keys is not None and any(key.kid == key_id for key in self._keys.keys)

    def _renew(self, key_id: str) -> None:
        with self._fetching:
            if self._has(key_id) or self._clock() - self._tried < SOONEST:
                return
            self._tried = self._clock()
            try:
                self._keys, self._fetched = self._fetched_keys(), self._clock()
            except (httpx.HTTPError, ValueError, KeyError, TypeError, JoseError) as error:
                self._tried = self._clock() - SOONEST + AWAY
                if self._knows(key_id):
                    self._fetched = self._clock() - KEPT + AWAY  # an issuer that is away keeps nobody out
                    return
                raise Retryable(f"the OIDC issuer does not give its keys ({type(error).__name__})") from error

    def _fetched_keys(self) -> KeySet:
        described = self._fetch(f"{self._url}/.well-known/openid-configuration")
        if described["issuer"] != self._issuer:
            raise ValueError("the issuer says that it is another")
        return KeySet.import_key_set(self._fetch(described["jwks_uri"]))


def _key_id(token: str) -> str | None:
    """None for what is no token that we take. A token without a key id has one that is empty."""
    if len(token) > LARGEST_TOKEN:
        return None
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError):
        return None
    key_id = header.get("kid", "")
    return key_id if header.get("alg") in ALGORITHMS and isinstance(key_id, str) else None


def _fetch(url: str) -> Any:
    answer = httpx.get(url, timeout=LONGEST)
    answer.raise_for_status()
    return json.loads(answer.content)
