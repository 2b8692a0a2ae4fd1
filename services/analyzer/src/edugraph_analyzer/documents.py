"""What the analyzer reads of a record: its text in labelled sections, the people it names, and its courses.

And how the records of a pack that refers to its rows are read.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from pydantic import TypeAdapter

from edugraph_common.contracts.findings import Kind, kind_of_finding, kind_to_read
from edugraph_common.contracts.messages import Analysis, CourseContext
from edugraph_common.contracts.records import (
    AttemptRecord,
    CourseContent,
    Data,
    ErrorRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
    course_ids_of,
    parse_record,
)
from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources import load_rows
from edugraph_common.sources.rows import as_invalid_record

# A record is worth asking about only if one of these sections has words: a question or a title alone is context.
_OWN_WORDS = frozenset({"message", "feedback", "mistake", "content"})
_PERSON_FIELDS = (
    ("STUDENT", "student_name", True),
    ("STUDENT", "student_name_from", True),
    ("STUDENT", "student_name_to", True),
    ("TEACHER", "teacher_name", True),
    ("STUDENT", "student_id", False),
    ("STUDENT", "student_id_from", False),
    ("STUDENT", "student_id_to", False),
    ("TEACHER", "teacher_id", False),
)
KEPT_BATCHES = 2  # of a process: packs of two batches are in the queue where one ends and the next begins
_CONTEXTS = TypeAdapter(tuple[CourseContext, ...])


class Unreadable(Exception):
    """The record cannot be analysed; `reason` holds nothing of its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Textless(Unreadable):
    """The record holds no words, as a like or a call without a note. This is not a fault of the record."""


@dataclass(frozen=True)
class Person:
    """Somebody whom the record itself names: `role` is STUDENT or TEACHER; `value` is a name or an id."""

    role: str
    value: str
    is_name: bool


@dataclass(frozen=True)
class Document:
    """One record, ready to be asked about. `sections` are pairs of label and text in reading order."""

    record: Record
    kind: Kind
    sections: tuple[tuple[str, str], ...]
    people: tuple[Person, ...]
    courses: tuple[CourseContext, ...]

    @cached_property
    def students(self) -> tuple[str, ...]:
        """Return the ids of the students whom the record is about; a course text has none."""
        return tuple(sorted(each.value for each in self.people if each.role == "STUDENT" and not each.is_name))

    @cached_property
    def text(self) -> str:
        return "\n".join(text for _, text in self.sections)

    @property
    def known_points(self) -> tuple[str, ...]:
        """The knowledge points of all its courses, each once."""
        return tuple(dict.fromkeys(point for course in self.courses for point in course.knowledge_points))


@cache
def _person_fields(data_type: type[Data]) -> tuple[tuple[str, str, bool], ...]:
    """Return those fields that a type of record has: to ask pydantic for one that it has not takes a microsecond."""
    return tuple(each for each in _PERSON_FIELDS if each[1] in data_type.model_fields)


def read_document(value: dict[str, Any], kind: Kind, contexts: Iterable[CourseContext]) -> Document:
    """Parse a record and pick out what the analysis reads of it.

    A course that has no name among `contexts` is known by the name that the record gives it.
    Raises Unreadable for what is no record of this kind, and Textless for a record without text.
    """
    try:
        record = parse_record(value)
    except Exception as fault:  # noqa: BLE001 - the boundary of the row
        problem = as_invalid_record(fault)
        raise Unreadable(f"is not a valid record: {problem.field} {problem.reason}") from None
    if kind_of_finding(record) != kind:
        raise Unreadable(f"a {record.type} is not analysed as {kind}")

    data = record.data
    labelled: list[tuple[str, str | None]] = []
    match data:
        case StudentInteraction():
            labelled = [("message", data.text)]
        case TeacherInteraction():
            labelled = [("subject", data.subject), ("message", data.text), ("feedback", data.feedback)]
        case ErrorRecord():
            labelled = [("question", data.question), ("mistake", data.error_text)]
        case AttemptRecord():
            labelled = [("question", data.question or data.item_title), ("mistake", data.response)]
        case CourseContent():
            labelled = [("title", data.title), ("content", data.content)]
    sections = tuple((label, text) for label, text in labelled if text and text.strip())
    if not any(label in _OWN_WORDS for label, _ in sections):
        raise Textless("has no text to analyse")

    people = tuple(
        Person(role, own, is_name)
        for role, field, is_name in _person_fields(type(data))
        if (own := getattr(data, field))
    )
    course_ids = course_ids_of(record)
    given = {context.course_id: context for context in contexts}
    name = getattr(data, "course_name", None) if course_ids else None
    known = (given.get(course_id, CourseContext(course_id=course_id)) for course_id in course_ids)
    courses = tuple(context if context.name else context.model_copy(update={"name": name}) for context in known)
    return Document(record, kind, sections, people, courses)


class StoredBatches:
    """Reads batches from the blob store, and keeps those that were read last: the packs of one follow each other.

    Packs are read by several threads. Two that want the same batch at once read it once.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._reading = threading.Lock()
        self._last: dict[object, tuple[tuple[Record, ...], tuple[CourseContext, ...]]] = {}

    def with_records(self, message: Analysis) -> Analysis:
        """Return a pack with its records and contexts; there may be fewer records than it counts.

        Raises Rejected when the rows are gone or are not what they were, Retryable when the store does not answer.
        """
        if message.rows is None:
            return message
        # A resumed job is read anew: a student may have been erased from its file meanwhile.
        left_out = frozenset(message.left_out)
        batch = (message.job_id, message.generation, message.rows, message.kind, message.accepted_at, left_out)
        with self._reading:
            if batch not in self._last:
                if len(self._last) == KEPT_BATCHES:
                    del self._last[next(iter(self._last))]
                rows = load_rows(self._blobs, message.rows, message.accepted_at)
                read = tuple(
                    row
                    for line, row in rows
                    if isinstance(row, Record) and kind_to_read(row) == message.kind and line not in left_out
                )
                contexts = message.contexts
                if message.contexts_key is not None:
                    with self._blobs.open(message.contexts_key) as file:
                        contexts = _CONTEXTS.validate_json(file.read())
                self._last[batch] = (read, contexts)
            records, contexts = self._last[batch]
        pack = records[message.first : message.first + message.count]
        update = {"records": tuple(record.to_json() for record in pack), "contexts": contexts}
        return message.model_copy(update=update)
