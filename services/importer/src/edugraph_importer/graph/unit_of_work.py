"""What one transaction writes: rows of its new records, and the state of the nodes that they change.

The book opens on the nodes as they are in the graph, under lock. Records are added to it one after the other, or to a
draft before any lock is taken, which the book then takes over: the less is done under the locks, the sooner the next
transaction has them.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from edugraph_common.contracts.records import (
    CourseContent,
    CourseRecord,
    ErrorRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
)
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.last_write_wins import NEVER, Fields, Spellings, merge_fields, put_field, read_fields
from edugraph_importer.graph.record_facts import Node, Pair

Row = dict[str, Any]

LATEST: Mapping[str, tuple[str, ...]] = {
    "Course": ("name", "description", "difficulty"),
    "KnowledgePoint": ("description", "category"),
    "Student": ("name",),
    "Teacher": ("name",),
}
"""Of which the latest record decides, field by field."""

NAMED = ("ErrorType", "KnowledgePoint", "Topic")
"""Known by what they are called: the earliest spelling is the name."""


@dataclass(slots=True)
class Mistakes:
    """One student's mistakes of one type in one course. Moments are ISO text, which sorts as time does."""

    count: int = 0
    weight: float = 0.0
    first: str | None = None
    last: str | None = None
    resolved: bool | None = None
    stamp: str | None = None

    def add(self, count: int, weight: float, at: str) -> None:
        self.count += count
        self.weight += weight
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)

    def say(self, resolved: bool | None, stamp: str) -> None:
        """The latest record that says whether they are resolved decides."""
        if resolved is not None and (self.stamp is None or stamp > self.stamp):
            self.resolved, self.stamp = resolved, stamp

    def row(self) -> Row:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Book:
    """`rows`: by the name of the statement that writes them."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    fields: dict[Node, Fields] = field(default_factory=dict)
    spellings: dict[Node, Spellings] = field(default_factory=dict)
    changed: set[Node] = field(default_factory=set)
    learns: dict[Pair, Fields] = field(default_factory=dict)
    learns_said: dict[Pair, set[str]] = field(default_factory=dict)
    """The marks of the records that stated it."""
    learns_new: set[Pair] = field(default_factory=set)
    learns_changed: set[Pair] = field(default_factory=set)
    mistakes: dict[tuple[str, str, str], Mistakes] = field(default_factory=lambda: defaultdict(Mistakes))
    """By student, error type and course."""

    @classmethod
    def draft(cls) -> Self:
        """A book without what the graph holds, for `take`: any node may be named in it."""
        return cls(fields=defaultdict(dict), spellings=defaultdict(Spellings))

    def open_node(self, node: Node, properties: Mapping[str, Any]) -> None:
        """The node's state in the graph, before anything is added."""
        label = node[0]
        if label in LATEST:
            self.fields[node] = read_fields(properties, LATEST[label])
        if label in NAMED:
            self.spellings[node] = Spellings.read(properties)

    def open_learns(self, pair: Pair, properties: Mapping[str, Any]) -> None:
        self.learns[pair] = read_fields(properties, record_facts.LEARNS)
        self.learns_said[pair] = record_facts.marks(properties.get("records", ""))

    def take(self, draft: "Book") -> int:
        """What a draft says of nodes and of LEARNS; its rows and mistakes stay its own.

        Returns how many of its course_records are new.
        """
        for node, fields in draft.fields.items():
            if merge_fields(self.fields[node], fields):
                self.changed.add(node)
        for node, spellings in draft.spellings.items():
            if self.spellings[node].merge(spellings):
                self.changed.add(node)
        return sum(self._take_learns(pair, draft) for pair in draft.learns)

    def put(self, node: Node, name: str, value: Any, stamp: str) -> None:
        """The latest wins."""
        if put_field(self.fields[node], name, value, stamp):
            self.changed.add(node)

    def spell(self, node: Node, spelling: str, stamp: str) -> None:
        if self.spellings[node].add(spelling, stamp):
            self.changed.add(node)

    def add(self, record: Record, content_hash: str) -> None:
        """A record that has no node yet; the nodes it names must be open."""
        row: Row = {
            "id": record.record_id,
            "hash": content_hash,
            "type": record.type,
            "stamp": record.stamp,
        }
        row["at"] = moment(row["stamp"])
        match record.data:
            case StudentInteraction() as data:
                self._add_student_interaction(row, data)
            case TeacherInteraction() as data:
                self._add_teacher_interaction(row, data)
            case ErrorRecord() as data:
                self._add_error_record(row, data)
            case CourseContent() as data:
                self._add_course_content(row, data)

    def add_state(self, record: Record, data: CourseRecord) -> None:
        """A course_record, to a draft."""
        stamp, pair = record.stamp, (data.student_id, data.course_id)
        student, course = ("Student", data.student_id), ("Course", data.course_id)
        self._open_new_learns(pair)
        self.learns_said[pair].add(record_facts.mark(record))
        merge_fields(
            self.learns[pair], {name: (value, stamp) for name, value in record_facts.course_facts(data).items()}
        )
        self.put(student, "name", data.student_name, stamp)
        self.put(course, "name", data.course_name, stamp)
        self.put(course, "description", data.course_description, stamp)
        self.put(course, "difficulty", data.difficulty, stamp)

    def count_mistakes(self, row: Row, data: ErrorRecord, kind: str, severity: str | None) -> None:
        """Those of one record and type, in each of its courses."""
        weight = data.occurrence_count * record_facts.WEIGHT[severity]
        for course in data.courses:
            mistakes = self.mistakes[data.student_id, kind, course]
            mistakes.add(data.occurrence_count, weight, row["at"])
            mistakes.say(record_facts.resolved(data), row["stamp"])

    def _add_student_interaction(self, row: Row, data: StudentInteraction) -> None:
        chat = data.interaction_type == "chat"
        row |= {"from": data.student_id_from, "to": data.student_id_to, "course": data.course_id}
        row |= {"from_name": data.student_name_from, "to_name": data.student_name_to, "text": data.text}
        row["count"] = data.message_count if chat else data.like_count
        self.rows["create_chat" if chat else "create_like"].append(row)
        self.put(("Student", data.student_id_from), "name", data.student_name_from, row["stamp"])
        self.put(("Student", data.student_id_to), "name", data.student_name_to, row["stamp"])
        for topic, spellings in record_facts.topics(data).items():
            self.rows["about"].append({"id": row["id"], "topic": topic, "spelled": spellings})
            self._spell_all(("Topic", topic), spellings, row["stamp"])

    def _add_teacher_interaction(self, row: Row, data: TeacherInteraction) -> None:
        row |= {"from": data.teacher_id, "to": data.student_id, "course": data.course_id}
        row |= {"from_name": data.teacher_name, "to_name": data.student_name}
        row |= {"subject": data.subject, "text": data.text, "feedback": data.feedback}
        row["count"] = data.interaction_count
        self.rows["create_teacher_interaction"].append(row)
        self.put(("Teacher", data.teacher_id), "name", data.teacher_name, row["stamp"])
        self.put(("Student", data.student_id), "name", data.student_name, row["stamp"])

    def _add_error_record(self, row: Row, data: ErrorRecord) -> None:
        first, *more = data.courses
        row |= {"student": data.student_id, "course": first, "count": data.occurrence_count}
        row |= {"name": data.student_name, "course_name": data.course_name, "question": data.question}
        row |= {"error_text": data.error_text, "severity": data.severity, "resolved": record_facts.resolved(data)}
        self.rows["create_error_record"].append(row)
        self.rows["in_more_courses"] += [{"id": row["id"], "course": course} for course in more]
        self.put(("Student", data.student_id), "name", data.student_name, row["stamp"])
        self.put(("Course", first), "name", data.course_name, row["stamp"])
        for kind, spellings in record_facts.error_types(data).items():
            row |= {"error_type": kind, "spelled": spellings}
            self._spell_all(("ErrorType", kind), spellings, row["stamp"])
            self.count_mistakes(row, data, kind, data.severity)

    def _add_course_content(self, row: Row, data: CourseContent) -> None:
        row |= {"course": data.course_id, "course_name": data.course_name}
        row |= {"title": data.title, "content": data.content}
        self.rows["create_course_content"].append(row)
        self.put(("Course", data.course_id), "name", data.course_name, row["stamp"])

    def _spell_all(self, node: Node, spellings: list[str], stamp: str) -> None:
        for spelling in spellings:
            self.spell(node, spelling, stamp)

    def _take_learns(self, pair: Pair, draft: "Book") -> int:
        """One that is older than what is known is new all the same, and may change nothing but the marks."""
        self._open_new_learns(pair)
        new = draft.learns_said[pair] - self.learns_said[pair]
        if new:
            self.learns_said[pair] |= new
            self.learns_changed.add(pair)
            merge_fields(self.learns[pair], draft.learns[pair])
        return len(new)

    def _open_new_learns(self, pair: Pair) -> None:
        if pair not in self.learns:
            self.learns[pair], self.learns_said[pair] = {"progress": (0.0, NEVER)}, set()
            self.learns_new.add(pair)


def moment(stamp: str) -> str:
    """The record's time as ISO text, which its stamp begins with."""
    return stamp.partition("|")[0]
