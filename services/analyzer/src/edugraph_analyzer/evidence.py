"""Whether quoted words are in the text, and which words of the text they are."""

import re
import unicodedata
from collections.abc import Callable

_SAME = str.maketrans({
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "「": '"', "」": '"', "‘": "'", "’": "'", "`": "'",
    "–": "-", "—": "-", "−": "-", "。": ".", "、": ",",
})  # fmt: skip
# \times and \frac that a model wrote into JSON as they stand are read as a tab and "imes", a form feed and "rac".
_UNESCAPED = str.maketrans({"\t": "t", "\f": "f", "\b": "b", "\r": "r"})
_ELLIPSIS = re.compile(r"\s*(?:…+|\.{3,})\s*")
_OPERATORS, _OF_NUMBERS, _OF_FORMULAS = "-/*%", ".,", "$^~\\"
SHORTEST = 2  # characters: one character proves nothing
Counts = Callable[[str, str], bool]


def found_in(quotes: tuple[str, ...], text: str) -> tuple[str, ...]:
    """The quotes that stand in `text`, in the text's own spelling, each once; a quote with … counts by its parts."""
    parts = (part for quote in quotes for part in _ELLIPSIS.split(quote.strip(" \"'“”「」")))
    originals = (locate(part, text) for part in parts)
    return tuple(dict.fromkeys(original for original in originals if original))


def locate(quote: str, text: str) -> str | None:
    """The slice of `text` that reads as `quote` does but for case, width, spaces and kinds of quotation mark.

    If there is none, the one that has the same words, numbers and operators: models end a line with a full stop.
    """
    for counts in (_as_written, _as_said):
        plain, origin = _plain(text, counts)
        for each in (quote, quote.translate(_UNESCAPED)):
            wanted, _ = _plain(each, counts)
            start = plain.find(wanted) if len(wanted) >= SHORTEST else -1
            if start >= 0:
                return text[origin[start] : origin[start + len(wanted) - 1] + 1]
    return None


def _plain(text: str, counts: Counts) -> tuple[str, list[int]]:
    """Characters compared by, and for each the index in `text` that it comes from."""
    plain: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        for part in unicodedata.normalize("NFKC", char).translate(_SAME).casefold():
            if counts(part, text[index + 1 : index + 2]):
                plain.append(part)
                origin.append(index)
    return "".join(plain), origin


def _as_written(char: str, _following: str) -> bool:
    """Backslashes come back from JSON doubled or not at all."""
    return not char.isspace() and char != "\\" and unicodedata.category(char) != "Cf"


def _as_said(char: str, following: str) -> bool:
    """Letters, numbers and operators, and what stands within a number."""
    if char in _OF_NUMBERS:
        return following.isdigit()
    return char in _OPERATORS or (unicodedata.category(char)[0] in "LMNS" and char not in _OF_FORMULAS)
