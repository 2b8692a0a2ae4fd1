"""When two spellings mean the same thing, and which of them is shown.

A knowledge point, topic or error type is known by its key: the name without differences of case, width, spacing
and punctuation. Its earliest spelling is its name, the others are its aliases.
"""

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

LONGEST_KEY = 8_000  # bytes of UTF-8; Neo4j's index takes 8,167 at most
_HEAD = 200  # characters of such a key that are kept, for people to read

_MEANING = frozenset("#%")  # C# is not C, and 5% is not 5
_ONE_SIGN = str.maketrans("⁄−", "/-")  # NFKC makes ½ of a fraction slash, formulas use a minus sign of their own


@lru_cache(maxsize=65_536)
def key(name: str) -> str:
    """The key of a name; never empty. Spaces and punctuation count only between two digits (1/2 is not 12)."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).translate(_ONE_SIGN)
    words = " ".join(folded.split())
    kept = [char for place, char in enumerate(words) if _counts(words, place)]
    return _bounded(unicodedata.normalize("NFKC", "".join(kept)) or words or name)


def _bounded(known: str) -> str:
    """A single character may become 18 of them. What is too long for Neo4j's index is told by its hash."""
    encoded = known.encode()
    if len(encoded) <= LONGEST_KEY:
        return known
    return f"{known[:_HEAD]}#{hashlib.sha256(encoded).hexdigest()}"


def _counts(words: str, place: int) -> bool:
    char = words[place]
    if char in _MEANING or not _separates(char):
        return True
    around = words[max(place - 1, 0) : place] + words[place + 1 : place + 2]
    return len(around) == 2 and around.isdigit()  # noqa: PLR2004 - one character on each side


def _separates(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] in "PC"


@dataclass(slots=True)
class Spellings:
    """The name of one node as its mentions give it: `name` is the spelling of the smallest (stamp, spelling)."""

    name: str | None = None
    stamp: str = ""
    aliases: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, properties: Mapping[str, Any]) -> Self:
        name, stamp = properties.get("name"), properties.get("name_stamp") or ""
        return cls(name, stamp, set(properties.get("aliases") or ()))

    def add(self, spelling: str, stamp: str) -> bool:
        """True if that changed anything."""
        before = (self.name, self.stamp, len(self.aliases))
        if self.name is None:
            self.name, self.stamp = spelling, stamp
        elif (stamp, spelling) < (self.stamp, self.name):
            self.aliases = (self.aliases | {self.name}) - {spelling}
            self.name, self.stamp = spelling, stamp
        elif spelling != self.name:
            self.aliases.add(spelling)
        return before != (self.name, self.stamp, len(self.aliases))

    def merge(self, other: "Spellings") -> bool:
        """As if all that the other one was given had been added. True if that changed anything."""
        before = (self.name, self.stamp, len(self.aliases))
        if other.name is not None:
            self.add(other.name, other.stamp)
            self.aliases |= other.aliases - {self.name}
        return before != (self.name, self.stamp, len(self.aliases))

    def properties(self) -> dict[str, Any]:
        """For `SET n += …`: None removes a property."""
        aliases = sorted(self.aliases) or None
        return {"name": self.name, "name_stamp": self.stamp or None, "aliases": aliases}
