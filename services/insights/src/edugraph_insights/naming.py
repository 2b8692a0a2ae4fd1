"""Find names of courses, groups, students, points and terms in a text, and put marks in their place."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from edugraph_common.contracts.wordings import MOST_NAMED, ValueKind

# If the same words name things of several kinds, the first of these kinds is meant.
KINDS: tuple[ValueKind, ...] = ("student", "group", "course", "point", "term")
LETTERS: Mapping[ValueKind, str] = {
    "student": "s",
    "group": "g",
    "course": "c",
    "point": "p",
    "term": "t",
}
# A shorter name in letters is a word of the text, such as "a" or "of".
_LEAST_LETTERS = 2
_MOST_HAN_NAME = 4
_SIGNS_OF_MARKS = str.maketrans("<>", "  ")


@dataclass(frozen=True)
class Thing:
    """A course, group, student, point or term that a text may name."""

    kind: ValueKind
    id: str
    name: str


@dataclass(frozen=True)
class MarkedText:
    """A text with marks in the place of names. `things` has what a mark may stand for, several if it is ambiguous."""

    text: str
    things: Mapping[str, tuple[Thing, ...]]


@dataclass(frozen=True)
class Spelling:
    """A way to write a thing. A part of a name counts only with a capital letter, since it may be a usual word."""

    thing: Thing
    is_part: bool = False


@dataclass
class Names:
    """The names that are looked for in texts, by their characters without case."""

    spellings: dict[str, list[Spelling]] = field(default_factory=lambda: defaultdict(list))
    lengths: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, things: Iterable[Thing]) -> "Names":
        names = cls()
        for thing in things:
            for words, is_part in _spellings(thing):
                names._add(words, Spelling(thing, is_part))
        return names

    def _add(self, words: str, spelling: Spelling) -> None:
        plain = plainly(words)
        if len(plain) < _LEAST_LETTERS:
            return
        self.spellings[plain.casefold()].append(spelling)
        self.lengths.add(len(plain))

    def marked(self, text: str) -> MarkedText:
        """Return a text with marks. The longest name at a place counts. Equal things have equal marks."""
        plain = plainly(text).translate(_SIGNS_OF_MARKS)
        marks: dict[tuple[Thing, ...], str] = {}
        counts: dict[ValueKind, int] = defaultdict(int)
        pieces = []
        place = 0
        while place < len(plain):
            length, things = self._named_at(plain, place)
            if not things:
                pieces.append(plain[place])
                place += 1
                continue
            if things not in marks:
                kind = things[0].kind
                if len(marks) == MOST_NAMED:
                    # A name without a mark would leave with the text.
                    pieces.append(" … ")
                    place += length
                    continue
                counts[kind] += 1
                marks[things] = f"{LETTERS[kind]}{counts[kind]}"
            pieces.append(f"<{marks[things]}>")
            place += length
        return MarkedText("".join(pieces), {mark: things for things, mark in marks.items()})

    def _named_at(self, text: str, place: int) -> tuple[int, tuple[Thing, ...]]:
        """Return the length of the longest name that begins at a place, and the things that have it."""
        if _is_in_word(text, place):
            return 0, ()
        for length in sorted(self.lengths, reverse=True):
            end = place + length
            if end > len(text) or _is_in_word(text, end):
                continue
            words = text[place:end]
            found = self.spellings.get(words.casefold(), ())
            has_capital = not words[0].islower()
            things = {each.thing for each in found if has_capital or not each.is_part}
            if things:
                return length, _of_first_kind(things)
        return 0, ()


def plainly(text: str) -> str:
    """Return a text with usual characters and single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _of_first_kind(things: Iterable[Thing]) -> tuple[Thing, ...]:
    of_kinds: dict[ValueKind, list[Thing]] = defaultdict(list)
    for thing in things:
        of_kinds[thing.kind].append(thing)
    for kind in KINDS:
        if kind in of_kinds:
            return tuple(sorted(of_kinds[kind], key=lambda thing: (thing.name, thing.id)))
    return ()


def _spellings(thing: Thing) -> Iterator[tuple[str, bool]]:
    """Yield the ways to write a thing, and whether each is only a part of a name."""
    yield thing.id, False
    yield thing.name, False
    if thing.kind != "student":
        return
    name = plainly(thing.name)
    is_han = all(_is_han(character) for character in name)
    if is_han and 2 < len(name) <= _MOST_HAN_NAME:
        yield name[1:], False  # the given name behind a surname of one character
        return
    for part in name.replace(",", " ").split():
        if len(part) > _LEAST_LETTERS:
            yield part, True


def _is_in_word(text: str, place: int) -> bool:
    """Return whether a place is between two letters or digits of one word. Han characters are words of their own."""
    if place == 0 or place == len(text):
        return False
    return _is_of_word(text[place - 1]) and _is_of_word(text[place])


def _is_of_word(character: str) -> bool:
    return (character.isalnum() or character == "_") and not _is_han(character)


def _is_han(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff"
