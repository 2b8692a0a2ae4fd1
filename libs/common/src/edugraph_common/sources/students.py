"""The students that a row names, told from its values alone: a wrong row, or no record at all, may name some too."""

from collections.abc import Iterator
from typing import Any

from edugraph_common.contracts.record_fields import normal_id

STUDENT_FIELDS = frozenset({"student_id", "student_id_from", "student_id_to"})


def as_id(value: object) -> str:
    """Return an id as the contract of records reads it, or nothing where the value cannot be an id."""
    return normal_id(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""


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
