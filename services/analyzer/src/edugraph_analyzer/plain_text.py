"""The plain reading of a text: width, accents and invisible characters undone, as patterns are matched on it."""

import unicodedata
from functools import lru_cache

_SAME = str.maketrans({"’": "'", "‘": "'", "`": "'", "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-"})
_DROPPED = frozenset({"Mn", "Cf"})  # accents; zero-width characters


def plain_reading(text: str) -> tuple[str, list[int] | range]:
    """The text to match on, and for each of its characters the index in `text` that it comes from."""
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
    """Return a plain reading in lower case: it holds each word in lower case that a pattern finds ignoring case."""
    if plain.isascii():
        return plain.lower()
    # Such a pattern takes these for an i and an s, which are not their lower case.
    return plain.replace("ı", "i").replace("İ", "i").replace("ſ", "s").lower()


@lru_cache(maxsize=4_096)
def _undone(char: str) -> str:
    if unicodedata.category(char) == "No":  # ① counts things, it spells no number
        return char
    parts = unicodedata.normalize("NFKD", char.translate(_SAME)).translate(_SAME)
    return "".join(part for part in parts if unicodedata.category(part) not in _DROPPED)
