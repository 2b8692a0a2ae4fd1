"""Sessions of people who signed in. Insights writes them to Redis, and insights and the gateway read them there.

The cookie names a session. A session is looked up at each request and is not remembered, so that signing out ends it
at both services at once. A request that changes something also needs the session's CSRF token, since a browser sends
the cookie with requests from any page. The token is made of the session's id, which no script can read.

The rights of a session are those of the issuer's access token that it keeps. Each door checks the issuer's signature
itself, so nobody gains a right by writing sessions into Redis. A token counts for ten minutes from the moment when
the issuer made it, and insights renews it before. A session that a learning platform began by LTI keeps the launch,
which the platform signed, in place of an access token. A launch cannot be renewed, and it counts for two hours. The
stored session is encrypted with a key that is made of the session's id, so a reader of Redis has no token.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol, cast

import redis
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import ValidationError

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.lti import LaunchReader

COOKIE = "edugraph_session"
CSRF_HEADER = "X-CSRF-Token"
PREFIX = "es_"  # of a session's id; an API key begins with eg_, and no access token with either
READING = frozenset({"GET", "HEAD", "OPTIONS"})
INDEX = "edugraph:sessions"  # the name of each session's key -> whose it is
# For so long the rights of an access token count, from when the issuer made it.
TOKEN_MINUTES = 10
_RENEWING = timedelta(seconds=15)
_ID_BYTES = 32  # nothing to guess
_MAX_ID_LENGTH = 100
_HEADER = {"alg": "dir", "enc": "A256GCM"}


class Session(MessageModel):
    """`name` is shown to the one who signed in. `sid` names the session at the issuer, and `id_token` tells the
    issuer whose session ends at signing out. `renewed` is when the issuer gave the access token. `platform` is the
    learning platform whose launch the access token is, and empty for a token of the issuer.
    """

    client_id: str
    name: str
    ends: datetime
    renewed: datetime
    access_token: str
    refresh_token: str = ""
    id_token: str = ""
    sid: str = ""
    platform: str = ""


class OpenSession(MessageModel):
    """The entry of a session in the index, with which an operator ends the session without its cookie."""

    client_id: str
    began: datetime
    ends: datetime
    sid: str = ""


class TokenReader(Protocol):
    """Reads access tokens, as `Issuer` does."""

    def caller_of_session(self, token: str, now: datetime, longest: timedelta) -> Caller | None: ...


class Sessions:
    """Raises Retryable when Redis does not answer.

    Without `issuer` nobody is known by a session of it, and without `launches` by a session of a learning platform.
    Sessions can be listed and ended then.
    """

    def __init__(
        self,
        client: "redis.Redis",
        issuer: TokenReader | None = None,
        launches: LaunchReader | None = None,
    ) -> None:
        self._redis = client
        self._issuer = issuer
        self._launches = launches

    def begin(
        self, session: Session, now: datetime, random: Callable[[int], str] = secrets.token_urlsafe
    ) -> str:
        """Keep a session until it ends. Return its id, which stands nowhere but in the answer."""
        session_id = PREFIX + random(_ID_BYTES)
        entry = OpenSession(
            client_id=session.client_id, began=now, ends=session.ends, sid=session.sid
        )
        over = [key for key, each in self.all().items() if each.ends <= now]
        with redis_errors():
            # The index comes first: a session that is not in it could not be ended.
            self._redis.hset(INDEX, _key(session_id), entry.model_dump_json())
            self._redis.set(_key(session_id), _sealed(session_id, session), px=_left(session, now))
            if over:
                self._redis.hdel(INDEX, *over)
        return session_id

    def renew(self, session_id: str, session: Session, now: datetime) -> None:
        """Keep new tokens of a session, unless it was ended meanwhile."""
        with redis_errors():
            self._redis.set(
                _key(session_id), _sealed(session_id, session), px=_left(session, now), xx=True
            )
            self._redis.delete(f"{_key(session_id)}:renewing")

    def takes_turn_to_renew(self, session_id: str) -> bool:
        """Return whether the caller is to renew it now. An issuer may take each refresh token once only."""
        with redis_errors():
            return bool(self._redis.set(f"{_key(session_id)}:renewing", "1", px=_RENEWING, nx=True))

    def find(self, session_id: str, now: datetime) -> Session | None:
        """Return None for a session that has ended or never was."""
        if not session_id.startswith(PREFIX) or len(session_id) > _MAX_ID_LENGTH:
            return None
        try:
            with redis_errors():
                text = cast("str | None", self._redis.get(_key(session_id)))
        except UnicodeDecodeError:
            # Somebody else wrote these bytes, since a stored session is ASCII.
            return None
        if not text:
            return None
        session = _opened(session_id, text)
        if session is None or now >= session.ends:
            return None
        return session

    def end(self, session_id: str) -> None:
        self.end_by_key(_key(session_id))

    def end_by_key(self, key: str) -> None:
        """End the session whose key the index names."""
        with redis_errors():
            self._redis.delete(key)
            self._redis.hdel(INDEX, key)

    def end_of(self, client_id: str, sid: str = "", began_before: datetime | None = None) -> int:
        """End the sessions of a person, or only the one that the issuer calls `sid`. Return how many there were.

        Sessions that began at `began_before` or later stay.
        """
        ended = 0
        for key, each in self.all().items():
            is_of_person = not client_id or each.client_id == client_id
            is_chosen = not sid or each.sid == sid
            is_later = began_before is not None and each.began >= began_before
            if is_of_person and is_chosen and not is_later:
                self.end_by_key(key)
                ended += 1
        return ended

    def all(self) -> dict[str, OpenSession]:
        """Return the sessions by the names of their keys. Some may have ended by themselves.

        An entry that cannot be read is left out. It must not keep people from signing in.
        """
        with redis_errors():
            found = cast("dict[str, str]", self._redis.hgetall(INDEX))
        sessions: dict[str, OpenSession] = {}
        for key, text in found.items():
            with suppress(ValidationError):
                sessions[key] = OpenSession.model_validate_json(text)
        return sessions

    def caller(self, token: str, now: datetime) -> Caller | None:
        """Return whose session it is, with the rights that the issuer gave last.

        None for a session that has ended, and for one whose access token is not the issuer's or too old.
        """
        found = self.find(token, now)
        if not found:
            return None
        return self.caller_in(found, now)

    def caller_in(self, session: Session, now: datetime) -> Caller | None:
        """Return whose session it is, by the token in it, or None if the token is not valid any more."""
        caller = None
        if session.platform and self._launches is not None:
            caller = self._launches.caller(session.platform, session.access_token, now)
        if not session.platform and self._issuer is not None:
            caller = self._issuer.caller_of_session(
                session.access_token, now, timedelta(minutes=TOKEN_MINUTES)
            )
        if caller is None or caller.client_id != session.client_id:
            return None
        # Nobody who teaches or learns says on the page who leads a group.
        if "teacher" in caller.roles or "student" in caller.roles:
            scopes = tuple(scope for scope in caller.scopes if scope != "roster")
            return replace(caller, scopes=scopes)
        return caller

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
    # An API key in the cookie would need no CSRF token, so only an id with the prefix of sessions is taken.
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


def _left(session: Session, now: datetime) -> timedelta:
    return max(timedelta(seconds=1), session.ends - now)


def _seal(session_id: str) -> OctKey:
    """Return the key that encrypts a stored session. The id is random enough for one hash to be a key."""
    return OctKey.import_key(hashlib.sha256(b"edugraph session " + session_id.encode()).digest())


def _sealed(session_id: str, session: Session) -> str:
    return jwe.encrypt_compact(_HEADER, session.model_dump_json().encode(), _seal(session_id))


def _opened(session_id: str, text: str) -> Session | None:
    """Return None for what was not sealed for this session."""
    try:
        plain = jwe.decrypt_compact(text, _seal(session_id)).plaintext
        return Session.model_validate_json(plain or b"")
    except (JoseError, ValueError):
        return None
