"""Weekly digests in Redis: who gets the mail of a course, and what became of each mail.

Insights writes the subscriptions. The command `edugraph-digest` reads them and sends the mails (docs/adr/0145). An
erasure in the importer deletes the subscriptions of the person.

The command also sends messages to channels of chats (docs/adr/0156). They have no subscriptions. Their claims and
outcomes are kept as those of mails.

A mail is claimed before it is handed over, and its outcome is kept afterwards. A claim whose outcome is missing means
that the process ended in between, so nobody knows whether the mail went out. Such a mail is not sent again.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, cast, get_args

import redis
from pydantic import ValidationError

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.runtime.service.metrics import ChatService, DigestOutcome
from edugraph_common.runtime.service.redis_errors import redis_errors

MOST_DIGESTS = 30  # of one caller
# The id of each subscription -> the client whose it is.
OWNERS = "edugraph:digest-owners"
# Outcome -> number of mails, and "service outcome" -> number of messages to chats, since the installation exists.
COUNTS = "edugraph:digest-counts"
# The outcome of a mail is kept for longer than the week that the mail is about.
_OUTCOME_LIFETIME = timedelta(days=30)

OUTCOMES: tuple[DigestOutcome, ...] = get_args(DigestOutcome)
SERVICES: tuple[ChatService, ...] = get_args(ChatService)
_CLAIMED = "claimed "  # then follows the moment of the claim


class DigestSubscription(MessageModel):
    """A subscription as Redis stores it. It may outlive an upgrade.

    `person` is the id of the teacher in the graph. `address` is the mail address that the issuer or an operator gave.
    `view` is the id of a saved view of the same client: the mail is about the group that the view shows. None: the
    mail is about the whole course.
    """

    person: str
    course: str
    view: str | None = None
    address: str
    language: Literal["en", "zh"] = "en"
    since: datetime


class OwnedDigest(NamedTuple):
    """A subscription with its id and its owner."""

    id: str
    client_id: str
    digest: DigestSubscription


class Digests:
    """The subscriptions of all callers. They expire `lifetime` after their owner last read or changed them.

    Each method raises Retryable when Redis does not answer.
    """

    def __init__(self, client: "redis.Redis", lifetime: timedelta) -> None:
        self._redis = client
        self._lifetime = lifetime

    def of(self, client_id: str) -> dict[str, DigestSubscription]:
        """Return id -> subscription of a caller, in the order of courses and views. They live on from now."""
        key = _key(client_id)
        with redis_errors():
            pipe = self._redis.pipeline()
            pipe.hgetall(key)
            pipe.pexpire(key, self._lifetime)
            found = cast("dict[str, str]", pipe.execute()[0])
        digests = {}
        for digest_id, text in found.items():
            digest = _read(text)
            if digest is not None:
                digests[digest_id] = digest
        return dict(sorted(digests.items(), key=_in_order))

    def keep(self, client_id: str, digest_id: str, digest: DigestSubscription) -> None:
        """Add a subscription or replace it."""
        key = _key(client_id)
        with redis_errors():
            pipe = self._redis.pipeline()
            # The owner comes first: a subscription that nobody finds could not be ended by its link.
            pipe.hset(OWNERS, digest_id, client_id)
            pipe.hset(key, digest_id, digest.model_dump_json())
            pipe.pexpire(key, self._lifetime)
            pipe.execute()

    def end(self, client_id: str, digest_id: str) -> bool:
        """Delete a subscription of a caller, and return whether it existed."""
        with redis_errors():
            existed = bool(self._redis.hdel(_key(client_id), digest_id))
            if existed:
                self._redis.hdel(OWNERS, digest_id)
        return existed

    def end_by_id(self, digest_id: str) -> bool:
        """Delete a subscription, and return whether it existed."""
        owner = self._owner(digest_id)
        if owner is None:
            return False
        return self.end(owner, digest_id)

    def find(self, digest_id: str) -> OwnedDigest | None:
        """Return a subscription as it is now, or None if it has ended."""
        owner = self._owner(digest_id)
        if owner is None:
            return None
        with redis_errors():
            text = cast("str | None", self._redis.hget(_key(owner), digest_id))
        digest = None
        if text is not None:
            digest = _read(text)
        if digest is None:
            return None
        return OwnedDigest(digest_id, owner, digest)

    def ids(self) -> list[str]:
        """Return the ids of all subscriptions. Some may have ended."""
        with redis_errors():
            return sorted(cast("list[str]", self._redis.hkeys(OWNERS)))

    def forget_owner(self, digest_id: str) -> None:
        """Forget whose a subscription was that has ended by itself or by an erasure."""
        with redis_errors():
            self._redis.hdel(OWNERS, digest_id)

    def _owner(self, digest_id: str) -> str | None:
        with redis_errors():
            return cast("str | None", self._redis.hget(OWNERS, digest_id))


class OfChat(NamedTuple):
    """Messages to the channels of one service that had this outcome."""

    service: ChatService
    outcome: DigestOutcome


class DigestMails:
    """The outcome of the mail of each subscription and week, and of each message to a chat.

    Each method raises Retryable without Redis.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def state(self, digest_id: str, week: str) -> str:
        """Return the outcome of a mail, the claim of it, or "" if nobody has begun to send it."""
        with redis_errors():
            return cast("str | None", self._redis.get(_mail(digest_id, week))) or ""

    def claim(self, digest_id: str, week: str, now: datetime) -> bool:
        """Claim a mail, and return whether the caller may send it. Only one caller ever may."""
        with redis_errors():
            claimed = self._redis.set(
                _mail(digest_id, week),
                _CLAIMED + now.isoformat(),
                nx=True,
                px=_OUTCOME_LIFETIME,
            )
        return bool(claimed)

    def note_missing(self, digest_id: str, week: str) -> bool:
        """Note that something that the mail is about does not exist. Return whether nobody noted it this week."""
        key = f"{_mail(digest_id, week)}:missing"
        with redis_errors():
            return bool(self._redis.set(key, "missing", nx=True, px=_OUTCOME_LIFETIME))

    def absent_since(self, digest_id: str, now: datetime) -> datetime:
        """Return when a run first found that what a mail is about is absent. It is `now` if this run is the first."""
        key = _absence(digest_id)
        with redis_errors():
            self._redis.set(key, now.isoformat(), nx=True, px=_OUTCOME_LIFETIME)
            noted = cast("str | None", self._redis.get(key))
        return datetime.fromisoformat(noted or now.isoformat())

    def forget_absence(self, digest_id: str) -> None:
        """Forget that what a mail is about was absent."""
        with redis_errors():
            self._redis.delete(_absence(digest_id))

    def end(
        self,
        digest_id: str,
        week: str,
        outcome: DigestOutcome,
        service: ChatService | None = None,
    ) -> None:
        """Keep the outcome of a claimed mail and count it. A postponed mail can be claimed again.

        A message to a chat is counted for its `service`.
        """
        key = _mail(digest_id, week)
        counted = str(outcome)
        if service is not None:
            counted = _of_chat(OfChat(service, outcome))
        with redis_errors():
            pipe = self._redis.pipeline()
            if outcome == "postponed":
                pipe.delete(key)
            else:
                pipe.set(key, outcome, px=_OUTCOME_LIFETIME)
            pipe.hincrby(COUNTS, counted, 1)
            pipe.execute()

    def counts(self) -> Mapping[DigestOutcome, int]:
        """Return outcome -> number of mails, since the installation exists."""
        found = self._counts()
        return {outcome: int(found.get(outcome, 0)) for outcome in OUTCOMES}

    def chat_counts(self) -> Mapping[OfChat, int]:
        """Return the number of messages to chats, since the installation exists."""
        found = self._counts()
        counts = {}
        for service in SERVICES:
            for outcome in OUTCOMES:
                messages = OfChat(service, outcome)
                counts[messages] = int(found.get(_of_chat(messages), 0))
        return counts

    def _counts(self) -> dict[str, str]:
        with redis_errors():
            return cast("dict[str, str]", self._redis.hgetall(COUNTS))


def claimed_at(state: str) -> datetime | None:
    """Return when a mail was claimed, or None if the state is not a claim."""
    if not state.startswith(_CLAIMED):
        return None
    return datetime.fromisoformat(state.removeprefix(_CLAIMED))


def live_digests(digests: Digests) -> Iterator[OwnedDigest]:
    """Yield each subscription as it is at the moment when its turn comes."""
    for digest_id in digests.ids():
        found = digests.find(digest_id)
        if found is None:
            digests.forget_owner(digest_id)
        else:
            yield found


def _in_order(each: tuple[str, DigestSubscription]) -> tuple[str, str]:
    digest = each[1]
    return (digest.course, digest.view or "")


def _read(text: str) -> DigestSubscription | None:
    """Return None for a text that is not a subscription."""
    try:
        return DigestSubscription.model_validate_json(text)
    except ValidationError:
        return None


def _key(client_id: str) -> str:
    return f"edugraph:digests:{client_id}"


def _of_chat(messages: OfChat) -> str:
    return f"{messages.service} {messages.outcome}"


def _mail(digest_id: str, week: str) -> str:
    return f"edugraph:digest-mail:{digest_id}:{week}"


def _absence(digest_id: str) -> str:
    return f"edugraph:digest-mail:{digest_id}:absent"
