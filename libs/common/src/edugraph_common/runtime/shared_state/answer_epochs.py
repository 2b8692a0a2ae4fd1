"""Epochs of the graph: the importer sets a new epoch after each write, and insights then drops its cached answers.

An epoch is a random word and not a number, because a Redis that lost its data would count from 1 again. It is set
after the transaction and before anybody learns that the write is done. Insights reads the epochs before it reads the
graph, so a cached answer is at least as new as the write that set its epochs (docs/adr/0064).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast
from uuid import uuid4

import redis

from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.runtime.service.redis_errors import redis_errors

EPOCHS = "edugraph:answer-epochs"
# The field of the epoch that counts for every answer; a course cannot have this id
ALL_COURSES = ""
KEPT_SECONDS = 3_600  # after the last change, much longer than an answer is cached
# Types of record that change only the answers of the courses that they name.
_OF_THEIR_COURSES = frozenset(
    {
        "activity_record",
        "attempt_record",
        "course_record",
        "error_record",
        "post_record",
        "student_interaction",
        "teacher_interaction",
    }
)


class AnswerEpochs:
    """The epochs of all courses. Each method raises Retryable when Redis does not answer."""

    def __init__(
        self, client: "redis.Redis", new_epoch: Callable[[], str] = lambda: uuid4().hex
    ) -> None:
        self._redis = client
        self._new_epoch = new_epoch

    def of(self, courses: Sequence[str]) -> tuple[str | None, ...]:
        """Return the epoch of ALL_COURSES, then the epoch of each course. None if no epoch was set within an hour."""
        with redis_errors():
            return tuple(
                cast("list[str | None]", self._redis.hmget(EPOCHS, [ALL_COURSES, *courses]))
            )

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
        """Set a new epoch for all answers, after an erasure, a restriction, an admission or another large change."""
        self.begin((ALL_COURSES,))


def touched_by(records: Iterable[Record]) -> frozenset[str]:
    """Return the courses whose answers these records change. ALL_COURSES is among them if any answer may change."""
    touched = set[str]()
    for record in records:
        courses = set[str]()
        if record.type in _OF_THEIR_COURSES:
            courses.update(course_ids_of(record))
        touched |= courses or {ALL_COURSES}
    return frozenset(touched)
