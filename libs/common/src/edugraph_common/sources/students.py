"""The students that a row names, told from its values alone: a wrong row, or no record at all, may name some too."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.contracts.records import DATA_OF_TYPE

STUDENT_FIELDS = frozenset({"student_id", "student_id_from", "student_id_to"})
# The field with the name of a student -> the field with the id.
ID_OF_NAME: Mapping[str, str] = {
    "student_name": "student_id",
    "student_name_from": "student_id_from",
    "student_name_to": "student_id_to",
}
TYPES_WITHOUT_STUDENTS = frozenset(
    kind for kind, data in DATA_OF_TYPE.items() if STUDENT_FIELDS.isdisjoint(data.model_fields)
)

_TRUTH: TypeAdapter[bool] = TypeAdapter(bool)


class People(NamedTuple):
    """The students whom a row names.

    `names`: texts that may call a student by name where the row has no id of theirs. If a row that needs a student
    has no id at all, it cannot become a record, and `names` are all of its texts.
    """

    ids: frozenset[str]
    names: tuple[str, ...] = ()


def as_id(value: object) -> str:
    """Return an id as the contract of records reads it, or nothing where the value cannot be an id."""
    return normal_id(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def plain_hash(student_id: str) -> str:
    """Hash an id, also one that no record can have: a row that was set aside may name half a surrogate pair."""
    return hashlib.sha256(student_id.encode(errors="surrogatepass")).hexdigest()


def students_of_record(value: Any) -> Iterator[str]:
    """Yield the values of all fields that hold a student's id, wherever they stand.

    A record of a wrong form may have them in other places than the contract says.
    """
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            for name in STUDENT_FIELDS & found.keys():
                yield as_id(found[name])
            waiting += [each for each in found.values() if isinstance(each, dict | list)]
        elif isinstance(found, list):
            waiting += found


def people_of_record(value: Any) -> People:
    """Return the students whom a record of any form names."""
    ids = frozenset(students_of_record(value)) - {""}
    if not ids and not may_lack_a_student(value):
        return People(ids, tuple(texts_in(value)))
    return People(ids, tuple(_names_without_ids(value)))


def may_lack_a_student(value: Any) -> bool:
    """Return whether a record needs no student: by its type, as a withdrawal, or as the membership of a teacher."""
    if not isinstance(value, dict):
        return False
    if value.get("record_id") and _is_true(value.get("withdrawn")):
        return True
    kind = value.get("type")
    if isinstance(kind, str) and kind in TYPES_WITHOUT_STUDENTS:
        return True
    data = value.get("data")
    return kind == "membership_record" and isinstance(data, dict) and bool(as_id(data.get("teacher_id")))


def _is_true(value: object) -> bool:
    try:
        return _TRUTH.validate_python(value)
    except ValidationError:
        return False


def names_without_id(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of students beside which their id is missing. `fields`: those of one record."""
    for name in ID_OF_NAME.keys() & fields.keys():
        if isinstance(fields[name], str) and not as_id(fields.get(ID_OF_NAME[name])):
            yield fields[name]


def _names_without_ids(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from names_without_id(found)
            waiting += [each for each in found.values() if isinstance(each, dict | list)]
        elif isinstance(found, list):
            waiting += found


def texts_in(value: Any) -> Iterator[str]:
    """Yield all texts in a decoded row, also the names of its fields, and the texts of JSON that is a text in it."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
            waiting += _decoded(found)
        elif isinstance(found, dict):
            waiting += found.keys()
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _decoded(text: str) -> list[Any]:
    """Return the value of a text that is an object or an array of JSON, and nothing for another text."""
    if not text.lstrip().startswith(("{", "[")):
        return []
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        return []
