"""The tables of a warehouse and their columns: a star of records around students, courses, items and points."""

from collections.abc import Mapping
from typing import Literal

# A list is one of texts. A moment is in UTC.
Kind = Literal["text", "integer", "number", "boolean", "moment", "day", "list"]
Columns = Mapping[str, Kind]

_RECORD: Columns = {"record": "text", "written": "text", "student": "text", "course": "text"}
# Tables with a row for each record and course. A record without a course has the course ''.
RECORD_TABLES: Mapping[str, Columns] = {
    "attempts": {
        **_RECORD,
        "item": "text",
        "at": "moment",
        "number": "integer",
        "outcome": "integer",
        "seconds": "number",
        "hints": "integer",
        "late": "boolean",
    },
    "mistakes": {
        **_RECORD,
        "item": "text",
        "at": "moment",
        "occurrences": "integer",
        "resolved": "boolean",
        "severity": "text",
        "types": "list",
        "points": "list",
    },
    "messages": {
        **_RECORD,
        "other_student": "text",
        "at": "moment",
        "kind": "text",
        "number": "integer",
        "sentiment": "text",
    },
    "progress": {
        **_RECORD,
        "at": "moment",
        "progress": "number",
        "minutes": "number",
        "enrolled": "moment",
        "completed": "moment",
    },
    "activity": {**_RECORD, "day": "day", "minutes": "integer"},
    "memberships": {
        **_RECORD,
        "group_id": "text",
        "term": "text",
        "starts": "moment",
        "ends": "moment",
        "leads": "boolean",
    },
}
RECORD_KEY = ("record", "course")

# `changed` is the word of the last transaction that took something from a student. While the records of a student
# have not been read, it is null.
STUDENTS: Columns = {"id": "text", "name": "text", "changed": "text"}
STUDENT_KEY = ("id",)

_NAMED: Columns = {"id": "text", "name": "text", "canonical": "text"}
# Tables of names, which are compared as a whole. Synonyms have one `canonical`.
NAME_TABLES: Mapping[str, Columns] = {
    "courses": _NAMED,
    "groups": _NAMED,
    "items": _NAMED,
    "points": _NAMED,
    "error_types": _NAMED,
    "item_points": {"item": "text", "point": "text"},
}
ALL_TABLES: Mapping[str, Columns] = {**RECORD_TABLES, "students": STUDENTS, **NAME_TABLES}
