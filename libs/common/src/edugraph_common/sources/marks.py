"""Marks in the cells of a gradebook: "7", "7,5", "85 %", "7/10" and "7 (late)"."""

import re
from typing import NamedTuple

PERCENT_SIGNS = ("%", "％")
NUMBER = r"[+-]?\d+(?:[.,]\d+)?"
# "7/10", "7 / 10", "7 out of 10".
FRACTION = re.compile(
    rf"(?P<mark>{NUMBER})\s*(?:/|／|of|out of|von)\s*(?P<points>{NUMBER})", re.IGNORECASE
)
_NUMBER = re.compile(NUMBER)
_UNIT = re.compile(r"(?<=\d)\s*(?:分|points?|pts?\.?|punkte)$", re.IGNORECASE)
# The wide forms of digits and signs, which sheets in Chinese may have: ８５％ is 85%.
_USUAL_WIDTH = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
# Words behind the mark of a work that was handed in late.
_LATE = re.compile(
    r"(?<=[\d%])\s*[(\[]?\s*(?:late|verspätet|迟交|补交|逾期|晚交)\s*[)\]]?$", re.IGNORECASE
)
# Three digits after a comma or point may be thousands, so they say nothing about decimals.
_DECIMAL_COMMA = re.compile(r"\d,(?!\d{3}(?!\d))\d")
_DECIMAL_POINT = re.compile(r"\d\.(?!\d{3}(?!\d))\d")


class Mark(NamedTuple):
    """A mark. `points` are the points that the cell itself states, for all right: 100 for a percentage."""

    value: float
    points: float | None


def read_mark(cell: str) -> Mark | None:
    """Return the mark in a cell, with a decimal point or comma, or None if the cell has another form."""
    text = without_unit(cell)
    fraction = FRACTION.fullmatch(text)
    if fraction:
        return Mark(_number(fraction["mark"]), _number(fraction["points"]))
    points = None
    if text.endswith(PERCENT_SIGNS):
        text = text[:-1].rstrip()
        points = 100.0
    if not _NUMBER.fullmatch(text):
        return None
    return Mark(_number(text), points)


def without_unit(cell: str) -> str:
    """Return the text of a cell without a unit such as 分 or "pts", and without the word for a late work."""
    text = cell.translate(_USUAL_WIDTH).strip()
    return _UNIT.sub("", _LATE.sub("", text))


def is_late(cell: str) -> bool:
    """Return whether a cell says that the work was handed in late, beside its mark."""
    return _LATE.search(cell.translate(_USUAL_WIDTH).strip()) is not None


def decimal_of(cells: list[str]) -> str | None:
    """Return the sign before decimals in these marks, or None if the marks have both signs or no decimals."""
    has_comma = any(_DECIMAL_COMMA.search(cell) for cell in cells)
    has_point = any(_DECIMAL_POINT.search(cell) for cell in cells)
    if has_comma == has_point:
        return None
    if has_comma:
        return ","
    return "."


def _number(text: str) -> float:
    return float(text.replace(",", "."))
