"""Whether quoted words are in the text, and which words of the text they are."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate

_SAME = str.maketrans({
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "「": '"', "」": '"', "‘": "'", "’": "'", "`": "'",
    "–": "-", "—": "-", "−": "-", "。": ".", "、": ",",
})  # fmt: skip
# \times and \frac that a model wrote into JSON as they stand are read as a tab and "imes", a form feed and "rac".
_UNESCAPED = str.maketrans({"\t": "t", "\f": "f", "\b": "b", "\r": "r"})
_ELLIPSIS = re.compile(r"\s*(?:…+|\.{3,})\s*")
_OPERATORS, _OF_NUMBERS, _OF_FORMULAS = "-/*%", ".,", "$^~\\"
# What a quote must weigh to prove anything: three Chinese characters, eight letters, as much of a formula (x = 12).
# "the" is in 88 % of English texts. The half of a short text proves that it was read, whatever it weighs.
_LEAST_WEIGHT, _WIDE_WEIGHT, _OPERATOR_WEIGHT = 8, 3, 3
_WEIGHTS = {"L": 1, "M": 1, "N": 2, "S": _OPERATOR_WEIGHT}  # by Unicode's categories
_WIDE_FROM = "\u2e80"  # CJK radicals and all that follows them
_SHORTEST_QUOTE = 2  # characters


def found_in(quotes: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return the quotes that stand in `text`, in the text's own spelling, each once.

    A quote with an ellipsis counts by its parts.
    """
    parts = (part for quote in quotes for part in _ELLIPSIS.split(quote.strip(" \"'“”「」")))
    originals = (locate(part, text) for part in parts)
    return tuple(dict.fromkeys(original for original in originals if original))


def locate(quote: str, text: str) -> str | None:
    """Return the slice of `text` that reads as `quote` does but for case, width, spaces and kinds of quotation mark.

    If there is none, return the one that has the same words, numbers and operators, because models end a line with a
    full stop. Return None if there is neither.
    """
    for words_only in (False, True):
        pieces = list(_comparable(text, words_only=words_only))
        plain = "".join(pieces)
        for each in dict.fromkeys((quote, quote.translate(_UNESCAPED))):
            wanted = "".join(_comparable(each, words_only=words_only))
            start = plain.find(wanted) if _proves(wanted, plain) else -1
            if start >= 0:
                ends = list(accumulate(map(len, pieces)))
                return text[bisect_right(ends, start) : bisect_right(ends, start + len(wanted) - 1) + 1]
    return None


def _proves(wanted: str, text: str) -> bool:
    """Say whether a quote is long enough to prove that somebody read this text; both are comparable characters."""
    weight = 0
    for char in wanted:
        if char in _OPERATORS:
            weight += _OPERATOR_WEIGHT
        else:
            weight += _WIDE_WEIGHT if char >= _WIDE_FROM else _WEIGHTS.get(unicodedata.category(char)[0], 0)
        if weight >= _LEAST_WEIGHT:
            break
    return len(wanted) >= _SHORTEST_QUOTE and (weight >= _LEAST_WEIGHT or 2 * len(wanted) >= len(text))


def _comparable(text: str, *, words_only: bool) -> Iterable[str]:
    """Return for each character of the text what it is compared by, which may be nothing.

    Spaces, invisible characters and backslashes never count; backslashes come back from JSON doubled or not at all.
    With `words_only` just letters, numbers and operators count, and what stands within a number.
    """
    return map(_in_words, text, map(str.isdigit, text[1:] + " ")) if words_only else map(_as_written, text)


@lru_cache(maxsize=4_096)
def _as_written(char: str) -> str:
    parts = _folded(char)
    return "".join(
        part for part in parts if not part.isspace() and part != "\\" and unicodedata.category(part) != "Cf"
    )


@lru_cache(maxsize=4_096)
def _in_words(char: str, before_digit: bool) -> str:
    return "".join(
        part
        for part in _folded(char)
        if (
            before_digit
            if part in _OF_NUMBERS
            else part in _OPERATORS or (unicodedata.category(part)[0] in "LMNS" and part not in _OF_FORMULAS)
        )
    )


def _folded(char: str) -> str:
    return unicodedata.normalize("NFKC", char).translate(_SAME).casefold()
