"""Access tokens of an OpenID Connect issuer. Signature, issuer, audience and time are checked here, offline.

`signing_keys.py` fetches and caches the issuer's keys.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.permissions import ROLES, SCOPES
from edugraph_common.runtime.service.settings import OidcSettings
from edugraph_common.runtime.shared_state.callers import Caller, KeyRing
from edugraph_common.runtime.shared_state.sessions import PREFIX, Sessions
from edugraph_common.runtime.shared_state.signing_keys import (
    SigningKeys,
    fetched_json,
    key_id_of,
    signed_claims,
)

ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
MAX_SUBJECT_LENGTH = 255
# Signs that a token is not an access token: claims that only ID tokens have, and values of Keycloak's claim `typ`.
_OF_ID_TOKENS = ("at_hash", "c_hash")
_OTHER_TYPES = ("ID", "Refresh", "Offline", "Logout")
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_REGISTRY = jws.JWSRegistry(algorithms=list(ALGORITHMS))


class Endpoints(NamedTuple):
    """The issuer's addresses for signing in, for exchanging the code for tokens, and for signing out."""

    authorization: str
    token: str
    end_session: str | None


class LoggedOut(NamedTuple):
    """The sessions that a logout token ends: the session `sid`, or all sessions of `client_id` if `sid` is empty.

    `client_id` is empty if the token names only the session. `at` is when the issuer made the token. A copy of
    the token may be sent again later, so it ends no session that began after it.
    """

    client_id: str
    sid: str
    at: datetime


class Issuer:
    """An OpenID Connect issuer. `fetch` returns the JSON at an address; it raises httpx.HTTPError or ValueError."""

    def __init__(
        self,
        settings: OidcSettings,
        fetch: Callable[[str], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = settings.oidc_issuer or ""
        self._url = self._issuer.rstrip("/")
        self._audience = settings.oidc_audience or ""
        self._prefix = settings.oidc_scope_prefix
        self._scope_claim = settings.oidc_scope_claim
        self._role_claim = settings.oidc_role_claim
        self._person_claim = settings.oidc_person_claim
        self._email_claim = settings.oidc_email_claim
        self._fetch = fetch or fetched_json
        self._endpoints: Endpoints | None = None
        self._keys = SigningKeys(self._load, "the OIDC issuer", clock)

    def caller(self, token: str, now: datetime) -> Caller | None:
        """Return the caller, or None for an invalid token.

        Raises Retryable if keys are missing and cannot be fetched.
        """
        return self._caller_by(self.claims(token, now, self._audience))

    def remembered(self, token: str, now: datetime) -> Caller | None:
        """Return the caller if the cached keys are enough to check the token, else None. The call never waits."""
        return self._caller_by(self._claims_by_keys_here(token, now, self._audience))

    def caller_of_session(self, token: str, now: datetime, longest: timedelta) -> Caller | None:
        """Return who a session's access token is of: for a time from when the issuer made it, and not until its end.

        Raises Retryable without keys while the issuer is away.
        """
        claims = self._claims(token, now, self._audience, essential=("sub", "iat"), with_end=False)
        if claims is None or not isinstance(claims["iat"], int | float):
            return None
        if now.timestamp() >= claims["iat"] + longest.total_seconds():
            return None
        return self._caller_by(claims)

    def logout(self, token: str, now: datetime, audience: str) -> LoggedOut | None:
        """Return whose sessions end by a logout token of the issuer, None for one that is not good.

        Raises Retryable without keys while the issuer is away.
        """
        claims = self._claims(token, now, audience, essential=("iat", "jti", "events"))
        if claims is None or "nonce" in claims:
            return None
        events = claims["events"]
        subject = claims.get("sub")
        session = claims.get("sid")
        if not isinstance(events, dict) or _LOGOUT_EVENT not in events:
            return None
        if (
            not isinstance(subject, str | None)
            or not isinstance(session, str | None)
            or not (subject or session)
        ):
            return None
        client_id = ""
        if subject:
            client_id = f"oidc:{subject}"
        return LoggedOut(client_id, session or "", datetime.fromtimestamp(claims["iat"], UTC))

    def claims(self, token: str, now: datetime, audience: str) -> dict[str, Any] | None:
        """Return the claims of a token for this audience, or None if it is invalid.

        Raises Retryable if keys are missing and the issuer does not answer.
        """
        return self._claims(token, now, audience)

    def _claims(
        self,
        token: str,
        now: datetime,
        audience: str,
        *,
        essential: Sequence[str] = ("sub",),
        with_end: bool = True,
    ) -> dict[str, Any] | None:
        key_id = key_id_of(token, ALGORITHMS)
        if key_id is None:
            return None
        self._keys.need(key_id)
        return self._claims_by_keys_here(
            token, now, audience, essential=essential, with_end=with_end
        )

    def endpoints(self) -> Endpoints:
        """Return the issuer's addresses.

        Raises Retryable if the issuer has never answered and does not answer now.
        """
        if self._endpoints is None:
            self._keys.need("")
        if self._endpoints is None:
            raise Retryable("the OIDC issuer does not say where people sign in")
        return self._endpoints

    def _claims_by_keys_here(
        self,
        token: str,
        now: datetime,
        audience: str,
        *,
        essential: Sequence[str] = ("sub",),
        with_end: bool = True,
    ) -> dict[str, Any] | None:
        """`with_end`: whether a token is refused whose time is over."""
        key_id = key_id_of(token, ALGORITHMS)
        if key_id is None:
            return None
        key_set = self._keys.known(key_id)
        if key_set is None:
            return None
        try:
            claims = signed_claims(
                token,
                key_set,
                _REGISTRY,
                issuer=self._issuer,
                audience=audience,
                now=now,
                with_end=with_end,
            )
        except (JoseError, ValueError):
            return None
        if not all(claims.get(name) for name in essential):
            return None
        return claims

    def _caller_by(self, claims: dict[str, Any] | None) -> Caller | None:
        if claims is None or claims.get("typ") in _OTHER_TYPES:
            return None
        if any(each in claims for each in _OF_ID_TOKENS):
            return None
        # The subject becomes part of Redis keys and log lines.
        subject = claims["sub"]
        if (
            not isinstance(subject, str)
            or not subject.isprintable()
            or len(subject) > MAX_SUBJECT_LENGTH
        ):
            return None

        scope_names = _words(claims.get(self._scope_claim))
        role_names = _words(claims.get(self._role_claim))
        scopes = tuple(scope for scope in SCOPES if self._prefix + scope in scope_names)
        roles = tuple(role for role in ROLES if self._prefix + role in role_names)
        person = claims.get(self._person_claim)
        if not isinstance(person, str) or not person:
            person = None
        # An address that the issuer has not checked may be somebody else's.
        address = claims.get(self._email_claim)
        is_checked = claims.get("email_verified", True) is True
        if not is_checked or not isinstance(address, str):
            address = None
        return Caller(f"oidc:{subject}", scopes, roles, person, address)

    def _load(self) -> KeySet:
        """Return the issuer's keys, and keep its addresses. Raises httpx.HTTPError and ValueError."""
        described = self._fetch(f"{self._url}/.well-known/openid-configuration")
        if described["issuer"] != self._issuer:
            raise ValueError("the issuer says that it is another")
        key_set = KeySet.import_key_set(self._fetch(described["jwks_uri"]))
        if "authorization_endpoint" in described:
            self._endpoints = Endpoints(
                described["authorization_endpoint"],
                described["token_endpoint"],
                described.get("end_session_endpoint"),
            )
        return key_set


def keeper_of(
    token: str, key_ring: KeyRing, issuer: Issuer | None, sessions: Sessions | None
) -> KeyRing | Issuer | Sessions:
    """Return the store that checks such a token. API keys begin with eg_ and session ids with es_; JWTs do not."""
    if sessions is not None and token.startswith(PREFIX):
        return sessions
    if issuer is None or token.startswith("eg_"):
        return key_ring
    return issuer


def _words(claim: object) -> list[object]:
    """Return the entries of a claim that is a list or a text with spaces between them."""
    if isinstance(claim, str):
        return [*claim.split()]
    if isinstance(claim, list):
        return claim
    return []
