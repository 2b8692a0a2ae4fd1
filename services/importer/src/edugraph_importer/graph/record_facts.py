"""What one record states, in the terms of the graph.

`Facts` is a pure function of the record. It holds the rows that write the record, and what the record adds to the
state of the nodes that it names.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.records import (
    CourseContent,
    CourseRecord,
    ErrorRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
)
from edugraph_importer.graph.queries import Row

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


class Mistakes(NamedTuple):
    """What one record adds to one HAS_ERROR relationship. `resolved` is None where the record does not say."""

    key: MistakeKey
    number: int
    weight: float
    resolved: bool | None


class Learns(NamedTuple):
    """What one course_record says of one LEARNS relationship."""

    pair: Pair
    mark: str
    values: dict[str, Any]


@dataclass(slots=True)
class Facts:
    """What one record states, or what its finding adds to that.

    `nodes`: all that must be locked. `rows`: (name of the statement, row). `fields`: (node, name, value); the latest
    record decides each of them. `spellings`: (node, spelling).
    """

    version_key: str
    nodes: set[Node]
    rows: list[tuple[str, Row]] = field(default_factory=list)
    fields: list[tuple[Node, str, Any]] = field(default_factory=list)
    spellings: list[tuple[Node, str]] = field(default_factory=list)
    mistakes: list[Mistakes] = field(default_factory=list)
    learns: Learns | None = None


def facts_of(record: Record) -> Facts:
    facts = Facts(record.version_key, set(nodes(record)))
    row: Row = {
        "id": record.record_id,
        "hash": record.content_hash,
        "type": record.type,
        "stamp": record.version_key,
        "at": time_of(record.version_key),
    }
    match record.data:
        case StudentInteraction() as data:
            _add_student_interaction(facts, row, data)
        case TeacherInteraction() as data:
            row |= {"from": data.teacher_id, "to": data.student_id, "course": data.course_id}
            row |= {"from_name": data.teacher_name, "to_name": data.student_name}
            row |= {"subject": data.subject, "text": data.text, "feedback": data.feedback}
            row["count"] = data.interaction_count
            facts.rows.append(("create_teacher_interaction", row))
            facts.fields.append((("Teacher", data.teacher_id), "name", data.teacher_name))
            facts.fields.append((("Student", data.student_id), "name", data.student_name))
        case ErrorRecord() as data:
            _add_error_record(facts, row, data)
        case CourseContent() as data:
            row |= {"course": data.course_id, "course_name": data.course_name}
            row |= {"title": data.title, "content": data.content}
            facts.rows.append(("create_course_content", row))
            facts.fields.append((("Course", data.course_id), "name", data.course_name))
        case CourseRecord() as data:
            # It becomes no node: it changes LEARNS, its student and its course.
            facts.learns = Learns((data.student_id, data.course_id), mark(record), learns_fields(data))
            student, course = ("Student", data.student_id), ("Course", data.course_id)
            facts.fields.append((student, "name", data.student_name))
            facts.fields.append((course, "name", data.course_name))
            facts.fields.append((course, "description", data.course_description))
            facts.fields.append((course, "difficulty", data.difficulty))
    return facts


def _add_student_interaction(facts: Facts, row: Row, data: StudentInteraction) -> None:
    is_chat = data.interaction_type == "chat"
    row |= {"from": data.student_id_from, "to": data.student_id_to, "course": data.course_id}
    row |= {"from_name": data.student_name_from, "to_name": data.student_name_to, "text": data.text}
    row["count"] = data.message_count if is_chat else data.like_count
    facts.rows.append(("create_chat" if is_chat else "create_like", row))
    facts.fields.append((("Student", data.student_id_from), "name", data.student_name_from))
    facts.fields.append((("Student", data.student_id_to), "name", data.student_name_to))
    for topic, spellings in topics(data).items():
        facts.rows.append(("about", {"id": row["id"], "topic": topic, "spelled": spellings}))
        facts.spellings += [(("Topic", topic), spelling) for spelling in spellings]


def _add_error_record(facts: Facts, row: Row, data: ErrorRecord) -> None:
    first_course, *other_courses = data.courses
    row |= {"student": data.student_id, "course": first_course, "count": data.occurrence_count}
    row |= {"name": data.student_name, "course_name": data.course_name, "question": data.question}
    row |= {"error_text": data.error_text, "severity": data.severity, "resolved": resolved(data)}
    facts.rows.append(("create_error_record", row))
    facts.rows += [("in_more_courses", {"id": row["id"], "course": course_id}) for course_id in other_courses]
    facts.fields.append((("Student", data.student_id), "name", data.student_name))
    facts.fields.append((("Course", first_course), "name", data.course_name))
    for error_type, spellings in error_types(data).items():
        row |= {"error_type": error_type, "spelled": spellings}
        facts.spellings += [(("ErrorType", error_type), spelling) for spelling in spellings]
        facts.mistakes += mistakes(data, error_type, data.severity)


def mistakes(data: ErrorRecord, error_type: str, severity: str | None) -> Iterator[Mistakes]:
    """Yield the mistakes of one record and error type, in each of its courses."""
    weight = data.occurrence_count * SEVERITY_WEIGHT[severity]
    for course_id in data.courses:
        yield Mistakes((data.student_id, error_type, course_id), data.occurrence_count, weight, resolved(data))


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


def time_of(version_key: str) -> str:
    """Return the record's time as ISO text, with which its version key begins."""
    return version_key.partition("|")[0]
