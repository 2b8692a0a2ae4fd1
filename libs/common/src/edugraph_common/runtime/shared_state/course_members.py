"""Facts about courses in Redis. The importer, which knows the graph, writes them, and the analyzer reads them.

The names of a course's people serve the redaction of its texts. The course's name and known points go into prompts.

The ids of restricted students are here too: the analyzer does not read their texts, and the gateway does not show
them.

All of it is a copy of data in the graph. A missing list is written again when the analyzer or the gateway asks for it
(docs/adr/0031).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import redis

from edugraph_common.contracts.messages import CourseContext
from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.runtime.service.redis_errors import redis_errors

MOST_MEMBERS = 5_000  # names of one course; if there are more, the most recent ones are kept
KEPT_SECONDS = 86_400
CONTEXT_KEPT_SECONDS = 600  # short, because each import may add to the context of a course
# When a list is replaced, names that were added within this time are kept. They may be missing in the new list,
# because the graph was read before they were written.
_OVERLAP = timedelta(minutes=10)
_NAMES_KEPT_SECONDS = KEPT_SECONDS + 3_600
_ASKED_SECONDS = 10
_NAME_FIELDS = ("student_name", "student_name_from", "student_name_to", "teacher_name")
# The braces keep all keys on one node of a Redis cluster: they are written in one transaction.
EPOCH = "edugraph:{members}:epoch"
_RESTRICTED, _RESTRICTED_KNOWN = (
    "edugraph:{members}:restricted",
    "edugraph:{members}:restricted-known",
)


class CourseMembers:
    """The store of these facts. Each method raises Retryable when Redis does not answer.

    A list is "known" if it is complete. A writer reads the epoch before it reads the graph. An erasure raises the
    epoch, so that names that were read before an erasure are not written after it.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def epoch(self) -> str:
        with redis_errors():
            return str(cast("str | None", self._redis.get(EPOCH)) or "0")

    def add(self, names: Mapping[str, Iterable[str]], epoch: str, now: datetime) -> None:
        """Add names that were just written to the graph: course id -> names. The lists need not be known.

        If the epoch has changed, the lists of these courses become unknown instead, and are asked for when needed.
        """
        given: dict[str, list[str]] = {}
        for course_id, of_course in names.items():
            sorted_names = sorted(set(of_course))
            if sorted_names:
                given[course_id] = sorted_names

        def write(pipe: Any) -> None:
            for course_id, of_course in given.items():
                self._put(pipe, course_id, of_course, now)

        if given and not self._in_epoch(epoch, write):
            with redis_errors():
                # Another process may have read the graph before these names were in it, and call `tell` after this.
                # The new epoch makes its `tell` do nothing.
                self._redis.incr(EPOCH)
                self._redis.delete(*map(_known, given))

    def tell(self, course_id: str, names: Iterable[str], epoch: str, now: datetime) -> None:
        """Set the complete list of a course, as read from the graph at `now`. Names that were added since stay.

        If the epoch has changed, nothing is set, and the list is asked for again when it is needed.
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
                # The names are read after `known`. A list that is known in between has not lost its names yet.
                pipe.exists(_known(course_id))
                pipe.zrange(_names(course_id), 0, -1)
            found = pipe.execute()
        names_of: dict[str, tuple[str, ...]] = {}
        for course_id, is_known, names in zip(ids, found[::2], found[1::2], strict=True):
            if is_known:
                names_of[course_id] = tuple(sorted(names))
        return names_of

    def tell_context(self, context: CourseContext, epoch: str) -> None:
        """Set the context of a course.

        If the epoch has changed, nothing is set, since a description may name people.
        """
        told = context.model_dump_json()
        self._in_epoch(
            epoch, lambda pipe: pipe.set(_context(context.course_id), told, ex=CONTEXT_KEPT_SECONDS)
        )

    def contexts(self, course_ids: Iterable[str]) -> dict[str, CourseContext]:
        """Return course id -> context for the courses that have one. It is at most ten minutes old."""
        ids = sorted(set(course_ids))
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for course_id in ids:
                pipe.get(_context(course_id))
            found = pipe.execute()
        contexts = {}
        for course_id, text in zip(ids, found, strict=True):
            if text is not None:
                contexts[course_id] = CourseContext.model_validate_json(text)
        return contexts

    def forget_contexts(self, course_ids: Iterable[str]) -> None:
        """Delete the contexts of these courses, because the graph has changed. They are asked for when needed."""
        keys = [_context(each) for each in sorted(set(course_ids))]
        if keys:
            with redis_errors():
                self._redis.delete(*keys)

    def to_ask(self, course_ids: Iterable[str]) -> list[str]:
        """Return the courses that nobody has asked for within the last seconds. The caller must ask for them now."""
        wanted = []
        with redis_errors():
            for course_id in course_ids:
                is_first = self._redis.set(_asked(course_id), "1", nx=True, ex=_ASKED_SECONDS)
                if is_first:
                    wanted.append(course_id)
        return wanted

    def tell_restricted(self, student_ids: Iterable[str], epoch: str) -> None:
        """Set the ids of all restricted students. If the epoch has changed, nothing is set."""
        ids = sorted(student_ids)

        def write(pipe: Any) -> None:
            pipe.delete(_RESTRICTED)
            if ids:
                pipe.sadd(_RESTRICTED, *ids)
                pipe.expire(_RESTRICTED, _NAMES_KEPT_SECONDS)
            pipe.set(_RESTRICTED_KNOWN, "1", ex=KEPT_SECONDS)

        self._in_epoch(epoch, write)

    def restricted(self) -> frozenset[str] | None:
        """Return the ids of all restricted students, or None if they are not known."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.exists(_RESTRICTED_KNOWN)
            pipe.smembers(_RESTRICTED)
            known, ids = pipe.execute()
        if not known:
            return None
        return frozenset(ids)

    def forget(self) -> None:
        """Delete all lists.

        Call it after an erasure, since a name may be in any list, and when restrictions change.
        """
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
        """Run `write` as one transaction and return True, or return False if the epoch has changed."""
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
    """Return course id -> the names of people in its records."""
    found = dict[str, set[str]]()
    for record in records:
        names = set[str]()
        for field in _NAME_FIELDS:
            name = getattr(record.data, field, None)
            if name:
                names.add(name)
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
