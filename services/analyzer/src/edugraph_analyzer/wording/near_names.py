"""Find words that are spelled almost like the name of a person of the course."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.name_forms import (
    COMPOUND_SURNAMES,
    GIVEN_CHARACTERS,
    HAN,
    WORDS,
    pinyin_of,
    split_name,
)
from edugraph_analyzer.private_names import begins_name, stands_as_name_in_question

# A name of 4 letters may differ by one edit, and one of 8 letters by two.
_SHORTEST_WITH_ONE_EDIT = 4
_SHORTEST_WITH_TWO_EDITS = 8
# A word without a capital must have 6 letters: many usual words are short.
_SHORTEST_WITHOUT_CAPITAL = 6
_SHORTEST_HAN = len("小明")
_WHOLE_HAN = len("王小明")
_LONGEST_HAN = len("欧阳小明")
_GIVEN = frozenset(GIVEN_CHARACTERS)

Pinyin = tuple[str, tuple[str, ...]]


@dataclass
class _Forms:
    """The names of the people of a course, ready to be compared.

    `spelt` has the parts of names by their number of letters, each with the bits of its letters. `one_different` has
    each Chinese name without one of its given characters, as (before, behind), with the characters that it left out.
    """

    spelt: dict[int, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))
    sounds: set[Pinyin] = field(default_factory=set)
    one_different: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))


def names_somebody_almost(word: str, members: Iterable[CourseNames]) -> bool:
    """Return whether a word in letters is almost a part of a name."""
    shortest = _SHORTEST_WITHOUT_CAPITAL
    if word[0].isupper():
        shortest = _SHORTEST_WITH_ONE_EDIT - 1
    if len(word) < shortest:
        return False
    letters = word.casefold()
    return any(_is_almost_part(letters, _forms_of(names)) for names in members)


def names_somebody_almost_in_han(plain: str, members: Sequence[CourseNames]) -> bool:
    """Return whether a text in Chinese has a name that sounds like one of the course, or differs in one character."""
    forms = [_forms_of(names) for names in members]
    for start in range(len(plain)):
        if not HAN.match(plain[start]):
            continue
        for size in range(_SHORTEST_HAN, _LONGEST_HAN + 1):
            end = start + size
            if end > len(plain) or not HAN.match(plain[end - 1]):
                break
            if any(_is_almost_name(plain, start, end, each) for each in forms):
                return True
    return False


@lru_cache(maxsize=32)
def _forms_of(names: CourseNames) -> _Forms:
    forms = _Forms()
    for part in names.spelt_parts:
        if len(part) >= _SHORTEST_WITH_ONE_EDIT:
            forms.spelt[len(part)].append((part, _bits_of(part)))
    for name in names.unspaced_names:
        if not all(map(HAN.match, name)) or not _SHORTEST_HAN <= len(name) <= _LONGEST_HAN:
            continue
        forms.sounds.update(pinyin_of(name))
        surname, given = split_name(name)
        if len(given) < _SHORTEST_HAN:
            continue
        forms.sounds.update(pinyin_of(given))
        for place in range(len(surname), len(name)):
            forms.one_different[name[:place], name[place + 1 :]].add(name[place])
    return forms


def _is_almost_part(letters: str, forms: _Forms) -> bool:
    bits = _bits_of(letters)
    for length in range(len(letters) - 2, len(letters) + 3):
        edits = 1
        if length >= _SHORTEST_WITH_TWO_EDITS:
            edits = 2
        for part, part_bits in forms.spelt.get(length, ()):
            # An edit changes at most two of the letters that a word has.
            may_be_near = (bits ^ part_bits).bit_count() <= 2 * edits
            if may_be_near and edits_between(letters, part) <= edits:
                return True
    return False


def _bits_of(letters: str) -> int:
    bits = 0
    for letter in letters:
        bits |= 1 << (ord(letter) % 64)
    return bits


def edits_between(word: str, name: str) -> int:
    """Return how many letters must be added, left out, changed or swapped with the next one to make a word a name."""
    before: list[int] = []
    above = list(range(len(name) + 1))
    for row, letter in enumerate(word, start=1):
        current = [row]
        for column, other in enumerate(name, start=1):
            changed = above[column - 1] + (letter != other)
            least = min(above[column] + 1, current[column - 1] + 1, changed)
            is_swapped = (
                row > 1 and column > 1 and letter == name[column - 2] and word[row - 2] == other
            )
            if is_swapped:
                least = min(least, before[column - 2] + 1)
            current.append(least)
        before = above
        above = current
    return above[-1]


def _is_almost_name(plain: str, start: int, end: int, forms: _Forms) -> bool:
    found = plain[start:end]
    begins_as_word = found[:2] in WORDS and found[:2] not in COMPOUND_SURNAMES
    is_word = found in WORDS or begins_as_word or found[-2:] in WORDS
    if is_word or not begins_name(plain, start):
        return False
    sounds_alike = not forms.sounds.isdisjoint(pinyin_of(found))
    if len(found) < _WHOLE_HAN:
        return sounds_alike and stands_as_name_in_question(plain, start, end)
    return sounds_alike or _differs_in_one(found, forms)


def _differs_in_one(found: str, forms: _Forms) -> bool:
    """Return whether a given name has one other character that given names are made of."""
    for place in range(1, len(found)):
        left_out = forms.one_different.get((found[:place], found[place + 1 :]))
        if left_out and found[place] in _GIVEN:
            return True
    return False
