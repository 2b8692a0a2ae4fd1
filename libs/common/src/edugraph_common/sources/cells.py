"""Conversion of the cells of a table's row into the JSON of a record, by the mapping."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache, partial
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from edugraph_common.contracts.records import InvalidRecord, shorten
from edugraph_common.sources.mapping import ENVELOPE, EXCEL, GOOGLE, NAMES_IN_PARTS, Mapping
from edugraph_common.sources.students import (
    ID_OF_NAME,
    NAME_OF_PERSON,
    STUDENT_FIELDS,
    People,
    ids_in,
    may_lack_a_student,
    names_without_id,
)

DATES = frozenset(
    {
        "timestamp",
        "changed_at",
        "enrollment_date",
        "completion_date",
        "starts",
        "ends",
        "opens_at",
        "due_at",
    }
)
DEADLINES = frozenset({"due_at"})  # here a day without a time is its end
LISTS = frozenset(
    {"topics", "course_ids", "knowledge_points", "breaks", "names", "requires", "also"}
)
PERCENTAGES = frozenset({"progress"})  # here "85 %" is 85
SHARES = frozenset({"score"})  # from 0 to 1; here "85 %" is 0.85
_COUNTS = {
    "message_count",
    "like_count",
    "interaction_count",
    "occurrence_count",
    "attempt_number",
    "hints",
}
DURATIONS = {"time_spent": 60, "duration_seconds": 1}  # field -> the seconds of its unit
# The fields that say whom a row is about, or that it is about no student.
_PERSON_FIELDS = (
    STUDENT_FIELDS
    | ID_OF_NAME.keys()
    | {NAME_OF_PERSON, "teacher_id", "type", "record_id", "withdrawn"}
)
NUMBERS = PERCENTAGES | SHARES | DURATIONS.keys() | _COUNTS | {"max_score"}
IDS = frozenset(
    {
        "record_id",
        "student_id",
        "student_id_from",
        "student_id_to",
        "teacher_id",
        "course_id",
        "course_ids",
        "item_id",
        "error_type_id",
        "group_id",
        "term",
        "activity_id",
        "point_id",
        "thread_id",
        "reply_to",
        "standard_id",
        "person_id",
        "also",
    }
)

_ISO_WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ][\d:.,]+)?")
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d{1,9})?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(?:,\d+)?")
_BETWEEN = re.compile(r" to | - |[~～–—至到]")
_ENDS = 2  # of an interval
_GOOGLE = re.compile(
    r"(?P<year>\d{4})/(?P<month>\d\d?)/(?P<day>\d\d?) (?P<before>上午|下午)? ?"
    r"(?P<hour>\d\d?):(?P<minute>\d\d):(?P<second>\d\d)(?: (?P<after>AM|PM|am|pm))?(?: GMT(?P<zone>[+-]\d\d?))?"
)
_NOON = 12
_HAN = re.compile(r"[\u3400-\u9fff]+")
_SHOWN_FORMS = {EXCEL: "45291.625 (Excel)", GOOGLE: "2026/05/04 3:07:15 PM GMT+8 (Google Forms)"}
_EXCEL_DAYS = re.compile(r"\d{2,7}(?:[.,]\d{1,15})?")
_EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - the mapping says the zone
# Excel believes that 1900 was a leap year, so the days before 1900-03-01 are off by one.
_FIRST_EXCEL_DAY = 61

# Spreadsheets show a long number in this form, and write it in this form into a CSV. Its last digits are lost.
_ROUNDED = re.compile(r"[+-]?\d+[.,]\d+[eE][+-]?\d+|[+-]?\d+[eE][+-]\d+")
# Words, in any case, that programs write in place of a missing value. NA has this meaning only in capitals.
_MISSING = frozenset(
    {"null", "(null)", "<null>", "\\n", "n/a", "#n/a", "<na>", "nan", "none", "undefined"}
)
_MISSING_IN_CAPITALS = "NA"
# How exports keep Excel from reading the id 0012 as a number.
_FORMULA_OF_TEXT = re.compile(r'\s*="([^"]*)"\s*')
_ERROR_OF_A_SHEET = re.compile(r"#[¡¿]?[A-Z][A-Z0-9/_]*[!?]|#NV|Err:\d{3}")
# The beginning of all texts that `_check_id` refuses. Few ids match it, and matching it is fast.
_MAY_BE_REFUSED = re.compile(r"\s*(?:[+-]?\d+(?:[.,]\d+)?[eE]|[(<\\#nNuUE])")
_ISO_DURATION: TypeAdapter[timedelta] = TypeAdapter(timedelta)

Cell = str | int | float | list[Any] | dict[str, Any] | None
"""A cell of a CSV is text. One of a workbook or of Parquet has a type: text, a number, a boolean, a list, empty,
{"date": ISO 8601}, {"seconds": a number, "text": as a sheet shows it} for a duration, {"rounded": a number} for one
that may have lost its last digits, or {"other": what it is} for a type that no field takes."""

CellParser = Callable[[Any], Any]
"""Takes a Cell that is not blank. Raises ValueError, whose text is the form that was expected."""


class UnusableId(ValueError):
    """A cell that cannot be an id. The text is the expected form."""

    def __init__(self, expected: str, reason: str) -> None:
        super().__init__(expected)
        self.reason = reason


class CellReader:
    """Reads the rows of one table. `columns` are the names in its header."""

    def __init__(self, mapping: Mapping, columns: Sequence[str]) -> None:
        self._constants = dict(mapping.constants)
        if mapping.type:
            self._constants["type"] = mapping.type
        self._list_separator = mapping.list_separator
        self._columns = {field: column for column, field in mapping.columns.items() if field}
        self._cells = [
            (columns.index(column), field, cell_parser(mapping, field))
            for column, field in mapping.columns.items()
            if field
        ]

    def record(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """Return the JSON of a record. Blank cells are left out. Raises InvalidRecord."""
        fields = dict(self._constants)
        for place, field, parse in self._cells:
            if is_blank_cell(cells[place]):
                continue
            try:
                found = parse(cells[place])
            except ValueError as error:
                reason = "is not of the mapping's form"
                if isinstance(error, UnusableId):
                    reason = error.reason
                raise InvalidRecord(
                    self.name_of(field), str(error), shorten(cell_text(cells[place])), reason
                ) from None
            if field == "max_score" and _is_zero(found):
                continue  # The work is not graded by points.
            if field in NAMES_IN_PARTS and field in fields:
                found = _joined(str(fields[field]), cell_text(cells[place]))
            fields[field] = found
        envelope = {name: fields.pop(name) for name in ENVELOPE if name in fields}
        return {**envelope, "data": fields}

    def people(self, cells: Sequence[Cell]) -> People:
        """Return the students in the cells and the constants, whatever the other cells hold.

        If no student has an id where one is wanted, any cell may hold a name, also one that the mapping leaves out.
        Text that cannot be used as an id, such as NULL, counts as an id and as a missing one.
        """
        given = {
            field: value for field, value in self._constants.items() if field in _PERSON_FIELDS
        }
        unusable: set[str] = set()
        for place, field, parse in self._cells:
            if field not in _PERSON_FIELDS or place >= len(cells) or is_blank_cell(cells[place]):
                continue
            if field in ID_OF_NAME:
                name = cell_text(cells[place])
                if field in given:
                    name = _joined(str(given[field]), name)
                given[field] = name
                continue
            try:
                given[field] = parse(cells[place])
            except ValueError:
                text = cell_text(cells[place])
                given[field] = text
                if field in LISTS:
                    given[field] = _parse_list(self._list_separator, text)
                unusable.add(field)
        ids: set[str] = set()
        has_an_id = False
        for field in STUDENT_FIELDS & given.keys():
            found = set(ids_in(given[field])) - {""}
            ids |= found
            if found and field not in unusable:
                has_an_id = True
        whole = {**self._constants, **given, "data": {"teacher_id": given.get("teacher_id")}}
        names: Iterable[str]
        if has_an_id or may_lack_a_student(whole):
            names = names_without_id(
                {field: value for field, value in given.items() if field not in unusable}
            )
        else:
            constants = (value for value in self._constants.values() if isinstance(value, str))
            names = chain(map(cell_text, cells), constants)
        return People(frozenset(ids), tuple(names))

    def by_column(self, problem: InvalidRecord) -> InvalidRecord:
        """Return the same problem with the column in place of the field."""
        field = problem.field.removeprefix("data.").split(".", maxsplit=1)[0]
        return InvalidRecord(
            self.name_of(field, problem.field), problem.expected, problem.found, problem.reason
        )

    def name_of(self, field: str, path: str | None = None) -> str:
        """Return the name of a field for people: its column and its path in the record."""
        if path is None and field in ENVELOPE:
            path = field
        elif path is None:
            path = f"data.{field}"
        if field in self._columns:
            return f"{self._columns[field]} ({path})"
        return path


def _joined(first: str, second: str) -> str:
    """Return a name from its two parts. Chinese names have no space between them."""
    parts = [first.strip(), second.strip()]
    if all(map(_HAN.fullmatch, parts)):
        return "".join(parts)
    return " ".join(parts)


def is_blank_cell(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def cell_text(cell: Cell) -> str:
    """Return the text that a cell would have in a CSV of the same table."""
    match cell:
        case None:
            return ""
        case str():
            return cell
        case bool():
            return str(cell).lower()
        case dict():
            if "other" in cell:
                return f"({cell['other']})"
            return str(cell.get("date") or cell.get("text") or cell["rounded"])
        case list():
            return "; ".join(map(cell_text, cell))
        case _:
            return str(cell)


def cell_parser(mapping: Mapping, field: str) -> CellParser:
    """Return a function that returns the value of a field for a cell.

    Text is read by the rules of the mapping. A cell with a type is used as it is: a date of a workbook is independent
    of the mapping's date format, and its numbers have no decimal comma.
    """
    parse = _parser(mapping, field)
    words = mapping.values.get(field, {})
    zone = _zone_of(mapping)

    def parse_cell(cell: Cell) -> Any:
        if isinstance(cell, str):
            return parse(cell)
        text = cell_text(cell)
        if text in words:
            return words[text]
        return _typed_value(cell, field, parse, zone)

    def parse_id(cell: Cell) -> Any:
        cell = _without_formula(cell)
        if isinstance(cell, str) and field not in LISTS and not _MAY_BE_REFUSED.match(cell):
            return parse(cell)
        if cell_text(cell).strip() in words:  # the mapping gives the value for this text
            return parse_cell(cell)
        if isinstance(cell, dict) and "rounded" in cell:
            raise _rounded_id()
        found = parse_cell(cell)
        for each in found if isinstance(found, list) else [found]:
            _check_id(each)
        return found

    if field in IDS:
        return parse_id
    return parse_cell


def _typed_value(cell: Cell, field: str, parse: CellParser, zone: tzinfo) -> Any:
    """Return the value of a cell that has a type. `parse` reads text. Raises ValueError."""
    match cell:
        case {"date": moment} if field in DATES:
            date = datetime.fromisoformat(moment)
            if field in DEADLINES:
                date = _end_of_day(date)
            return date if date.tzinfo else date.replace(tzinfo=zone)
        case {"seconds": seconds} if field in DURATIONS:
            return float(seconds) / DURATIONS[field]
        case {"seconds": _} if field in NUMBERS:
            raise ValueError("a number, and no duration")
        case {"other": kind}:
            raise ValueError(f"text, a number or a date, and no {kind}")
        case list() if field in LISTS:
            return list(map(cell_text, cell))
        case list():
            raise ValueError("one value, and no list")
        case bool():
            return cell
    text = cell_text(cell)
    # A date in Excel may be a bare number of days.
    if field in DATES:
        return parse(text)
    return text


def _without_formula(cell: Cell) -> Cell:
    """Return 0012 for the cell ="0012", and any other cell as it is."""
    if not isinstance(cell, str) or '="' not in cell:
        return cell
    formula = _FORMULA_OF_TEXT.fullmatch(cell)
    if formula is None:
        return cell
    return formula[1]


def _check_id(value: Any) -> None:
    """Raise UnusableId for a number that a program has rounded, and for a word that stands for a missing value."""
    if not isinstance(value, str):
        return
    text = value.strip()
    if _ROUNDED.fullmatch(text):
        raise _rounded_id()
    is_missing = text.casefold() in _MISSING or text == _MISSING_IN_CAPITALS
    if is_missing or _ERROR_OF_A_SHEET.fullmatch(text):
        raise UnusableId("an id", "is what programs write where a value is missing")


def _rounded_id() -> UnusableId:
    return UnusableId(
        "an id that is stored as text",
        "is a number of which a spreadsheet has lost the last digits",
    )


def _parser(mapping: Mapping, field: str) -> CellParser:
    parse: CellParser = str
    if field in DATES and (mapping.date_formats or mapping.time_zone):
        parse_date: Callable[..., datetime | str] = _parse_date
        if field in DEADLINES:
            parse_date = _parse_deadline
        parse = partial(parse_date, mapping.date_formats, _zone_of(mapping))
    elif field in DATES:
        parse = str.strip
    elif field in NUMBERS:
        parse = partial(_parse_number, mapping.decimal, field)
    elif field == "breaks":
        parse = partial(
            _parse_intervals, mapping.list_separator, mapping.date_formats, _zone_of(mapping)
        )
    elif field in LISTS:
        parse = partial(_parse_list, mapping.list_separator)
    if field not in mapping.values:
        return parse
    values = mapping.values[field]

    def translated(cell: str) -> Any:
        if cell.strip() in values:
            return values[cell.strip()]
        # A cell that is not in the mapping's values may hold the value itself.
        return parse(cell)

    return translated


def _zone_of(mapping: Mapping) -> tzinfo:
    if mapping.time_zone:
        return ZoneInfo(mapping.time_zone)
    return UTC


def _parse_list(separator: str, cell: str) -> list[str]:
    return [item.strip() for item in cell.split(separator) if item.strip()]


def _parse_intervals(
    separator: str, date_formats: tuple[str, ...], zone: tzinfo, cell: str
) -> list[str]:
    """Return intervals in ISO 8601. Other text is returned unchanged, and the record contract rejects it."""
    found = []
    for item in _parse_list(separator, cell):
        ends = item.split("/")
        if _BETWEEN.search(item):
            ends = _BETWEEN.split(item)
        if len(ends) != _ENDS:
            found.append(item)
            continue
        dates = []
        for end in ends:
            moment = _parse_date(date_formats, zone, end)
            if isinstance(moment, datetime):
                dates.append(moment.isoformat())
            else:
                dates.append(moment)
        found.append("/".join(dates))
    return found


def _parse_number(decimal: str, field: str, cell: str) -> str:
    """Return a number in the form of JSON. Other text is returned unchanged, and the record contract rejects it."""
    number = cell.strip()
    if field in DURATIONS and number.lstrip("-").startswith("P"):
        return _parse_duration(field, number)
    if field in PERCENTAGES | SHARES and number.endswith(("%", "％")):
        number = number[:-1].rstrip()
    is_percentage = field in SHARES and number != cell.strip()
    if decimal == ",":
        if not _DECIMAL_COMMA.fullmatch(number):
            raise ValueError("a number like 85,5 (the mapping's decimal is a comma)")
        number = number.replace(",", ".")
    if is_percentage and _NUMBER.fullmatch(number):
        return str(Decimal(number) / 100)
    return number


def _is_zero(found: object) -> bool:
    try:
        return Decimal(str(found)) == 0
    except ArithmeticError:
        return False


def _parse_duration(field: str, text: str) -> str:
    """Return an ISO 8601 duration, which OpenDocument sheets use, as a number in the unit of the field."""
    try:
        duration = _ISO_DURATION.validate_python(text)
    except ValidationError:
        raise ValueError("a number, or a duration like PT1H30M") from None
    return str(duration.total_seconds() / DURATIONS[field])


@lru_cache(maxsize=4_096)
def _parse_date(date_formats: tuple[str, ...], zone: tzinfo, cell: str) -> datetime | str:
    """Return the moment in a cell. Without a format, text is returned unchanged if it is not ISO 8601.

    The results are cached: reading a date takes as long as the rest of a row, and rows of a table often share dates.
    """
    text = cell.strip()
    if not date_formats:
        try:
            moment = datetime.fromisoformat(text) if _ISO_WITHOUT_ZONE.fullmatch(text) else None
        except ValueError:
            moment = None
        if moment:
            return moment.replace(tzinfo=zone)
        return cell
    for date_format in date_formats:
        try:
            moment = _parse_form(text, date_format)
        except ValueError:
            continue
        if moment.tzinfo is None:
            return moment.replace(tzinfo=zone)
        return moment
    shown = (_SHOWN_FORMS.get(date_format, date_format) for date_format in date_formats)
    raise ValueError(f"a date like {' or '.join(shown)}")


def _parse_deadline(date_formats: tuple[str, ...], zone: tzinfo, cell: str) -> datetime | str:
    """Return the moment in a cell, which is the end of the day if the cell has a day without a time."""
    moment = _parse_date(date_formats, zone, cell)
    has_a_time = ":" in cell
    if isinstance(moment, str) or has_a_time:
        return moment
    return _end_of_day(moment)


def _end_of_day(moment: datetime) -> datetime:
    """Return the last moment of the day if the moment is its first one. Sheets write days in this way."""
    if moment.time() != time():
        return moment
    return moment.replace(hour=23, minute=59, second=59, microsecond=999_999)


def _parse_form(text: str, date_format: str) -> datetime:
    """Return the moment in a text of one format, without a zone if the text has none. Raises ValueError."""
    if date_format == EXCEL:
        return _parse_excel(text)
    if date_format == GOOGLE:
        return parse_google(text)
    return datetime.strptime(text, date_format)  # noqa: DTZ007 - the caller adds the zone


def parse_google(text: str) -> datetime:
    """Return the moment in a text of Google Forms, such as "2026/05/04 3:07:15 PM GMT+8" or "2026/5/4 下午 3:07:15".

    Raises ValueError.
    """
    found = _GOOGLE.fullmatch(text)
    if found is None:
        raise ValueError
    half = (found["before"] or found["after"] or "").upper()
    hour = int(found["hour"])
    if half in ("PM", "下午") and hour < _NOON:
        hour += _NOON
    if half in ("AM", "上午") and hour == _NOON:
        hour = 0
    zone = None
    if found["zone"]:
        zone = timezone(timedelta(hours=int(found["zone"])))
    day = (int(found["year"]), int(found["month"]), int(found["day"]))
    return datetime(*day, hour, int(found["minute"]), int(found["second"]), tzinfo=zone)


def _parse_excel(cell: str) -> datetime:
    """Return the moment of a number of days since the end of 1899, to the millisecond. Raises ValueError."""
    if not _EXCEL_DAYS.fullmatch(cell):
        raise ValueError
    days = float(cell.replace(",", "."))
    if days < _FIRST_EXCEL_DAY:
        raise ValueError
    try:
        return _EXCEL_EPOCH + timedelta(milliseconds=round(days * 86_400_000))
    except OverflowError:
        raise ValueError from None
