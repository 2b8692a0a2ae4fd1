"""The audit log: who did what that others must see, who read personal data, and who was refused.

Gateway, insights and importer add entries, and the gateway shows them.

It is a list in Redis, and a line of the logger `audit` for each entry. The list is for looking things up, the lines
are for a store that nobody can change. Keys, jobs and queues stand in it by name. Students, and whatever was read or
refused, stand in it as HMAC: a log must not bring back whom it says was forgotten.

Each entry has a number and the hash of the one before it, so that `verify` sees what was changed or is missing. A
service's user of Redis can only add to the end of the list. Entries end after a time; the server itself or an
operator sees to that (`end_audit.lua`), and notes the number and the hash of the last one that ended.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any, Literal, NamedTuple, cast

import redis
import structlog
from pydantic import ValidationError

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.service.settings import AUDIT_RETENTION_DAYS
from edugraph_common.runtime.shared_state.key_prefix import name_in_redis

ENTRIES = "edugraph:audit:entries"
ENDED = "edugraph:audit:ended"  # number and hash of the last entry that has ended
SECRET = "edugraph:audit-secret"  # noqa: S105 - the name of a key
KEPT = 100_000  # entries
# Of one client's CAPPED in a day, and of all unknown ones together: nobody pushes the entries of others out.
MOST_READS_AND_REFUSALS = 1_000
CAPPED = ("session.begin", "job.submit", "personal.read", "refused")
PAGE = 500  # entries
# An entry that is written once at most is remembered for this long.
ONCE_SECONDS = 30 * 86_400
# Others may add an entry between reading the last one and adding the next, which is then made again.
_TRIES = 200
UNREADABLE = "unreadable"
Action = Literal[
    "student.forget",
    "student.export",
    "student.restrict",
    "student.lift",
    "student.admit",
    "student.action",
    "draft.ask",
    "erasures.replay",
    "dead.replay",
    "dead.drop",
    "graph.rebuild",
    "graph.remove",
    "graph.rename",
    "graph.review",
    "group.leader",
    "person.claim",
    "job.submit",
    "job.cancel",
    "job.delete",
    "job.resume",
    "job.undo",
    "key.create",
    "key.grant",
    "key.revoke",
    "session.begin",
    "session.end",
    "source.create",
    "source.change",
    "personal.read",
    "refused",
    "capped",
]
Outcome = Literal["accepted", "failed", "shown", "refused"]
log = structlog.get_logger("audit")


class Entry(MessageModel):
    """An entry of the log.

    `outcome` is "accepted" when an action begins. If the action fails later, an entry with "failed" follows. `what`
    names no person. `object` is the HMAC of the person or thing that was read, refused or forgotten. `purpose` is the
    reason that the client gave. `number` counts from 1. `previous` is the hash of the entry before, and `hash` is the
    HMAC of all other fields.
    """

    time: datetime
    who: str
    action: str
    what: str
    outcome: str = "accepted"
    object: str = ""
    purpose: str = ""
    number: int = 0
    previous: str = ""
    hash: str = ""

    @property
    def place(self) -> str:
        """Return the number and the hash, by which an operator can later see that the entry is still there."""
        return f"{self.number}:{self.hash}"


class Link(NamedTuple):
    """The part of an entry that the next entry refers to."""

    number: int
    hash: str


class Verified(NamedTuple):
    """The result of a check of the whole chain.

    `fault` is a sentence that names the first fault, or None. `last` is the place of the newest entry, or "" for an
    empty log.
    """

    entries: int
    last: str
    fault: str | None


def keyed_object(secret: str, kind: str, identifier: str) -> str:
    """Return 32 hex digits, the same for the same object of one installation."""
    keyed = hmac.new(secret.encode(), f"{kind}:{identifier}".encode(), hashlib.sha256)
    return keyed.hexdigest()[:32]


class Audit:
    """Raises Retryable when Redis does not answer: what cannot be written down is not done.

    Without a `secret` the objects are keyed with a random one that Redis keeps.
    """

    def __init__(
        self,
        client: "redis.Redis",
        secret: str | None = None,
        retention_days: int = AUDIT_RETENTION_DAYS,
    ) -> None:
        self._redis = client
        self._secret = secret
        self._kept = timedelta(days=retention_days)
        self._append = client.register_script(_script("append_to_audit.lua"))
        self._end = client.register_script(_script("end_audit.lua"))
        # The text of the last entry, as it was seen last.
        self._last = ""

    def record(
        self,
        who: str,
        action: Action,
        what: str,
        now: datetime,
        *,
        outcome: Outcome = "accepted",
        of: tuple[str, str] | None = None,
        keyed: str = "",
        purpose: str = "",
        once: str = "",
    ) -> None:
        """Write an entry.

        `of` is the kind and the id of the person or thing that the entry is about. If only their HMAC is known, it is
        given as `keyed`. `once` is the id of an event that is written down once, however often it is reported.
        """
        if of is not None:
            keyed = self.object_of(*of)
        entry = Entry(
            time=now,
            who=who,
            action=action,
            what=what,
            outcome=outcome,
            object=keyed,
            purpose=purpose,
        )
        most = 0
        if action in CAPPED:
            most = MOST_READS_AND_REFUSALS
        keys = [f"edugraph:audit-count:{who}:{now:%F}"]
        if once:
            keys.append(f"edugraph:logged:{once}")
        for _ in range(_TRIES):
            # Another thread may change `_last` before the entry is sent.
            known_last = self._last
            link = _link_of(known_last)
            text = self._sealed(entry, link)
            # The first entry that is left out leaves a mark: from here on only the lines of the log have more.
            mark = self._sealed(entry.model_copy(update={"action": "capped"}), link)
            with redis_errors():
                state, last = self._append(
                    keys,
                    [
                        name_in_redis(self._redis, ENTRIES),
                        name_in_redis(self._redis, ENDED),
                        known_last,
                        most,
                        text,
                        mark,
                        ONCE_SECONDS,
                    ],
                )
            self._last = last
            if state == "changed":
                continue
            if state == "known":
                return
            is_stored = state == "stored"
            shown = entry.model_dump(mode="json", exclude={"time", "number", "previous", "hash"})
            place = ""
            if is_stored:
                place = Entry.model_validate_json(text).place
            log.info("audit", **shown, in_redis=is_stored, place=place)
            return
        raise Retryable("too many others write into the audit log")

    def object_of(self, kind: str, identifier: str) -> str:
        """Return 32 hex digits, the same for the same object of one installation."""
        return keyed_object(self._key(), kind, identifier)

    def about(self, kind: str, identifier: str) -> Iterator[Entry]:
        """Yield the entries whose object this is, the newest first."""
        keyed = self.object_of(kind, identifier)
        return (entry for entry in self.newest() if entry.object == keyed)

    def newest(self, before: int | None = None) -> Iterator[Entry]:
        """Yield all entries that are there, the newest first. `before`: only those with smaller numbers."""
        for text in self._texts():
            entry = _entry_of(text)
            if before is None or entry.number < before:
                yield entry

    def verify(self, expected: str = "") -> Verified:
        """Look at the whole chain. `expected` is the place of an entry that must be there, unless it has ended.

        Entries may end meanwhile. Then the chain is looked at again.
        """
        while True:
            ended = self._ended()
            found = self._verify_after(ended, expected)
            if self._ended() == ended:
                return found

    def _verify_after(self, ended: Link, expected: str) -> Verified:
        number_of_entries = 0
        last = ""
        newer: Entry | None = None
        must_be_there = expected
        for text in self._texts():
            number_of_entries += 1
            entry = _entry_of(text)
            if newer is None:
                last = entry.place
            # An entry that cannot be read has no hash.
            if not hmac.compare_digest(entry.hash, self._hash_of(entry)):
                return Verified(
                    number_of_entries,
                    last,
                    f"entry {entry.number} was changed, or is not of this log",
                )
            if newer is not None and (entry.number, entry.hash) != (
                newer.number - 1,
                newer.previous,
            ):
                return Verified(
                    number_of_entries, last, f"entries are missing before entry {newer.number}"
                )
            if entry.place == expected:
                must_be_there = ""
            newer = entry
        fault = None
        has_ended = _number_of(expected) <= ended.number
        if must_be_there and not has_ended:
            fault = f"the entry {expected} is not there: later entries may be missing, too"
        if newer is not None and (newer.number - 1, newer.previous) != ended:
            fault = f"entries are missing before entry {newer.number}"
        return Verified(number_of_entries, last, fault)

    def end_old(self, now: datetime, most: int = 100_000) -> int:
        """Take out entries whose time is over, and the oldest of too many. Return how many they were, `most` at most.

        Only the user of an operator, or the server itself, may do that.
        """
        oldest = int((now - self._kept).timestamp())
        with redis_errors():
            return int(self._end([ENTRIES, ENDED], [oldest, KEPT, most]))

    def _ended(self) -> Link:
        """Return the link of the last entry that has ended."""
        with redis_errors():
            return _link_of(cast("str | None", self._redis.get(ENDED)) or "")

    def _texts(self) -> Iterator[str]:
        """Yield the stored texts, the newest first, each once though others are added meanwhile."""
        with redis_errors():
            length = self._redis.llen(ENTRIES)
        while length > 0:
            first = max(0, length - PAGE)
            with redis_errors():
                texts = cast("list[str]", self._redis.lrange(ENTRIES, first, length - 1))
            yield from reversed(texts)
            length = first

    def _sealed(self, entry: Entry, link: Link) -> str:
        """Return the entry as it is stored after the one that is linked."""
        placed = entry.model_copy(update={"number": link.number + 1, "previous": link.hash})
        fields = placed.model_dump(mode="json") | {"hash": self._hash_of(placed)}
        return json.dumps(fields | {"at": int(entry.time.timestamp())}, ensure_ascii=False)

    def _hash_of(self, entry: Entry) -> str:
        fields = entry.model_dump(mode="json", exclude={"hash"})
        text = json.dumps(fields, ensure_ascii=False, sort_keys=True)
        return hmac.new(self._key().encode(), text.encode(), hashlib.sha256).hexdigest()

    def _key(self) -> str:
        if self._secret is None:
            with redis_errors():
                self._redis.set(SECRET, secrets.token_hex(32), nx=True)
                self._secret = cast("str", self._redis.get(SECRET))
        return self._secret


def _script(name: str) -> str:
    return (
        resources.files("edugraph_common.runtime.shared_state")
        .joinpath("scripts", name)
        .read_text()
    )


def _link_of(text: str) -> Link:
    """Return the link of a stored entry, or of the note about the last entry that ended."""
    if not text:
        return Link(0, "")
    try:
        found: dict[str, Any] = json.loads(text)
        return Link(int(found["number"]), str(found["hash"]))
    except (ValueError, KeyError, TypeError):
        # Somebody has put it there by hand. The chain goes on after it, and `verify` points at it.
        return Link(0, hashlib.sha256(text.encode()).hexdigest())


def _entry_of(text: str) -> Entry:
    """Return a stored entry. A text that is not an entry is shown, too: it shows that somebody changed the log."""
    try:
        return Entry.model_validate_json(text)
    except ValidationError:
        return Entry(time=datetime.fromtimestamp(0, UTC), who="", action=UNREADABLE, what="")


def _number_of(place: str) -> int:
    number = place.partition(":")[0]
    if not number.isdigit():
        return 0
    return int(number)
