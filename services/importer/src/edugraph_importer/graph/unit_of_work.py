"""The unit of work: what one transaction writes.

It holds the rows of the new records, and the state of the nodes and LEARNS relationships that the records change.
Records are staged before any lock is taken (`UnitOfWork.staged`). Then the transaction locks and reads its nodes
(`lock_and_load`) and merges what was staged into their state. The less is done under the locks, the sooner the next
transaction gets them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import neo4j
from neo4j.time import DateTime

from edugraph_common.contracts.graph_schema import ENTITY_LABELS
from edugraph_common.contracts.records import (
    CourseContent,
    CourseRecord,
    ErrorRecord,
    Record,
    StudentInteraction,
    TeacherInteraction,
    iso,
)
from edugraph_importer.graph import record_facts
from edugraph_importer.graph.last_write_wins import (
    NEVER,
    Fields,
    Spellings,
    field_properties,
    merge_fields,
    put_field,
    read_fields,
)
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.record_facts import LEARNS_FIELDS, MistakeKey, Node, Pair

Row = dict[str, Any]  # one row of a statement's parameter `rows`

# The fields of a node that the latest record decides, each one by itself.
LATEST_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Course": ("name", "description", "difficulty"),
    "KnowledgePoint": ("description", "category"),
    "Student": ("name",),
    "Teacher": ("name",),
}

# The labels whose id is the canonical name of their spellings.
NAMED_LABELS = ("ErrorType", "KnowledgePoint", "Topic")

# Records come before what refers to them.
_RECORD_STATEMENTS = (
    "create_course_content",
    "create_error_record",
    "create_chat",
    "create_like",
    "create_teacher_interaction",
    "in_more_courses",
    "about",
)


@dataclass(slots=True)
class MistakeTotals:
    """The totals of one HAS_ERROR relationship. Times are ISO text, which sorts as time does."""

    count: int = 0
    weight: float = 0.0
    first: str | None = None
    last: str | None = None
    resolved: bool | None = None
    stamp: str | None = None  # the version key of the record that decides `resolved`

    def add(self, count: int, weight: float, at: str) -> None:
        self.count += count
        self.weight += weight
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)

    def put_resolved(self, resolved: bool | None, version_key: str) -> None:
        """Take the word of a record, if it has one: the latest record that says so decides."""
        if resolved is not None and (self.stamp is None or version_key > self.stamp):
            self.resolved, self.stamp = resolved, version_key

    def row(self) -> Row:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class UnitOfWork:
    """`rows`: by the name of the statement that writes them.

    `fields`, `spellings`, `learns` and `learns_marks` are state that `lock_and_load` reads from the graph. The marks
    are those of the course_records that stated a LEARNS relationship. `mistakes` are totals to add to the graph's.
    """

    rows: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    fields: dict[Node, Fields] = field(default_factory=dict)
    spellings: dict[Node, Spellings] = field(default_factory=dict)
    changed_nodes: set[Node] = field(default_factory=set)
    learns: dict[Pair, Fields] = field(default_factory=dict)
    learns_marks: dict[Pair, set[str]] = field(default_factory=dict)
    new_learns: set[Pair] = field(default_factory=set)
    changed_learns: set[Pair] = field(default_factory=set)
    mistakes: dict[MistakeKey, MistakeTotals] = field(default_factory=lambda: defaultdict(MistakeTotals))

    @classmethod
    def staged(cls) -> Self:
        """Make one without the graph's state, to be merged later. It accepts any node."""
        return cls(fields=defaultdict(dict), spellings=defaultdict(Spellings))

    def load_node(self, node: Node, properties: Mapping[str, Any]) -> None:
        label = node[0]
        if label in LATEST_FIELDS:
            self.fields[node] = read_fields(properties, LATEST_FIELDS[label])
        if label in NAMED_LABELS:
            self.spellings[node] = Spellings.read(properties)

    def load_learns(self, pair: Pair, properties: Mapping[str, Any]) -> None:
        self.learns[pair] = read_fields(properties, LEARNS_FIELDS)
        self.learns_marks[pair] = record_facts.parse_marks(properties.get("records", ""))

    def merge(self, staged: "UnitOfWork") -> int:
        """Merge the staged state of nodes and LEARNS; staged rows and mistakes are written as they are.

        Return how many of the staged course_records are new.
        """
        for node, fields in staged.fields.items():
            if merge_fields(self.fields[node], fields):
                self.changed_nodes.add(node)
        for node, spellings in staged.spellings.items():
            if self.spellings[node].merge(spellings):
                self.changed_nodes.add(node)
        # A course_record that comes again is recognised by its mark, and is not counted as new.
        number = 0
        for pair, fields in staged.learns.items():
            self._ensure_learns(pair)
            # A record that is older than the state is new all the same; it may change nothing but the marks.
            new_marks = staged.learns_marks[pair] - self.learns_marks[pair]
            if new_marks:
                self.learns_marks[pair] |= new_marks
                self.changed_learns.add(pair)
                merge_fields(self.learns[pair], fields)
            number += len(new_marks)
        return number

    def put_field(self, node: Node, name: str, value: Any, version_key: str) -> None:
        if put_field(self.fields[node], name, value, version_key):
            self.changed_nodes.add(node)

    def add_spelling(self, node: Node, spelling: str, version_key: str) -> None:
        if self.spellings[node].add(spelling, version_key):
            self.changed_nodes.add(node)

    def add_record(self, record: Record, content_hash: str) -> None:
        """Add a record that has no node in the graph yet. The nodes that it names are loaded, or this is staged."""
        version_key = record.version_key
        row: Row = {
            "id": record.record_id,
            "hash": content_hash,
            "type": record.type,
            "stamp": version_key,
            "at": time_of(version_key),
        }
        match record.data:
            case StudentInteraction() as data:
                self._add_student_interaction(row, data)
            case TeacherInteraction() as data:
                row |= {"from": data.teacher_id, "to": data.student_id, "course": data.course_id}
                row |= {"from_name": data.teacher_name, "to_name": data.student_name}
                row |= {"subject": data.subject, "text": data.text, "feedback": data.feedback}
                row["count"] = data.interaction_count
                self.rows["create_teacher_interaction"].append(row)
                self.put_field(("Teacher", data.teacher_id), "name", data.teacher_name, version_key)
                self.put_field(("Student", data.student_id), "name", data.student_name, version_key)
            case ErrorRecord() as data:
                self._add_error_record(record, row, data)
            case CourseContent() as data:
                row |= {"course": data.course_id, "course_name": data.course_name}
                row |= {"title": data.title, "content": data.content}
                self.rows["create_course_content"].append(row)
                self.put_field(("Course", data.course_id), "name", data.course_name, version_key)

    def add_course_record(self, record: Record, data: CourseRecord) -> None:
        """Stage a course_record. It becomes no node: it changes LEARNS, its student and its course."""
        version_key, pair = record.version_key, (data.student_id, data.course_id)
        student, course = ("Student", data.student_id), ("Course", data.course_id)
        self._ensure_learns(pair)
        self.learns_marks[pair].add(record_facts.mark(record))
        given = record_facts.learns_fields(data)
        merge_fields(self.learns[pair], {name: (value, version_key) for name, value in given.items()})
        self.put_field(student, "name", data.student_name, version_key)
        self.put_field(course, "name", data.course_name, version_key)
        self.put_field(course, "description", data.course_description, version_key)
        self.put_field(course, "difficulty", data.difficulty, version_key)

    def count_mistakes(self, record: Record, data: ErrorRecord, error_type: str, severity: str | None) -> None:
        """Count the mistakes of one record and error type, in each of its courses."""
        weight = data.occurrence_count * record_facts.SEVERITY_WEIGHT[severity]
        for course_id in data.courses:
            totals = self.mistakes[data.student_id, error_type, course_id]
            totals.add(data.occurrence_count, weight, time_of(record.version_key))
            totals.put_resolved(record_facts.resolved(data), record.version_key)

    def _add_student_interaction(self, row: Row, data: StudentInteraction) -> None:
        is_chat, version_key = data.interaction_type == "chat", row["stamp"]
        row |= {"from": data.student_id_from, "to": data.student_id_to, "course": data.course_id}
        row |= {"from_name": data.student_name_from, "to_name": data.student_name_to, "text": data.text}
        row["count"] = data.message_count if is_chat else data.like_count
        self.rows["create_chat" if is_chat else "create_like"].append(row)
        self.put_field(("Student", data.student_id_from), "name", data.student_name_from, version_key)
        self.put_field(("Student", data.student_id_to), "name", data.student_name_to, version_key)
        for topic, spellings in record_facts.topics(data).items():
            self.rows["about"].append({"id": row["id"], "topic": topic, "spelled": spellings})
            for spelling in spellings:
                self.add_spelling(("Topic", topic), spelling, version_key)

    def _add_error_record(self, record: Record, row: Row, data: ErrorRecord) -> None:
        first_course, *other_courses = data.courses
        row |= {"student": data.student_id, "course": first_course, "count": data.occurrence_count}
        row |= {"name": data.student_name, "course_name": data.course_name, "question": data.question}
        row |= {"error_text": data.error_text, "severity": data.severity, "resolved": record_facts.resolved(data)}
        self.rows["create_error_record"].append(row)
        self.rows["in_more_courses"] += [{"id": row["id"], "course": course_id} for course_id in other_courses]
        self.put_field(("Student", data.student_id), "name", data.student_name, record.version_key)
        self.put_field(("Course", first_course), "name", data.course_name, record.version_key)
        for error_type, spellings in record_facts.error_types(data).items():
            row |= {"error_type": error_type, "spelled": spellings}
            for spelling in spellings:
                self.add_spelling(("ErrorType", error_type), spelling, record.version_key)
            self.count_mistakes(record, data, error_type, data.severity)

    def _ensure_learns(self, pair: Pair) -> None:
        if pair not in self.learns:
            self.learns[pair], self.learns_marks[pair] = {"progress": (0.0, NEVER)}, set()
            self.new_learns.add(pair)


def lock_and_load(tx: neo4j.ManagedTransaction, nodes: Iterable[Node], learns: Iterable[Pair]) -> UnitOfWork:
    """Lock the nodes, create those that are missing, and read them and the LEARNS relationships.

    Every transaction locks by label and then by id, so that no two of them can wait for each other.
    """
    unit, ids = UnitOfWork(), defaultdict(set)
    for label, node_id in nodes:
        ids[label].add(node_id)
    for label in ENTITY_LABELS:
        if ids[label]:
            row = tx.run(CYPHER[f"lock_{label}"], ids=sorted(ids[label])).single(strict=True)
            # The nodes are read by the statement that locks them: what was read before the lock may be outdated.
            for node_id, properties in row["nodes"]:
                unit.load_node((label, node_id), properties)
    rows = [{"student": student_id, "course": course_id} for student_id, course_id in learns]
    for row in tx.run(CYPHER["read_learns"], rows=rows) if rows else ():
        for student_id, course_id, properties in row["learns"]:
            unit.load_learns((student_id, course_id), properties)
    return unit


def write_records(tx: neo4j.ManagedTransaction, staged: UnitOfWork) -> None:
    """Write the new records, and what they add to the totals of relationships."""
    for name in _RECORD_STATEMENTS:
        # A new key is a lock, too, so new nodes are created in the order of their ids.
        run_rows(tx, name, sorted(staged.rows[name], key=lambda row: str(row["id"])))
    run_rows(tx, "has_error", mistake_rows(staged.mistakes))


def write_changed_state(tx: neo4j.ManagedTransaction, unit: UnitOfWork) -> None:
    """Write the fields and names of the nodes that changed, and the LEARNS relationships that changed."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for node in sorted(unit.changed_nodes):
        label, properties = node[0], dict[str, Any]()
        if label in LATEST_FIELDS:
            properties |= field_properties(unit.fields[node], LATEST_FIELDS[label])
        if label in NAMED_LABELS:
            properties |= unit.spellings[node].properties()
        rows[label].append({"id": node[1], "p": properties})
    for label in ENTITY_LABELS:
        run_rows(tx, f"set_{label}", rows[label])
    new = [_learns_row(unit, pair) for pair in sorted(unit.new_learns)]
    for row in new:
        # A new relationship has nothing to remove, and looking for it takes as long as writing the rest.
        row["p"] = {name: value for name, value in row["p"].items() if value is not None}
    run_rows(tx, "create_learns", new)
    changed = sorted(unit.changed_learns - unit.new_learns)
    run_rows(tx, "set_learns", [_learns_row(unit, pair) for pair in changed])


def _learns_row(unit: UnitOfWork, pair: Pair) -> Row:
    marks = "".join(sorted(unit.learns_marks[pair]))
    properties = field_properties(unit.learns[pair], LEARNS_FIELDS) | {"records": marks}
    # The statement makes times of these two, so they stand beside the other properties.
    enrolled, completed = properties.pop("enrollment_date"), properties.pop("completion_date")
    dates = {"enrolled": _iso_text(enrolled), "completed": _iso_text(completed)}
    return {"student": pair[0], "course": pair[1], "p": properties, **dates}


def _iso_text(value: datetime | DateTime | None) -> str | None:
    """Times are sent as text: the driver's own way to send them costs as much as all the rest of a batch."""
    if value is None:
        return None
    return iso(value.to_native() if isinstance(value, DateTime) else value)


def mistake_rows(mistakes: Mapping[MistakeKey, MistakeTotals]) -> list[Row]:
    return [
        {"student": student_id, "type": error_type, "course": course_id, **totals.row()}
        for (student_id, error_type, course_id), totals in mistakes.items()
    ]


def run_rows(tx: neo4j.ManagedTransaction, name: str, rows: list[Row]) -> None:
    """Run the named statement over the rows, if there are any."""
    if rows:
        tx.run(CYPHER[name], rows=rows).consume()


def time_of(version_key: str) -> str:
    """Return the record's time as ISO text, with which its version key begins."""
    return version_key.partition("|")[0]
