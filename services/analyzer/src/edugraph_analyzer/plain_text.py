"""The plain reading of a text, on which patterns are matched: without width, accents and invisible characters."""

import unicodedata
from functools import lru_cache

_SAME = str.maketrans(
    {"’": "'", "‘": "'", "`": "'", "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-"}
)
# Accents, and characters without width.
_DROPPED = frozenset({"Mn", "Cf"})


def plain_reading(text: str) -> tuple[str, list[int] | range]:
    """Return the plain text, and for each of its characters the index in `text` from which it comes."""
    if text.isascii():
        return text, range(len(text))
    plain: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        parts = char if char.isascii() or "\u4e00" <= char <= "\u9fff" else _undone(char)
        plain.append(parts)
        origin += [index] * len(parts)
    return "".join(plain), origin


def folded(plain: str) -> str:
    """Return a plain reading in lower case. It has, in lower case, every word that a pattern ignoring case finds."""
    if plain.isascii():
        return plain.lower()
    # A pattern that ignores case takes these for an i and an s, which are not their lower case.
    return plain.replace("ı", "i").replace("İ", "i").replace("ſ", "s").lower()


@lru_cache(maxsize=4_096)
def _undone(char: str) -> str:
    # Characters such as ① count things and are not digits of a number.
    if unicodedata.category(char) == "No":
        return char
    parts = unicodedata.normalize("NFKD", char.translate(_SAME)).translate(_SAME)
    return "".join(part for part in parts if unicodedata.category(part) not in _DROPPED)
