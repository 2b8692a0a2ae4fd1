"""What one record states, in the terms of the graph: the nodes that it names, and the spellings that it uses."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.records import (
    CourseContent,
    CourseRecord,
    ErrorRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
)

Node = tuple[str, str]  # (label, id)
Pair = tuple[str, str]  # (id, id): a relationship's start and end
MistakeKey = tuple[str, str, str]  # (student id, error type id, course id): one HAS_ERROR relationship
SpellingsById = dict[str, list[str]]  # node id -> its spellings, sorted

MARK_LENGTH = 12  # characters

# The label of the node that a record becomes. A course_record has none: it is a state and not an event.
LABEL_OF_TYPE = {
    "student_interaction": "Interaction",
    "teacher_interaction": "Interaction",
    "error_record": "ErrorRecord",
    "course_content": "CourseContent",
}

# The weight of one mistake. The numbers are exact in binary, so that sums do not depend on their order.
SEVERITY_WEIGHT = {"low": 0.5, "medium": 1.0, "high": 2.0, None: 1.0}

# The fields that LEARNS takes from a course_record. What the record says of the course and of the student's name is
# kept there, too, so that the erasure of a student can take back exactly what came with them.
LEARNS_FIELDS = (
    "enrollment_date",
    "progress",
    "completion_date",
    "time_spent",
    "student_name",
    "course_name",
    "course_description",
    "difficulty",
)


def nodes(record: Record) -> Iterator[Node]:
    """Yield the students, teachers, courses, topics and error types that the record names."""
    data = record.data
    for _, student_id in students(record):
        yield "Student", student_id
    if isinstance(data, ErrorRecord):
        yield from (("Course", course_id) for course_id in data.courses)
    elif data.course_id:
        yield "Course", data.course_id
    match data:
        case TeacherInteraction():
            yield "Teacher", data.teacher_id
        case StudentInteraction():
            yield from (("Topic", topic) for topic in topics(data))
        case ErrorRecord():
            yield from (("ErrorType", error_type) for error_type in error_types(data))


def derive_facts(record: Record) -> None:
    """Derive all that follows from one record alone, so that what goes wrong is known before its batch is written."""
    _ = record.version_key, record.content_hash, set(nodes(record))


def students(record: Record) -> Iterator[tuple[str, str]]:
    """Yield (field, student id)."""
    data = record.data
    if isinstance(data, StudentInteraction):
        yield "data.student_id_from", data.student_id_from
        yield "data.student_id_to", data.student_id_to
    elif not isinstance(data, CourseContent):
        yield "data.student_id", data.student_id


def topics(data: StudentInteraction) -> SpellingsById:
    return spellings_by_id(data.topics)


def error_types(data: ErrorRecord) -> SpellingsById:
    """Return at most one error type. An id is taken as it is given; a name without an id gives the id."""
    names = [data.error_type] if data.error_type else []
    return {data.error_type_id: names} if data.error_type_id else spellings_by_id(names)


def resolved(data: ErrorRecord) -> bool | None:
    """Return None where the record does not say whether the mistake is resolved."""
    return data.resolved if "resolved" in data.model_fields_set else None


def learns_fields(data: CourseRecord) -> dict[str, Any]:
    """Return what the record gives of LEARNS_FIELDS, without what it leaves out."""
    given = data.model_fields_set
    return {name: getattr(data, name) for name in LEARNS_FIELDS if name in given}


def mark(record: Record) -> str:
    """Return a short hash that tells a course_record from the others of its student and course.

    By it, a record that comes again is recognised.
    """
    return hashlib.sha256(f"{record.record_id}|{record.content_hash}".encode()).hexdigest()[:MARK_LENGTH]


def parse_marks(text: str) -> set[str]:
    """Split the marks that LEARNS holds. They are kept as one text: a list costs Neo4j twice as much to write."""
    return {text[start : start + MARK_LENGTH] for start in range(0, len(text), MARK_LENGTH)}


def spellings_by_id(names: Iterable[str]) -> SpellingsById:
    """Group names by their canonical name, which is the node's id."""
    found: dict[str, set[str]] = {}
    for name in names:
        found.setdefault(canonical_name(name), set()).add(name)
    return {node_id: sorted(spellings) for node_id, spellings in found.items()}
