"""Sign people in at the OIDC issuer, by authorization code with PKCE. The result is a session or the reason why not.

While a person is at the issuer, a cookie in the browser holds the state of the attempt. So the server keeps nothing
for strangers, and a code that another browser requested is useless in this one.
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
from edugraph_common.runtime.service.settings import secret_of
from edugraph_common.runtime.shared_state.oidc import Issuer, LoggedOut
from edugraph_common.runtime.shared_state.sessions import Session
from edugraph_insights.settings import InsightsSettings

TIMEOUT_SECONDS = 5.0
MAX_NAME_LENGTH = 200
_RANDOM_BYTES = 48  # PKCE needs 43 characters or more
Why = Literal["stale", "refused", "token"]
log = structlog.get_logger()


class NotSignedIn(Exception):
    """A person could not sign in.

    `stale`: it took too long or began in another browser. `refused`: the issuer refused. `token`: the tokens of the
    issuer are not valid here. The routes catch this exception, so that the person sees a sentence on the page and not
    JSON.
    """

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


class Attempt(NamedTuple):
    """The state of an attempt to sign in, which a cookie in the browser keeps."""

    state: str
    nonce: str
    verifier: str

    def cookie(self) -> str:
        return ".".join(self)

    @classmethod
    def of_cookie(cls, text: str) -> "Attempt | None":
        """Return the attempt in a cookie, or None if the cookie does not hold one."""
        parts = text.split(".")
        if len(parts) != len(cls._fields) or not all(parts):
            return None
        return cls(*parts)


class Login:
    """The client of the OIDC issuer. `transport` replaces the network in tests."""

    def __init__(
        self,
        settings: InsightsSettings,
        issuer: Issuer,
        *,
        random: Callable[[int], str] = secrets.token_urlsafe,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._issuer = issuer
        self._random = random
        self._transport = transport
        self._client_id = settings.oidc_client_id or ""
        self._secret = secret_of(settings.oidc_client_secret)
        self._scope = settings.oidc_login_scope
        self.redirect_url = settings.oidc_redirect_url or ""
        self._lifetime = timedelta(minutes=settings.session_minutes)
        self.is_secure = self.redirect_url.startswith("https://")

    def begin(self) -> tuple[str, Attempt]:
        """Return the address of the issuer to go to, and the attempt to keep meanwhile. Raises Retryable."""
        attempt = Attempt(
            state=self._random(_RANDOM_BYTES),
            nonce=self._random(_RANDOM_BYTES),
            verifier=self._random(_RANDOM_BYTES),
        )
        with self._client() as client:
            address, _ = client.create_authorization_url(
                self._issuer.endpoints().authorization,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return address, attempt

    def finish(
        self, attempt: Attempt | None, came_back: Mapping[str, str], now: datetime
    ) -> Session:
        """Return the session of a person who came back from the issuer. Raises NotSignedIn and Retryable."""
        if attempt is None or not _is_same(attempt.state, came_back.get("state", "")):
            raise NotSignedIn("stale")
        if "code" not in came_back:
            raise NotSignedIn("refused")
        tokens = self._tokens(came_back["code"], attempt.verifier)
        identity = None
        id_token = tokens.get("id_token")
        if isinstance(id_token, str):
            identity = self._issuer.claims(id_token, now, self._client_id)
        caller = None
        access_token = tokens.get("access_token")
        if isinstance(access_token, str):
            caller = self._issuer.caller(access_token, now)
        if identity is None or caller is None:
            # The most common cause is that no mapper puts EDUGRAPH_OIDC_AUDIENCE into the access token.
            log.warning(
                "login_token_refused",
                id_token=identity is not None,
                access_token=caller is not None,
            )
            raise NotSignedIn("token")
        is_same_attempt = _is_same(attempt.nonce, str(identity.get("nonce", "")))
        is_same_person = caller.client_id == f"oidc:{identity['sub']}"
        if not is_same_attempt or not is_same_person:
            raise NotSignedIn("stale")
        return Session(
            client_id=caller.client_id,
            name=_name(identity),
            ends=now + self._lifetime,
            renewed=now,
            access_token=str(access_token),
            refresh_token=_text(tokens.get("refresh_token")),
            id_token=str(id_token),
            sid=_text(identity.get("sid")),
        )

    def renewed(self, session: Session, now: datetime) -> Session:
        """Return the session with new tokens of the issuer, which have the present rights of the person.

        Raises NotSignedIn if the issuer does not know the person anymore, and Retryable.
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
        """Return whose sessions a logout token ends, or None if the token is not valid. Raises Retryable."""
        return self._issuer.logout(token, now, self._client_id)

    def address_after(self, session: Session | None) -> str:
        """Return the address to go to after signing out here: the issuer ends its own session and sends back."""
        back = self.redirect_url.removesuffix("callback")
        try:
            end = self._issuer.endpoints().end_session
        except Retryable:
            # The person is signed out here, but the next person at this browser may sign in without a password.
            log.warning("login_issuer_away_at_logout")
            return back
        if session is None or end is None:
            return back
        query = {
            "id_token_hint": session.id_token,
            "post_logout_redirect_uri": back,
            "client_id": self._client_id,
        }
        return f"{end}?{urlencode(query)}"

    def _tokens(self, code: str, verifier: str) -> dict[str, Any]:
        try:
            with self._client() as client:
                tokens: dict[str, Any] = client.fetch_token(
                    self._issuer.endpoints().token,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
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


def _text(value: object) -> str:
    """Return a text, or an empty one in place of any other value."""
    if isinstance(value, str):
        return value
    return ""


def _name(identity: Mapping[str, Any]) -> str:
    """Return the name that the page shows to the person, or an empty text if the issuer has none."""
    name = identity.get("name") or identity.get("preferred_username") or ""
    if not isinstance(name, str) or not name.isprintable():
        return ""
    return name[:MAX_NAME_LENGTH]


def _is_same(expected: str, found: str) -> bool:
    """Return whether two secrets are equal. The comparison always takes the same time."""
    return hmac.compare_digest(expected.encode(), found.encode())
