"""Signing in at the OIDC issuer: authorization code with PKCE. What comes of it is a session, or the reason why not.

What has to be remembered while somebody is at the issuer stands in a cookie of their browser: the server keeps
nothing for strangers, and a code that another browser began to fetch is of no use in this one.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from edugraph_common.contracts.errors import Retryable
from edugraph_common.platform.oidc import Issuer, LoggedOut
from edugraph_common.platform.sessions import Session
from edugraph_common.platform.settings import secret_of
from edugraph_insights.settings import InsightsSettings

TIMEOUT_SECONDS = 5.0
MAX_NAME_LENGTH = 200
_RANDOM_BYTES = 48  # PKCE asks for 43 characters or more
Why = Literal["stale", "refused", "token"]
log = structlog.get_logger()


class NotSignedIn(Exception):
    """`stale`: it took too long, or began elsewhere. `refused`: the issuer said no. `token`: its tokens are not ours.

    It is caught where the answer is made: somebody who is sent back to the page sees a sentence, not JSON.
    """

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class Attempt(NamedTuple):
    """What the browser keeps while somebody signs in."""

    state: str
    nonce: str
    verifier: str

    def cookie(self) -> str:
        return ".".join(self)

    @classmethod
    def of_cookie(cls, text: str) -> "Attempt | None":
        parts = text.split(".")
        return cls(*parts) if len(parts) == len(cls._fields) and all(parts) else None


class Login:
    """`transport` replaces the network in tests."""

    def __init__(
        self,
        settings: InsightsSettings,
        issuer: Issuer,
        *,
        random: Callable[[int], str] = secrets.token_urlsafe,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._issuer, self._random, self._transport = issuer, random, transport
        self._client_id, self._secret = settings.oidc_client_id or "", secret_of(settings.oidc_client_secret)
        self._scope, self.redirect_url = settings.oidc_login_scope, settings.oidc_redirect_url or ""
        self._lifetime = timedelta(minutes=settings.session_minutes)
        self.is_secure = self.redirect_url.startswith("https://")

    def begin(self) -> tuple[str, Attempt]:
        """Return the issuer's address to go to, and what to keep meanwhile. Raises Retryable."""
        attempt = Attempt(*(self._random(_RANDOM_BYTES) for _ in Attempt._fields))
        with self._client() as client:
            address, _ = client.create_authorization_url(
                self._issuer.endpoints().authorization,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return address, attempt

    def finish(self, attempt: Attempt | None, came_back: Mapping[str, str], now: datetime) -> Session:
        """Return the session of who came back from the issuer. Raises NotSignedIn and Retryable."""
        if attempt is None or not hmac.compare_digest(attempt.state.encode(), came_back.get("state", "").encode()):
            raise NotSignedIn("stale")
        if "code" not in came_back:
            raise NotSignedIn("refused")
        tokens = self._tokens(came_back["code"], attempt.verifier)
        access_token, id_token = tokens.get("access_token"), tokens.get("id_token")
        identity = self._issuer.claims(id_token, now, self._client_id) if isinstance(id_token, str) else None
        caller = self._issuer.caller(access_token, now) if isinstance(access_token, str) else None
        if identity is None or caller is None:
            # The commonest cause: no mapper puts EDUGRAPH_OIDC_AUDIENCE into the access token.
            log.warning("login_token_refused", id_token=identity is not None, access_token=caller is not None)
            raise NotSignedIn("token")
        same_attempt = hmac.compare_digest(str(identity.get("nonce", "")).encode(), attempt.nonce.encode())
        if not same_attempt or caller.client_id != f"oidc:{identity['sub']}":
            raise NotSignedIn("stale")
        sid = identity.get("sid")
        return Session(
            client_id=caller.client_id,
            name=_name(identity),
            ends=now + self._lifetime,
            renewed=now,
            access_token=str(access_token),
            refresh_token=_text(tokens.get("refresh_token")),
            id_token=str(id_token),
            sid=_text(sid),
        )

    def renewed(self, session: Session, now: datetime) -> Session:
        """Return the session with tokens that the issuer makes now, which have the rights of now.

        Raises NotSignedIn for somebody whom the issuer does not know any more, and Retryable.
        """
        try:
            with self._client() as client:
                tokens: dict[str, Any] = client.refresh_token(
                    self._issuer.endpoints().token, refresh_token=session.refresh_token
                )
        except OAuthError as error:
            log.info("session_not_renewed", error=error.error)
            raise NotSignedIn("refused") from error
        except (httpx2.HTTPError, ValueError) as error:
            raise Retryable(f"the OIDC issuer renews no tokens ({type(error).__name__})") from error
        access_token = _text(tokens.get("access_token"))
        caller = self._issuer.caller(access_token, now)
        if caller is None or caller.client_id != session.client_id:
            raise NotSignedIn("token")
        return session.model_copy(
            update={
                "renewed": now,
                "access_token": access_token,
                "refresh_token": _text(tokens.get("refresh_token")) or session.refresh_token,
            }
        )

    def logged_out(self, token: str, now: datetime) -> LoggedOut | None:
        """Return whose sessions a logout token ends, None for one that is not good. Raises Retryable."""
        return self._issuer.logout(token, now, self._client_id)

    def address_after(self, session: Session | None) -> str:
        """Return where to go after signing out here: to the issuer, which ends its own session and sends back."""
        back = self.redirect_url.removesuffix("callback")
        try:
            end = self._issuer.endpoints().end_session
        except Retryable:
            # Signed out here they are all the same; whoever uses this browser next could sign in without a password.
            log.warning("login_issuer_away_at_logout")
            return back
        if session is None or end is None:
            return back
        query = {"id_token_hint": session.id_token, "post_logout_redirect_uri": back, "client_id": self._client_id}
        return f"{end}?{urlencode(query)}"

    def _tokens(self, code: str, verifier: str) -> dict[str, Any]:
        try:
            with self._client() as client:
                tokens: dict[str, Any] = client.fetch_token(
                    self._issuer.endpoints().token, grant_type="authorization_code", code=code, code_verifier=verifier
                )
        except OAuthError as error:
            log.warning("login_code_refused", error=error.error)
            raise NotSignedIn("refused") from error
        except (httpx2.HTTPError, ValueError) as error:
            raise Retryable(f"the OIDC issuer gives no tokens ({type(error).__name__})") from error
        return tokens

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            self._client_id,
            self._secret,
            scope=self._scope,
            redirect_uri=self.redirect_url,
            code_challenge_method="S256",
            timeout=TIMEOUT_SECONDS,
            transport=self._transport,
        )


def _text(given: object) -> str:
    return given if isinstance(given, str) else ""


def _name(identity: Mapping[str, Any]) -> str:
    """Return what the one who signed in is shown as their name; the issuer may have none."""
    given = next((identity[claim] for claim in ("name", "preferred_username") if identity.get(claim)), "")
    return given[:MAX_NAME_LENGTH] if isinstance(given, str) and given.isprintable() else ""
