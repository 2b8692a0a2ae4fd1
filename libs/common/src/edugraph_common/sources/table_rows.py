"""Rows of tables as text: one JSON object a line, with the position of the row and the content of its mapped cells.

A workbook cannot be read from the middle, and a row of a wide table has many records. So the split converts them into
this text once, from which each batch is read separately (docs/adr/0041). It has only the cells that the mapping uses:

{"sheet": "Term 1", "row": 12, "cells": {"学号": "S1", "分数": 85, "日期": {"date": "2026-07-03"}}}
{"sheet": "Term 1", "row": 12, "column": "Q3", "cells": {"学号": "S1", "Q3": 1}}    a cell of a wide table; with
                                                      "points" where another column has the points of the item
{"sheet": "Notes", "row": 2, "left_out": "sheet Notes"}                             not a learning record
{"row": 7, "wrong": ["(row)", "3 cells", "2 cells: …", "has not …"], "raw": "…"}    a malformed row
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import chain, groupby, islice, product
from typing import Any, NamedTuple

from edugraph_common.contracts.records import (
    InvalidRecord,
    Record,
    Withdrawal,
    as_json,
    escaped,
    parse_row,
    shorten,
)
from edugraph_common.sources.cells import Cell, CellReader, cell_parser, cell_text, is_blank_cell
from edugraph_common.sources.chunking import RowChunk
from edugraph_common.sources.converted_lines import read_converted_line
from edugraph_common.sources.header_rows import FoundHeader, find_header, headers_at
from edugraph_common.sources.json_source import Lines, decode_json
from edugraph_common.sources.mapping import (
    ITEM_FIELDS,
    Items,
    Mapping,
    may_be_a_first_name,
    one_line,
)
from edugraph_common.sources.marks import (
    FRACTION,
    PERCENT_SIGNS,
    WITH_POINT,
    is_late,
    readings_of,
    without_unit,
)
from edugraph_common.sources.ndjson import MAX_ROW_BYTES, MalformedFile, as_ndjson
from edugraph_common.sources.rows import (
    Content,
)
from edugraph_common.sources.students import ID_OF_NAME, STUDENT_FIELDS, People

HEADER_ROWS = 20  # the header is among these rows, since titles and remarks may be above it
MAX_TEXT_BYTES = 8 << 30
NOT_TRIED, NO_STUDENT = "row without an attempt", "row of all students"


class SheetRow(NamedTuple):
    """A row of a table: the name of its sheet, its number from 1, and its cells, or None for a hidden sheet.

    `wrong`: the error of a malformed row, with the row as it was sent.
    """

    sheet: str | None
    number: int
    cells: Sequence[Cell] | None
    wrong: InvalidRecord | None = None
    raw: str = ""

    @property
    def is_blank(self) -> bool:
        return not self.wrong and self.cells is not None and all(map(is_blank_cell, self.cells))


def column_names(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return the names in a header, as in a CSV of the same table."""
    return tuple(cell_text(cell).strip() for cell in cells)


def found_header(rows: Sequence[SheetRow]) -> FoundHeader | None:
    """Return the header among the first rows of a sheet, or None if there is no table."""
    names = [column_names(row.cells or ()) for row in rows]
    width = max(map(len, names), default=0)
    found = find_header([[*cells, *[""] * (width - len(cells))] for cells in names])
    if found is None:
        return None
    return found._replace(columns=_without_blank_end(found.columns))


def _without_blank_end(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of columns without blank ones at the end, which are those of cells beside a table."""
    while columns and not columns[-1]:
        columns = columns[:-1]
    return columns


def check_columns(columns: Sequence[str], mapping: Mapping) -> None:
    """Check that the mapping fits the columns of a table.

    Raises MalformedFile with a sentence that names the columns.
    """
    missing = [column for column in mapping.columns if column not in columns]
    if missing:
        raise MalformedFile(
            f"the header lacks {_listed(missing)}, which the mapping names; it has {_listed(columns)}"
        )
    items = item_columns(columns, mapping)
    read = {*items, *(column for column, field in mapping.columns.items() if field)}
    twice = [column for column, n in Counter(columns).items() if n > 1 and column in read]
    if twice:
        raise MalformedFile(f"the header has {_listed(twice)} more than once")
    if mapping.items and not items:
        raise MalformedFile(
            f"no column is one of the mapping's items ({_listed(mapping.items.columns)}); "
            f"the header has {_listed(columns)}"
        )
    if mapping.items and isinstance(mapping.items.scale, dict):
        states_points = {*mapping.items.scale, *mapping.items.points_in}
        unscaled = [column for column in items if column not in states_points]
        if unscaled:
            raise MalformedFile(
                f"the mapping's scale does not say how many points {_listed(unscaled)} has"
            )
    used = {*mapping.columns, *items}
    if mapping.items:
        beside = sorted(mapping.items.other_columns - set(columns))
        if beside:
            missing_beside = (
                f"the header lacks {_listed(beside)}, which the items of the mapping name"
            )
            raise MalformedFile(f"{missing_beside}; it has {_listed(columns)}")
        used |= mapping.items.other_columns
    # A sheet may have cells beside its table, so a column without a name belongs to the table only in a CSV.
    other = [column or "(no name)" for column in columns if column not in used]
    if other and not mapping.ignore_other_columns:
        raise MalformedFile(
            f"the mapping does not say what {_listed(other)} is; map it to a field, or to null to leave it out"
        )


def item_columns(columns: Sequence[str], mapping: Mapping) -> list[str]:
    """Return the columns of a wide table that are items. Columns that the mapping names as fields are not items."""
    items = mapping.items
    if not items:
        return []
    return [c for c in columns if c and c not in mapping.columns and items.has(c)]


def row_lines(rows: Iterable[SheetRow], mapping: Mapping) -> Iterator[bytes]:
    """Yield the text of the tables in a file. The rows of a sheet must follow each other.

    The header of a sheet is the first row that has the mapping's columns. A sheet without a header is left out, and
    its rows are counted. Raises MalformedFile if no sheet has the columns, or if a sheet that the mapping names lacks
    them.
    """
    size, why_not, fits = 0, "the file is empty: it holds no table", False
    named = set(mapping.sheets)
    for sheet, group in groupby(rows, key=lambda row: row.sheet):
        chosen = not mapping.sheets or sheet in mapping.sheets
        named.discard(sheet or "")
        head, columns = list[SheetRow](), None
        if chosen:
            head = list(islice(group, HEADER_ROWS))
            columns, problem = _header(head, mapping)
            if columns is None and mapping.sheets:
                raise MalformedFile(f"{problem} (sheet {sheet})")
            if columns is None and head and not fits:
                why_not = f"{problem} (sheet {sheet})" if sheet else problem
            fits = fits or columns is not None
        for line in _sheet_lines(chain(head, group), sheet, columns, mapping):
            text = as_ndjson([line])
            if len(text) > MAX_ROW_BYTES:
                form = f"at most {MAX_ROW_BYTES:,} bytes"
                wrong = ["(row)", form, f"{len(text):,} bytes", "is longer than a row may be"]
                text = as_ndjson([{**_place(line["sheet"], line["row"]), "wrong": wrong}])
            size += len(text)
            if size > MAX_TEXT_BYTES:
                raise MalformedFile(
                    f"the file has more than {MAX_TEXT_BYTES:,} bytes of rows; split it"
                )
            yield text
    if named:
        raise MalformedFile(
            f"the workbook has no sheet {_listed(sorted(named))}, which the mapping names"
        )
    if not fits:
        raise MalformedFile(why_not)


def table_lines(
    columns: Sequence[str], rows: Iterable[SheetRow], mapping: Mapping
) -> Iterator[bytes]:
    """Yield the text of a table whose columns are known. Raises MalformedFile if the mapping does not fit them."""
    check_columns(columns, mapping)
    before_first_row = -1
    for line in _sheet_lines(rows, None, (before_first_row, tuple(columns)), mapping):
        yield as_ndjson([line])


def _header(
    head: Sequence[SheetRow], mapping: Mapping
) -> tuple[tuple[int, tuple[str, ...]] | None, str]:
    """Return the index of the header's last row and its columns, or None and the columns missing in the first row."""
    problem = "the sheet is empty"
    names = [column_names(row.cells or ()) for row in head]
    for place, row in enumerate(head):
        if row.cells is None:
            return None, "the sheet is hidden"
        if row.is_blank:
            continue
        for header in reversed(headers_at(names, place)):
            columns = header.columns
            if "" not in mapping.columns:
                columns = _without_blank_end(columns)
            has_all = set(mapping.columns) <= set(columns)
            try:
                check_columns(columns, mapping)
            except MalformedFile as misfit:
                if has_all and (not mapping.items or item_columns(columns, mapping)):
                    sheet = f" (sheet {row.sheet}, row {row.number})" if row.sheet else ""
                    raise MalformedFile(f"{misfit}{sheet}") from None
                if problem == "the sheet is empty":
                    problem = str(misfit)
                continue
            return (header.end - 1, columns), ""
    return None, problem


def _sheet_lines(
    rows: Iterable[SheetRow],
    sheet: str | None,
    header: tuple[int, tuple[str, ...]] | None,
    mapping: Mapping,
) -> Iterator[dict[str, Any]]:
    """Yield the lines of a sheet. The rows of a sheet without a header are only counted."""
    if header is None:
        for row in rows:
            if not row.is_blank:
                hidden = " (hidden)" if row.cells is None else ""
                yield {**_place(sheet, row.number), "left_out": shorten(f"sheet {sheet}{hidden}")}
        return
    place, columns = header
    used = [column for column, field in mapping.columns.items() if field]
    items = item_columns(columns, mapping)
    for row in islice(rows, place + 1, None):
        at = _place(sheet, row.number)
        if row.wrong:
            problem = row.wrong
            wrong = [problem.field, problem.expected, problem.found, problem.reason]
            yield {**at, "wrong": wrong, "raw": row.raw}
        elif not row.is_blank:
            given = dict(zip(columns, row.cells or (), strict=False))
            cells = {
                column: given[column] for column in used if not is_blank_cell(given.get(column))
            }
            if mapping.items is None:
                yield {**at, "cells": cells}
            else:
                for line in _attempt_lines(given, cells, items, mapping, mapping.items):
                    yield {**at, **line}


def _attempt_lines(
    given: dict[str, Cell],
    cells: dict[str, Cell],
    columns: Sequence[str],
    mapping: Mapping,
    items: Items,
) -> Iterator[dict[str, Any]]:
    """Yield an attempt for each answered item of a row of a wide table.

    `given` is the whole row, `cells` are its cells that are not items, and `columns` are the columns of the items.
    """
    if _is_of_all_students(given, mapping, items):
        yield {"left_out": NO_STUDENT}
        return
    not_tried = {word.casefold() for word in items.not_tried}
    tried = []
    for column in columns:
        if (
            not is_blank_cell(given.get(column))
            and _stripped(given, column).casefold() not in not_tried
        ):
            tried.append(column)
    was_absent = any(
        _stripped(given, column) in words for column, words in items.not_tried_if.items()
    )
    if not tried or was_absent:
        yield {"left_out": NOT_TRIED}
        return
    students = [column for column, field in mapping.columns.items() if field in STUDENT_FIELDS]
    absent = [column for column in students if column not in cells]
    if absent:
        # A row without a student, such as the mean of the class, gives one reject, and not one for each item.
        yield {
            "wrong": [f"{absent[0]} (data.{mapping.columns[absent[0]]})", "an id", "", "is blank"]
        }
        return
    for column in tried:
        line: dict[str, Any] = {"column": column, "cells": {**cells, column: given[column]}}
        if column in items.points_in:
            line["points"] = given.get(items.points_in[column])
        yield line


def _is_of_all_students(given: dict[str, Cell], mapping: Mapping, items: Items) -> bool:
    """Return whether a row is the mean, the points or another row about all students together.

    Its label stands in the place of an id or a name, or in any cell of a row without an id.
    """
    words = {_label(word) for word in items.not_students}
    students = [column for column, field in mapping.columns.items() if field in STUDENT_FIELDS]
    ids = [_stripped(given, column) for column in students]
    has_id = any(any(map(str.isalnum, student_id)) for student_id in ids)
    names = []
    if has_id:
        for column, field in mapping.columns.items():
            name = _stripped(given, column)
            if field in ID_OF_NAME and not may_be_a_first_name(name):
                names.append(name)
    else:
        names = [cell_text(cell).strip() for cell in given.values()]
    return any(text and _label(text) in words for text in (*ids, *names))


def _label(text: str) -> str:
    """Return the label of a row without differences in case, width and the sign at its end."""
    return unicodedata.normalize("NFKC", text).casefold().strip(" .:\t")


def _stripped(given: dict[str, Cell], column: str) -> str:
    return cell_text(given.get(column)).strip()


def _place(sheet: str | None, number: int) -> dict[str, Any]:
    return {"sheet": sheet, "row": number}


_PERCENT = 100.0
# A mark with extra points is hardly more than this share. Such marks are set aside, but the number may mean one.
_LARGEST_SHARE = 2


class TableSource:
    """The text of tables (see above) as a source of records."""

    def __init__(self, mapping: Mapping) -> None:
        self._columns = tuple(column for column, field in mapping.columns.items() if field)
        self._reader = CellReader(mapping, self._columns)
        self._items = mapping.items
        self._score = cell_parser(mapping, "score")
        self._decimal = mapping.decimal
        self._correct = cell_parser(mapping, "correct")
        self._words = mapping.values.get("score", {})
        self._lines = Lines()

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[RowChunk]:
        return self._lines.chunks(blocks, rows_per_chunk)

    def read(self, line: int, raw: bytes, latest: datetime | None = None) -> Content:
        """Return the content of a row. `line` is the line in this text, with which the ledger distinguishes records.

        A reject has the number of the row in its sheet.
        """
        return read_converted_line(line, raw, self._record, latest)

    def people(self, raw: bytes) -> People:
        line = decode_json(raw)
        if "cells" not in line:
            raise InvalidRecord("(row)", "the cells of a row", "", "has none")
        return self._reader.people(self._listed(line["cells"]))

    def _listed(self, cells: dict[str, Cell]) -> list[Cell]:
        return [cells.get(column) for column in self._columns]

    def _record(self, line: dict[str, Any]) -> Record | Withdrawal:
        value = self._reader.record(self._listed(line["cells"]))
        column = line.get("column")
        if self._items and column:
            data = value["data"]
            data |= self._attempt(self._items, column, line, data)
            if self._items.one_attempt:
                which = [
                    data.get(field)
                    for field in ("student_id", "item_id", "course_id", "course_ids")
                ]
                value["record_id"] = hashlib.sha256(escaped(as_json(which)).encode()).hexdigest()
        try:
            return parse_row(value)
        except InvalidRecord as problem:
            field = problem.field.removeprefix("data.")
            if column and field in ITEM_FIELDS:
                problem = InvalidRecord(
                    f"{column} ({problem.field})", problem.expected, problem.found, problem.reason
                )
                raise problem from None
            raise self._reader.by_column(problem) from None

    def _attempt(
        self, items: Items, column: str, line: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the data of the attempt in a cell of a wide table. Raises InvalidRecord.

        `data` is that of the other columns. A table with one item column may state the item there.
        """
        cell = line["cells"][column]
        own_id = data.get("item_id")
        course = data.get("course_id", "")
        if items.names_the_course and not course:
            raise InvalidRecord(self._reader.name_of("course_id"), "an id", "", "is blank")
        item_id = items.id_of(column, line.get("sheet"), course, own_id)
        found: dict[str, Any] = {"item_id": item_id}
        title = own_id or one_line(column)
        if item_id != title and "item_title" not in data:
            found["item_title"] = title
        points = items.points_of(column)
        if column in items.points_in:
            points = self._points_in_row(items.points_in[column], line.get("points"))
        if points is None:
            return {
                **found,
                "correct": self._value(self._correct, cell, f"{column} (data.correct)"),
            }
        found["score"] = self._value(
            partial(self._share, points=points), cell, f"{column} (data.score)"
        )
        possible = self._possible(cell, points)
        if possible is not None:
            found["max_score"] = possible
        if isinstance(cell, str) and is_late(cell):
            found["late"] = True
        return found

    def _possible(self, cell: Cell, points: float) -> float | None:
        """Return how many points were possible, or None if the file does not say it.

        The cell must hold a share. A percentage and a word of the mapping have no points, and a scale of 100 may be
        that of a column of percentages.
        """
        is_a_word = cell_text(cell).strip() in self._words
        if isinstance(cell, str):
            cell = without_unit(cell)
        fraction = FRACTION.fullmatch(cell) if isinstance(cell, str) else None
        if fraction:
            possible = readings_of(fraction["points"], self._decimal)
            return float(possible[0].value) if len(possible) == 1 else None
        is_percentage = cell_text(cell).endswith(PERCENT_SIGNS)
        if is_a_word or is_percentage or points == _PERCENT:
            return None
        return points

    def _points_in_row(self, column: str, cell: Cell) -> float:
        """Return the points that a row states for its item. Raises InvalidRecord."""
        try:
            points = self._number(cell)
        except (ValueError, ArithmeticError):
            points = Decimal("nan")
        if not points.is_finite() or points <= 0:
            raise InvalidRecord(
                column, "a number above 0", shorten(cell_text(cell)), "is not of the mapping's form"
            )
        return float(points)

    def _value(self, parse: Callable[[Cell], Any], cell: Cell, field: str) -> Any:
        """Return what `parse` makes of a cell. Raises InvalidRecord."""
        try:
            return parse(cell)
        except ValueError as error:
            shown = shorten(cell_text(cell))
            raise InvalidRecord(field, str(error), shown, "is not of the mapping's form") from None

    def _share(self, cell: Cell, points: float) -> float:
        """Return the share of the points in a cell. Raises ValueError.

        A percentage, a fraction and a word of the mapping are already shares.
        """
        form = f"a number from 0 to {points:g}"
        is_a_word = cell_text(cell).strip() in self._words
        if isinstance(cell, str) and not is_a_word:
            cell = without_unit(cell)
        fraction = FRACTION.fullmatch(cell) if isinstance(cell, str) else None
        try:
            if fraction:
                share = self._share_of_fraction(fraction["mark"], fraction["points"])
            elif is_a_word:
                share = Decimal(self._score(cell))
            elif isinstance(cell, str) and cell.endswith(PERCENT_SIGNS):
                share = self._number(cell)
            else:
                share = self._mark(cell, points) / Decimal(str(points))
        except ArithmeticError:
            raise ValueError(form) from None
        if not share.is_finite() or abs(share) > 1:
            raise ValueError(form)
        return float(share)

    def _mark(self, cell: Cell, points: float) -> Decimal:
        """Return the mark in a cell. A sign before three digits may stand before decimals or between thousands.

        Raises ValueError if more than one reading can be meant, also as a mark with extra points, or ArithmeticError.
        """
        if not isinstance(cell, str):
            return self._number(cell)
        readings = [each.value for each in readings_of(cell.strip(), self._decimal)]
        if not readings:
            return self._number(cell)
        possible = [each for each in readings if abs(each) <= _LARGEST_SHARE * Decimal(str(points))]
        if len(possible) > 1:
            raise ValueError(f"a number that is not both {possible[0]:f} and {possible[1]:f}")
        return (possible or readings)[0]

    def _share_of_fraction(self, mark: str, points: str) -> Decimal:
        """Return the only share that a mark and its points can mean. Raises ValueError or ArithmeticError."""
        shares = _possible_shares(mark, points, self._decimal)
        if not shares:
            return self._number(mark) / self._number(points)
        # No points of the column say which sign of these points stands between thousands.
        if any(each.decimal == "," for each in readings_of(points, ",")):
            shares |= _possible_shares(mark, points, ",")
        if len(shares) > 1:
            raise ValueError("a mark and its points with one meaning of the signs in them")
        return shares.pop()

    def _number(self, cell: Cell) -> Decimal:
        """Return the number in a cell, and a percentage as a share. It is not finite if the cell has another form.

        Raises ValueError or ArithmeticError.
        """
        if isinstance(cell, bool):
            return Decimal("nan")
        text = str(self._score(cell)).strip()
        # Decimal also takes 1_0, 1e1 and nan. These are not marks.
        if isinstance(cell, str) and not WITH_POINT.fullmatch(text):
            return Decimal("nan")
        return Decimal(text)


def _possible_shares(mark: str, points: str, decimal: str) -> set[Decimal]:
    """Return the shares that a mark and its points can mean, up to 2. Raises ArithmeticError for 0 points."""
    shares = set()
    for of_mark, of_points in product(readings_of(mark, decimal), readings_of(points, decimal)):
        # A sign has the same meaning in both numbers.
        has_sign_in_one_only = None in {of_mark.decimal, of_points.decimal}
        is_consistent = has_sign_in_one_only or of_mark.decimal == of_points.decimal
        if is_consistent:
            share = of_mark.value / of_points.value
            if abs(share) <= _LARGEST_SHARE:
                shares.add(share)
    return shares


def _listed(columns: Sequence[str]) -> str:
    return shorten(", ".join(columns))
