"""What of a record is read: its text in labelled sections, the people it names, and its courses."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edugraph_common.contracts.findings import KIND_OF_TYPE, Kind
from edugraph_common.contracts.messages import CourseContext
from edugraph_common.contracts.records import (
    CourseContent,
    ErrorRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
    parse_record,
)
from edugraph_common.sources.rows import as_invalid_record


class Unreadable(Exception):
    """The record cannot be analysed; `reason` holds nothing of its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Textless(Unreadable):
    """There is nothing to read in it: a like, a call without a note."""


@dataclass(frozen=True)
class Person:
    """Somebody the record itself names: `role` is STUDENT or TEACHER; `value` a name or an id."""

    role: str
    value: str
    is_name: bool


@dataclass(frozen=True)
class Item:
    """One record, ready to be asked about. `sections`: (label, text) in reading order."""

    record: Record
    kind: Kind
    sections: tuple[tuple[str, str], ...]
    people: tuple[Person, ...]
    courses: tuple[CourseContext, ...]

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.sections)

    @property
    def known_points(self) -> tuple[str, ...]:
        """Of all its courses, each once."""
        return tuple(dict.fromkeys(point for course in self.courses for point in course.knowledge_points))


def read_item(value: dict[str, Any], kind: Kind, contexts: Iterable[CourseContext]) -> Item:
    """Raises Unreadable for what is no record of this kind, Textless for a record without text."""
    record = _parsed(value)
    if KIND_OF_TYPE.get(record.type) != kind:
        raise Unreadable(f"a {record.type} is not analysed as {kind}")
    sections = tuple((label, text) for label, text in _sections(record) if text and text.strip())
    if not any(label in _OWN_WORDS for label, _ in sections):
        raise Textless("has no text to analyse")
    return Item(record, kind, sections, _people(record), _courses(record, contexts))


_OWN_WORDS = frozenset({"message", "feedback", "mistake", "content"})


def _parsed(value: dict[str, Any]) -> Record:
    try:
        return parse_record(value)
    except Exception as fault:  # noqa: BLE001 - the boundary of the row
        problem = as_invalid_record(fault)
        raise Unreadable(f"is not a valid record: {problem.field} {problem.reason}") from None


def _sections(record: Record) -> list[tuple[str, str | None]]:
    data = record.data
    match data:
        case StudentInteraction():
            return [("message", data.text)]
        case TeacherInteraction():
            return [("subject", data.subject), ("message", data.text), ("feedback", data.feedback)]
        case ErrorRecord():
            return [("question", data.question), ("mistake", data.error_text)]
        case CourseContent():
            return [("title", data.title), ("content", data.content)]
    return []


_NAME_FIELDS = (
    ("STUDENT", "student_name", True),
    ("STUDENT", "student_name_from", True),
    ("STUDENT", "student_name_to", True),
    ("TEACHER", "teacher_name", True),
    ("STUDENT", "student_id", False),
    ("STUDENT", "student_id_from", False),
    ("STUDENT", "student_id_to", False),
    ("TEACHER", "teacher_id", False),
)


def _people(record: Record) -> tuple[Person, ...]:
    found = ((role, getattr(record.data, field, None), is_name) for role, field, is_name in _NAME_FIELDS)
    return tuple(Person(role, value, is_name) for role, value, is_name in found if value)


def _courses(record: Record, contexts: Iterable[CourseContext]) -> tuple[CourseContext, ...]:
    """The contexts of the record's own courses; a course without one is known by the name the record gives."""
    given = {context.course_id: context for context in contexts}
    name = getattr(record.data, "course_name", None)
    return tuple(given.get(course, CourseContext(course_id=course, name=name)) for course in _course_ids(record))


def _course_ids(record: Record) -> tuple[str, ...]:
    if isinstance(record.data, ErrorRecord):
        return record.data.courses
    course = getattr(record.data, "course_id", None)
    return (course,) if course else ()
