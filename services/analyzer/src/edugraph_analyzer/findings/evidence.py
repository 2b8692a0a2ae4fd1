"""Whether quoted words are in the text, and which words of the text they are."""

import re
import unicodedata

_SAME = str.maketrans({
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "「": '"', "」": '"', "‘": "'", "’": "'", "`": "'",
    "–": "-", "—": "-", "−": "-", "。": ".", "、": ",",
})  # fmt: skip
# \times and \frac that a model wrote into JSON as they stand are read as a tab and "imes", a form feed and "rac".
_UNESCAPED = str.maketrans({"\t": "t", "\f": "f", "\b": "b", "\r": "r"})
_ELLIPSIS = re.compile(r"\s*(?:…+|\.{3,})\s*")
_OPERATORS, _OF_NUMBERS, _OF_FORMULAS = "-/*%", ".,", "$^~\\"
SHORTEST_QUOTE = 2  # characters: one character proves nothing


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
        plain, origin = _comparable(text, words_only=words_only)
        for each in (quote, quote.translate(_UNESCAPED)):
            wanted, _ = _comparable(each, words_only=words_only)
            start = plain.find(wanted) if len(wanted) >= SHORTEST_QUOTE else -1
            if start >= 0:
                return text[origin[start] : origin[start + len(wanted) - 1] + 1]
    return None


def _comparable(text: str, *, words_only: bool) -> tuple[str, list[int]]:
    """Return the characters to compare by, and for each the index in `text` that it comes from.

    Spaces, invisible characters and backslashes never count; backslashes come back from JSON doubled or not at all.
    With `words_only` just letters, numbers and operators count, and what stands within a number.
    """
    plain: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        for part in unicodedata.normalize("NFKC", char).translate(_SAME).casefold():
            category = unicodedata.category(part)
            if not words_only:
                counts = not part.isspace() and part != "\\" and category != "Cf"
            elif part in _OF_NUMBERS:
                counts = text[index + 1 : index + 2].isdigit()
            else:
                counts = part in _OPERATORS or (category[0] in "LMNS" and part not in _OF_FORMULAS)
            if counts:
                plain.append(part)
                origin.append(index)
    return "".join(plain), origin
