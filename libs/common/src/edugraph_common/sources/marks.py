"""Marks in the cells of a gradebook: "7", "7,5", "1,250", "85 %", "7/10" and "7 (late)"."""

import re
from decimal import Decimal
from typing import NamedTuple

PERCENT_SIGNS = ("%", "％")
# Spaces and apostrophes between thousands stand nowhere else in a number.
_SPACES = "[ \u00a0\u2009\u202f'’]"
NUMBER = rf"[+-]?(?:\d{{1,3}}(?:(?:[.,]|{_SPACES})\d{{3}})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?)"
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
_SPACED = re.compile(rf"[+-]?\d{{1,3}}(?:{_SPACES}\d{{3}})+(?:[.,]\d+)?")
WITH_POINT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_WITH_COMMA = re.compile(r"[+-]?\d+(?:,\d+)?")
# "1,250", "1,250.5" and "1,250,000", and the same with the signs of other languages.
_COMMAS_BETWEEN_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_POINTS_BETWEEN_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?")
# Three digits after a comma or point may be thousands, so they say nothing about decimals.
_DECIMAL_COMMA = re.compile(r"\d,(?!\d{3}(?!\d))\d")
_DECIMAL_POINT = re.compile(r"\d\.(?!\d{3}(?!\d))\d")


class Mark(NamedTuple):
    """A mark. `points` are the points that the cell itself states, for all right: 100 for a percentage."""

    value: float
    points: float | None


def read_mark(cell: str, decimal: str | None = None) -> Mark | None:
    """Return the mark in a cell, with a decimal point or comma, or None if the cell has another form.

    `decimal` is the sign before decimals in the other marks, if they have one. If it is not known, a comma before
    three digits stands between thousands, and a point stands before decimals.
    """
    text = without_unit(cell)
    fraction = FRACTION.fullmatch(text)
    if fraction:
        return Mark(_number(fraction["mark"], decimal), _number(fraction["points"], decimal))
    points = None
    if text.endswith(PERCENT_SIGNS):
        text = text[:-1].rstrip()
        points = 100.0
    if not _NUMBER.fullmatch(text):
        return None
    return Mark(_number(text, decimal), points)


class Reading(NamedTuple):
    """A possible meaning of a number. `decimal` is the sign before decimals, or None if the number lacks one."""

    value: Decimal
    decimal: str | None


def readings_of(number: str, decimal: str) -> list[Reading]:
    """Return what a number may mean where `decimal` stands before decimals, or an empty list for another form.

    The decimal point is also the sign of a mapping that names none. So "1.250" may mean 1.25 and 1250.
    """
    if number.removeprefix("-").isdecimal():
        return [Reading(Decimal(number), None)]
    if _SPACED.fullmatch(number):
        return [Reading(Decimal(re.sub(_SPACES, "", number).replace(",", ".")), None)]
    found = []
    if decimal == "." and WITH_POINT.fullmatch(number):
        found.append(Reading(Decimal(number), "."))
    if decimal == "," and _WITH_COMMA.fullmatch(number):
        found.append(Reading(Decimal(number.replace(",", ".")), ","))
    if _COMMAS_BETWEEN_THOUSANDS.fullmatch(number):
        is_decimal_comma = bool(found)
        if not is_decimal_comma:
            found.append(Reading(Decimal(number.replace(",", "")), "."))
    elif _POINTS_BETWEEN_THOUSANDS.fullmatch(number):
        found.append(Reading(Decimal(number.replace(".", "").replace(",", ".")), ","))
    return found


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


def _number(text: str, decimal: str | None) -> float:
    """Return the number in a text of the form NUMBER."""
    readings = readings_of(text, decimal or ".")
    if readings:
        return float(readings[0].value)
    # Commas and points in another order than the other marks have, or zeros in front of them.
    *whole, decimals = re.split("[.,]", re.sub(_SPACES, "", text))
    return float(f"{''.join(whole)}.{decimals}")
