"""A separate program that reads a workbook or a Parquet file and writes its rows, one JSON array on each line.

A small file may unpack to more memory than the machine has, and for a cell far down a sheet the reader allocates all
cells before it. This program has its own limits, so such a file ends only this program and not the worker that
started it. It is started by its path, so that it loads no other module of EduGraph. Modules of one format alone are
loaded for that format, because a start costs more than reading a small file.

Each line is [name of the sheet or null, number of the row from 1, cells], with null as cells of a hidden sheet. A
cell is a string, a number, a boolean, an array, null if it is empty, or an object: {"date": ISO 8601}, {"seconds": a
number, "text": as a sheet shows it} for a duration or a time of day, {"rounded": a number} for a number that may have
lost its last digits, or {"other": its type}.
"""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

UNUSABLE, OUT_OF_MEMORY = 3, 4
MAX_SHEETS, MAX_COLUMNS, MAX_UNPACKED_BYTES = 256, 16_384, 1 << 30
_EXACT = 1 << 53  # up to this number, each whole number is a different float
_UUID_BYTES = 16

SheetLine = tuple[str | None, int, list[Any] | None]


OUTSIDE_OF_YEARS = object()


class Unusable(Exception):
    """The file cannot be read. The message is a sentence for the user, without its full stop."""


def workbook_rows(path: str, hidden: Iterable[str]) -> Iterator[SheetLine]:
    """Yield the rows of a workbook. `hidden`: names of hidden sheets that are read too. Raises Unusable."""
    import zipfile

    from python_calamine import (
        CalamineError,
        PasswordError,
        SheetTypeEnum,
        SheetVisibleEnum,
        load_workbook,
    )

    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        raise Unusable(
            "the workbook is damaged or cut off; save it anew and send the whole file"
        ) from None
    if unpacked > MAX_UNPACKED_BYTES:
        raise Unusable(
            f"the workbook has {unpacked:,} bytes unpacked, more than {MAX_UNPACKED_BYTES:,}; split it"
        )
    try:
        book = load_workbook(path)
        sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        if len(sheets) > MAX_SHEETS:
            raise Unusable(
                f"the workbook has {len(sheets)} sheets, more than {MAX_SHEETS}; split it"
            )
        for entry in sheets:
            shown = entry.visible == SheetVisibleEnum.Visible or entry.name in hidden
            sheet = book.get_sheet_by_name(entry.name)
            if sheet.start is None:
                continue
            if sheet.width > MAX_COLUMNS:
                raise Unusable(
                    f"the sheet {entry.name} has more than {MAX_COLUMNS:,} columns; split it"
                )
            left = [None] * sheet.start[1]
            for number, row in enumerate(sheet.iter_rows(), start=1):
                yield entry.name, number, [*left, *map(as_cell, row)] if shown else None
    except PasswordError:
        raise Unusable("the workbook has a password; save it without one") from None
    except CalamineError as error:
        raise Unusable(
            f"the workbook cannot be read ({type(error).__name__}); save it anew as .xlsx"
        ) from None


def parquet_rows(path: str, _: Iterable[str]) -> Iterator[SheetLine]:
    """Yield the rows of a Parquet file. Row 1 has the names of the columns, as in a workbook."""
    from arro3.io import read_parquet

    batches = read_parquet(path)
    names = list(batches.schema.names)
    if len(names) > MAX_COLUMNS:
        raise Unusable(f"the file has more than {MAX_COLUMNS:,} columns; split it")
    yield None, 1, names
    numbers = count(2)
    for batch in batches:
        columns = [column_cells(column) for column in batch.columns]
        for cells in zip(*columns, strict=True):
            yield None, next(numbers), list(cells)


def column_cells(column: Any) -> list[Any]:
    """Return the cells of a column of a Parquet file."""
    from arro3.core import DataType

    exact = _EXACT
    if DataType.is_float32(column.type):
        exact = 1 << 24
    elif DataType.is_float16(column.type):
        exact = 1 << 11
    values = column_values(column)
    if column.type == DataType.binary(_UUID_BYTES) and not all(map(is_text, values)):
        from uuid import UUID

        values = [None if value is None else str(UUID(bytes=value)) for value in values]
    return [as_cell(value, exact) for value in values]


def column_values(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        # Python has no dates outside of the years 1 to 9999. Only the rows with such dates are rejected.
        return [python_value(column[place]) for place in range(len(column))]


def python_value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return OUTSIDE_OF_YEARS


def is_text(value: bytes | None) -> bool:
    try:
        return value is None or value.decode().isprintable()
    except UnicodeDecodeError:
        return False


def as_cell(value: Any, exact: int = _EXACT) -> Any:
    """Return a value as a cell in JSON (see above). Up to `exact`, the value's type has each whole number."""
    cell: Any
    match value:
        case None | str():
            cell = value or None
        case bool() | int() | float() | Decimal():
            cell = as_number(value, exact)
        case date():  # and datetime
            cell = {"date": value.isoformat()}
        case time():
            since_midnight = timedelta(
                hours=value.hour,
                minutes=value.minute,
                seconds=value.second,
                microseconds=value.microsecond,
            )
            cell = {"seconds": since_midnight.total_seconds(), "text": value.isoformat()}
        case timedelta():
            cell = {"seconds": value.total_seconds(), "text": shown_duration(value)}
        case list():
            cell = [as_cell(item, exact) for item in value]
        case bytes():
            try:
                cell = value.decode() or None
            except UnicodeDecodeError:
                cell = {"other": "binary data"}
        case _ if value is OUTSIDE_OF_YEARS:
            cell = {"other": "date outside of the years 1 to 9999"}
        case _:
            cell = {"other": type(value).__name__}
    return cell


def shown_duration(value: timedelta) -> str:
    """Return a duration as a sheet shows it, in hours, minutes and seconds."""
    sign = "-" if value < timedelta(0) else ""
    minutes, seconds = divmod(abs(value).total_seconds(), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{sign}{hours}:{minutes:02}:{seconds:02g}"


def as_number(value: float | Decimal, exact: int) -> Any:
    """Return a whole number as int. Sheets have only floats, so the id 20230001 comes as 20230001.0."""
    if isinstance(value, int):  # a boolean is an int, too
        return value
    if not math.isfinite(value):
        if math.isnan(value):
            return None
        return str(value)
    if isinstance(value, Decimal):
        return exact_number(value)
    if abs(value) >= exact:
        return {"rounded": value}
    if value.is_integer():
        return int(value)
    return value


def exact_number(value: Decimal) -> int | float | str:
    """Return a decimal as an int, as a float if it is written with the same digits, or else as text."""
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    if Decimal(repr(number)) == value:
        return number
    return str(value)


def limit_process(memory_bytes: int, cpu_seconds: int) -> None:
    """Limit the memory and CPU time of this process. A system without such limits has none."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def written_rows(lines: Iterable[SheetLine], most_rows: int) -> Iterator[SheetLine]:
    """Yield the rows that are not blank. Raises Unusable if there are more than `most_rows`."""
    number = 0
    for line in lines:
        cells = line[2]
        if cells is not None and all(cell is None for cell in cells):
            continue
        number += 1
        if number > most_rows:
            raise Unusable(
                f"the file has more than {most_rows:,} rows, too many for its size; send it as CSV"
            )
        yield line


def main(form: str, path: str, options: str) -> int:
    """Write the rows of a file. `options` is JSON with memory_bytes, cpu_seconds, most_rows and hidden sheets to
    read.
    """
    given = json.loads(options)
    limit_process(given["memory_bytes"], given["cpu_seconds"])
    read: Callable[[str, Iterable[str]], Iterator[SheetLine]] = (
        workbook_rows if form == "workbook" else parquet_rows
    )
    write = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
    try:
        for line in written_rows(read(path, given["hidden"]), given["most_rows"]):
            sys.stdout.write(write(line) + "\n")
        sys.stdout.flush()
    except Unusable as problem:
        sys.stderr.write(str(problem))
        return UNUSABLE
    except MemoryError:
        return OUT_OF_MEMORY
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
