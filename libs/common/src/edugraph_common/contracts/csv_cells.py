"""Texts in the cells of a CSV file that people open in a spreadsheet."""

import re

# A spreadsheet runs a cell that begins with one of these signs as a formula, and the full-width signs as well. Some
# leave out what is invisible before the sign. A spreadsheet whose cells end at a semicolon or a tab makes several
# cells of one text, and a line break in a text begins a new row in a program that ignores quotes.
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
_BLANKS = r"\s\x00-\x1f\u00ad\u200b-\u200f\u2060\ufeff"
# The blanks are never given back, since a text may have a hundred thousand line breaks.
_FORMULA = re.compile(rf"(?:^|[;\t\r\n])[{_BLANKS}\"]*+(?=([{_SIGNS}])?)")


def harmless(text: str) -> str:
    """Return a text that a spreadsheet does not run. An apostrophe is put before what looks like a formula."""
    return _FORMULA.sub(_with_apostrophe, text)


def _with_apostrophe(begin: re.Match[str]) -> str:
    is_formula = begin[1] is not None
    return f"{begin[0]}'" if is_formula else begin[0]
