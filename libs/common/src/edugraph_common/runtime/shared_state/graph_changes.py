"""A stream in Redis with the changes of the graph. The importer appends to it, and insights reads it.

Each transaction of the importer that changes records has a word. It is the property `written` of the records that
the transaction writes, and the property `changed` of students who lose something by it. The importer appends the word
to the stream after the commit and before anybody learns that the work is done. Insights reads the stream before it
reads the graph, so what it has kept is at least as new as the last change that it has read (docs/adr/0128).

A word names nobody. It is a UUID of version 7, so the words of an index grow at its end.
"""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, cast, get_args
from uuid import UUID

import redis

from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.runtime.service.redis_errors import redis_errors

STREAM = "edugraph:graph-changes"
# This id among the courses of a change stands for all courses; a course cannot have it.
ALL_COURSES = ""
# The stream keeps about this number of changes: an import of ten million records in batches of 1,000. A reader that
# has missed more of them begins again.
KEPT_CHANGES = 10_000
# A reader that has more changes to catch up with begins again, which is faster.
MOST_CHANGES = 1_000
# A change of more courses than this stands for all courses, so that the stream has a bound in bytes.
MOST_COURSES = 50

# After "records" the nodes with the word as `written` or `changed` have to be read again. After "people" persons may
# also be gone without a trace, because an erasure leaves no node with a word. After "whole" everything has to be read
# again.
ChangeKind = Literal["records", "people", "whole"]
_KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)

_RANDOM_BITS = 74
_FIRST_RANDOM_BITS = 12
_LAST_RANDOM_BITS = 62
# Types of record that change only the answers of the courses that they name.
_OF_THEIR_COURSES = frozenset(
    {
        "action_record",
        "activity_record",
        "attempt_record",
        "course_record",
        "error_record",
        "post_record",
        "student_interaction",
        "teacher_interaction",
    }
)


def word_of(moment: datetime, random_bits: int) -> str:
    """Return the UUID of version 7 of a moment and of 74 random bits."""
    milliseconds = int(moment.timestamp() * 1_000)
    first_bits = random_bits >> _LAST_RANDOM_BITS
    last_bits = random_bits & ((1 << _LAST_RANDOM_BITS) - 1)
    version = 7 << _FIRST_RANDOM_BITS
    variant = 0b10 << _LAST_RANDOM_BITS
    upper = (milliseconds << 16) | version | first_bits
    return str(UUID(int=(upper << 64) | variant | last_bits))


def new_word() -> str:
    return word_of(datetime.now(UTC), secrets.randbits(_RANDOM_BITS))


@dataclass(frozen=True)
class GraphChange:
    """A change of the graph by one transaction. `courses` has the ids of the courses, or ALL_COURSES."""

    word: str
    kind: ChangeKind = "records"
    courses: frozenset[str] = frozenset({ALL_COURSES})

    @classmethod
    def read(cls, word: str, kind: str, courses: Iterable[str]) -> "GraphChange":
        """Return a stored change. A kind of a later release counts as "whole"."""
        kinds: dict[str, ChangeKind] = {each: each for each in _KINDS}
        return cls(word, kinds.get(kind, "whole"), frozenset(courses))


class Position(NamedTuple):
    """The last entry of the stream that a reader has read."""

    entry: str
    word: str


class Since(NamedTuple):
    """The changes after a position, and the new position.

    `is_known` is False if the reader has missed changes: the stream is empty, was trimmed, has another entry at the
    position, or has too many later ones. The reader then drops what it has kept. `position` is None if the stream is
    empty.
    """

    changes: tuple[GraphChange, ...]
    position: Position | None
    is_known: bool


class GraphChanges:
    """The stream. Each method raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis", new_word: Callable[[], str] = new_word) -> None:
        self._redis = client
        self._new_word = new_word

    def append(self, change: GraphChange) -> None:
        changed = change.courses
        if len(changed) > MOST_COURSES:
            changed = frozenset({ALL_COURSES})
        courses = json.dumps(sorted(changed), ensure_ascii=False)
        fields: dict[Any, Any] = {"word": change.word, "kind": change.kind, "courses": courses}
        with redis_errors():
            self._redis.xadd(STREAM, fields, maxlen=KEPT_CHANGES, approximate=True)

    def append_everywhere(self, kind: ChangeKind = "records") -> None:
        """Append a change of all courses whose word no record has, after a restriction for example."""
        self.append(GraphChange(self._new_word(), kind))

    def since(self, position: Position | None) -> Since:
        """Return the changes after the position. None is the position of a reader that has read nothing yet."""
        if position is None:
            return self._from_the_end()
        with redis_errors():
            entries = cast(
                "list[Any]",
                self._redis.xrange(STREAM, min=position.entry, count=MOST_CHANGES + 2),
            )
        if not entries or len(entries) > MOST_CHANGES + 1:
            return self._from_the_end()
        first = _position(entries[0])
        if first != position:
            return self._from_the_end()
        changes = tuple(_change(fields) for _, fields in entries[1:])
        return Since(changes, _position(entries[-1]), is_known=True)

    def _from_the_end(self) -> Since:
        with redis_errors():
            last = cast("list[Any]", self._redis.xrevrange(STREAM, count=1))
        if not last:
            return Since((), None, is_known=False)
        return Since((), _position(last[0]), is_known=False)


def _position(entry: Any) -> Position:
    entry_id, fields = entry
    return Position(entry_id, fields["word"])


def _change(fields: dict[str, str]) -> GraphChange:
    return GraphChange.read(fields["word"], fields["kind"], json.loads(fields["courses"]))


def touched_by(records: Iterable[Record]) -> frozenset[str]:
    """Return the courses whose answers these records change. ALL_COURSES is among them if any answer may change."""
    touched = set[str]()
    for record in records:
        courses = set[str]()
        if record.type in _OF_THEIR_COURSES:
            courses.update(course_ids_of(record))
        touched |= courses or {ALL_COURSES}
    return frozenset(touched)
