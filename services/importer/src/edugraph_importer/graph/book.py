"""The sums of one transaction: what its new records add to nodes and relationships, folded before it is sent.

The book opens on the nodes as they are in the graph, under lock; `add` applies one record after the other.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edugraph_common.records import (
    CourseRecord,
    ErrorRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
)
from edugraph_importer.graph import latest, stated
from edugraph_importer.graph.naming import Spellings
from edugraph_importer.graph.stated import Node, Spelled

Row = dict[str, Any]
Pair = tuple[str, str]

LATEST: Mapping[str, tuple[str, ...]] = {
    "Course": ("name", "description", "difficulty"),
    "KnowledgePoint": ("description", "category"),
    "Student": ("name",),
    "Teacher": ("name",),
}
NAMED = ("ErrorType", "KnowledgePoint", "Topic")


@dataclass(slots=True)
class Tally:
    """A sum over records with its first and last date, and one field of which the latest wins."""

    count: int = 0
    weight: float = 0.0
    first: datetime | None = None
    last: datetime | None = None
    value: Any = None
    stamp: str | None = None

    def add(self, count: int, at: datetime, weight: float = 0.0) -> None:
        self.count += count
        self.weight += weight
        self.first = at if self.first is None or at < self.first else self.first
        self.last = at if self.last is None or at > self.last else self.last

    def say(self, value: Any, stamp: str) -> None:
        if value is not None and (self.stamp is None or stamp > self.stamp):
            self.value, self.stamp = value, stamp

    def row(self) -> Row:
        return {
            "count": self.count,
            "weight": self.weight,
            "first": self.first,
            "last": self.last,
            "value": self.value,
            "stamp": self.stamp,
        }


@dataclass(slots=True)
class Book:
    fields: dict[Node, latest.Fields] = field(default_factory=dict)
    spellings: dict[Node, Spellings] = field(default_factory=dict)
    learns: dict[Pair, latest.Fields] = field(default_factory=dict)
    changed: set[Node] = field(default_factory=set)
    learns_new: set[Pair] = field(default_factory=set)
    learns_changed: set[Pair] = field(default_factory=set)
    records: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    in_course: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    about: list[Row] = field(default_factory=list)
    of_type: list[Row] = field(default_factory=list)
    chats: dict[Pair, Tally] = field(default_factory=lambda: defaultdict(Tally))
    likes: dict[Pair, Tally] = field(default_factory=lambda: defaultdict(Tally))
    teaches: dict[Pair, Tally] = field(default_factory=lambda: defaultdict(Tally))
    errors: dict[tuple[str, str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))

    def open_node(self, node: Node, properties: Mapping[str, Any]) -> None:
        """The node's state in the graph, before anything is added."""
        label = node[0]
        if label in LATEST:
            self.fields[node] = latest.read(properties, LATEST[label])
        if label in NAMED:
            self.spellings[node] = Spellings.read(properties)

    def open_learns(self, pair: Pair, properties: Mapping[str, Any]) -> None:
        self.learns[pair] = latest.read(properties, stated.LEARNS)

    def put(self, node: Node, name: str, value: Any, stamp: str) -> bool:
        if not latest.put(self.fields[node], name, value, stamp):
            return False
        self.changed.add(node)
        return True

    def spell(self, node: Node, spelling: str, stamp: str) -> None:
        if self.spellings[node].add(spelling, stamp):
            self.changed.add(node)

    def add(self, record: Record, content_hash: str) -> None:
        """A record that has no node yet; its nodes must be open."""
        stamp = record.stamp
        row = _ADD[record.type](self, record, stamp)
        row["p"] = stated.properties(record, content_hash)
        self._courses(record, stamp)
        self._spell_all("Topic", stated.topics(record), record, stamp)
        self._spell_all("ErrorType", stated.error_types(record), record, stamp)

    def add_state(self, record: Record) -> bool:
        """A course_record. True if it changed anything."""
        data, stamp = record.data, record.stamp
        assert isinstance(data, CourseRecord)  # noqa: S101 - for the type checker: the caller chose by type
        pair = (data.student_id, data.course_id)
        facts, changed = stated.course_facts(data), [self._learn(pair)]
        changed += [latest.put(self.learns[pair], name, value, stamp) for name, value in facts.items()]
        if any(changed):
            self.learns_changed.add(pair)
        student, course = ("Student", data.student_id), ("Course", data.course_id)
        changed.append(self.put(student, "name", data.student_name, stamp))
        changed.append(self.put(course, "name", data.course_name, stamp))
        changed.append(self.put(course, "description", data.course_description, stamp))
        changed.append(self.put(course, "difficulty", data.difficulty, stamp))
        return any(changed)

    def _learn(self, pair: Pair) -> bool:
        if pair in self.learns:
            return False
        self.learns[pair] = {"progress": (0.0, latest.NEVER)}
        self.learns_new.add(pair)
        return True

    def _courses(self, record: Record, stamp: str) -> None:
        label, name = stated.LABEL_OF_TYPE[record.type], stated.course_name(record)
        for course in stated.courses(record):
            self.put(("Course", course), "name", name, stamp)
            self.in_course[label].append({"record": record.record_id, "course": course, "name": name})
            name = None  # the record names its first course only

    def _spell_all(self, label: str, spelled: Spelled, record: Record, stamp: str) -> None:
        rows = self.about if label == "Topic" else self.of_type
        for known, spellings in spelled.items():
            rows.append({"record": record.record_id, "id": known, "as": spellings})
            for spelling in spellings:
                self.spell((label, known), spelling, stamp)


def _student_interaction(book: Book, record: Record, stamp: str) -> Row:
    data = record.data
    assert isinstance(data, StudentInteraction)  # noqa: S101 - for the type checker, as below
    pair = (data.student_id_from, data.student_id_to)
    if data.interaction_type == "chat":
        book.chats[pair].add(data.message_count, record.timestamp)
    else:
        book.likes[pair].add(data.like_count, record.timestamp)
    book.put(("Student", pair[0]), "name", data.student_name_from, stamp)
    book.put(("Student", pair[1]), "name", data.student_name_to, stamp)
    names = {"from_name": data.student_name_from, "to_name": data.student_name_to}
    return _row(book, record, {"from": pair[0], "to": pair[1], **names})


def _teacher_interaction(book: Book, record: Record, stamp: str) -> Row:
    data = record.data
    assert isinstance(data, TeacherInteraction)  # noqa: S101
    pair = (data.teacher_id, data.student_id)
    book.teaches[pair].add(data.interaction_count, record.timestamp)
    book.teaches[pair].say(data.feedback, stamp)
    book.put(("Teacher", pair[0]), "name", data.teacher_name, stamp)
    book.put(("Student", pair[1]), "name", data.student_name, stamp)
    names = {"from_name": data.teacher_name, "to_name": data.student_name}
    return _row(book, record, {"from": pair[0], "to": pair[1], **names})


def _error_record(book: Book, record: Record, stamp: str) -> Row:
    data = record.data
    assert isinstance(data, ErrorRecord)  # noqa: S101
    book.put(("Student", data.student_id), "name", data.student_name, stamp)
    for kind in stated.error_types(record):
        book.count_error(record, kind, data.severity)
    return _row(book, record, {"student": data.student_id, "name": data.student_name})


def _course_content(book: Book, record: Record, stamp: str) -> Row:
    return _row(book, record, {})


def _row(book: Book, record: Record, row: Row) -> Row:
    book.records[record.type].append(row)
    return row


_ADD = {
    "student_interaction": _student_interaction,
    "teacher_interaction": _teacher_interaction,
    "error_record": _error_record,
    "course_content": _course_content,
}
