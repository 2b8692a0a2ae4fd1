"""Each field of a record's contract, and where the graph keeps it.

A field that `PLACES` does not name is looked for at the record's node, under the same name. So a new field of the
contract fails `compare` until the importer stores it or `PLACES` says where it is.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from neo4j.time import DateTime

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.personal_data import record_mark
from edugraph_common.contracts.records import (
    DATA_OF_TYPE,
    AttemptRecord,
    ErrorRecord,
    PointRecord,
    PostRecord,
    Record,
    StudentInteraction,
)
from edugraph_common.contracts.school_records import MembershipRecord, PersonRecord

# The graph has no node for a record of this type -> its fields. The minutes of an activity are united with those of the
# same day, which `graph_reference.active_days` compares; `activity_id` is not kept.
WITHOUT_NODE = {
    "activity_record": {"student_id", "course_id", "activity_id", "kind", "duration_seconds"}
}
# The embedded engine keeps one label of a node, so `Record` would find nothing there.
RECORDS = "MATCH (n) WHERE n.record_type IS NOT NULL"


@dataclass(frozen=True)
class Link:
    """A relationship of a record, and the node at its other end."""

    type: str
    properties: dict[str, Any]
    label: str
    end: Any


@dataclass
class Stored:
    """The node of one record with its relationships."""

    properties: dict[str, Any]
    links: list[Link] = field(default_factory=list)

    def ends(self, type_: str, label: str | None = None) -> list[Any]:
        found = set()
        for link in self.links:
            if link.type == type_ and label in (None, link.label):
                found.add(link.end)
        return sorted(found)

    def on(self, type_: str, name: str) -> list[Any]:
        """Return the values of a property of the relationships of one type."""
        found = []
        for link in self.links:
            if link.type == type_ and link.properties.get(name) is not None:
                found.append(link.properties[name])
        return found


Place = Callable[[Stored], Any]


def at_node(name: str) -> Place:
    return lambda stored: stored.properties.get(name)


def end_of(type_: str, label: str | None = None) -> Place:
    return lambda stored: _only(stored.ends(type_, label))


def ends_of(*types: str) -> Place:
    def read(stored: Stored) -> list[str]:
        ends: list[str] = []
        for type_ in types:
            ends += stored.ends(type_)
        return sorted(ends)

    return read


def on_link(type_: str, name: str) -> Place:
    return lambda stored: _only(stored.on(type_, name))


def spellings_on(type_: str) -> Place:
    """Return the place of spellings. A relationship that only a finding made has none."""

    def read(stored: Stored) -> list[str]:
        found: set[str] = set()
        for spellings in stored.on(type_, "stated_as"):
            found.update(spellings)
        return sorted(found)

    return read


def stated_error_type(stored: Stored) -> str | None:
    """Return the id of the stated error type. Findings link a mistake to further types, without `stated_as`."""
    stated = [link.end for link in stored.links if "stated_as" in link.properties]
    return _only(stated)


def date_of_item(name: str) -> Place:
    """Return the place of a date: the assignment, if the definition makes one."""

    def read(stored: Stored) -> Any:
        if stored.ends("ASSIGNED_TO"):
            return _only(stored.on("ASSIGNED_TO", name))
        return stored.properties.get(name)

    return read


def assignee_kind(stored: Stored) -> str | None:
    labels = [link.label.lower() for link in stored.links if link.type == "ASSIGNED_TO"]
    return _only(labels)


def _only(found: list[Any]) -> Any:
    """Return the only value, or None. Several values are returned as they are, so that the comparison shows them."""
    if not found:
        return None
    if len(found) == 1:
        return found[0]
    return found


IN_COURSE = end_of("IN_COURSE")
# type of record -> field -> where the graph keeps it, if not at the record's node under the name of the field
PLACES: dict[str, dict[str, Place]] = {
    "student_interaction": {
        "student_id_from": end_of("SENT"),
        "student_id_to": end_of("RECEIVED_BY"),
        "student_name_from": on_link("SENT", "name"),
        "student_name_to": on_link("RECEIVED_BY", "name"),
        "course_id": IN_COURSE,
        "topics": spellings_on("ABOUT"),
    },
    "teacher_interaction": {
        "teacher_id": end_of("SENT"),
        "student_id": end_of("RECEIVED_BY"),
        "teacher_name": on_link("SENT", "name"),
        "student_name": on_link("RECEIVED_BY", "name"),
        "course_id": IN_COURSE,
    },
    "action_record": {
        "teacher_id": end_of("SENT"),
        "student_id": end_of("RECEIVED_BY"),
        "course_id": IN_COURSE,
    },
    "post_record": {
        "student_id": end_of("SENT"),
        "student_name": on_link("SENT", "name"),
        "course_id": IN_COURSE,
        "reply_to": at_node("reply_mark"),
    },
    "course_record": {"student_id": end_of("HAS_RECORD"), "course_id": IN_COURSE},
    "error_record": {
        "student_id": end_of("MADE"),
        "student_name": on_link("MADE", "name"),
        "course_id": ends_of("IN_COURSE"),
        "course_ids": ends_of("IN_COURSE"),
        "course_name": on_link("IN_COURSE", "name"),
        "error_type": spellings_on("OF_TYPE"),
        "error_type_id": stated_error_type,
    },
    "course_content": {"course_id": IN_COURSE, "course_name": on_link("IN_COURSE", "name")},
    "attempt_record": {
        "student_id": end_of("TRIED"),
        "student_name": on_link("TRIED", "name"),
        "item_id": end_of("OF_ITEM"),
        "course_id": ends_of("IN_COURSE"),
        "course_ids": ends_of("IN_COURSE"),
    },
    "item_record": {
        "item_id": end_of("DEFINES"),
        "course_id": IN_COURSE,
        "assigned_to": assignee_kind,
        "group_id": end_of("ASSIGNED_TO", "Group"),
        "opens_at": date_of_item("opens_at"),
        "due_at": date_of_item("due_at"),
    },
    "membership_record": {
        "student_id": end_of("HAS_MEMBERSHIP", "Student"),
        "teacher_id": end_of("HAS_MEMBERSHIP", "Teacher"),
        "student_name": on_link("HAS_MEMBERSHIP", "name"),
        "teacher_name": on_link("HAS_MEMBERSHIP", "name"),
        "group_id": end_of("IN_GROUP"),
        "role": at_node("leads"),
    },
    "term_record": {"term": end_of("DEFINES")},
    "point_record": {
        "point_id": end_of("DEFINES"),
        "course_id": IN_COURSE,
        "requires": ends_of("REQUIRES"),
    },
    "person_record": {
        "person_id": end_of("OF_PERSON"),
        "also": ends_of("CLAIMS", "DECIDES"),
        "decides": lambda stored: bool(stored.ends("DECIDES")),
    },
}


def stored_in(room: Any) -> dict[str, dict[str, Any]]:
    """Return record id -> field -> value, as the graph has them. Fields without a value are left out."""
    stored: dict[str, Stored] = {}
    for row in room.query(f"{RECORDS} RETURN n.id AS id, properties(n) AS p"):
        stored[row["id"]] = Stored(row["p"])
    rows = room.query(
        f"{RECORDS} MATCH (n)-[r]-(m) RETURN n.id AS id, type(r) AS type, properties(r) AS p, "
        "labels(m)[0] AS label, m.id AS other"
    )
    for row in rows:
        stored[row["id"]].links.append(Link(row["type"], row["p"], row["label"], row["other"]))
    found = {}
    for record_id, each in stored.items():
        found[record_id] = _fields_of(each)
    return found


def _fields_of(stored: Stored) -> dict[str, Any]:
    kind = stored.properties["record_type"]
    values = {"type": kind, "timestamp": stored.properties["timestamp"]}
    for name in fields_of_contract(kind):
        place = PLACES[kind].get(name, at_node(name))
        values[name] = place(stored)
    return _given(values)


def fields_of_contract(kind: str) -> list[str]:
    return list(DATA_OF_TYPE[kind].model_fields)


def stated(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """Return record id -> field -> value, as the records state them."""
    found = {}
    for record in records:
        if record.type not in WITHOUT_NODE:
            values = {"type": record.type, "timestamp": record.timestamp}
            for name in fields_of_contract(record.type):
                values[name] = _stated_value(record.data, name)
            found[record.record_id] = _given(values)
    return found


def _stated_value(data: Any, name: str) -> Any:
    """Return the value of one field, in the form in which the graph keeps it."""
    value = getattr(data, name)
    if isinstance(data, PointRecord):
        return _stated_of_point(data, name)
    match data, name:
        case StudentInteraction(interaction_type="like"), "message_count":
            return None
        case StudentInteraction(interaction_type="chat"), "like_count":
            return None
        case StudentInteraction(), "topics":
            return sorted(set(value))
        case PostRecord(reply_to=str()), "reply_to":
            return record_mark(value)
        case ((ErrorRecord() | AttemptRecord()), ("course_id" | "course_ids")):
            return sorted({each for each in (data.course_id, *data.course_ids) if each})
        case MembershipRecord(), _:
            return _stated_of_membership(data, name)
        case PersonRecord(), _:
            return _stated_of_person(data, name)
        case ErrorRecord(), _:
            return _stated_of_mistake(data, name)
    return value


def _stated_of_person(data: PersonRecord, name: str) -> Any:
    value = getattr(data, name)
    if name == "decides":
        # A record without other ids decides nothing.
        return value and bool(data.also)
    if name == "also" and data.decides:
        return sorted(set(value))
    if name == "also":
        return sorted(set(value) - {data.person_id})
    return value


def _stated_of_membership(data: MembershipRecord, name: str) -> Any:
    value = getattr(data, name)
    if name in ("student_name", "teacher_name"):
        # One relationship has the name, whoever the person is.
        return data.student_name if data.student_id else data.teacher_name
    if name == "role":
        return value == "leader" if value else data.student_id is None
    return value


def _stated_of_mistake(data: ErrorRecord, name: str) -> Any:
    value = getattr(data, name)
    if name == "resolved" and name not in data.model_fields_set:
        return None
    if name == "error_type":
        return [value] if value else []
    if name == "error_type_id" and data.error_type:
        return value or canonical_name(data.error_type)
    return value


def _stated_of_point(data: PointRecord, name: str) -> Any:
    value = getattr(data, name)
    if name == "point_id":
        return value or canonical_name(data.name or "")
    if name == "requires":
        return sorted(set(map(canonical_name, value)) - _own_names(data))
    if name == "parent":
        parent = canonical_name(value) if value else None
        return None if parent in _own_names(data) else parent
    return value


def _own_names(data: PointRecord) -> set[str]:
    names = {canonical_name(each) for each in (data.point_id, data.name, *data.names) if each}
    return names | {data.point_id or ""}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that are not None and not empty, with dates and lists in one form."""
    given: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, DateTime):
            given[name] = value.to_native()
        elif isinstance(value, tuple):
            given[name] = list(value)
        else:
            given[name] = value
    return {name: value for name, value in given.items() if value is not None and value != []}


def compare_fields(room: Any, records: Iterable[Record]) -> None:
    """Compare each field of each record with what the graph keeps of it."""
    assert stored_in(room) == stated(records)
