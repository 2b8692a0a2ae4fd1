"""The composition root: the parts that one process of insights works with. Tests replace single parts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import BoundedSemaphore
from zoneinfo import ZoneInfo

import structlog

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.service.settings import secret_of
from edugraph_common.runtime.shared_state.action_permits import ActionPermits
from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.bootstrap_key import KeysWithBootstrap
from edugraph_common.runtime.shared_state.callers import ANYBODY, Caller, KeyRing
from edugraph_common.runtime.shared_state.digests import DigestMails, Digests
from edugraph_common.runtime.shared_state.graph_changes import GraphChanges
from edugraph_common.runtime.shared_state.job_store import redis_of
from edugraph_common.runtime.shared_state.lti import LaunchReader, UsedNonces, platforms_of
from edugraph_common.runtime.shared_state.model_permits import ModelPermits
from edugraph_common.runtime.shared_state.oidc import Issuer, keeper_of
from edugraph_common.runtime.shared_state.rate_limiter import RateLimiter
from edugraph_common.runtime.shared_state.saved_views import SavedViews
from edugraph_common.runtime.shared_state.sessions import PREFIX, Sessions, not_known
from edugraph_common.sources.platforms import Platforms
from edugraph_insights.answer_cache import AnswerCache
from edugraph_insights.columns.store import ColumnStore
from edugraph_insights.epochs import CourseEpochs
from edugraph_insights.graph import Graph
from edugraph_insights.login import Login, NotSignedIn
from edugraph_insights.lti_tool import LtiTool
from edugraph_insights.problems import Busy
from edugraph_insights.settings import InsightsSettings

REDIS_TIMEOUT_SECONDS = 1.5
# An open page sends requests more often than this, and the rights of a session are valid for ten minutes.
RENEW_AFTER = timedelta(minutes=4)
log = structlog.get_logger()

# A question about this many students may take a second of CPU time of this process, and as much of Neo4j.
MANY_STUDENTS = 300
LARGE_AT_ONCE = 1
# Large questions may wait in this many of the 40 threads of the process. A page asks fewer questions at once.
WAITING_AT_MOST = 8
LONGEST_WAIT_SECONDS = 1.5
PLACE_RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class LargeQuestions:
    """Limits the questions about many students to one at a time.

    Threads share one core for Python code. If eight large questions ran together, the first answer would come nearly
    as late as the last. Questions about a group do not wait. A thread is left for them, because only a limited number
    of large questions may wait in threads.
    """

    places: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(LARGE_AT_ONCE))
    queue: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(WAITING_AT_MOST))
    longest_wait_seconds: float = LONGEST_WAIT_SECONDS

    @contextmanager
    def place(self, students: int) -> Iterator[None]:
        """Wait until a question about this number of students may be answered.

        Raises Busy if the wait is too long, and at once if too many others wait already.
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
    """The parts that answer questions.

    `now` returns aware times. `issuer` is None without OIDC, `login` without a client at the issuer, `lti` without a
    learning platform, and `sessions` without an issuer and a learning platform. Without `answers`, each answer is
    computed. Without `rate_limiter`, callers may ask as often as they like. Without `columns`, each question reads
    the graph. Without an address of the page for digests, `digests` is None.
    """

    settings: InsightsSettings
    graph: Graph
    key_ring: KeyRing
    issuer: Issuer | None
    audit: Audit
    views: SavedViews
    action_permits: ActionPermits
    model_permits: ModelPermits
    ping_redis: Callable[[], None]
    now: Callable[[], datetime]
    sessions: Sessions | None = None
    login: Login | None = None
    lti: LtiTool | None = None
    answers: AnswerCache | None = None
    rate_limiter: RateLimiter | None = None
    large: LargeQuestions = field(default_factory=LargeQuestions)
    columns: ColumnStore | None = None
    digests: Digests | None = None
    mails: DigestMails | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the school."""
        return ZoneInfo(self.settings.school_time_zone)

    def admit(self, token: str) -> Caller:
        """Return the caller. Raises Refusal 401, Problem 429, and Retryable if the caller cannot be looked up."""
        if self.settings.auth == "off":
            return ANYBODY
        if token.startswith(PREFIX):
            self.keep_fresh(token)
        caller = None
        if token:
            keeper = keeper_of(token, self.key_ring, self.issuer, self.sessions)
            caller = keeper.caller(token, self.now())
        if caller is None:
            words = "No valid API key: send Authorization: Bearer with one. Make one: edugraph keys create --role."
            raise not_known(token, words)
        if self.rate_limiter is None or self.rate_limiter.spend(caller.client_id):
            return caller
        wait_seconds = self.rate_limiter.take(caller.client_id)
        if wait_seconds:
            words = "More questions than this caller may ask; ask again after the seconds of Retry-After."
            raise Problem(429, "rate", words, retry_after=wait_seconds)
        return caller

    def keep_fresh(self, session_id: str) -> None:
        """Renew the tokens of a session at the issuer if its rights are some minutes old.

        A person whom the issuer does not know anymore is signed out. While the issuer does not answer, the old rights
        stay valid until they are too old. Raises Retryable if Redis does not answer.
        """
        if self.login is None or self.sessions is None:
            return
        now = self.now()
        session = self.sessions.find(session_id, now)
        if session is None or not session.refresh_token:
            return
        is_fresh = now - session.renewed < RENEW_AFTER
        if is_fresh:
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
        """Write into the audit log that personal data is about to be shown.

        Raises Retryable if that fails; then the data must not be shown.
        """
        self.audit.record(
            caller.client_id,
            "personal.read",
            what,
            self.now(),
            outcome="shown",
            of=of,
            purpose=purpose,
        )

    def missing(self) -> list[str]:
        """Return the names of the servers that do not answer."""
        servers = {"graph": self.graph.answers, "redis": self.ping_redis}
        return [name for name, ask in servers.items() if not _answers(ask)]


def _answers(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except Retryable:
        return False
    return True


def open_insights(
    settings: InsightsSettings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Insights:
    """Return the parts of insights. No connection is open yet: each client connects at its first use."""
    client = redis_of(settings, timeout=REDIS_TIMEOUT_SECONDS, retries=1)

    def ping() -> None:
        with redis_errors():
            client.ping()

    issuer = None
    login = None
    if settings.oidc_issuer:
        issuer = Issuer(settings)
        if settings.oidc_client_id:
            login = Login(settings, issuer)
    lti = None
    launches = None
    if settings.lti_platforms:
        prefixes = Platforms.of_addresses(settings.platform_prefixes)
        platforms = platforms_of(settings.lti_platforms, prefixes.account_id)
        lti = LtiTool(settings, platforms, UsedNonces(client))
        launches = LaunchReader(platforms)
    sessions = None
    if issuer is not None or launches is not None:
        sessions = Sessions(client, issuer, launches)
    graph = Graph(settings)
    changes = GraphChanges(client)
    answers = None
    if settings.answer_cache_bytes:
        epochs = CourseEpochs(changes.since)
        answers = AnswerCache(settings.answer_cache_bytes, epochs.of)
    digests = None
    if settings.digest_page_url:
        digests = Digests(client, timedelta(days=settings.digest_retention_days))
    return Insights(
        settings=settings,
        graph=graph,
        key_ring=KeyRing(KeysWithBootstrap(client, secret_of(settings.bootstrap_key))),
        issuer=issuer,
        audit=Audit(client, secret_of(settings.privacy_secret)),
        views=SavedViews(client, timedelta(days=settings.view_retention_days)),
        action_permits=ActionPermits(client),
        model_permits=ModelPermits(client),
        ping_redis=ping,
        now=now,
        sessions=sessions,
        login=login,
        lti=lti,
        answers=answers,
        rate_limiter=RateLimiter(
            client,
            settings.questions_per_minute,
            settings.questions_at_once,
            keys="edugraph:reading-turns:",
        ),
        columns=ColumnStore(graph, changes.since, ZoneInfo(settings.school_time_zone)),
        digests=digests,
        mails=DigestMails(client),
    )
