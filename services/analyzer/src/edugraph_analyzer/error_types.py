"""The kinds of mistakes that a model chooses from. The list is in a file that a school may replace by its own.

A model answers with short ids, e1, e2 and so on, which become names when an answer arrives. All names are in one
language, so that a mistake in an English text and the same mistake in a Chinese text are of one kind. A kind that the
list does not have is kept as a proposal. It counts when a reviewer accepts it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.record_fields import LONGEST_NAME

Language = Literal["en", "zh"]
# The prefix of a kind or a topic that its list does not have, in a model's answer and in the cache.
OTHER = "other: "
# A longer list costs more tokens than texts do.
MOST_TYPES = 200
_AROUND_NAMES = " \t\n\r\"'`“”[](){}.:"
# Brackets may belong to a new name, so that only these characters are taken off.
_QUOTES = " \t\n\r\"'`“”."
_OTHER = re.compile(r"\s*(?:other|其他|其它)\s*[:：]\s*", re.IGNORECASE)
_ID = re.compile(r"e([0-9]{1,6})(?:[\s:.,;=)\]–—-]+(.*))?")
_FIELDS = 3


@dataclass(frozen=True)
class ErrorType:
    """A kind of mistake. `meaning` may be empty."""

    english: str
    chinese: str
    meaning: str


@dataclass(frozen=True)
class ErrorTypes:
    """The list of kinds, in the order of their ids, and the language of the names in findings."""

    types: tuple[ErrorType, ...]
    language: Language

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names that findings have."""
        if self.language == "zh":
            return tuple(each.chinese for each in self.types)
        return tuple(each.english for each in self.types)

    @cached_property
    def _index_by_name(self) -> dict[str, int]:
        """Return folded name -> index, for the names in both languages."""
        indexes: dict[str, int] = {}
        for index, each in enumerate(self.types):
            for name in (each.english, each.chinese):
                indexes.setdefault(_folded(name), index)
        return indexes

    @cached_property
    def digest(self) -> str:
        """Return a text that is the same for lists that ask the same and name alike."""
        return hashlib.sha256(f"{self.language}\n{self.listed}".encode()).hexdigest()[:16]

    @cached_property
    def listed(self) -> str:
        """Return the lines of the list for a prompt. Both names help a model, whatever language a text has."""
        lines = []
        for number, each in enumerate(self.types, start=1):
            line = f"e{number}: {each.english} / {each.chinese}"
            if each.meaning:
                line += f" ({each.meaning})"
            lines.append(line)
        return "\n".join(lines)

    def id_of(self, english: str) -> str:
        """Return the id of a kind, or "other: " and its name if the list does not have it."""
        index = self._index_by_name.get(_folded(english))
        if index is None:
            return f"{OTHER}{english}"
        return f"e{index + 1}"

    def chosen(self, given: str) -> str | None:
        """Return the name of the kind that a model means by an id or a name, or "other: " and a new name.

        Return None for an id that is not in the list, and for an id with the name of another kind.
        """
        text = unicodedata.normalize("NFKC", given).strip(_AROUND_NAMES).casefold()
        numbered = _ID.fullmatch(text)
        if numbered is not None:
            number, name_behind = numbered.groups()
            index = int(number) - 1
            if not 0 <= index < len(self.types):
                return None
            named_index = index
            if name_behind:
                named_index = self._index_by_name.get(_folded(name_behind), index)
            if named_index != index:
                return None
            return self.names[index]
        name = name_behind_other(given)
        if name is None:
            name = given.strip(_QUOTES)
        if not name:
            return None
        known = self._index_by_name.get(_folded(name))
        if known is not None:
            return self.names[known]
        return other(name)


def name_behind_other(given: str) -> str | None:
    """Return the name behind "other: ", which may be empty, or None if the answer does not begin with it."""
    given_name = given.strip(_QUOTES)
    begins_with_other = _OTHER.match(given_name)
    if begins_with_other is None:
        return None
    return given_name[begins_with_other.end() :].strip(_QUOTES)


def other(name: str) -> str:
    """Return a name that a list does not have, with its prefix and no longer than a name may be."""
    return OTHER + name[: LONGEST_NAME - len(OTHER)]


def _folded(name: str) -> str:
    """Return the canonical name without any case. In a canonical name the case of short words counts."""
    return canonical_name(name.casefold())


@lru_cache
def shipped(language: Language) -> ErrorTypes:
    """Return the list that comes with the product."""
    text = resources.files(__package__).joinpath("error_types.txt").read_text(encoding="utf-8")
    return ErrorTypes(_read(text.splitlines(), "error_types.txt"), language)


def of_file(path: Path, language: Language) -> ErrorTypes:
    """Return the list of a school. Raises ValueError, which says what to correct."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None
    return ErrorTypes(_read(text.splitlines(), str(path)), language)


def _read(lines: Sequence[str], source: str) -> tuple[ErrorType, ...]:
    """Return the kinds in the lines of a file. Raises ValueError."""
    types = list[ErrorType]()
    # folded name -> number of the line that has it
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [" ".join(part.split()) for part in line.split("|")]
        if len(parts) > _FIELDS or not parts[0]:
            raise ValueError(
                f"{source}: line {number}: write English name | Chinese name | meaning"
            )
        parts += [""] * (_FIELDS - len(parts))
        english, chinese, meaning = parts
        # A school with one language may leave the other name out.
        chinese = chinese or english
        for name in {english, chinese}:
            if len(name) > LONGEST_NAME - len(OTHER):
                raise ValueError(f"{source}: line {number}: the name is too long")
            first = line_of.setdefault(_folded(name), number)
            if first != number:
                raise ValueError(f"{source}: line {number}: the name is in line {first} as well")
        types.append(ErrorType(english, chinese, meaning))
    if not 0 < len(types) <= MOST_TYPES:
        raise ValueError(f"{source}: it has {len(types)} kinds, and 1 to {MOST_TYPES} are allowed")
    return tuple(types)
