"""A suggested mapping for a table without one, from the names of its columns and its first rows.

`column_names.yaml` lists names of columns in exports for each field of a record. `cell_values.yaml` lists words for
the allowed values of fields.
"""

import re
import unicodedata
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from importlib import resources
from typing import Any, cast

import yaml

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.records import DATA_OF_TYPE, ONE_OF, RECORD_TYPES, RecordType
from edugraph_common.sources.cells import DATES, NUMBERS
from edugraph_common.sources.mapping import EXCEL, ITEM_FIELDS
from edugraph_common.sources.row_numbers import are_row_numbers
from edugraph_common.sources.wide_tables import ItemPoints, SuggestedItems, is_of_students, points_row, suggest_items

_DATE_FORMATS = (
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y年%m月%d日",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
)


_EXCEL_DAYS = re.compile(r"[2-6]\d{4}(?:[.,]\d+)?")  # 1954 to 2091, as Excel counts days
_DECIMAL_COMMA = re.compile(r"\d+,\d+ ?[%％]?")

_MORE_SHEETS = "name more sheets if they have the same columns, or none to read all that have them"
_NUMBERS_THE_ROWS = (
    "numbers the rows, and the import leaves it out (null): record_id needs a column whose values are unique "
    "over all files"
)
_NO_COURSE = "no column names the course: name it under constants, as in `course_id: MATH7`"


class MappingSuggestion(ContractModel):
    """A suggestion. `mapping` is the text of a mapping file. `open_points` are questions that a person must decide.

    `item_points` are the points of a wide table's columns with marks, which a person must confirm.
    """

    mapping: str
    type: RecordType
    open_points: tuple[str, ...]
    item_points: tuple[ItemPoints, ...] = ()


def suggest_mapping(
    header: Sequence[str], rows: Sequence[Sequence[str]], sheet: str | None = None
) -> MappingSuggestion:
    """Return a mapping from the names of the columns (`header`) and the cells of the first few rows.

    `sheet` is the sheet of a workbook that has the table.
    """
    words = _load("cell_values")
    cells_of = _by_column(header, rows)
    wide = _wide(header, rows, words["correct"])
    record_type, columns, items = wide or (*_best_fit(header), None)
    numbering = [
        column
        for column, field in columns.items()
        if field == "record_id" and are_row_numbers(column, cells_of[column])
    ]
    columns |= dict.fromkeys(numbering)
    cells = {field: cells_of[column] for column, field in columns.items() if field}
    suggested: dict[str, Any] = {"type": record_type, "columns": columns}
    suggested |= {"sheets": [sheet]} if sheet else {}
    suggested |= {"items": items.items} if items else {}
    values = {
        field: {cell: words[field][cell] for cell in sorted(set(seen)) if cell in words[field]}
        for field, seen in cells.items()
        if field in words
    } | ({"correct": items.correct} if items else {})
    if any(values.values()):
        suggested["values"] = {field: meanings for field, meanings in values.items() if meanings}
    if formats := _date_formats(cells):
        suggested["date_formats"] = formats
    numbers = [cell for field in NUMBERS for cell in cells.get(field, ()) if not cell.isdigit()]
    if numbers and all(_DECIMAL_COMMA.fullmatch(cell) for cell in numbers):
        suggested["decimal"] = ","
    required = _required(record_type, cells.keys()) - (ITEM_FIELDS if items else set())
    missing = sorted((required | {"timestamp"}) - set(cells))
    if missing:
        suggested["constants"] = dict.fromkeys(missing, "?")
    open_points = (
        *(f"{field} has no column: name one, or replace the ? by a constant" for field in missing),
        *(items.open_points if items else ()),
        *((_MORE_SHEETS,) if sheet else ()),
    )
    for column in numbering:
        open_points += (f"{column} {_NUMBERS_THE_ROWS}",)
    if left_out := [column for column, field in columns.items() if field is None and column not in numbering]:
        open_points += (f"no field fits {', '.join(left_out)}: the import leaves them out (null)",)
    text = yaml.safe_dump(suggested, allow_unicode=True, sort_keys=False)
    item_points = tuple(items.points) if items else ()
    return MappingSuggestion(mapping=text, type=record_type, open_points=open_points, item_points=item_points)


def _by_column(header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Return the cells of each column that are not blank."""
    return {
        column: [row[place].strip() for row in rows if place < len(row) and row[place].strip()]
        for place, column in reversed(list(enumerate(header)))
    }


def _wide(
    header: Sequence[str], rows: Sequence[Sequence[str]], words: AnyMapping[str, str]
) -> tuple[RecordType, dict[str, str | None], SuggestedItems] | None:
    """Return (type, fields of columns, items) of a wide table of students, or None if the table is not one."""
    names = _names_of_fields()
    fields = ("student_id", "student_name", "timestamp", "course_id")
    columns: dict[str, str | None] = {}
    for column in header:
        taken = set(columns.values())
        fitting = (field for field in fields if _plain(column) in names[field] and field not in taken)
        columns[column] = next(fitting, None)
    known = set().union(*names.values())
    others = [column for column in header if column and _plain(column) not in known]
    if "student_id" not in columns.values():
        return None
    stated = dict(zip(header, points_row(rows) or (), strict=False))
    cells = _by_column(header, [row for row in rows if is_of_students(row)])
    found = suggest_items(others, cells, words, stated)
    if found is None:
        return None
    if "course_id" not in columns.values():
        found.open_points.append(_NO_COURSE)
    left = {column: field for column, field in columns.items() if column not in found.columns}
    return "attempt_record", left, found


def _names_of_fields() -> dict[str, set[str]]:
    """Return field -> names of its columns in exports, in their plain form."""
    return {field: {_plain(name) for name in (field, *others)} for field, others in _load("column_names").items()}


def _best_fit(header: Sequence[str]) -> tuple[RecordType, dict[str, str | None]]:
    """Return the record type that fits the columns best, and column -> field (None if no field fits).

    The best type has the most required fields with a column, less those without one. Among equal types, the one with
    the most fields is chosen. A field gets the first column that fits.
    """
    names = _names_of_fields()
    candidates: list[tuple[tuple[int, int], RecordType, dict[str, str | None]]] = []
    for record_type in RECORD_TYPES:
        columns: dict[str, str | None] = {}
        fields = ("timestamp", "record_id", *DATA_OF_TYPE[record_type].model_fields)
        for column in header:
            taken = set(columns.values())
            fitting = (field for field in fields if _plain(column) in names[field] and field not in taken)
            columns[column] = next(fitting, None)
        found = {field for field in columns.values() if field}
        if record_type == "point_record" and not found & {"point_id", "names", "requires"}:
            continue  # Most tables have a name, so a name alone does not identify the type.
        required = _required(record_type, found)
        fitness = (len(found & required) - len(required - found), len(found))
        candidates.append((fitness, record_type, columns))
    _, record_type, columns = max(candidates, key=lambda candidate: candidate[0])
    return record_type, columns


def _required(record_type: RecordType, found: AbstractSet[str]) -> set[str]:
    """Return the fields that the type requires. `found` are the fields that have a column."""
    fields = DATA_OF_TYPE[record_type].model_fields
    required = {name for name, field in fields.items() if field.is_required()}
    # If a type requires one of two fields, a check of its model says so, and not a field.
    one_of = ONE_OF.get(record_type, ())
    return required | {next((field for field in one_of if field in found), one_of[0])} if one_of else required


def _date_formats(cells: AnyMapping[str, Sequence[str]]) -> list[str]:
    """Return the formats of the columns with dates: for each column the first format that fits all its cells.

    ISO 8601 needs no format.
    """
    formats: list[str] = []
    for field, seen in cells.items():
        if field not in DATES or all(_is_date(cell) for cell in seen):
            continue
        if seen and all(_EXCEL_DAYS.fullmatch(cell) for cell in seen):
            formats.append(EXCEL)
            continue
        fitting = (form for form in _DATE_FORMATS if all(_is_date(cell, form) for cell in seen))
        first = next(fitting, None)
        if first and first not in formats:
            formats.append(first)
    return formats


def _is_date(cell: str, date_format: str | None = None) -> bool:
    """Return whether the cell is a date in this format, or in ISO 8601 if no format is given."""
    try:
        if date_format is None:
            datetime.fromisoformat(cell)
        else:
            datetime.strptime(cell, date_format)  # noqa: DTZ007 - the date is not used
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    """Return the name of a column without differences in case, width, spaces and punctuation between exports."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if char.isalnum())


def _load(name: str) -> dict[str, Any]:
    text = resources.files("edugraph_common.sources").joinpath(f"{name}.yaml").read_text("utf-8")
    return cast("dict[str, Any]", yaml.safe_load(text))
