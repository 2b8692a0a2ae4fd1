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
SHORTEST = 2  # characters: one character proves nothing


def found_in(quotes: tuple[str, ...], text: str) -> tuple[str, ...]:
    """The quotes that stand in `text`, in the text's own spelling, each once; a quote with … counts by its parts."""
    parts = (part for quote in quotes for part in _ELLIPSIS.split(quote.strip(" \"'“”「」")))
    originals = (locate(part, text) for part in parts)
    return tuple(dict.fromkeys(original for original in originals if original))


def locate(quote: str, text: str) -> str | None:
    """The slice of `text` that reads as `quote` does but for case, width, spaces, backslashes and quotation marks."""
    plain, origin = _plain(text)
    for wanted in {_plain(quote)[0], _plain(quote.translate(_UNESCAPED))[0]}:
        start = plain.find(wanted) if len(wanted) >= SHORTEST else -1
        if start >= 0:
            return text[origin[start] : origin[start + len(wanted) - 1] + 1]
    return None


def _plain(text: str) -> tuple[str, list[int]]:
    """Characters compared by, and for each the index in `text` that it comes from."""
    plain: list[str] = []
    origin: list[int] = []
    for index, char in enumerate(text):
        for part in unicodedata.normalize("NFKC", char).translate(_SAME).casefold():
            if not part.isspace() and part != "\\" and unicodedata.category(part) != "Cf":
                plain.append(part)
                origin.append(index)
    return "".join(plain), origin
