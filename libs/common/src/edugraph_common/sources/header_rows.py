"""The place of the header in the first rows of a table, below titles and remarks, and headers of two rows."""

import re
from collections.abc import Collection, Iterable, Sequence
from statistics import median
from typing import NamedTuple

from edugraph_common.sources.gradebook_layouts import has_student_ids, person_name, words
from edugraph_common.sources.marks import read_mark

LOOKED_AT = 40  # rows; titles and remarks are above the header
_FEWEST_COLUMNS = 3  # of a table whose title may be a line without separators
_FEWEST_NAMES = 2  # in a row of a header
# A cell below the name of an item that has only its points: "（100分）", "(max 20)", "[out of 8 marks]", "/10".
_ONLY_POINTS = re.compile(
    r"[(（\[/\s]*(?:满分|分值|max(?:imum)?\.?|out of|total)?\s*[:：]?\s*\d+(?:[.,]\d+)?"
    r"\s*(?:分|题|points?|pts?\.?|marks?|%|％)?[)）\]\s]*",
    re.IGNORECASE,
)

Row = Sequence[str]


class FoundHeader(NamedTuple):
    """A header. `first` is the index of its first row and `rows` the number of its rows, which is 1 or 2."""

    first: int
    rows: int
    columns: tuple[str, ...]

    @property
    def end(self) -> int:
        """The index of the row after the header."""
        return self.first + self.rows


def find_header(rows: Sequence[Row], wanted: Collection[str] = ()) -> FoundHeader | None:
    """Return the header among the first rows of a table, or None if there are no rows.

    `wanted` are the columns that a mapping names. The first row that has them is the header, whatever else it may be.
    Without such a row, the header is the first row that is not a title.
    """
    if wanted:
        for place in range(len(rows)):
            for found in reversed(headers_at(rows, place)):
                if set(wanted) <= set(found.columns):
                    return found
    typical = _typical_number_of_cells(rows)
    names_of_persons = _place_of_persons(rows, typical)
    filled = [place for place, row in enumerate(rows) if _filled(row)]
    for place in filled:
        is_above_persons = place < names_of_persons and (
            len(_filled(rows[place])) < len(_filled(rows[names_of_persons]))
        )
        if not is_above_persons and not _is_title(rows[place], typical):
            return headers_at(rows, place)[-1]
    if not rows:
        return None
    first = filled[0] if filled else 0
    return FoundHeader(first, 1, _names(rows[first]))


def headers_at(rows: Sequence[Row], place: int) -> list[FoundHeader]:
    """Return the header of one row at a place.

    If the next row or the one above belongs to it, the header of two rows is returned as well.
    """
    row = rows[place]
    found = [FoundHeader(place, 1, _names(row))]
    if place + 1 < len(rows) and _is_second_row(row, rows[place + 1]):
        found.append(FoundHeader(place, 2, _combined(row, rows[place + 1])))
    elif place > 0 and not _is_unique(row) and _is_row_of_groups(rows[place - 1], row):
        found.append(FoundHeader(place, 1, _combined(rows[place - 1], row)))
    return found


def _typical_number_of_cells(rows: Sequence[Row]) -> float:
    """Return the median number of filled cells of the rows that have several."""
    numbers = [len(_filled(row)) for row in rows]
    several = [number for number in numbers if number > 1]
    if not several:
        return 0
    return median(several)


def _place_of_persons(rows: Sequence[Row], typical: float) -> int:
    """Return the index of the first row that names columns of students, or 0 if there is none."""
    for place, row in enumerate(rows):
        cells = _filled(row)
        is_sparse = len(cells) < _FEWEST_NAMES or 2 * len(cells) < typical
        if not is_sparse and _has_person(cells):
            return place
    return 0


def _is_title(row: Row, typical: float) -> bool:
    """Return whether a row above the header is a title or a remark, such as "Class: 7A" and "Teacher: Ms. Gray"."""
    cells = _filled(row)
    if typical == 0 or len(cells) >= typical:
        return False
    if len(cells) == 1:
        # A line without separators may be the header of a table with one column.
        return len(row) > 1 or typical >= _FEWEST_COLUMNS
    is_sparse = 2 * len(cells) < typical and not _has_person(cells)
    return is_sparse or all(map(_is_remark, cells))


def _is_remark(cell: str) -> bool:
    """Return whether a cell has a name and its value, such as "班级：七1班"."""
    name, _, value = cell.replace("：", ":").partition(":")
    return bool(name.strip() and value.strip())


def _is_second_row(upper: Row, lower: Row) -> bool:
    """Return whether a row is the second one of a header, whose cells for ids and names are merged with those above.

    An example is 学号, 姓名, 作业, (blank) above (blank), (blank), 作业1, 作业2. Another one is a row of groups
    above the names of all columns. A third one is a row with the points of the items above it, such as "/ 40".
    """
    below = _filled(lower)
    if len(below) < _FEWEST_NAMES or any(map(read_mark, below)):
        return False
    are_points = all(map(_ONLY_POINTS.fullmatch, below))
    if are_points and _has_person(_filled(upper)):
        return True
    if not any(_cell(lower, place) and not _cell(upper, place) for place in range(len(lower))):
        return False
    merged = [_cell(upper, place) for place in range(len(upper)) if not _cell(lower, place)]
    return _has_person(merged) or _is_row_of_groups(upper, lower)


def _is_row_of_groups(groups: Row, names: Row) -> bool:
    """Return whether a row names groups of columns: it has cells, but none above the ids and names of students."""
    persons = [place for place, name in enumerate(names) if _has_person([name])]
    is_blank_there = not any(_cell(groups, place) for place in persons)
    return bool(_filled(groups)) and bool(persons) and is_blank_there


def _is_unique(row: Row) -> bool:
    return len(set(_filled(row))) == len(_filled(row))


def _combined(upper: Row, lower: Row) -> tuple[str, ...]:
    """Return the names of the columns of a header of two rows.

    The names begin with those of their groups if they are not unique without them, and if they are only points.
    """
    is_unique = _is_unique(lower)
    names: list[str] = []
    group = ""
    for place in range(max(len(upper), len(lower))):
        above = _cell(upper, place)
        below = _cell(lower, place)
        if above:
            group = above if below else ""
        name = below or above
        needs_group = not is_unique or _ONLY_POINTS.fullmatch(below)
        if below and group and needs_group:
            name = f"{group} {below}"
        names.append(name)
    return tuple(names)


def _has_person(cells: Iterable[str]) -> bool:
    """Return whether one of the names of columns is that of a column of ids or names of students."""
    known = words()
    names = {*known.names, *known.first_names, *known.family_names}
    return any(has_student_ids(cell) or person_name(cell) in names for cell in cells)


def _names(row: Row) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row)


def _filled(row: Row) -> list[str]:
    return [cell.strip() for cell in row if cell.strip()]


def _cell(row: Row, place: int) -> str:
    if place < len(row):
        return row[place].strip()
    return ""
