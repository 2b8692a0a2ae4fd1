"""Sessions of people who signed in: the cookie names one, Redis says whose it is, and both doors ask there.

A session is looked up at each request and is not remembered, so that signing out ends it at both doors at once. What
changes something needs the session's CSRF token as well, since a browser sends the cookie along wherever a request
comes from. The token is made of the session's id, which no script can read.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import cast

import redis

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.permissions import Role, Scope
from edugraph_common.platform.callers import Caller
from edugraph_common.platform.problems import Refusal
from edugraph_common.platform.redis_errors import redis_errors

COOKIE = "edugraph_session"
CSRF_HEADER = "X-CSRF-Token"
PREFIX = "es_"  # of a session's id; an API key begins with eg_, and no access token with either
READING = frozenset({"GET", "HEAD", "OPTIONS"})
_ID_BYTES = 32  # nothing to guess
_MAX_ID_LENGTH = 100


class Session(MessageModel):
    """`name` is shown to the one who signed in. `id_token` tells the issuer whose session ends at signing out."""

    client_id: str
    name: str
    scopes: tuple[Scope, ...]
    roles: tuple[Role, ...]
    person: str | None
    ends: datetime
    id_token: str = ""


class Sessions:
    """Raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def begin(self, session: Session, now: datetime, random: Callable[[int], str] = secrets.token_urlsafe) -> str:
        """Keep a session until it ends. Return its id, which stands nowhere but in the answer."""
        session_id = PREFIX + random(_ID_BYTES)
        lifetime = max(timedelta(seconds=1), session.ends - now)
        with redis_errors():
            self._redis.set(_key(session_id), session.model_dump_json(), px=lifetime)
        return session_id

    def find(self, session_id: str, now: datetime) -> Session | None:
        """Return None for a session that has ended or never was."""
        if not session_id.startswith(PREFIX) or len(session_id) > _MAX_ID_LENGTH:
            return None
        with redis_errors():
            text = cast("str | None", self._redis.get(_key(session_id)))
        session = Session.model_validate_json(text) if text else None
        return session if session is not None and now < session.ends else None

    def end(self, session_id: str) -> None:
        with redis_errors():
            self._redis.delete(_key(session_id))

    def caller(self, token: str, now: datetime) -> Caller | None:
        """Return whose session it is."""
        found = self.find(token, now)
        return Caller(found.client_id, found.scopes, found.roles, found.person) if found else None

    def remembered(self, _token: str, _now: datetime) -> Caller | None:
        """No session is remembered."""
        return None


def csrf_token(session_id: str) -> str:
    return hmac.digest(session_id.encode(), b"csrf", "sha256").hex()


def token_sent(method: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str:
    """Return by what a caller wants to be known: what Authorization bears, else the id of the cookie's session.

    Raises Refusal 403 where a session would change something and its CSRF token is not there.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    session_id = cookies.get(COOKIE, "")
    # It begins with its prefix whatever a stranger put into the cookie: a key there would need no CSRF token.
    if not session_id.startswith(PREFIX):
        return ""
    if method not in READING:
        sent = headers.get(CSRF_HEADER.lower(), "")
        if not hmac.compare_digest(sent.encode(), csrf_token(session_id).encode()):
            words = f"A session changes something only with the header {CSRF_HEADER}: load the page again."
            raise Refusal(403, "csrf", words)
    return session_id


def not_known(token: str, words: str) -> Refusal:
    """Return the answer to who is not known: `words`, or that their session has ended."""
    if token.startswith(PREFIX):
        return Refusal(401, "session", "The session has ended: sign in again at /ui/.")
    return Refusal(401, "key", words)


def _key(session_id: str) -> str:
    """Redis holds the hash only: whoever reads its keys has no session."""
    return f"edugraph:session:{hashlib.sha256(session_id.encode()).hexdigest()}"
