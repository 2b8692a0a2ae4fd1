"""Latest wins, field by field, in whatever order the records come.

Beside each value stands the stamp of the record that gave it. Most often one record gave all of them, so the
newest stamp is kept once, as `stamp`, and only a field that is older has its own, as `{field}_stamp`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

NEVER = ""  # the stamp of a default: every record is later

Fields = dict[str, tuple[Any, str]]  # field -> (value, stamp)


def read(properties: Mapping[str, Any], names: Iterable[str]) -> Fields:
    shared = properties.get("stamp", NEVER)
    return {
        name: (properties[name], properties.get(f"{name}_stamp", shared))
        for name in names
        if properties.get(name) is not None
    }


def put(fields: Fields, name: str, value: Any, stamp: str) -> bool:
    """Takes the value if it is later than the one there. True if that changed anything."""
    known = fields.get(name)
    if value is None or (known is not None and known[1] >= stamp):
        return False
    fields[name] = (value, stamp)
    return True


def merge(fields: Fields, others: Fields) -> bool:
    """As if the others had been put one by one. True if that changed anything."""
    taken = [put(fields, name, value, stamp) for name, (value, stamp) in others.items()]
    return any(taken)


def properties(fields: Fields, names: Iterable[str]) -> dict[str, Any]:
    """For `SET n += …`: every property that `read` knows of; None removes one."""
    newest = max((stamp for _, stamp in fields.values()), default=None)
    written: dict[str, Any] = {"stamp": newest}
    for name in names:
        value, stamp = fields.get(name, (None, newest))
        written[name] = value
        written[f"{name}_stamp"] = None if stamp == newest else stamp
    return written
