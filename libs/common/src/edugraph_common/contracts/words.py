"""The rule for finding a name or an id in a text. Erasure, restriction and redaction share it.

A word ends where the kind of character changes: `S107` is found in `S107_report`, in `S107的作业` and in
`S107a`, but not in `S1070`. A name in Latin letters is found in `Mia2` and in `和Mia一起`, but not in
`Miami`. Scripts without spaces between words have no such ends, so a Chinese name is found wherever its
characters occur.

People write the inside of a name in several ways: `Mia Berg` is found in `Mia_Berg.csv` and in `Mia  Berg`. They also
write the characters in several forms: full-width letters, accents apart from their letters, and invisible characters
between them. So words are searched in the form of a text that `as_searched` returns.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

# The letters of the scripts that separate words by spaces. Each entry is the inside of a character class.
_SCRIPTS = (
    "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",  # Latin
    "\u0370-\u0373\u0376-\u037d\u0386-\u03ff\u1f00-\u1fff",  # Greek
    "\u0400-\u052f",  # Cyrillic
    "\u0531-\u0587",  # Armenian
    "\u05d0-\u05ea",  # Hebrew
    "\u0620-\u064a\u066e-\u06d3\u0750-\u077f",  # Arabic, with Uyghur
    "\u0900-\u0965",  # Devanagari
)
_KINDS = (r"\d", *_SCRIPTS)
_POINT = "\u00b7"
_POINTS_IN_NAMES = "\u2022\u2027\u2219\u22c5\u30fb\uff0e\uff65"
_OTHER_APOSTROPHES = "\u2018\u2019\u02bc\u00b4\u0060\uff07"
_ONE_SIGN = str.maketrans(
    dict.fromkeys(_POINTS_IN_NAMES, _POINT) | dict.fromkeys(_OTHER_APOSTROPHES, "'")
)
# A character inside of a name -> the pattern of the characters that people write instead.
_OTHER_SPELLINGS = {" ": r"[\s_.\-]+", _POINT: rf"[\s_.\-{_POINT}]*"}
# Characters that have a plain form, or none at all, are among these.
_NOT_PLAIN = re.compile(r"[^\x00-\x7f\u4e00-\u9fff]+")
# Marks above, below or through a letter that have no letter of their own with it. People add them as decoration, or
# leave them out, such as the vowels of Arabic and Hebrew. The Arabic line between two letters is among them.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640"
    "\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u20d0-\u20ff\ufe20-\ufe2f]+"
)
# Letters without a shape, which Unicode does not count among the invisible characters.
_FILLERS = frozenset("\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
# Selectors choose how the character before them looks.
_SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


def as_searched(text: str) -> str:
    """Return a text in the form in which words are searched, which has one form of each character.

    Letters have their usual width and shape. Invisible characters are left out, and marks that do not make another
    letter.
    """
    if text.isascii():
        return text.replace("`", "'")
    one_sign = unicodedata.normalize("NFC", text).translate(_ONE_SIGN)
    plain = _NOT_PLAIN.sub(lambda found: "".join(map(_plain, found[0])), one_sign)
    # A letter and its accent may stand side by side now.
    return _MARKS.sub("", unicodedata.normalize("NFC", plain))


@lru_cache(maxsize=4_096)
def _plain(character: str) -> str:
    """Return the usual form of a character, or "" if the character is invisible."""
    category = unicodedata.category(character)
    if category == "Cf" or character in _SELECTORS or character in _FILLERS:
        return ""
    # A digit such as \u00b2 or \u2460 counts something, and is not a part of the number before it.
    if category == "No":
        return character
    return unicodedata.normalize("NFKC", character)


def fixed_parts(word: str) -> list[str]:
    """Return the parts of a word, as they are searched, that stand in each of its spellings."""
    return re.split(rf"[\s{_POINT}]+", as_searched(word))


def not_after(first: str) -> str:
    """Return a lookbehind: the character before a word that begins with `first` must be of another kind."""
    kind = _kind(first)
    if not kind:
        return ""
    return f"(?<![{kind}])"


def not_before(last: str) -> str:
    """Return a lookahead: the character after a word that ends with `last` must be of another kind."""
    kind = _kind(last)
    if not kind:
        return ""
    return f"(?![{kind}])"


def standing_alone(words: Iterable[str], *, ignore_case: bool = False) -> re.Pattern[str] | None:
    """Return a pattern that finds any of the words in a text of `as_searched`, or None if there are no words."""
    # The longest word comes first, because a pattern takes the first alternative that matches at a position.
    searched = {as_searched(word) for word in words}
    given = sorted(searched - {""}, key=lambda word: (-len(word), word))
    if not given:
        return None
    alone = []
    for word in given:
        before = not_after(word[0])
        after = not_before(word[-1])
        alone.append(before + _spelled(word) + after)
    return re.compile("|".join(alone), re.IGNORECASE if ignore_case else re.NOFLAG)


def _spelled(word: str) -> str:
    """Return the pattern of a word with the other spellings of the spaces, points and apostrophes in it."""
    parts = []
    for character in " ".join(word.split()) or word:
        parts.append(_OTHER_SPELLINGS.get(character, re.escape(character)))
    return "".join(parts)


def _kind(character: str) -> str | None:
    """Return the character class of this kind of character, or None if the character belongs to no kind."""
    for kind in _KINDS:
        if re.fullmatch(f"[{kind}]", character):
            return kind
    return None
