"""The rules by which several records agree on one value, in whatever order they arrive.

Of a field, the latest record wins (`Fields`). Of the spellings of a name, the earliest one is shown and the others
are aliases (`Spellings`). A version key says what is earlier: it is text that sorts as (timestamp, record id).

In the graph, the version key of the record that gave a value stands beside it. Most often one record gave all values
of a node, so the newest key is kept once, as the property `stamp`, and only a field that is older has its own, as
`{field}_stamp`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

NEVER = ""  # The version key of a default: every record is later.

Fields = dict[str, tuple[Any, str]]  # field -> (value, version key)


def read_fields(properties: Mapping[str, Any], names: Iterable[str]) -> Fields:
    """Return the fields that the properties hold; this is the inverse of `field_properties`."""
    shared = properties.get("stamp", NEVER)
    return {
        name: (properties[name], properties.get(f"{name}_stamp", shared))
        for name in names
        if properties.get(name) is not None
    }


def put_field(fields: Fields, name: str, value: Any, version_key: str) -> bool:
    """Take the value if it is later than the one that is there. Return whether that changed anything."""
    current = fields.get(name)
    if value is None or (current is not None and current[1] >= version_key):
        return False
    fields[name] = (value, version_key)
    return True


def merge_fields(fields: Fields, others: Fields) -> bool:
    """Act as if the others had been put one by one. Return whether that changed anything."""
    changes = [put_field(fields, name, value, version_key) for name, (value, version_key) in others.items()]
    return any(changes)


def field_properties(fields: Fields, names: Iterable[str]) -> dict[str, Any]:
    """Return what `SET n += …` needs: every property that `read_fields` reads; None removes a property."""
    newest = max((version_key for _, version_key in fields.values()), default=None)
    properties: dict[str, Any] = {"stamp": newest}
    for name in names:
        value, version_key = fields.get(name, (None, newest))
        properties[name] = value
        properties[f"{name}_stamp"] = None if version_key == newest else version_key
    return properties


@dataclass(slots=True)
class Spellings:
    """The spellings of one node. The name is the spelling with the smallest (version key, spelling)."""

    name: str | None = None
    version_key: str = ""
    aliases: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, properties: Mapping[str, Any]) -> Self:
        name, version_key = properties.get("name"), properties.get("name_stamp") or ""
        return cls(name, version_key, set(properties.get("aliases") or ()))

    def add(self, spelling: str, version_key: str) -> bool:
        """Take one more mention. Return whether that changed anything."""
        before = (self.name, self.version_key, len(self.aliases))
        if self.name is None:
            self.name, self.version_key = spelling, version_key
        elif (version_key, spelling) < (self.version_key, self.name):
            self.aliases = (self.aliases | {self.name}) - {spelling}
            self.name, self.version_key = spelling, version_key
        elif spelling != self.name:
            self.aliases.add(spelling)
        return before != (self.name, self.version_key, len(self.aliases))

    def merge(self, other: "Spellings") -> bool:
        """Act as if every mention of the other one had been added. Return whether that changed anything."""
        before = (self.name, self.version_key, len(self.aliases))
        if other.name is not None:
            self.add(other.name, other.version_key)
            self.aliases |= other.aliases - {self.name}
        return before != (self.name, self.version_key, len(self.aliases))

    def properties(self) -> dict[str, Any]:
        """Return what `SET n += …` needs; None removes a property."""
        aliases = sorted(self.aliases) or None
        return {"name": self.name, "name_stamp": self.version_key or None, "aliases": aliases}
