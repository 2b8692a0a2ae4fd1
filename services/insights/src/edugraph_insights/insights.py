"""The composition root: what one process of insights works with. Tests replace single parts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import BoundedSemaphore

import structlog

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.mastery import Coefficients, read_coefficients
from edugraph_common.platform.answer_epochs import AnswerEpochs
from edugraph_common.platform.audit import Audit
from edugraph_common.platform.bootstrap_key import KeysWithBootstrap
from edugraph_common.platform.callers import ANYBODY, Caller, KeyRing
from edugraph_common.platform.job_store import connect
from edugraph_common.platform.oidc import Issuer, keeper_of
from edugraph_common.platform.problems import Problem
from edugraph_common.platform.rate_limiter import RateLimiter
from edugraph_common.platform.redis_errors import redis_errors
from edugraph_common.platform.saved_views import SavedViews
from edugraph_common.platform.sessions import PREFIX, Sessions, not_known
from edugraph_common.platform.settings import secret_of
from edugraph_insights.answer_cache import AnswerCache
from edugraph_insights.graph import Graph
from edugraph_insights.login import Login, NotSignedIn
from edugraph_insights.problems import Busy
from edugraph_insights.settings import InsightsSettings

REDIS_TIMEOUT_SECONDS = 1.5
# The page asks at least as often while it is shown; the rights of a session count for ten minutes.
RENEW_AFTER = timedelta(minutes=4)
log = structlog.get_logger()

# A question about so many students may take a second of a core of this process, and as much of Neo4j.
MANY_STUDENTS = 300
LARGE_AT_ONCE = 1
WAITING_AT_MOST = 8  # of the 40 threads of a process, which answer everybody; a page asks fewer at once
LONGEST_WAIT_SECONDS = 1.5
PLACE_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class LargeQuestions:
    """Lets one question about many students be answered at a time.

    Threads share one core for what is Python, so that of eight that begin together none is answered before the last
    one nearly is. Those about a group go past all of them, and find a thread: only so many others wait in one.
    """

    places: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(LARGE_AT_ONCE))
    queue: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(WAITING_AT_MOST))
    longest_wait_seconds: float = LONGEST_WAIT_SECONDS

    @contextmanager
    def place(self, students: int) -> Iterator[None]:
        """Wait for a place to ask about so many students.

        Raises Busy where none becomes free in time, and at once where as many wait as may.
        """
        if students < MANY_STUDENTS:
            yield
            return
        has_place = False
        if self.queue.acquire(blocking=False):
            try:
                has_place = self.places.acquire(timeout=self.longest_wait_seconds)
            finally:
                self.queue.release()
        if not has_place:
            found = "Other questions about many students are being answered now"
            offer = "Ask for one group or one student, or again in some seconds."
            raise Busy(found, offer, retry_after_seconds=PLACE_RETRY_SECONDS)
        try:
            yield
        finally:
            self.places.release()


@dataclass(frozen=True)
class Insights:
    """`now` gives aware times. `coefficients` are those of mastery.

    `issuer` and `sessions` are None without OIDC, `login` without a client at the issuer. Without `answers`, every
    answer is computed; without `rate_limiter`, callers may ask as often as they like.
    """

    settings: InsightsSettings
    graph: Graph
    key_ring: KeyRing
    issuer: Issuer | None
    audit: Audit
    views: SavedViews
    ping_redis: Callable[[], None]
    now: Callable[[], datetime]
    coefficients: Coefficients = field(default_factory=Coefficients)
    sessions: Sessions | None = None
    login: Login | None = None
    answers: AnswerCache | None = None
    rate_limiter: RateLimiter | None = None
    large: LargeQuestions = field(default_factory=LargeQuestions)

    def admit(self, token: str) -> Caller:
        """Return who calls. Raises Refusal 401, Problem 429, and Retryable when the caller cannot be looked up."""
        if self.settings.auth == "off":
            return ANYBODY
        if token.startswith(PREFIX):
            self.keep_fresh(token)
        keeper = keeper_of(token, self.key_ring, self.issuer, self.sessions)
        caller = keeper.caller(token, self.now()) if token else None
        if caller is None:
            words = "No valid API key: send Authorization: Bearer with one. Make one: edugraph keys create --role."
            raise not_known(token, words)
        limiter = self.rate_limiter
        if limiter and not limiter.spend(caller.client_id) and (wait := limiter.take(caller.client_id)):
            words = "More questions than this caller may ask; ask again after the seconds of Retry-After."
            raise Problem(429, "rate", words, retry_after=wait)
        return caller

    def keep_fresh(self, session_id: str) -> None:
        """Have the issuer renew the tokens of a session whose rights are some minutes old.

        Somebody whom the issuer does not know any more is signed out. While the issuer is away, the rights of before
        count until they are too old. Raises Retryable without Redis.
        """
        if self.login is None or self.sessions is None:
            return
        now = self.now()
        session = self.sessions.find(session_id, now)
        if session is None or now - session.renewed < RENEW_AFTER or not session.refresh_token:
            return
        if not self.sessions.takes_turn_to_renew(session_id):
            return
        try:
            self.sessions.renew(session_id, self.login.renewed(session, now), now)
        except NotSignedIn:
            self.sessions.end(session_id)
        except Retryable as away:
            log.warning("session_not_renewed", reason=away.reason)

    def note_shown(self, caller: Caller, what: str, of: tuple[str, str], purpose: str) -> None:
        """Write down that personal data is about to be shown; what cannot be written down is not shown.

        Raises Retryable.
        """
        self.audit.record(
            caller.client_id, "personal.read", what, self.now(), outcome="shown", of=of, purpose=purpose
        )

    def missing(self) -> list[str]:
        """Return the names of the servers that do not answer."""
        return [
            name for name, ask in (("graph", self.graph.answers), ("redis", self.ping_redis)) if not _answers(ask)
        ]


def _answers(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except Retryable:
        return False
    return True


def open_insights(settings: InsightsSettings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Insights:
    """Return insights that are connected to nothing yet: each client connects at its first use.

    Raises ValueError for a file of coefficients that is none.
    """
    fitted = settings.mastery_coefficients
    issuer = Issuer(settings) if settings.oidc_issuer else None
    client = connect(settings.redis_url.get_secret_value(), timeout=REDIS_TIMEOUT_SECONDS, retries=1)

    def ping() -> None:
        with redis_errors():
            client.ping()

    return Insights(
        settings=settings,
        graph=Graph(settings),
        key_ring=KeyRing(KeysWithBootstrap(client, secret_of(settings.bootstrap_key))),
        issuer=issuer,
        audit=Audit(client, secret_of(settings.privacy_secret)),
        views=SavedViews(client, timedelta(days=settings.view_retention_days)),
        ping_redis=ping,
        now=now,
        coefficients=read_coefficients(fitted) if fitted else Coefficients(),
        sessions=Sessions(client, issuer) if issuer else None,
        login=Login(settings, issuer) if issuer and settings.oidc_client_id else None,
        answers=AnswerCache(settings.answer_cache_bytes, AnswerEpochs(client).of)
        if settings.answer_cache_bytes
        else None,
        rate_limiter=RateLimiter(
            client, settings.questions_per_minute, settings.questions_at_once, keys="edugraph:reading-turns:"
        ),
    )
