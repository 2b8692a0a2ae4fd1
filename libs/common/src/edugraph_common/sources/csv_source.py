"""CSV: the end of a row and its cells, the header of a table, and a table with a mapping as a source."""

import csv
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal, parse_row, shorten
from edugraph_common.sources.cells import CellReader
from edugraph_common.sources.chunking import BLANK, RowChunk, RowForm, row_chunks
from edugraph_common.sources.header_rows import LOOKED_AT, find_header
from edugraph_common.sources.json_source import decode_text
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import BOM, MAX_ROW_BYTES, MalformedFile
from edugraph_common.sources.rows import (
    Content,
    as_invalid_record,
    check_timestamp,
    cut_rows,
    make_reject,
    too_long,
)
from edugraph_common.sources.students import People
from edugraph_common.sources.table_rows import SheetRow

DELIMITERS = (",", "\t", ";", "|")
_FIRST_NOT_ASCII = 0x80
_LONE_CR = re.compile(rb"\r(?!\n)")
_SEP_LINE = re.compile(rb'"?sep=([^\w\s"\']|\t)"?[,;\t]*\r?\n', re.IGNORECASE)


# The head of a file has 1 MiB, and in UTF-8 only half of that if the file is UTF-16. A longer header may not end
# within the head.
MAX_HEADER_BYTES = MAX_ROW_BYTES // 4


class Header(ContractModel):
    """The header of a table. It is stored as part of the read plan.

    `raw` is the header as in the file, `size` its bytes in UTF-8 including a byte order mark, and `lines` the number
    of lines that it takes.
    """

    delimiter: str
    columns: tuple[str, ...]
    raw: str
    size: int
    lines: int


class CsvRows:
    """The rules for the end of a CSV row and for its cells.

    A quote opens a field only at the field's start, and a quoted field may contain line ends. If a quote is never
    closed properly, or is closed on a later line and the row then does not have `columns` cells, only the line with
    the quote is a wrong row. Reading continues with the next line, so that a wrong row does not swallow its
    neighbours. If the row happens to have the right number of cells, it cannot be distinguished from a correct row.
    """

    def __init__(self, delimiter: str, columns: int | None = None) -> None:
        self._delimiter, self._columns = delimiter, columns
        cut = re.escape(delimiter).encode()
        # A CR alone does not end a row, although it is not valid CSV. If it did, the rest of the row might open a
        # quote that swallows its neighbours.
        quoted, lone_cr = rb'"(?:[^"]++|"")*+"', rb"\r(?!\n)"
        plain = (
            rb'(?:[^"\r\n'
            + cut
            + rb"]|"
            + lone_cr
            + rb")(?:[^\r\n"
            + cut
            + rb"]++|"
            + lone_cr
            + rb")*+"
        )
        field = rb"(?:" + quoted + rb"|" + plain + rb"|)"
        self._row = re.compile(field + rb"(?:" + cut + field + rb")*+\r?(?:\n|\Z)")
        # A row whose last field is quoted and not closed yet.
        self._open = re.compile(rb"(?:" + field + cut + rb')*+"(?:[^"]++|"")*+\Z')
        self._blank_bytes = b' \t\r\n\v\f"' + delimiter.encode()
        self._blank = re.compile(rf'[\s"{re.escape(delimiter)}]*+')

    def end(self, text: bytes, start: int, final: bool) -> int:
        """Return the end of the row (see `RowEnd`). It does not depend on the blocks in which the text came."""
        at = text.find(b"\n", start)
        line = at + 1 if at >= 0 else len(text) if final else -1
        if line < 0 or text.find(b'"', start, line) < 0:
            return line
        found = self._row.match(text, start)
        if (
            found
            and found.end() - start <= MAX_ROW_BYTES
            and (final or text.endswith(b"\n", start, found.end()))
        ):
            if found.end() == line or self._is_row(found[0]):
                return found.end()
            return line
        more = (
            not final
            and len(text) - start <= MAX_ROW_BYTES
            and (found or self._open.match(text, start))
        )
        if more:
            return -1
        return line

    def fits(self, cells: list[str]) -> bool:
        """Return whether a row has as many cells as there are columns. Further blank cells are allowed."""
        return self._columns is None or (
            len(cells) >= self._columns and not any(cell.strip() for cell in cells[self._columns :])
        )

    def _is_row(self, lines: bytes) -> bool:
        """Return whether several lines are one row. Blank lines are, since an erasure leaves them of a long row."""
        try:
            return self.is_blank(lines) or self.fits(
                self.cells(_LONE_CR.sub(b" ", lines).decode(errors="replace"))
            )
        except InvalidRecord:
            return False

    def is_blank(self, row: bytes) -> bool:
        """Return whether the row has only blank cells, as rows at the end of a spreadsheet.

        Splitting and reading use the same rule, so that as many rows are read as were expected. A lone quote, which
        is not valid CSV, counts as blank, like the empty cell of two quotes.
        """
        filled = row.removeprefix(BOM).strip(self._blank_bytes)
        if not filled or filled[0] < _FIRST_NOT_ASCII:
            return not filled
        return self._blank.fullmatch(row.removeprefix(BOM).decode(errors="replace")) is not None

    def cells(self, row: str) -> list[str]:
        """Return the cells of a row. Raises InvalidRecord."""
        try:
            return next(csv.reader((row,), delimiter=self._delimiter, strict=True), [])
        except csv.Error as error:
            raise InvalidRecord(
                "(row)", "one row of CSV", shorten(row), f"is not valid CSV: {error}"
            ) from None


class CsvSource:
    """A table with a mapping, as a source of records."""

    def __init__(self, header: Header, mapping: Mapping) -> None:
        self._header, self._rows = header, CsvRows(header.delimiter, len(header.columns))
        self._reader = CellReader(mapping, header.columns)

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[RowChunk]:
        """Cut the table into its rows, without its header."""
        blank_bytes = BLANK + self._header.delimiter.encode()
        form = RowForm(self._rows.end, _has_no_quote, self._rows.is_blank, blank_bytes)
        return row_chunks(self._body(blocks), rows_per_chunk, form, self._header.lines + 1)

    def _body(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        left = self._header.size
        for block in blocks:
            if left < len(block):
                yield block[left:]
            left = max(0, left - len(block))

    def read(self, line: int, raw: bytes, latest: datetime | None = None) -> Content:
        try:
            return self._record(self._cells(raw), latest)
        except Exception as fault:  # noqa: BLE001 - the boundary of the row
            problem = as_invalid_record(fault)
            if more := raw.count(b"\n"):  # shows the lines that an open quote has swallowed
                problem.found = f"lines {line} to {line + more}: {problem.found}"
            return make_reject(line, raw, problem)

    def sheet_rows(self, blocks: Iterable[bytes]) -> Iterator[SheetRow]:
        """Yield the rows of a wide table in the form of a workbook's rows, beginning with its header."""
        yield SheetRow(None, self._header.lines, self._header.columns)
        for row in cut_rows(self, blocks):
            try:
                if row.is_cut:
                    raise too_long()
                yield SheetRow(None, row.line, self._cells(row.raw))
            except InvalidRecord as problem:
                yield SheetRow(None, row.line, (), problem, row.raw.decode(errors="replace"))

    def people(self, raw: bytes) -> People:
        cells = self._rows.cells(decode_text(raw))
        found = self._reader.people(cells)
        # A cell of a row with too few or too many may stand in any column.
        if self._rows.fits(cells):
            return found
        return People(found.ids, tuple(cells))

    def _cells(self, raw: bytes) -> list[str]:
        cells = self._rows.cells(decode_text(raw))
        if not self._rows.fits(cells):
            expected = len(self._header.columns)
            shown = shorten(f"{len(cells)} cells: {self._header.delimiter.join(cells)}")
            raise InvalidRecord(
                "(row)", f"{expected} cells", shown, "has not as many cells as the header"
            )
        return cells

    def _record(self, cells: list[str], latest: datetime | None) -> Record | Withdrawal:
        value = self._reader.record(cells)
        try:
            return check_timestamp(parse_row(value), latest)
        except InvalidRecord as problem:
            raise self._reader.by_column(problem) from None


def _has_no_quote(text: bytes) -> bool:
    return b'"' not in text


def read_header(head: bytes, delimiter: str | None, wanted: Collection[str] = ()) -> Header:
    """Return the header of a table. `head` is the first part of the text, in UTF-8.

    A first line such as `sep=;`, which gives Excel the delimiter, is skipped, and so are titles above the header. If
    `delimiter` is None, that delimiter is used, or else the one that gives the most of the `wanted` columns, then the
    most columns. `wanted` are the columns that a mapping names. Raises MalformedFile.
    """
    text = head.removeprefix(BOM)
    if not text.strip():
        raise MalformedFile("the file is empty: it holds no header")
    if b"\r" in text.lstrip().split(b"\n", 1)[0].rstrip(b"\r"):
        raise MalformedFile("the lines end with CR alone; save the file with LF or CRLF")
    start = len(text) - len(text.lstrip(b"\r\n"))
    if sep_line := _SEP_LINE.match(text, start):
        start, delimiter = sep_line.end(), delimiter or sep_line[1].decode()
    found: list[Header] = []
    for candidate in (delimiter,) if delimiter else DELIMITERS:
        lines = _first_lines(CsvRows(candidate), text, start)
        place = find_header([line.cells for line in lines], wanted)
        if place is None:
            continue
        begin = lines[place.first].begin
        end = lines[place.end - 1].end
        raw = text[begin:end].decode(errors="replace").rstrip("\r\n")
        size = len(head) - len(text) + end
        lines_of_head = text.count(b"\n", 0, end)
        header = Header(
            delimiter=candidate, columns=place.columns, raw=raw, size=size, lines=lines_of_head
        )
        found.append(header)
    if not found:
        raise MalformedFile("the header is not valid CSV: a quote in it does not close")

    def columns_named(header: Header) -> tuple[int, int]:
        return len(set(wanted).intersection(header.columns)), len(header.columns)

    return max(found, key=columns_named)


class _Line(NamedTuple):
    """A row at the beginning of a file, with the places of its bytes."""

    begin: int
    end: int
    cells: list[str]


def _first_lines(rows: CsvRows, text: bytes, start: int) -> list[_Line]:
    """Return the first rows of a file, up to one that is not valid CSV.

    Raises MalformedFile if the first row is too long.
    """
    found: list[_Line] = []
    begin = start
    while len(found) < LOOKED_AT:
        end = rows.end(text, begin, final=True)
        if end <= begin:
            break
        if end - begin > MAX_HEADER_BYTES and not found:
            raise MalformedFile(
                f"the header is longer than {MAX_HEADER_BYTES:,} bytes: the file is no table whose first line names "
                "the columns"
            )
        if end - begin > MAX_HEADER_BYTES:
            break
        try:
            cells = rows.cells(text[begin:end].decode(errors="replace").rstrip("\r\n"))
        except InvalidRecord:
            break
        found.append(_Line(begin, end, cells or [""]))
        begin = end
    return found
