"""What the analyzer must know of a course: the importer, who alone knows the graph, tells it, and the analyzer asks.

The names of its people are for the redaction of its texts, its name and known points for whoever reads them.

And who is restricted: the analyzer reads none of their texts, and the gateway shows nothing of them.

They are a copy in Redis of what the graph has, and not the place where they are kept: a list that is missing is made
again when somebody asks for it (docs/adr/0031).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import redis

from edugraph_common.contracts.messages import CourseContext
from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.platform.redis_errors import redis_errors

MOST_MEMBERS = 5_000  # names of one course; of more, those that were heard of last
KEPT_SECONDS = 86_400
CONTEXT_KEPT_SECONDS = 600  # what is known of a course grows with each import
# A list is told anew while names that were heard of since then may not be in the graph's answer yet.
_OVERLAP = timedelta(minutes=10)
_NAMES_KEPT_SECONDS = KEPT_SECONDS + 3_600
_ASKED_SECONDS = 10
_NAME_FIELDS = ("student_name", "student_name_from", "student_name_to", "teacher_name")
# The braces keep all keys on one node of a Redis cluster: they are written in one transaction.
EPOCH = "edugraph:{members}:epoch"
_RESTRICTED, _RESTRICTED_KNOWN = "edugraph:{members}:restricted", "edugraph:{members}:restricted-known"


class CourseMembers:
    """Raises Retryable when Redis does not answer.

    `known` says that a list is whole. Whoever writes names read the epoch before it read them: an erasure raises the
    epoch, and what was read before it is not written after it.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def epoch(self) -> str:
        with redis_errors():
            return str(cast("str | None", self._redis.get(EPOCH)) or "0")

    def add(self, names: Mapping[str, Iterable[str]], epoch: str, now: datetime) -> None:
        """Add the names of people, by course, who were just written to the graph, whether the list is known or not.

        After an erasure the lists of these courses are unknown instead, and the next one who needs them asks.
        """
        given = {course_id: sorted(set(of_course)) for course_id, of_course in names.items()}
        given = {course_id: of_course for course_id, of_course in given.items() if of_course}

        def write(pipe: Any) -> None:
            for course_id, of_course in given.items():
                self._put(pipe, course_id, of_course, now)

        if given and not self._in_epoch(epoch, write):
            with redis_errors():
                # Somebody may have read the graph before these people were in it, and tell what was read after this.
                self._redis.incr(EPOCH)
                self._redis.delete(*map(_known, given))

    def tell(self, course_id: str, names: Iterable[str], epoch: str, now: datetime) -> None:
        """Set the whole list of a course as the graph had it `now`, together with what was added since.

        Nothing is set after an erasure: whoever needs the list asks again.
        """

        def write(pipe: Any) -> None:
            self._put(pipe, course_id, sorted(set(names)), now)
            pipe.zremrangebyscore(_names(course_id), "-inf", (now - _OVERLAP).timestamp())
            pipe.set(_known(course_id), "1", ex=KEPT_SECONDS)

        self._in_epoch(epoch, write)

    def of(self, course_ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the names of each course whose list is known, sorted."""
        ids = list(dict.fromkeys(course_ids))
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for course_id in ids:
                # The names come last: a list that is known then is not forgotten before they are read.
                pipe.exists(_known(course_id))
                pipe.zrange(_names(course_id), 0, -1)
            found = pipe.execute()
        return {
            course_id: tuple(sorted(names))
            for course_id, known, names in zip(ids, found[::2], found[1::2], strict=True)
            if known
        }

    def tell_context(self, context: CourseContext, epoch: str) -> None:
        """Set what the graph knows of a course; nothing is set in another epoch: a description may name somebody."""
        told = context.model_dump_json()
        self._in_epoch(epoch, lambda pipe: pipe.set(_context(context.course_id), told, ex=CONTEXT_KEPT_SECONDS))

    def contexts(self, course_ids: Iterable[str]) -> dict[str, CourseContext]:
        """Return what the graph knew a short time ago of each course that was told."""
        ids = sorted(set(course_ids))
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for course_id in ids:
                pipe.get(_context(course_id))
            found = pipe.execute()
        return {
            course_id: CourseContext.model_validate_json(told)
            for course_id, told in zip(ids, found, strict=True)
            if told is not None
        }

    def forget_contexts(self, course_ids: Iterable[str]) -> None:
        """The graph knows more of these courses now: whoever needs them asks again."""
        if keys := [_context(each) for each in sorted(set(course_ids))]:
            with redis_errors():
                self._redis.delete(*keys)

    def to_ask(self, course_ids: Iterable[str]) -> list[str]:
        """Return those of the courses that nobody has asked for in the last seconds. The caller asks for them now."""
        with redis_errors():
            return [each for each in course_ids if self._redis.set(_asked(each), "1", nx=True, ex=_ASKED_SECONDS)]

    def tell_restricted(self, student_ids: Iterable[str], epoch: str) -> None:
        """Set the ids of all students whose texts are not to be read; nothing is set in another epoch."""
        ids = sorted(student_ids)

        def write(pipe: Any) -> None:
            pipe.delete(_RESTRICTED)
            if ids:
                pipe.sadd(_RESTRICTED, *ids)
                pipe.expire(_RESTRICTED, _NAMES_KEPT_SECONDS)
            pipe.set(_RESTRICTED_KNOWN, "1", ex=KEPT_SECONDS)

        self._in_epoch(epoch, write)

    def restricted(self) -> frozenset[str] | None:
        """Return the ids of all students whose texts are not to be read, or None if they are unknown."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.exists(_RESTRICTED_KNOWN)
            pipe.smembers(_RESTRICTED)
            known, ids = pipe.execute()
        return frozenset(ids) if known else None

    def forget(self) -> None:
        """Delete all lists: somebody was erased whose name may be in any of them, or restricted, or no longer."""
        with redis_errors():
            self._redis.incr(EPOCH)
            for key in self._redis.scan_iter(match="edugraph:{members}:*", count=1_000):
                if key != EPOCH:
                    self._redis.delete(key)

    def _put(self, pipe: Any, course_id: str, names: list[str], now: datetime) -> None:
        key = _names(course_id)
        if names:
            pipe.zadd(key, dict.fromkeys(names, now.timestamp()))
        pipe.zremrangebyrank(key, 0, -MOST_MEMBERS - 1)
        pipe.expire(key, _NAMES_KEPT_SECONDS)

    def _in_epoch(self, epoch: str, write: Callable[[Any], None]) -> bool:
        """Do all of it at once if the epoch is still this one, or nothing."""
        with redis_errors(), self._redis.pipeline() as pipe:
            try:
                pipe.watch(EPOCH)  # type: ignore[no-untyped-call]
                if (pipe.get(EPOCH) or "0") != epoch:
                    return False
                pipe.multi()
                write(pipe)
                pipe.execute()
            except redis.WatchError:
                return False
            return True


def names_by_course(records: Iterable[Record]) -> dict[str, set[str]]:
    """Return how people are called in the records of each course."""
    found = dict[str, set[str]]()
    for record in records:
        names = {name for field in _NAME_FIELDS if (name := getattr(record.data, field, None))}
        for course_id in course_ids_of(record):
            found.setdefault(course_id, set()).update(names)
    return found


def _names(course_id: str) -> str:
    return f"edugraph:{{members}}:names:{course_id}"


def _known(course_id: str) -> str:
    return f"edugraph:{{members}}:known:{course_id}"


def _context(course_id: str) -> str:
    return f"edugraph:{{members}}:context:{course_id}"


def _asked(course_id: str) -> str:
    return f"edugraph:{{members}}:asked:{course_id}"
