"""The plain reading of a text, on which patterns are matched: without width, accents and invisible characters."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from edugraph_common.contracts.words import Replacement, escapes_in, replaced, spelt_out_in

_SAME = str.maketrans(
    {"’": "'", "‘": "'", "`": "'", "‐": "-", "‑": "-", "–": "-", "—": "-", "−": "-"}
)
# Accents, and characters without width.
_DROPPED = frozenset({"Mn", "Cf"})
# Letters without a shape, which are of no such category.
_FILLERS = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0")
# Cyrillic and Greek letters that look like Latin ones. In a word with Latin letters they stand for these.
_LOOKALIKES = str.maketrans(
    "\u0410\u0412\u0415\u0406\u0408\u041a\u041c\u041d\u041e\u0420\u0421\u0405\u0422\u0425\u0430\u0435\u0456\u0458\u043e"
    "\u0440\u0441\u0455\u0443\u0445\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf",
    "ABEIJKMHOPCSTXaeijopcsyxABEZHIKMNOPTYXo",
)
_WORD = re.compile("[A-Za-z\u00c0-\u024f\u0370-\u03ff\u0400-\u052f]+")
_LATIN = re.compile("[A-Za-z]")
HAN = re.compile(r"[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"[a-z]+", re.IGNORECASE)


class Reading(NamedTuple):
    """A plain text, and for each of its characters the place in the original text from which it comes."""

    plain: str
    starts: Sequence[int]
    ends: Sequence[int]


def is_chinese(text: str) -> bool:
    """Return whether a text has more Chinese characters than words in Latin letters."""
    if text.isascii():
        return False
    return len(HAN.findall(text)) > len(_LATIN_WORD.findall(text))


def readings_of(text: str) -> list[Reading]:
    """Return the plain readings of a text: as it is, and without the escapes of programs and the spelling out.

    A text may only look like an escape, such as the percentage before a number, so the first reading is needed too.
    """
    plain, origin = plain_reading(text)
    readings = [Reading(plain, origin, [start + 1 for start in origin])]
    replacements = list(escapes_in(text))
    if replacements:
        readings.append(_without(text, replacements))
    last = readings[-1]
    spelt_out = list(spelt_out_in(last.plain))
    if spelt_out:
        starts, ends = _places(last.plain, spelt_out)
        readings.append(
            Reading(
                replaced(last.plain, spelt_out),
                [last.starts[start] for start in starts],
                [last.ends[end - 1] for end in ends],
            )
        )
    return readings


def _without(text: str, escapes: Sequence[Replacement]) -> Reading:
    """Return the plain reading of a text without its escapes."""
    starts, ends = _places(text, escapes)
    plain, origin = plain_reading(replaced(text, escapes))
    return Reading(plain, [starts[index] for index in origin], [ends[index] for index in origin])


def _places(text: str, replacements: Sequence[Replacement]) -> tuple[list[int], list[int]]:
    """Return where each character of the replaced text begins and ends in the text."""
    starts = list[int]()
    ends = list[int]()
    done = 0
    for replacement in replacements:
        starts += range(done, replacement.start)
        ends += range(done + 1, replacement.start + 1)
        starts += [replacement.start] * len(replacement.characters)
        ends += [replacement.end] * len(replacement.characters)
        done = replacement.end
    starts += range(done, len(text))
    ends += range(done + 1, len(text) + 1)
    return starts, ends


def plain_reading(text: str) -> tuple[str, list[int] | range]:
    """Return the plain text, and for each of its characters the index in `text` from which it comes."""
    if text.isascii():
        return text, range(len(text))
    text = _WORD.sub(_in_one_script, text)
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


def _in_one_script(word: re.Match[str]) -> str:
    """Return a word of the same length, without letters of other scripts that look like its Latin ones."""
    if word[0].isascii() or not _LATIN.search(word[0]):
        return word[0]
    return word[0].translate(_LOOKALIKES)


@lru_cache(maxsize=4_096)
def _undone(char: str) -> str:
    if char in _FILLERS:
        return ""
    # Characters such as ① count things and are not digits of a number.
    if unicodedata.category(char) == "No":
        return char
    parts = unicodedata.normalize("NFKD", char.translate(_SAME)).translate(_SAME)
    return "".join(part for part in parts if unicodedata.category(part) not in _DROPPED)
