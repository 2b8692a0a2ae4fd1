"""Wide tables: the columns of a table without a mapping that are items, and the meaning of their cells."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.records import shorten
from edugraph_common.sources.mapping import UNKNOWN_POINTS

_FEWEST_ITEMS = 2
# Columns of a gradebook that are about all items together, or number the rows.
_NO_ITEMS = re.compile(
    r"total|sum|average|mean|median|rank|percentile|grade|final|no|nr|row|index|age|year|class|"
    r"合计|总计|总分|总成绩|平均|平均分|均分|排名|名次|序号|编号|年级|班级|年龄",
)
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
_ZERO_ONE = ("0", "1")
_PERCENT_SIGNS = ("%", "％")
# Names of columns that state their points: "Q. 1 /2.00", "Essay (max 20)", "第3题（5分）", "Quiz [Total Pts: 10] |7".
# A number alone in brackets may be an id, and "Homework 3/4" a chapter or a date, so they do not count as points.
_POINTS = r"(?P<points>\d+(?:[.,]\d+)?)"
_UNIT = r"\s*(?:分|points?|pts?\.?|marks?|score|p)?\s*"
_STATES_POINTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\d)/\s*{_POINTS}{_UNIT}[)）\]]?\s*$",
        rf"(?:\bmax(?:imum)?\.?|\bout of|满分|\btotal (?:pts|points))\s*[:：]?\s*{_POINTS}{_UNIT}(?:[)）\]|]|$)",
        rf"[(（\[]\s*{_POINTS}\s*(?:分|points?|pts?\.?|marks?|p)\s*[)）\]]",
        rf"{_POINTS}\s*分\s*$",
    )
)
_NUMBERED = re.compile(r"(\D+)\d+")
# The first cell of a row that states the points of each column.
_POINTS_ROWS = (
    "points possible",
    "possible points",
    "points",
    "max points",
    "maximum points",
    "out of",
    "满分",
    "分值",
)
# Words in place of a student's id in a row about all students together.
_NOT_STUDENTS = (
    "average",
    "mean",
    "median",
    "total",
    "max",
    "min",
    "平均",
    "平均分",
    "合计",
    "总计",
    "最高分",
    "最低分",
)
_NOT_TRIED = frozenset({"-", "–", "—", "/", "n/a", "absent", "缺考", "未交", "未答", "缺"})


StatedBy = Literal["name", "row", "percent", "zero_one"]


class ItemPoints(ContractModel):
    """The points of a right answer to the item of a column.

    `points` are the points that the file states, or None if a person must state them. `stated_by` is the part of the
    file that states them: the name of the column, a row, percent signs, or cells that are all 0 or 1. `largest` is
    the largest mark in the first rows that is not a percentage.
    """

    column: str
    points: float | None
    stated_by: StatedBy | None = None
    largest: float | None = None


class SuggestedItems(NamedTuple):
    """The suggested items. `columns` are the items, `items` is that part of a mapping.

    `correct`: word -> whether it means right.
    """

    columns: list[str]
    items: dict[str, object]
    correct: dict[str, str]
    open_points: list[str]
    points: list[ItemPoints]


def points_row(rows: Sequence[Sequence[str]]) -> Sequence[str] | None:
    """Return the first row that states the points of columns, or None."""
    for row in rows:
        if _first_word(row) in _POINTS_ROWS and any(_number(cell) for cell in row):
            return row
    return None


def is_of_students(row: Sequence[str]) -> bool:
    """Return whether a row may be about one student. The row of a mean, a total or the points is not."""
    word = _first_word(row)
    return word not in _NOT_STUDENTS and word not in _POINTS_ROWS


def suggest_items(
    columns: Sequence[str],
    cells: Mapping[str, Sequence[str]],
    words: Mapping[str, str],
    stated: Mapping[str, str],
) -> SuggestedItems | None:
    """Return the items of a wide table, or None if the table is not wide.

    - `columns`: the columns whose names are not fields of a record.
    - `cells`: column -> cells of the first rows of students that are not blank.
    - `words`: words for right and wrong.
    - `stated`: column -> cell of the row that states points.
    """
    seen = {column: [cell for cell in cells[column] if cell.lower() not in _NOT_TRIED] for column in columns}
    plain = {column: unicodedata.normalize("NFKC", column).casefold().strip(" .:") for column in columns}
    likely = [column for column in columns if seen[column] and not _NO_ITEMS.fullmatch(plain[column])]
    scored = [column for column in likely if all(_NUMBER.fullmatch(cell.rstrip("%％ ")) for cell in seen[column])]
    points = {column: _points_of(column, seen[column], stated.get(column, "")) for column in scored}
    marked = []
    for column in likely:
        is_in_words = all(cell in words or cell in _ZERO_ONE for cell in seen[column])
        states_points = column in points and points[column].points is not None
        if is_in_words and not states_points:
            marked.append(column)

    is_scored = len(scored) > len(marked)
    found = scored if is_scored else marked
    if len(found) < _FEWEST_ITEMS:
        return None
    items: dict[str, object] = {"columns": _shortest(found, cells)}
    if is_scored:
        items["scale"] = {column: _in_mapping(points[column].points) for column in found}
        asked = [points[column] for column in found]
    else:
        numbers = [column for column in found if column in points]
        asked = [ItemPoints(column=column, points=1, stated_by="zero_one", largest=1) for column in numbers]
    if absent := {cell for column in found for cell in cells[column] if cell.lower() in _NOT_TRIED}:
        items["not_tried"] = sorted(absent)
    # The row of points may be named in another form, such as "Points:".
    label = next((cell.strip() for cell in stated.values() if cell.strip()), _POINTS_ROWS[0])
    items["not_students"] = list(dict.fromkeys((*_NOT_STUDENTS, *_POINTS_ROWS, label)))
    correct = {cell: words[cell] for column in marked for cell in sorted(set(seen[column])) if cell in words}
    open_points = [f"each cell of {shorten(', '.join(found))} becomes an attempt at that item"]
    return SuggestedItems(found, items, {} if is_scored else correct, open_points, asked)


def _points_of(column: str, cells: Sequence[str], stated: str) -> ItemPoints:
    """Return the points of an item. `cells` are numbers. `stated` is the cell in the row of points, or ""."""
    marks = [_number(cell) or 0.0 for cell in cells if cell[-1] not in _PERCENT_SIGNS]
    largest = max(marks, default=None)
    points, stated_by = _stated(column, stated, only_percentages=not marks)
    # A mark above the points shows that the number means something else, or that extra points are possible.
    is_likely = points is not None and points > 0 and (largest is None or largest <= points)
    if not is_likely:
        return ItemPoints(column=column, points=None, largest=largest)
    return ItemPoints(column=column, points=points, stated_by=stated_by, largest=largest)


def _stated(column: str, cell: str, *, only_percentages: bool) -> tuple[float | None, StatedBy | None]:
    """Return the points that the file states, and what states them. A row takes precedence over a column's name."""
    by_row = _number(cell)
    if by_row is not None:
        return by_row, "row"
    for pattern in _STATES_POINTS:
        found = pattern.search(column)
        if found:
            return _number(found["points"]), "name"
    if only_percentages:
        return 100.0, "percent"
    return None, None


def _in_mapping(points: float | None) -> float | str:
    """Return the points for a mapping, or a question mark if a person must state them."""
    if points is None:
        return UNKNOWN_POINTS
    return int(points) if points.is_integer() else points


def _number(cell: str) -> float | None:
    """Return the number in a cell, or None if it has another form."""
    cell = cell.strip()
    return float(cell.replace(",", ".")) if _NUMBER.fullmatch(cell) else None


def _first_word(row: Sequence[str]) -> str:
    """Return the first cell of a row that is not blank, in plain form."""
    first = next((cell for cell in row if cell.strip()), "")
    return unicodedata.normalize("NFKC", first).strip().casefold().rstrip(" .:")


def _shortest(found: Sequence[str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of the columns, or one pattern if they are numbered and no other column matches it."""
    beginnings = {numbered[1] if (numbered := _NUMBERED.fullmatch(column)) else None for column in found}
    beginning = next(iter(beginnings))
    if len(beginnings) > 1 or beginning is None or set("*?[]") & set(beginning):
        return list(found)
    others = [column for column in cells if column.startswith(beginning) and column not in found]
    return list(found) if others else [f"{beginning}*"]
