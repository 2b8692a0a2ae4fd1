"""Wide tables: which columns of a table that comes without a mapping are items, and what their cells say."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edugraph_common.contracts.records import shorten

_FEWEST_ITEMS = 2
# Columns of a gradebook that say something of all items together, or number the rows.
_NO_ITEMS = re.compile(
    r"total|sum|average|mean|median|rank|percentile|grade|final|no|nr|row|index|age|year|class|"
    r"合计|总计|总分|总成绩|平均|平均分|均分|排名|名次|序号|编号|年级|班级|年龄",
)
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
# As in "Q. 1 /2.00", "Essay (20)", "第3题（5分）" or "Quiz 2 [10 points]".
_POINTS = re.compile(
    r"(?:/\s*|[(（\[]\s*(?:满分|max\.?)?\s*)(\d+(?:\.\d+)?)\s*(?:分|points?|pts?|p)?\s*[)）\]]?\s*$", re.IGNORECASE
)
_NUMBERED = re.compile(r"(\D+)\d+")
_USUAL_POINTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200)
# What stands in the place of a student's id in a row of all students together.
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


class SuggestedItems(NamedTuple):
    """`columns`: which are items. `items`: that part of a mapping. `correct`: what words stand for."""

    columns: list[str]
    items: dict[str, object]
    correct: dict[str, str]
    open_points: list[str]


def suggest_items(
    columns: Sequence[str], cells: Mapping[str, Sequence[str]], words: Mapping[str, str]
) -> SuggestedItems | None:
    """Return what is known of a wide table, None for a table that is none.

    `columns`: those that are no field of a record by their name. `cells`: those of the first rows of each column that
    are not blank. `words`: which stand for right and wrong.
    """
    seen = {column: [cell for cell in cells[column] if cell.lower() not in _NOT_TRIED] for column in columns}
    plain = {column: unicodedata.normalize("NFKC", column).casefold().strip(" .:") for column in columns}
    likely = [column for column in columns if seen[column] and not _NO_ITEMS.fullmatch(plain[column])]
    marked = [column for column in likely if all(cell in words or cell in ("0", "1") for cell in seen[column])]
    scored = [column for column in likely if all(_NUMBER.fullmatch(cell.rstrip("%％ ")) for cell in seen[column])]
    found = scored if (is_scored := len(scored) > len(marked)) else marked
    if len(found) < _FEWEST_ITEMS:
        return None
    items: dict[str, object] = {"columns": _shortest(found, cells)}
    open_points = [f"each cell of {shorten(', '.join(found))} becomes an attempt at that item"]
    if is_scored:
        items["scale"], guess = _scale({column: seen[column] for column in found})
        open_points += guess
    if absent := {cell for column in found for cell in cells[column] if cell.lower() in _NOT_TRIED}:
        items["not_tried"] = sorted(absent)
    items["not_students"] = list(_NOT_STUDENTS)
    correct = {cell: words[cell] for column in marked for cell in sorted(set(seen[column])) if cell in words}
    return SuggestedItems(found, items, {} if is_scored else correct, open_points)


def _scale(seen: Mapping[str, Sequence[str]]) -> tuple[object, list[str]]:
    """Return how many points the items have, and what a person must decide about that."""
    named = {column: points[1] for column in seen if (points := _POINTS.search(column))}
    if len(named) == len(seen):
        return {
            column: int(value) if (value := float(points)).is_integer() else value for column, points in named.items()
        }, []
    largest = max(float(cell.rstrip("%％ ").replace(",", ".")) for cells in seen.values() for cell in cells)
    scale = next((points for points in _USUAL_POINTS if points >= largest), int(largest) + 1)
    guess = (
        f"scale {scale} is a guess from the largest cell ({largest:g}): how many points has a right answer? "
        "It may differ by column: {NAME: POINTS, …}"
    )
    return scale, [guess]


def _shortest(found: Sequence[str], cells: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of the columns, or one pattern where they are numbered and no other column fits it."""
    beginnings = {numbered[1] if (numbered := _NUMBERED.fullmatch(column)) else None for column in found}
    beginning = next(iter(beginnings))
    if len(beginnings) > 1 or beginning is None or set("*?[]") & set(beginning):
        return list(found)
    others = [column for column in cells if column.startswith(beginning) and column not in found]
    return list(found) if others else [f"{beginning}*"]
