"""What one record states, in the graph's words: the nodes it names and the properties of its own node."""

from collections.abc import Iterator
from typing import Any, cast

from edugraph_common.records import (
    CourseContent,
    CourseRecord,
    ErrorRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
)
from edugraph_importer.graph import naming

Node = tuple[str, str]  # (label, id)
Spelled = dict[str, list[str]]  # id -> its spellings, sorted

LABEL_OF_TYPE = {
    "student_interaction": "Interaction",
    "teacher_interaction": "Interaction",
    "error_record": "ErrorRecord",
    "course_content": "CourseContent",
}
"""A course_record has no node: it is a state, not an event."""

WEIGHT = {"low": 0.5, "medium": 1.0, "high": 2.0, None: 1.0}  # exact in binary, so sums do not depend on order

_OWN = {
    "student_interaction": ("interaction_type", "text"),
    "teacher_interaction": ("subject", "text", "feedback", "interaction_count"),
    "error_record": ("question", "error_text", "severity", "occurrence_count"),
    "course_content": ("title", "content"),
}


def properties(record: Record, content_hash: str) -> dict[str, Any]:
    """Of the record's own node. Names stand on its relationships, where they say whom they name."""
    own = {name: getattr(record.data, name) for name in _OWN[record.type]}
    if isinstance(record.data, StudentInteraction):
        counted = f"{'message' if record.data.interaction_type == 'chat' else 'like'}_count"
        own[counted] = getattr(record.data, counted)
    if isinstance(record.data, ErrorRecord):
        own["resolved"] = resolved(record.data)
    return {
        "id": record.record_id,
        "content_hash": content_hash,
        "record_type": record.type,
        "timestamp": record.timestamp,
        **{name: value for name, value in own.items() if value is not None},
    }


def nodes(record: Record) -> Iterator[Node]:
    """The students, teachers, courses, topics and error types that the record names."""
    data = record.data
    yield from (("Student", student) for _, student in students(record))
    if isinstance(data, TeacherInteraction):
        yield "Teacher", data.teacher_id
    yield from (("Course", course) for course in courses(record))
    yield from (("Topic", topic) for topic in topics(record))
    yield from (("ErrorType", kind) for kind in error_types(record))


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


def course_name(record: Record) -> str | None:
    """The name it gives to the first of its courses."""
    data = record.data
    return data.course_name if isinstance(data, CourseRecord | ErrorRecord | CourseContent) else None


def topics(record: Record) -> Spelled:
    return spelled(record.data.topics) if isinstance(record.data, StudentInteraction) else {}


def error_types(record: Record) -> Spelled:
    """At most one; the id given is taken as it is, a name alone gives the id."""
    data = record.data
    if not isinstance(data, ErrorRecord):
        return {}
    names = [data.error_type] if data.error_type else []
    if data.error_type_id:
        return {data.error_type_id: names}
    return spelled(names)


def resolved(data: ErrorRecord) -> bool | None:
    """None where the record does not say."""
    return data.resolved if "resolved" in data.model_fields_set else None


def course_facts(data: CourseRecord) -> dict[str, Any]:
    """Values given for LEARNS: its own, and what they say of the student and the course (None: not given).

    The latter are kept there too, so that forgetting a student can take back exactly what came with them.
    """
    given = data.model_fields_set
    facts = {name: getattr(data, name) for name in LEARNS if name in given}
    return cast("dict[str, Any]", facts)


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


def spelled(names: tuple[str, ...] | list[str]) -> Spelled:
    found: dict[str, set[str]] = {}
    for name in names:
        found.setdefault(naming.key(name), set()).add(name)
    return {known: sorted(spellings) for known, spellings in found.items()}
