"""The rule for finding a name or an id in a text. Erasure, restriction and redaction share it.

A word ends where the kind of character changes: `S107` is found in `S107_report`, in `S107的作业` and in
`S107a`, but not in `S1070`. A name in Latin letters is found in `Mia2` and in `和Mia一起`, but not in
`Miami`. Scripts without spaces between words have no such ends, so a Chinese name is found wherever its
characters occur.

People write the inside of a name in several ways: `Mia Berg` is found in `Mia_Berg.csv` and in `Mia  Berg`.
"""

import re
from collections.abc import Iterable

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
_POINTS_IN_NAMES = "\u00b7\u2022\u2027\u2219\u22c5\u30fb\uff0e\uff65"
_APOSTROPHES = "'\u2018\u2019\u02bc\u00b4\u0060\uff07"
# A character inside of a name -> the pattern of the characters that people write instead.
_OTHER_SPELLINGS = {
    " ": r"[\s_.\-]+",
    **dict.fromkeys(_POINTS_IN_NAMES, rf"[\s_.\-{_POINTS_IN_NAMES}]*"),
    **dict.fromkeys(_APOSTROPHES, f"[{_APOSTROPHES}]"),
}


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
    """Return a pattern that finds any of the words, or None if there are no words."""
    # The longest word comes first, because a pattern takes the first alternative that matches at a position.
    given = sorted({word for word in words if word}, key=lambda word: (-len(word), word))
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
