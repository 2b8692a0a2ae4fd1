"""The cells of one row of a table become the JSON of one record, as the mapping says."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

from edugraph_common.contracts.records import InvalidRecord, shorten
from edugraph_common.sources.mapping import ENVELOPE, EXCEL, Mapping
from edugraph_common.sources.students import STUDENT_FIELDS, as_id

DATES = frozenset({"timestamp", "enrollment_date", "completion_date", "starts", "ends"})
LISTS = frozenset({"topics", "course_ids", "knowledge_points", "breaks", "names", "requires"})
PERCENTAGES = frozenset({"progress"})  # in which "85 %" is 85
SHARES = frozenset({"score"})  # from 0 to 1, in which "85 %" is 0.85
_COUNTS = {"message_count", "like_count", "interaction_count", "occurrence_count", "attempt_number"}
NUMBERS = PERCENTAGES | SHARES | {"time_spent", "duration_seconds"} | _COUNTS

_ISO_WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.,]+)?")
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d{1,9})?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(?:,\d+)?")
_BETWEEN = re.compile(r" to | - |[~～–—至到]")
_ENDS = 2  # of an interval
_EXCEL_DAYS = re.compile(r"\d{2,7}(?:[.,]\d{1,15})?")
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - the mapping says the zone
_FIRST_EXCEL_DAY = 61  # Excel believes that 1900 was a leap year, so the days before 1900-03-01 are off by one.

Cell = str | int | float | list[Any] | dict[str, str] | None
"""A cell of a CSV is text. One of a workbook or of Parquet has a type: text, a number, a boolean, a list, empty,
{"date": ISO 8601}, or {"other": what it is} for a type that no field takes."""

CellParser = Callable[[Any], Any]
"""Takes a Cell that is not blank. Raises ValueError, whose text is the form that was expected."""


class CellReader:
    """Reads the rows of one table. `columns` are the names in its header."""

    def __init__(self, mapping: Mapping, columns: Sequence[str]) -> None:
        self._constants = dict(mapping.constants)
        if mapping.type:
            self._constants["type"] = mapping.type
        self._columns = {field: column for column, field in mapping.columns.items() if field}
        self._cells = [
            (columns.index(column), field, cell_parser(mapping, field)) for field, column in self._columns.items()
        ]

    def record(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """Return the JSON of a record. A blank cell is a field that is not given. Raises InvalidRecord."""
        fields = dict(self._constants)
        for place, field, parse in self._cells:
            if is_blank_cell(cells[place]):
                continue
            try:
                fields[field] = parse(cells[place])
            except ValueError as error:
                raise InvalidRecord(
                    self.name_of(field), str(error), shorten(cell_text(cells[place])), "is not of the mapping's form"
                ) from None
        envelope = {name: fields.pop(name) for name in ENVELOPE if name in fields}
        return {**envelope, "data": fields}

    def students(self, cells: Sequence[Cell]) -> Iterator[str]:
        """Yield the ids of students in the cells and the constants, whatever the other cells hold."""
        for field, value in self._constants.items():
            if field in STUDENT_FIELDS and as_id(value):
                yield as_id(value)
        for place, field, parse in self._cells:
            if field in STUDENT_FIELDS and place < len(cells) and (student_id := as_id(parse(cells[place]))):
                yield student_id

    def by_column(self, problem: InvalidRecord) -> InvalidRecord:
        """Return the same problem, told by the column of the field."""
        field = problem.field.removeprefix("data.").split(".", maxsplit=1)[0]
        return InvalidRecord(self.name_of(field, problem.field), problem.expected, problem.found, problem.reason)

    def name_of(self, field: str, path: str | None = None) -> str:
        """Return the name of a field for a person: its column with its path in the record."""
        path = path or (field if field in ENVELOPE else f"data.{field}")
        return f"{self._columns[field]} ({path})" if field in self._columns else path


def is_blank_cell(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def cell_text(cell: Cell) -> str:
    """Return a cell as a CSV of the same table would have it."""
    match cell:
        case None:
            return ""
        case str():
            return cell
        case bool():
            return str(cell).lower()
        case dict():
            return cell.get("date") or f"({cell.get('other')})"
        case list():
            return "; ".join(map(cell_text, cell))
        case _:
            return str(cell)


def cell_parser(mapping: Mapping, field: str) -> CellParser:
    """Return what makes the value of a field of a cell.

    The mapping says how text is read. What has a type already needs none of that: a date of a workbook is that date,
    whatever the mapping's format, and its numbers have no decimal comma.
    """
    parse = _parser(mapping, field)
    words = mapping.values.get(field, {})
    zone = ZoneInfo(mapping.time_zone) if mapping.time_zone else UTC

    def parse_cell(cell: Cell) -> Any:
        if isinstance(cell, str):
            return parse(cell)
        text = cell_text(cell)
        if text in words:
            return words[text]
        match cell:
            case {"date": moment} if field in DATES:
                date = datetime.fromisoformat(moment)
                return date if date.tzinfo else date.replace(tzinfo=zone)
            case {"other": kind}:
                raise ValueError(f"text, a number or a date, and no {kind}")
            case list() if field in LISTS:
                return list(map(cell_text, cell))
            case list():
                raise ValueError("one value, and no list")
            case bool():
                return cell
            case _:
                # Excel may have a date as the bare number of its days.
                return parse(text) if field in DATES else text

    return parse_cell


def _parser(mapping: Mapping, field: str) -> CellParser:
    parse: CellParser = str
    if field in DATES and (mapping.date_formats or mapping.time_zone):
        parse = partial(_parse_date, mapping.date_formats, ZoneInfo(mapping.time_zone) if mapping.time_zone else UTC)
    elif field in NUMBERS:
        parse = partial(_parse_number, mapping.decimal, field)
    elif field == "breaks":
        zone = ZoneInfo(mapping.time_zone) if mapping.time_zone else UTC
        parse = partial(_parse_intervals, mapping.list_separator, mapping.date_formats, zone)
    elif field in LISTS:
        parse = partial(_parse_list, mapping.list_separator)
    if field not in mapping.values:
        return parse
    values = mapping.values[field]
    # A cell that the mapping does not name may hold the value itself.
    return lambda cell: values[cell.strip()] if cell.strip() in values else parse(cell)


def _parse_list(separator: str, cell: str) -> list[str]:
    return [item.strip() for item in cell.split(separator) if item.strip()]


def _parse_intervals(separator: str, date_formats: tuple[str, ...], zone: tzinfo, cell: str) -> list[str]:
    """Return intervals as ISO 8601 writes them. What is none is returned as it is, for the contract of records."""
    found = []
    for item in _parse_list(separator, cell):
        ends = _BETWEEN.split(item) if _BETWEEN.search(item) else item.split("/")
        if len(ends) == _ENDS:
            dates = (_parse_date(date_formats, zone, end) for end in ends)
            item = "/".join(date if isinstance(date, str) else date.isoformat() for date in dates)  # noqa: PLW2901
        found.append(item)
    return found


def _parse_number(decimal: str, field: str, cell: str) -> str:
    """Return the number as JSON writes it. The contract of records says whether it is one."""
    number = cell.strip()
    if field in PERCENTAGES | SHARES:
        number = number.rstrip("%％").rstrip()
    is_percentage = field in SHARES and number != cell.strip()
    if decimal == ",":
        if not _DECIMAL_COMMA.fullmatch(number):
            raise ValueError("a number like 85,5 (the mapping's decimal is a comma)")
        number = number.replace(",", ".")
    if is_percentage and _NUMBER.fullmatch(number):
        return str(Decimal(number) / 100)
    return number


@lru_cache(maxsize=4_096)
def _parse_date(date_formats: tuple[str, ...], zone: tzinfo, cell: str) -> datetime | str:
    """Cached, since to read a date costs as much as all the rest of a row, and the rows of a table share dates.

    Without a format, what is not ISO 8601 is returned as it is, and the contract of records says what is wrong.
    """
    text = cell.strip()
    if not date_formats:
        try:
            moment = datetime.fromisoformat(text) if _ISO_WITHOUT_ZONE.fullmatch(text) else None
        except ValueError:
            moment = None
        return moment.replace(tzinfo=zone) if moment else cell
    for date_format in date_formats:
        try:
            moment = _parse_excel(text) if date_format == EXCEL else datetime.strptime(text, date_format)  # noqa: DTZ007 - the next line adds the zone
        except ValueError:
            continue
        return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
    shown = ("45291.625 (Excel)" if date_format == EXCEL else date_format for date_format in date_formats)
    raise ValueError(f"a date like {' or '.join(shown)}")


def _parse_excel(cell: str) -> datetime:
    """Read days since the end of 1899, to the millisecond, which is as much as Excel shows. Raises ValueError."""
    days = float(cell.replace(",", ".")) if _EXCEL_DAYS.fullmatch(cell) else 0.0
    if days < _FIRST_EXCEL_DAY:
        raise ValueError
    try:
        return _EXCEL_EPOCH + timedelta(milliseconds=round(days * 86_400_000))
    except OverflowError:
        raise ValueError from None
