"""Where a name or an id stands in a text. Erasure, restriction and redaction all ask here.

A word ends where the kind of character changes: `S107` stands in `S107_report`, in `S107的作业` and in
`S107a`, but not in `S1070`. A name in Latin letters stands in `Mia2` and in `和Mia一起`, but not in
`Miami`. Scripts that write no spaces between words have no such end, so a Chinese name stands
wherever its characters do.
"""

import re
from collections.abc import Iterable

# The letters of a script that separates words by spaces, as the inside of a class of characters.
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


def not_after(first: str) -> str:
    """Return the pattern of the place before a word that begins with this character."""
    kind = _kind(first)
    return f"(?<![{kind}])" if kind else ""


def not_before(last: str) -> str:
    """Return the pattern of the place behind a word that ends with this character."""
    kind = _kind(last)
    return f"(?![{kind}])" if kind else ""


def standing_alone(words: Iterable[str], *, ignore_case: bool = False) -> re.Pattern[str] | None:
    """Return the pattern that finds one of the words, or None if there is nothing to find."""
    # The longest comes first: at one place, a pattern takes the first alternative that fits.
    given = sorted({word for word in words if word}, key=lambda word: (-len(word), word))
    if not given:
        return None
    alone = [f"{not_after(word[0])}{re.escape(word)}{not_before(word[-1])}" for word in given]
    return re.compile("|".join(alone), re.IGNORECASE if ignore_case else re.NOFLAG)


def _kind(character: str) -> str | None:
    """Return the class of characters that continue a word with this one, or None if each character may follow."""
    for kind in _KINDS:
        if re.fullmatch(f"[{kind}]", character):
            return kind
    return None
