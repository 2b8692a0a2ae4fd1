"""Documents: the text of a record in labelled sections, the people that the record names, and its courses.

`StoredBatches` reads the records of a pack that refers to its rows.
"""

import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from pydantic import TypeAdapter

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.findings import Kind, kind_of_finding, kind_to_read
from edugraph_common.contracts.messages import Analysis, CourseContext
from edugraph_common.contracts.records import (
    AttemptRecord,
    CourseContent,
    Data,
    ErrorRecord,
    InvalidRecord,
    PostRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
    course_ids_of,
    parse_record,
)
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import load_rows
from edugraph_common.sources.keyed import keyed
from edugraph_common.sources.rows import as_invalid_record

# A record is analysed only if one of these sections has words. A question or a title alone is context.
_OWN_WORDS = frozenset({"message", "feedback", "mistake", "content"})
# (role of the person, name of the field, whether the field holds a name and not an id)
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
# A process keeps this many batches. The queue has packs of two batches while one ends and the next begins.
KEPT_BATCHES = 2
_CONTEXTS = TypeAdapter(tuple[CourseContext, ...])


class Unreadable(Exception):
    """The record cannot be analysed. `reason` never quotes the record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Textless(Unreadable):
    """The record has no words, for example a like, or a call without a note. Nothing is wrong with it."""


@dataclass(frozen=True)
class Person:
    """A person that the record names. `role` is STUDENT or TEACHER, and `value` is a name or an id."""

    role: str
    value: str
    is_name: bool


@dataclass(frozen=True)
class Document:
    """One record, ready to be analysed. `sections` are pairs of label and text in reading order."""

    record: Record
    kind: Kind
    sections: tuple[tuple[str, str], ...]
    people: tuple[Person, ...]
    courses: tuple[CourseContext, ...]

    @cached_property
    def students(self) -> tuple[str, ...]:
        """Return the ids of the students whom the record is about, in order. A course text has none."""
        ids = list[str]()
        for person in self.people:
            if person.role == "STUDENT" and not person.is_name:
                ids.append(person.value)
        return tuple(sorted(ids))

    @cached_property
    def text(self) -> str:
        return "\n".join(text for _, text in self.sections)

    @property
    def known_points(self) -> tuple[str, ...]:
        """Return the knowledge points of all courses, each once."""
        points: dict[str, None] = {}
        for course in self.courses:
            points.update(dict.fromkeys(course.knowledge_points))
        return tuple(points)

    def topics_among(self, names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names that are topics, in the spelling of the list, and the others. Each is returned once.

        The list has the knowledge points of the courses, and the topics that the record itself states.
        """
        stated: tuple[str, ...] = getattr(self.record.data, "topics", ())
        listed = {folded_topic(name): name for name in (*stated, *self.known_points)}
        # folded name -> name
        topics: dict[str, str] = {}
        others: dict[str, str] = {}
        for name in names:
            key = folded_topic(name)
            if key in listed:
                topics[key] = listed[key]
            else:
                others.setdefault(key, name)
        return tuple(topics.values()), tuple(others.values())


@lru_cache(maxsize=20_000)
def folded_topic(name: str) -> str:
    """Return the canonical name without any case. In a canonical name the case of short words counts.

    It is cached, since each message of a course is compared with all points of the course.
    """
    return canonical_name(name.casefold())


@cache
def _person_fields(data_type: type[Data]) -> tuple[tuple[str, str, bool], ...]:
    """Return the entries of _PERSON_FIELDS for the fields that this type of record has.

    Asking pydantic for a missing field takes a microsecond, which is long for a record.
    """
    return tuple(entry for entry in _PERSON_FIELDS if entry[1] in data_type.model_fields)


def read_document(value: dict[str, Any], kind: Kind, contexts: Iterable[CourseContext]) -> Document:
    """Return the document of a record. `contexts` are those of its pack.

    Raises Unreadable if the value is not a record of this kind, and Textless if the record has no text.
    """
    try:
        record = parse_record(value)
    except Exception as fault:  # noqa: BLE001 - the boundary of the row
        problem = as_invalid_record(fault)
        raise Unreadable(f"is not a valid record: {problem.field} {problem.reason}") from None
    if kind_of_finding(record) != kind:
        raise Unreadable(f"a {record.type} is not analysed as {kind}")

    data = record.data
    sections = []
    for label, text in _labelled_texts(data):
        if text and text.strip():
            sections.append((label, text))
    if not any(label in _OWN_WORDS for label, _ in sections):
        raise Textless("has no text to analyse")

    return Document(record, kind, tuple(sections), _people_of(data), _courses_of(record, contexts))


def _labelled_texts(data: Data) -> list[tuple[str, str | None]]:
    """Return the texts that the model reads of a record, each with the label that it has in the prompt."""
    match data:
        case StudentInteraction():
            return [("message", data.text)]
        case PostRecord():
            return [("title", data.title), ("message", data.text)]
        case TeacherInteraction():
            return [("subject", data.subject), ("message", data.text), ("feedback", data.feedback)]
        case ErrorRecord():
            return [("question", data.question), ("mistake", data.error_text)]
        case AttemptRecord():
            own_words = "message"
            if data.has_outcome:
                own_words = "mistake"
            return [("question", data.question or data.item_title), (own_words, data.response)]
        case CourseContent():
            return [("title", data.title), ("content", data.content)]
        case _:
            return []


def _people_of(data: Data) -> tuple[Person, ...]:
    """Return the people that a record names, by name and by id."""
    people = list[Person]()
    for role, field, is_name in _person_fields(type(data)):
        name_or_id = getattr(data, field)
        if name_or_id:
            people.append(Person(role, name_or_id, is_name))
    return tuple(people)


def _courses_of(record: Record, contexts: Iterable[CourseContext]) -> tuple[CourseContext, ...]:
    """Return the contexts of a record's courses. A course without a name gets the name that the record gives it."""
    course_ids = course_ids_of(record)
    given = {context.course_id: context for context in contexts}
    name_in_record = getattr(record.data, "course_name", None) if course_ids else None
    courses = list[CourseContext]()
    for course_id in course_ids:
        context = given.get(course_id, CourseContext(course_id=course_id))
        if not context.name:
            context = context.model_copy(update={"name": name_in_record})
        courses.append(context)
    return tuple(courses)


class StoredBatches:
    """Reads batches from the blob store, and keeps the last ones, since the packs of a batch follow each other.

    Several threads read packs. If two need the same batch at once, it is read once.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._reading = threading.Lock()
        # key of the batch -> (its records, its contexts), the oldest first
        self._last: dict[object, tuple[list[Record], tuple[CourseContext, ...]]] = {}

    def with_records(self, message: Analysis) -> Analysis:
        """Return a pack with its records and contexts. It may have fewer records than `count` says.

        Raises Rejected if the rows are gone or have changed, and Retryable if the store does not answer.
        """
        if message.rows is None:
            return message
        left_out = frozenset(message.left_out)
        # The generation is part of the key: a student may have been erased from the file before the job was resumed.
        batch = (
            message.job_id,
            message.generation,
            message.rows,
            message.kind,
            message.accepted_at,
            left_out,
        )
        with self._reading:
            if batch not in self._last:
                if len(self._last) == KEPT_BATCHES:
                    oldest = next(iter(self._last))
                    del self._last[oldest]
                records = list[Record]()
                for line, row in load_rows(self._blobs, message.rows, message.accepted_at):
                    if not isinstance(row, Record) or line in left_out:
                        continue
                    if kind_to_read(row) != message.kind:
                        continue
                    # The importer sets a row aside whose id is too long for a key.
                    with suppress(InvalidRecord):
                        records.append(keyed(row, message.rows.source_name))
                contexts = message.contexts
                if message.contexts_key is not None:
                    with self._blobs.open(message.contexts_key) as file:
                        contexts = _CONTEXTS.validate_json(file.read())
                self._last[batch] = (records, contexts)
            records, contexts = self._last[batch]
        pack = records[message.first : message.first + message.count]
        update = {"records": tuple(record.to_json() for record in pack), "contexts": contexts}
        return message.model_copy(update=update)
