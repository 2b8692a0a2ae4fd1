"""Epochs of the graph: the importer sets new ones when it has written, insights keeps no answer beyond them.

An epoch is a word that never comes again, and not a number: a Redis that lost everything would count from 1 again. It
is set after a transaction and before anybody is told that it is done. Whoever answers reads the epochs before the
graph, so an answer that is kept under epochs is at least as new as what these tell of (docs/adr/0064).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast
from uuid import uuid4

import redis

from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.platform.redis_errors import redis_errors

EPOCHS = "edugraph:answer-epochs"
ALL_COURSES = ""  # the field whose epoch stands in front of every answer's; no course has this id
KEPT_SECONDS = 3_600  # after the last one, much longer than an answer is kept
# Records that belong to the courses that they name, and to nothing beside them.
_OF_THEIR_COURSES = frozenset(
    {
        "activity_record",
        "attempt_record",
        "course_record",
        "error_record",
        "student_interaction",
        "teacher_interaction",
    }
)


class AnswerEpochs:
    """Raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis", new_epoch: Callable[[], str] = lambda: uuid4().hex) -> None:
        self._redis, self._new_epoch = client, new_epoch

    def of(self, courses: Sequence[str]) -> tuple[str | None, ...]:
        """Return the epoch of all courses, and those of these courses; None where none was set for long."""
        with redis_errors():
            return tuple(cast("list[str | None]", self._redis.hmget(EPOCHS, [ALL_COURSES, *courses])))

    def begin(self, courses: Iterable[str]) -> None:
        """Set a new epoch for each of these courses."""
        fields: dict[Any, Any] = dict.fromkeys(courses, self._new_epoch())
        if fields:
            with redis_errors():
                pipe = self._redis.pipeline()
                pipe.hset(EPOCHS, mapping=fields)
                pipe.expire(EPOCHS, KEPT_SECONDS)
                pipe.execute()

    def begin_everywhere(self) -> None:
        """Set a new epoch for every answer: somebody was erased, restricted or admitted, or much was changed."""
        self.begin((ALL_COURSES,))


def touched_by(records: Iterable[Record]) -> frozenset[str]:
    """Return the courses whose answers change by these records, or ALL_COURSES among them."""
    touched = set[str]()
    for record in records:
        courses = course_ids_of(record) if record.type in _OF_THEIR_COURSES else ()
        touched |= set(courses) or {ALL_COURSES}
    return frozenset(touched)
