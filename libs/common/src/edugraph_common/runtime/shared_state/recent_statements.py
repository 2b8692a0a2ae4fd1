"""The statements of the last ten minutes, as the gateway accepted them.

They answer a GET by id, show that a statement was sent twice, and give a statement without id and time the id and
moment of its first sending. The memory is bounded: statements that do not fit are accepted and not remembered. The
importer decides what counts in the graph.

The gateway writes and reads it. Each erasure and each change of a restriction deletes the statements, with the lists
of persons beside them (`course_members`).
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

import redis

from edugraph_common.runtime.service.redis_errors import redis_errors

KEPT = timedelta(minutes=10)
# `CourseMembers.forget` deletes all keys that begin like this.
STATEMENTS = "edugraph:{members}:statements:"
# The keys of the ids and moments that statements without both were given.
MOMENTS = "edugraph:statement-moments:"
# Redis keeps two of these at most: the ten minutes that run, and those before.
MOST_BYTES = 24 << 20
MOST_MOMENTS = 60_000
# A larger statement is remembered without its content, so a GET does not find it.
LARGEST_STATEMENT_BYTES = 16 << 10
_VOIDING = "!"  # before a packed statement that voids another one; packed texts have no such sign
_SIZE = "bytes"  # no statement has this name, since their names have a slash


class Recent(NamedTuple):
    """A remembered statement. `content` is `statements.content_key`.

    `packed` is the statement, packed into a text, or "" if it was too large or was voided. A request may look for a
    thousand statements, which together may unpack to far more than the memory of the gateway, so only a GET unpacks
    one. `is_voiding`: it voids another statement, so that it cannot be voided itself.
    """

    content: str
    at: datetime
    packed: str
    is_voiding: bool = False

    @property
    def statement(self) -> dict[str, Any] | None:
        if not self.packed:
            return None
        unpacked: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(self.packed)))
        return unpacked


def packed_statement(statement: dict[str, Any]) -> str:
    """Return a statement as a text, or "" if it is too large to be remembered."""
    packed = zlib.compress(json.dumps(statement).encode(), level=1)
    if len(packed) > LARGEST_STATEMENT_BYTES:
        return ""
    return base64.b64encode(packed).decode()


class Moment(NamedTuple):
    """The id and the moment of a statement that came without both."""

    statement_id: str
    at: datetime


class RecentStatements:
    """Each method raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def find(self, source: str, ids: Sequence[str], now: datetime) -> dict[str, Recent]:
        """Return id -> statement for those of these ids that the source sent within the last ten minutes."""
        fields = [_place(source, each) for each in ids]
        found: dict[str, Recent] = {}
        if not fields:
            return found
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            # A statement of the present ten minutes is newer than one of those before.
            for key in reversed(_keys(STATEMENTS, now)):
                pipe.hmget(key, fields)
            answers = pipe.execute()
        for texts in answers:
            for statement_id, text in zip(ids, texts, strict=True):
                recent = None
                if text is not None:
                    recent = _read(text)
                if recent is not None and now - recent.at < KEPT:
                    found[statement_id] = recent
        return found

    def remember(self, source: str, statements: Mapping[str, Recent], now: datetime) -> None:
        """Remember these statements, by their ids, unless the memory is full."""
        texts: dict[Any, Any] = {}
        for statement_id, recent in statements.items():
            texts[_place(source, statement_id)] = _written(recent)
        if not texts:
            return
        size = sum(len(place) + len(text) for place, text in texts.items())
        key = _keys(STATEMENTS, now)[0]
        with redis_errors():
            held = int(self._redis.hget(key, _SIZE) or 0)
            if held + size > MOST_BYTES:
                return
            pipe = self._redis.pipeline()
            pipe.hset(key, mapping=texts)
            pipe.hincrby(key, _SIZE, size)
            pipe.expireat(key, _end(now))
            pipe.execute()

    def hide(self, source: str, ids: Sequence[str], now: datetime) -> None:
        """Keep what identifies these statements, and forget their contents, since they were voided."""
        hidden: dict[Any, Any] = {}
        for statement_id, recent in self.find(source, ids, now).items():
            if not recent.is_voiding:
                hidden[_place(source, statement_id)] = _written(recent._replace(packed=""))
        if not hidden:
            return
        # Statements without contents need almost no room, so a full memory takes them.
        key = _keys(STATEMENTS, now)[0]
        with redis_errors():
            pipe = self._redis.pipeline()
            pipe.hset(key, mapping=hidden)
            pipe.expireat(key, _end(now))
            pipe.execute()

    def moments(self, source: str, given: Mapping[str, Moment], now: datetime) -> dict[str, Moment]:
        """Return, for each content, its id and moment: those of its first sending within ten minutes.

        `given` has those that a content gets if it is new. When the memory is full, every content counts as new.
        """
        if not given:
            return {}
        present, before = _keys(MOMENTS, now)
        places = {content: _place(source, content) for content in given}
        known: dict[str, Moment] = {}
        with redis_errors():
            # A content that is known from the ten minutes before gets no entry in the present ones: its next sending
            # would be compared with a moment that was never used.
            earlier = cast("list[str | None]", self._redis.hmget(before, list(places.values())))
            for content, text in zip(given, earlier, strict=True):
                if text is not None and now - _moment(text).at < KEPT:
                    known[content] = _moment(text)
            new = [content for content in given if content not in known]
            if not new:
                return known
            is_full = int(self._redis.hlen(present)) + len(new) > MOST_MOMENTS
            pipe = self._redis.pipeline()
            if not is_full:
                for content in new:
                    moment = given[content]
                    text = f"{moment.statement_id} {moment.at.isoformat()}"
                    pipe.hsetnx(present, places[content], text)
                pipe.expireat(present, _end(now))
            pipe.hmget(present, [places[content] for content in new])
            *_, texts = pipe.execute()
        for content, text in zip(new, texts, strict=True):
            known[content] = given[content]
            if text is not None:
                known[content] = _moment(text)
        return known


def _keys(prefix: str, now: datetime) -> tuple[str, str]:
    """Return the keys of the ten minutes that run, and of those before."""
    number = _number(now)
    return f"{prefix}{number}", f"{prefix}{number - 1}"


def _number(now: datetime) -> int:
    return int(now.timestamp() // KEPT.total_seconds())


def _end(now: datetime) -> int:
    """Return when nothing of the present ten minutes is looked up any more, in seconds since 1970."""
    return (_number(now) + 2) * int(KEPT.total_seconds())


def _place(source: str, name: str) -> str:
    return f"{source}/{name}"


def _moment(text: str) -> Moment:
    statement_id, _, at = text.partition(" ")
    return Moment(statement_id, datetime.fromisoformat(at))


def _written(recent: Recent) -> str:
    at = recent.at.astimezone(UTC).isoformat()
    mark = _VOIDING if recent.is_voiding else ""
    return f"{recent.content} {at} {mark}{recent.packed}"


def _read(text: str) -> Recent:
    content, at, packed = text.split(" ")
    is_voiding = packed.startswith(_VOIDING)
    return Recent(content, datetime.fromisoformat(at), packed.removeprefix(_VOIDING), is_voiding)
