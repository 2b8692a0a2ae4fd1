"""What one record states, in the graph's words: the nodes that it names and how it spells them."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from edugraph_common.contracts.records import (
    CourseContent,
    CourseRecord,
    ErrorRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
)
from edugraph_importer.graph import naming

Node = tuple[str, str]  # (label, id)
Pair = tuple[str, str]  # two ids
Spelled = dict[str, list[str]]  # id -> its spellings, sorted

MARK = 12  # characters of a record's mark

LABEL_OF_TYPE = {
    "student_interaction": "Interaction",
    "teacher_interaction": "Interaction",
    "error_record": "ErrorRecord",
    "course_content": "CourseContent",
}
"""A course_record has no node: it is a state, not an event."""

WEIGHT = {"low": 0.5, "medium": 1.0, "high": 2.0, None: 1.0}
"""Of one mistake, by severity. Exact in binary, so that sums do not depend on their order."""

LEARNS = (
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
    """The students, teachers, courses, topics and error types that the record names."""
    data = record.data
    for _, student in students(record):
        yield "Student", student
    for course in courses(record):
        yield "Course", course
    match data:
        case TeacherInteraction():
            yield "Teacher", data.teacher_id
        case StudentInteraction():
            yield from (("Topic", topic) for topic in topics(data))
        case ErrorRecord():
            yield from (("ErrorType", kind) for kind in error_types(data))


def derive(record: Record) -> None:
    """All that is told from one record alone, so that what goes wrong in it is known before its batch is written."""
    _ = record.stamp, record.content_hash, set(nodes(record))


def students(record: Record) -> Iterator[tuple[str, str]]:
    """(field, student id)."""
    data = record.data
    if isinstance(data, StudentInteraction):
        yield "data.student_id_from", data.student_id_from
        yield "data.student_id_to", data.student_id_to
    elif not isinstance(data, CourseContent):
        yield "data.student_id", data.student_id


def courses(record: Record) -> tuple[str, ...]:
    if isinstance(record.data, ErrorRecord):
        return record.data.courses
    return (record.data.course_id,) if record.data.course_id else ()


def topics(data: StudentInteraction) -> Spelled:
    return spelled(data.topics)


def error_types(data: ErrorRecord) -> Spelled:
    """At most one. An id is taken as it is given; a name alone gives the id."""
    names = [data.error_type] if data.error_type else []
    return {data.error_type_id: names} if data.error_type_id else spelled(names)


def resolved(data: ErrorRecord) -> bool | None:
    """None where the record does not say."""
    return data.resolved if "resolved" in data.model_fields_set else None


def course_facts(data: CourseRecord) -> dict[str, Any]:
    """What the record says of a student in a course, without what it leaves out.

    What it says of the course and of the student's name is kept there, too: so forgetting a student can take back
    exactly what came with them.
    """
    given = data.model_fields_set
    return {name: getattr(data, name) for name in LEARNS if name in given}


def mark(record: Record) -> str:
    """Tells a record from the others of one student and course, so that one that comes again is known."""
    return hashlib.sha256(f"{record.record_id}|{record.content_hash}".encode()).hexdigest()[:MARK]


def marks(text: str) -> set[str]:
    """Kept as one text: a list of texts costs Neo4j twice as much to write."""
    return {text[start : start + MARK] for start in range(0, len(text), MARK)}


def spelled(names: Iterable[str]) -> Spelled:
    found: dict[str, set[str]] = {}
    for name in names:
        found.setdefault(naming.key(name), set()).add(name)
    return {known: sorted(spellings) for known, spellings in found.items()}
