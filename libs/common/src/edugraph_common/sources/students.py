"""The students in a row, from its values alone, since a wrong row or a row without a record may name students too."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.contracts.records import DATA_OF_TYPE

# Fields with ids that may belong to students. `also` and `student_ids` have lists of ids.
STUDENT_FIELDS = frozenset(
    {"also", "person_id", "student_id", "student_id_from", "student_id_to", "student_ids"}
)
# The field with the name of a student -> the field with the id.
ID_OF_NAME: Mapping[str, str] = {
    "student_name": "student_id",
    "student_name_from": "student_id_from",
    "student_name_to": "student_id_to",
}
# The field with the name of the person in a person_record, whose id is `person_id`.
NAME_OF_PERSON = "name"
_OF_PERSON_RECORDS = frozenset({"also", "person_id"})
TYPES_WITHOUT_STUDENTS = frozenset(
    kind for kind, data in DATA_OF_TYPE.items() if STUDENT_FIELDS.isdisjoint(data.model_fields)
)

_TRUTH: TypeAdapter[bool] = TypeAdapter(bool)


class People(NamedTuple):
    """The students in a row.

    `names`: texts that may name a student whose id is missing in the row. If a row that needs a student has no id, it
    cannot become a record, and `names` are all of its texts.
    """

    ids: frozenset[str]
    names: tuple[str, ...] = ()


def as_id(value: object) -> str:
    """Return an id in the form of the record contract, or an empty text if the value cannot be an id."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return normal_id(str(value))
    return ""


def ids_in(value: object) -> Iterator[str]:
    """Yield the ids in the value of a field for one id or for a list of ids. A value that cannot be an id is ""."""
    values = value if isinstance(value, list | tuple) else (value,)
    for each in values:
        yield as_id(each)


def plain_hash(student_id: str) -> str:
    """Return the hash of an id. A rejected row may have an id that a record cannot have, with a lone surrogate."""
    return hashlib.sha256(student_id.encode(errors="surrogatepass")).hexdigest()


def students_of_record(value: Any) -> Iterator[str]:
    """Yield the values of all fields for students' ids, at any depth, since a malformed record may have them
    elsewhere.
    """
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            for name in STUDENT_FIELDS & found.keys():
                yield from ids_in(found[name])
            waiting += [each for each in found.values() if isinstance(each, dict | list)]
        elif isinstance(found, list):
            waiting += found


def people_of_record(value: Any) -> People:
    """Return the students in a record of any form."""
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
    return (
        kind == "membership_record"
        and isinstance(data, dict)
        and bool(as_id(data.get("teacher_id")))
    )


def _is_true(value: object) -> bool:
    try:
        return _TRUTH.validate_python(value)
    except ValidationError:
        return False


def names_without_id(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of students whose ids are missing. `fields` are the fields of one record."""
    for name in ID_OF_NAME.keys() & fields.keys():
        if isinstance(fields[name], str) and not as_id(fields.get(ID_OF_NAME[name])):
            yield fields[name]
    # The ids in `also` may belong to others while `person_id` is missing.
    is_of_person_record = not _OF_PERSON_RECORDS.isdisjoint(fields)
    person_name = fields.get(NAME_OF_PERSON)
    if is_of_person_record and isinstance(person_name, str) and not as_id(fields.get("person_id")):
        yield person_name


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
    """Yield all texts in a decoded row, including names of its fields and the texts in texts that are JSON."""
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
    """Return [value] for a text that is a JSON object or array, or an empty list for another text."""
    if not text.lstrip().startswith(("{", "[")):
        return []
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError):
        return []
