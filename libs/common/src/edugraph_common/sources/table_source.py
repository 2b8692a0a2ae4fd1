"""A CSV table with a mapping as a source of records."""

from collections.abc import Callable, Iterable, Iterator

from edugraph_common.contracts.records import InvalidRecord, Record, parse_record, shorten
from edugraph_common.sources.blanking import Span, blank, blanked
from edugraph_common.sources.cells import CellReader
from edugraph_common.sources.chunking import Piece, cut
from edugraph_common.sources.csv_rows import CsvRows
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.row_faults import of_row
from edugraph_common.sources.rows import rejected
from edugraph_common.sources.source import Row
from edugraph_common.sources.table_header import Header


class TableSource:
    def __init__(self, header: Header, mapping: Mapping) -> None:
        self._header, self._rows = header, CsvRows(header.delimiter)
        self._reader = CellReader(mapping, header.columns)

    def pieces(self, chunks: Iterable[bytes], rows_each: int) -> Iterator[Piece]:
        """The header is in none of them."""
        size, lines = self._header.size, self._header.lines
        body = _without(chunks, size)
        return cut(body, rows_each, self._rows.end, offset=size, first_line=lines + 1)

    def rows(self, text: bytes, first_line: int) -> Iterator[Row]:
        line, counted = first_line, 0
        for begin, end in self._spans(text):
            line += text.count(b"\n", counted, begin)
            yield from self._read(line, text[begin:end])
            counted = begin

    def students(self, raw: bytes) -> frozenset[str]:
        return frozenset(self._reader.students(self._rows.cells(raw.decode())))

    def blanked(self, text: bytes, chosen: Callable[[bytes], bool]) -> bytes:
        return blanked(text, (span for span in self._spans(text) if chosen(text[slice(*span)])), _blank_row)

    def _spans(self, text: bytes) -> Iterator[Span]:
        start = 0
        while start < len(text):
            end = self._rows.end(text, start, final=True)
            raw = text[start:end].rstrip(b"\r\n")
            if raw:
                yield start, start + len(raw)
            start = end

    def _read(self, line: int, raw: bytes) -> Iterator[Row]:
        """Nothing for a row of blank cells, as spreadsheets leave them at the end."""
        try:
            cells = self._rows.cells(raw.decode())
            if any(cell.strip() for cell in cells):
                yield line, self._record(cells)
        except Exception as fault:  # noqa: BLE001 - the boundary of the row
            yield line, rejected(line, raw, of_row(fault))

    def _record(self, cells: list[str]) -> Record:
        wanted = len(self._header.columns)
        if len(cells) < wanted or any(cell.strip() for cell in cells[wanted:]):
            shown = shorten(f"{len(cells)} cells: {self._header.delimiter.join(cells)}")
            raise InvalidRecord("(row)", f"{wanted} cells", shown, "has not as many cells as the header")
        value = self._reader.record(cells)
        try:
            return parse_record(value)
        except InvalidRecord as problem:
            raise self._reader.named(problem) from None


def _blank_row(row: bytes) -> bytes:
    """A row of several lines stays one: a single cell of blanks."""
    return b'"' + blank(row[1:-1]) + b'"' if b"\n" in row else blank(row)


def _without(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        if size < len(chunk):
            yield chunk[size:]
        size = max(0, size - len(chunk))
