"""A suggested mapping for a table without one, from the names of its columns and its first rows.

`column_names.yaml` lists names of columns in exports for each field of a record. `cell_values.yaml` lists words for
the allowed values of fields.
"""

import re
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, cast

import yaml

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.records import DATA_OF_TYPE, ONE_OF, RECORD_TYPES, RecordType
from edugraph_common.sources.cells import DATES, NUMBERS, parse_google
from edugraph_common.sources.gradebook_layouts import (
    RecordsLayout,
    has_student_ids,
    plain,
    records_layout_of,
    stem_of,
    words,
)
from edugraph_common.sources.mapping import EXCEL, GOOGLE, ITEM_FIELDS, UNKNOWN, mapping_text
from edugraph_common.sources.marks import read_mark
from edugraph_common.sources.row_numbers import are_row_numbers
from edugraph_common.sources.wide_tables import Gradebook, ItemPoints, SuggestedItems

DATE_FORMATS = (
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
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%Y年%m月%d日 %H:%M",
    GOOGLE,
)


_EXCEL_DAYS = re.compile(r"[2-6]\d{4}(?:[.,]\d+)?")  # 1954 to 2091, as Excel counts days
_UNIX_SECONDS = re.compile(r"1\d{9}")
# Exports write 2026-11-20 or 20261120 into the names of their files.
_DATE_IN_NAME = re.compile(
    r"(?<!\d)(?P<year>20\d\d)(?P<sign>-?)(?P<month>[01]\d)(?P=sign)(?P<day>[0-3]\d)(?![\d])"
)
_DECIMAL_COMMA = re.compile(r"\d+,\d+ ?[%％]?")

_MORE_SHEETS = "name more sheets if they have the same columns, or none to read all that have them"
_NUMBERS_THE_ROWS = (
    "numbers the rows, and the import leaves it out (null): record_id needs a column whose values are unique "
    "over all files"
)
_NO_COURSE = "no column names the course: name it under constants, as in `course_id: MATH7`"


class MappingSuggestion(ContractModel):
    """A suggestion. `mapping` is the text of a mapping file. `open_points` are questions that a person must decide.

    `layout` is the export that the names of the columns identify, or None. `item_points` are the points of a wide
    table's columns with marks, which a person must confirm.
    """

    mapping: str
    type: RecordType
    open_points: tuple[str, ...]
    layout: str | None = None
    item_points: tuple[ItemPoints, ...] = ()


class _Origin(NamedTuple):
    """The sheet and the name of the file that a table comes from, and the day on which it is looked at."""

    sheet: str | None
    file_name: str | None
    today: date | None


def suggest_mapping(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    sheet: str | None = None,
    *,
    file_name: str | None = None,
    today: date | None = None,
) -> MappingSuggestion:
    """Return a mapping from the names of the columns (`header`) and the cells of the first rows.

    - `sheet`: the sheet of a workbook that has the table.
    - `file_name`: the name of the export, from which a course may be known.
    - `today`: the date of a gradebook that states none. Without it, a person must state the date.
    """
    records = records_layout_of(header)
    if records:
        return _of_records(header, rows, sheet, records)
    names = _names_of_fields()
    known = set().union(*names.values())
    right_words = _load("cell_values")["correct"]
    gradebook = Gradebook(header, rows, known, right_words, file_name)
    found = gradebook.suggestion()
    if found:
        return _of_marks(header, rows, found, _Origin(sheet, file_name, today))
    return _of_fields(header, rows, sheet)


def _of_marks(
    header: Sequence[str], rows: Sequence[Sequence[str]], found: SuggestedItems, origin: _Origin
) -> MappingSuggestion:
    """Return the suggestion for a table of marks."""
    columns = _columns_of_marks(header, found)
    suggested: dict[str, Any] = {"type": "attempt_record", "columns": columns}
    if origin.sheet:
        suggested["sheets"] = [origin.sheet]
    suggested["items"] = found.items
    if found.correct:
        suggested["values"] = {"correct": found.correct}
    if found.shares:
        suggested["values"] = {"score": found.shares}
    questions: list[str] = []
    cells_of = cells_by_column(header, found.students)
    formats, of_dates = date_formats_of(
        {field: cells_of[column] for column, field in found.fields.items()}
    )
    questions += of_dates
    if formats:
        suggested["date_formats"] = formats
    if found.decimal == ",":
        suggested["decimal"] = ","
    constants = _constants_of_marks(header, rows, found, origin, questions)
    if constants:
        suggested["constants"] = constants

    if origin.sheet:
        questions.append(_MORE_SHEETS)
    left_out = [column for column, field in columns.items() if field is None]
    if left_out:
        questions.append(f"no field fits {', '.join(left_out)}: the import leaves them out (null)")
    return MappingSuggestion(
        mapping=mapping_text(suggested),
        type="attempt_record",
        open_points=(*found.open_points, *questions),
        layout=found.layout.name if found.layout else None,
        item_points=tuple(found.points),
    )


def _columns_of_marks(header: Sequence[str], found: SuggestedItems) -> dict[str, str | None]:
    """Return column -> field, in the order of the header. The parts of a name stand in the order of the name."""
    items = set(found.names)
    names = [column for column, field in found.fields.items() if field == "student_name"]
    in_order = iter(names)
    columns: dict[str, str | None] = {}
    for column in dict.fromkeys(header):
        if column in names:
            columns[next(in_order)] = "student_name"
        elif column not in items:
            columns[column] = found.fields.get(column)
    return columns


def _constants_of_marks(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    found: SuggestedItems,
    origin: _Origin,
    questions: list[str],
) -> dict[str, str]:
    """Return the course and the time of a table of marks that has no columns for them, and add what is asked."""
    constants: dict[str, str] = {}
    fields = set(found.fields.values())
    item_id = str(found.items.get("item_id", ""))
    if "course_id" not in fields and "{course}" not in item_id:
        questions.append(_NO_COURSE)
    elif "course_id" not in fields:
        course = None
        if found.layout is not None:
            course = found.layout.course_of(origin.file_name)
        constants["course_id"] = course or UNKNOWN
        question = "no column names the course: name it in place of the ?"
        if course:
            question = f"the name of the file says that the course is {course}: check it"
        questions.append(question)
    if "timestamp" not in fields:
        moment = _date_of_marks(header, rows, origin)
        constants["timestamp"] = moment
        question = f"no column says when: each mark gets {moment}, since a gradebook has the state of its day"
        if moment == UNKNOWN:
            question = "timestamp has no column: name one, or replace the ? by a constant"
        questions.append(question)
    return constants


def _date_of_marks(header: Sequence[str], rows: Sequence[Sequence[str]], origin: _Origin) -> str:
    """Return the date of a file of marks: the one that it states, the one in its name, today, or a question mark."""
    for place, column in enumerate(header):
        if plain(column) not in words().written_at:
            continue
        seconds = [row[place].strip() for row in rows if place < len(row)]
        written = [int(each) for each in seconds if _UNIX_SECONDS.fullmatch(each)]
        if written:
            return datetime.fromtimestamp(max(written), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    in_name = _DATE_IN_NAME.search(stem_of(origin.file_name or ""))
    if in_name:
        try:
            return date(
                int(in_name["year"]), int(in_name["month"]), int(in_name["day"])
            ).isoformat()
        except ValueError:
            pass
    if origin.today:
        return origin.today.isoformat()
    return UNKNOWN


def _of_records(
    header: Sequence[str], rows: Sequence[Sequence[str]], sheet: str | None, layout: RecordsLayout
) -> MappingSuggestion:
    """Return the suggestion for a table whose columns have a known meaning."""
    columns = {column: layout.columns.get(column) for column in header if column != layout.mark}
    suggested: dict[str, Any] = {"type": layout.type, "columns": columns}
    if sheet:
        suggested["sheets"] = [sheet]
    item_points: tuple[ItemPoints, ...] = ()
    open_points = []
    if layout.mark:
        cells = cells_by_column(header, rows)[layout.mark]
        marks = [mark.value for mark in map(read_mark, cells) if mark]
        item_points = (
            ItemPoints(column=layout.mark, points=None, largest=max(marks, default=None)),
        )
        suggested["items"] = {"columns": [layout.mark], "scale": {layout.mark: UNKNOWN}}
        if layout.absent:
            absent = {column: list(words) for column, words in layout.absent.items()}
            suggested["items"]["not_tried_if"] = absent
        open_points.append(
            "the points of the assignments are in another file, MaxPoints of the assignments"
        )
    if layout.values:
        suggested["values"] = layout.values
    given = {field for field in columns.values() if field}
    required = _required(layout.type, given)
    if layout.mark:
        required = required - ITEM_FIELDS
    missing = sorted(required - given)
    if missing:
        suggested["constants"] = dict.fromkeys(missing, UNKNOWN)
        open_points += [
            f"{field} has no column: name one, or replace the ? by a constant" for field in missing
        ]
    return MappingSuggestion(
        mapping=mapping_text(suggested),
        type=layout.type,
        open_points=tuple(open_points),
        layout=layout.name,
        item_points=item_points,
    )


def _of_fields(
    header: Sequence[str], rows: Sequence[Sequence[str]], sheet: str | None
) -> MappingSuggestion:
    """Return the suggestion for a table with a record in each row, by the names of its columns."""
    cells_of = cells_by_column(header, rows)
    record_type, columns = _best_fit(header)
    columns |= _more_people(header, record_type, columns)
    ids = [column for column, field in columns.items() if field == "record_id"]
    numbering = [column for column in ids if are_row_numbers(column, cells_of[column])]
    columns |= dict.fromkeys(numbering)
    cells = {field: cells_of[column] for column, field in columns.items() if field}
    suggested: dict[str, Any] = {"type": record_type, "columns": columns}
    if sheet:
        suggested["sheets"] = [sheet]
    values = _meanings_of_cells(cells)
    if values:
        suggested["values"] = values
    questions: list[str] = []
    formats, of_dates = date_formats_of(cells)
    questions += of_dates
    if formats:
        suggested["date_formats"] = formats
    if _have_decimal_commas(cells):
        suggested["decimal"] = ","
    missing = sorted((_required(record_type, cells.keys()) | {"timestamp"}) - set(cells))
    if missing:
        suggested["constants"] = dict.fromkeys(missing, UNKNOWN)
    open_points = [
        f"{field} has no column: name one, or replace the ? by a constant" for field in missing
    ]
    open_points += questions
    if sheet:
        open_points.append(_MORE_SHEETS)
    open_points += [f"{column} {_NUMBERS_THE_ROWS}" for column in numbering]
    left_out = [
        column for column, field in columns.items() if field is None and column not in numbering
    ]
    if left_out:
        open_points.append(
            f"no field fits {', '.join(left_out)}: the import leaves them out (null)"
        )
    text = mapping_text(suggested)
    return MappingSuggestion(mapping=text, type=record_type, open_points=tuple(open_points))


def _meanings_of_cells(cells: AnyMapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """Return field -> cell -> its value, for the cells that are known words of the field."""
    known = _load("cell_values")
    values = {}
    for field, seen in cells.items():
        words_of_field = known.get(field, {})
        found = {cell: words_of_field[cell] for cell in sorted(set(seen)) if cell in words_of_field}
        if found:
            values[field] = found
    return values


def _have_decimal_commas(cells: AnyMapping[str, Sequence[str]]) -> bool:
    """Return whether there are numbers that are not whole, and all of them have a decimal comma."""
    numbers: list[str] = []
    for field in NUMBERS:
        numbers += [cell for cell in cells.get(field, ()) if not cell.isdigit()]
    return bool(numbers) and all(_DECIMAL_COMMA.fullmatch(cell) for cell in numbers)


def _more_people(
    header: Sequence[str], record_type: RecordType, columns: AnyMapping[str, str | None]
) -> dict[str, str | None]:
    """Return column -> field of a class list that has addresses in place of ids, or names in two columns."""
    found: dict[str, str | None] = {}
    given = set(columns.values())
    fields = DATA_OF_TYPE[record_type].model_fields
    names_a_person = {"student_id", "teacher_id"} & given
    if "student_id" in fields and not names_a_person:
        left = {plain(column): column for column in header if columns[column] is None}
        listed = [left[name] for name in words().ids if name in left]
        others = [column for column in left.values() if has_student_ids(column)]
        for column in (*listed, *others)[:1]:
            found[column] = "student_id"
    if "student_name" in fields and "student_name" not in given:
        parts = words().first_names | words().family_names
        found |= {column: "student_name" for column in header if plain(column) in parts}
    return found


def cells_by_column(header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Return the cells of each column that are not blank."""
    found = {}
    for place, column in reversed(list(enumerate(header))):
        found[column] = [
            row[place].strip() for row in rows if place < len(row) and row[place].strip()
        ]
    return found


@cache
def _names_of_fields() -> AnyMapping[str, AbstractSet[str]]:
    """Return field -> names of its columns in exports, in their plain form."""
    names: dict[str, set[str]] = {}
    for field, others in _load("column_names").items():
        names[field] = set(map(plain, (field, *others)))
    return names


def _best_fit(header: Sequence[str]) -> tuple[RecordType, dict[str, str | None]]:
    """Return the record type that fits the columns best, and column -> field (None if no field fits).

    The best type has the most required fields with a column, less those without one. Among equal types, the one with
    the most fields is chosen. A field gets the first column that fits.
    """
    names = _names_of_fields()
    candidates: list[tuple[tuple[int, int], RecordType, dict[str, str | None]]] = []
    for record_type in RECORD_TYPES:
        if record_type == "action_record":
            continue  # No import writes it.
        columns: dict[str, str | None] = {}
        fields = ("timestamp", "record_id", *DATA_OF_TYPE[record_type].model_fields)
        for column in header:
            taken = set(columns.values())
            columns[column] = None
            for field in fields:
                if plain(column) in names[field] and field not in taken:
                    columns[column] = field
                    break
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
    # If a type requires one of several fields, a check of its model says so, and not a field. A table of answers
    # usually says which were right, so the outcome of an attempt is asked for.
    one_of = ONE_OF.get(record_type, ())[:2]
    if one_of:
        return required | {next((field for field in one_of if field in found), one_of[0])}
    return required


def date_formats_of(
    cells: AnyMapping[str, Sequence[str]],
) -> tuple[list[str], list[str]]:
    """Return the formats of the columns with dates, and the questions about them.

    `cells` are those of each field. Each column has the first format that fits all its cells; ISO 8601 needs none. If
    the day and the month can be exchanged, the format is a question mark.
    """
    formats: list[str] = []
    questions: list[str] = []
    for field, seen in cells.items():
        if field not in DATES or all(_is_date(cell) for cell in seen):
            continue
        if seen and all(_EXCEL_DAYS.fullmatch(cell) for cell in seen):
            formats.append(EXCEL)
            continue
        fitting = []
        for form in DATE_FORMATS:
            if all(_is_date(cell, form) for cell in seen):
                fitting.append(form)
        has_two_readings = any(form.startswith("%d/") for form in fitting) and any(
            form.startswith("%m/") for form in fitting
        )
        if has_two_readings:
            questions.append(
                f"{seen[0]} has two readings: say whether the day or the month comes first"
            )
            fitting = [UNKNOWN]
        if fitting and fitting[0] not in formats:
            formats.append(fitting[0])
    return formats, questions


def _is_date(cell: str, date_format: str | None = None) -> bool:
    """Return whether the cell is a date in this format, or in ISO 8601 if no format is given."""
    try:
        if date_format is None:
            datetime.fromisoformat(cell)
        elif date_format == GOOGLE:
            parse_google(cell)
        else:
            datetime.strptime(cell, date_format)  # noqa: DTZ007 - the date is not used
    except ValueError:
        return False
    return True


@cache
def _load(name: str) -> AnyMapping[str, Any]:
    """Return a file beside this module. A preview needs it three times."""
    text = resources.files("edugraph_common.sources").joinpath(f"{name}.yaml").read_text("utf-8")
    return cast("AnyMapping[str, Any]", yaml.load(text, yaml.CSafeLoader))
