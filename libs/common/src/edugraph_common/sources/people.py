"""Which students a row names, told from its values alone: a row that is wrong, or no record at all, may name some."""

from collections.abc import Iterator
from typing import Any

STUDENT_FIELDS = frozenset({"student_id", "student_id_from", "student_id_to"})


def as_id(value: object) -> str:
    """As the contract of records reads an id; empty where the value cannot be one."""
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def students_of_record(value: Any) -> Iterator[str]:
    """Of the fields that hold a student's id, wherever they stand: a record of a wrong form has them elsewhere."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from (as_id(item) for name, item in found.items() if name in STUDENT_FIELDS)
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found
