"""Find the quotes of an answer in the text."""

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
# A model may write \times and \frac into JSON without escaping them. JSON reads a tab and "imes", or a form feed and
# "rac".
_UNESCAPED = str.maketrans({"\t": "t", "\f": "f", "\b": "b", "\r": "r"})
_ELLIPSIS = re.compile(r"\s*(?:…+|\.{3,})\s*")
_OPERATORS = "-/*%"
_IN_NUMBERS = ".,"
_OF_FORMULAS = "$^~\\"
# A quote with less weight proves nothing: "the" is in 88 % of English texts. Three Chinese characters, eight letters
# or a short formula (x = 12) are enough. A quote of half of a short text proves that the text was read, at any
# weight.
_LEAST_WEIGHT = 8
_WIDE_WEIGHT = 3
_OPERATOR_WEIGHT = 3
# first letter of Unicode's category -> weight of a character
_WEIGHTS = {"L": 1, "M": 1, "N": 2, "S": _OPERATOR_WEIGHT}
# CJK radicals and all characters behind them are wide.
_WIDE_FROM = "\u2e80"
# A quote has at least this many characters.
_SHORTEST_QUOTE = 2


def found_in(quotes: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return the quotes that are in `text`, in the spelling of the text, each once.

    A quote with an ellipsis counts by its parts.
    """
    found: dict[str, None] = {}
    for quote in quotes:
        for part in _parts_of(quote):
            original = locate(part, text)
            if original:
                found[original] = None
    return tuple(found)


def whole_quote_in(quote: str, text: str) -> str | None:
    """Return a quote in the spelling of the text, or None if any part of it is not in the text.

    An ellipsis separates the parts of a quote.
    """
    parts = [part for part in _parts_of(quote) if part]
    found = [locate(part, text) for part in parts]
    originals = [original for original in found if original]
    if not parts or len(originals) < len(parts):
        return None
    return " … ".join(originals)


def _parts_of(quote: str) -> list[str]:
    return _ELLIPSIS.split(quote.strip(" \"'“”「」"))


def locate(quote: str, text: str) -> str | None:
    """Return the slice of `text` that is equal to `quote`, except for case, width, spaces and quotation marks.

    If there is none, return a slice with the same words, numbers and operators, because models end a line with a full
    stop. Return None if there is no such slice either.
    """
    for words_only in (False, True):
        pieces = list(_comparable(text, words_only=words_only))
        plain = "".join(pieces)
        for spelling in dict.fromkeys((quote, quote.translate(_UNESCAPED))):
            wanted = "".join(_comparable(spelling, words_only=words_only))
            if not _proves(wanted, plain):
                continue
            start = plain.find(wanted)
            if start >= 0:
                ends = list(accumulate(map(len, pieces)))
                first = bisect_right(ends, start)
                last = bisect_right(ends, start + len(wanted) - 1)
                return text[first : last + 1]
    return None


def stands_in(passage: str, text: str) -> bool:
    """Return whether the words of a passage, however few they are, are in the text in the same order."""
    words = "".join(_comparable(passage, words_only=True))
    return words in "".join(_comparable(text, words_only=True))


def _proves(wanted: str, text: str) -> bool:
    """Return whether a quote is long enough to prove that the text was read. Both are comparable characters."""
    weight = 0
    for char in wanted:
        if char in _OPERATORS:
            weight += _OPERATOR_WEIGHT
        elif char >= _WIDE_FROM:
            weight += _WIDE_WEIGHT
        else:
            weight += _WEIGHTS.get(unicodedata.category(char)[0], 0)
        if weight >= _LEAST_WEIGHT:
            break
    is_heavy = weight >= _LEAST_WEIGHT
    is_half_of_text = 2 * len(wanted) >= len(text)
    return len(wanted) >= _SHORTEST_QUOTE and (is_heavy or is_half_of_text)


def _comparable(text: str, *, words_only: bool) -> Iterable[str]:
    """Return, for each character of the text, the characters to compare, or "".

    Spaces, invisible characters and backslashes never count, since JSON may return backslashes doubled or not at all.
    With `words_only` only letters, numbers, operators and the points within numbers count.
    """
    if not words_only:
        return map(_as_written, text)
    stands_before_digit = map(str.isdigit, text[1:] + " ")
    return map(_in_words, text, stands_before_digit)


@lru_cache(maxsize=4_096)
def _as_written(char: str) -> str:
    kept = ""
    for part in _folded(char):
        is_invisible = part.isspace() or unicodedata.category(part) == "Cf"
        if not is_invisible and part != "\\":
            kept += part
    return kept


@lru_cache(maxsize=4_096)
def _in_words(char: str, before_digit: bool) -> str:
    kept = ""
    for part in _folded(char):
        if part in _IN_NUMBERS:
            counts = before_digit
        elif part in _OPERATORS:
            counts = True
        else:
            counts = unicodedata.category(part)[0] in "LMNS" and part not in _OF_FORMULAS
        if counts:
            kept += part
    return kept


def _folded(char: str) -> str:
    return unicodedata.normalize("NFKC", char).translate(_SAME).casefold()
