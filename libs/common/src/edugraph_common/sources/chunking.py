"""Cutting of a text into chunks of rows, in one pass that holds at most one block and one chunk in memory.

A row that is longer than `MAX_ROW_BYTES` is cut: its beginning is kept, so that the row can be rejected alone, and
the rest is skipped.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from edugraph_common.sources.ndjson import BOM, MAX_ROW_BYTES, EmptyFile

MAX_CHUNK_BYTES = 8 << 20  # a chunk of long rows ends at this size, to limit the memory of a worker
# The number of bytes that are kept of a row that is too long.
KEPT_OF_A_LONG_ROW = 1_000

BLANK = b" \t\r\n\v\f"  # the bytes of a blank line
# If lines are shorter than this on average, many may be blank. Then blank lines are skipped many at a time.
_SHORTEST_LINE_BYTES = 8

RowEnd = Callable[[bytes, int, bool], int]
"""(text, start of a row, no more text follows) -> where the row ends, or -1 if more text is needed to tell."""


class RawRow(NamedTuple):
    """A row of a file in UTF-8, without its line end. `line` is the number of the line on which it begins.

    `is_cut`: the row is too long, and `raw` is only its beginning.
    """

    line: int
    raw: bytes
    is_cut: bool = False


class RowChunk:
    """Rows that are stored together. They are kept as columns, so that many plain lines can be added at once.

    `lines` are their lines in the file, `raws` their bytes, and `cut` the indexes of the rows that are cut.
    """

    def __init__(self, rows: Iterable[RawRow] = ()) -> None:
        self.lines: array[int] = array("Q")
        self.raws: list[bytes] = []
        self.cut: set[int] = set()
        self.size_bytes = 0
        for row in rows:
            self.add(row)

    def add(self, row: RawRow) -> None:
        if row.is_cut:
            self.cut.add(len(self.raws))
        self.lines.append(row.line)
        self.raws.append(row.raw)
        self.size_bytes += len(row.raw)

    def add_lines(self, lines: Sequence[int], raws: Sequence[bytes]) -> None:
        """Add rows that are not cut."""
        self.lines.extend(lines)
        self.raws += raws
        self.size_bytes += sum(map(len, raws))

    def __len__(self) -> int:
        return len(self.raws)

    def __iter__(self) -> Iterator[RawRow]:
        for place, (line, raw) in enumerate(zip(self.lines, self.raws, strict=True)):
            yield RawRow(line, raw, place in self.cut)


def is_blank(row: bytes) -> bool:
    """Return whether a line has only white space, or a byte order mark, which may come from joined files."""
    return not row.removeprefix(BOM).strip(BLANK)


def line_end(text: bytes, start: int, is_final: bool) -> int:
    """Return the end of the line; see `RowEnd`."""
    at = text.find(b"\n", start)
    if at >= 0:
        return at + 1
    if is_final:
        return len(text)
    return -1


@dataclass(frozen=True)
class RowForm:
    """The rules that separate the rows of a text.

    `is_lines` returns whether each line of a text is a row, for a text that begins with a row. `is_blank` returns
    whether a row is blank. A line that has only `blank_bytes` is always a blank row.
    """

    end: RowEnd = line_end
    is_lines: Callable[[bytes], bool] = lambda _: True
    is_blank: Callable[[bytes], bool] = is_blank
    blank_bytes: bytes = BLANK


LINES = RowForm()


def row_chunks(
    blocks: Iterable[bytes], rows_per_chunk: int, form: RowForm = LINES, first_line: int = 1
) -> Iterator[RowChunk]:
    """Cut a text, which comes in blocks of any size, into chunks of at most `rows_per_chunk` rows.

    Blank rows are left out. The rows do not depend on the sizes of the blocks. Raises EmptyFile for a text of white
    space.
    """
    cutter = _Cutter(rows_per_chunk, form, first_line)
    has_text = False
    for block in blocks:
        is_text = bool(block) and not block.isspace() and block != BOM
        has_text = has_text or is_text
        yield from cutter.feed(block)
    yield from cutter.feed(b"", is_final=True)
    if not has_text:
        raise EmptyFile("the file is empty: it holds no record")


def chunked(rows: Iterable[RawRow], rows_per_chunk: int) -> Iterator[RowChunk]:
    """Collect rows into chunks of at most `rows_per_chunk` rows and little more than `MAX_CHUNK_BYTES`."""
    chunk = RowChunk()
    for row in rows:
        chunk.add(row)
        if len(chunk) >= rows_per_chunk or chunk.size_bytes >= MAX_CHUNK_BYTES:
            yield chunk
            chunk = RowChunk()
    if len(chunk):
        yield chunk


def rows_of(chunks: Iterable[RowChunk]) -> Iterator[RawRow]:
    """Yield the rows of all chunks."""
    return chain.from_iterable(chunks)


class _Cutter:
    """Cuts a text, which it gets block by block, into chunks of rows."""

    def __init__(self, rows_per_chunk: int, form: RowForm, first_line: int) -> None:
        self._rows_per_chunk = rows_per_chunk
        self._form = form
        self._line = first_line
        self._blank_run = re.compile(b"[" + re.escape(form.blank_bytes) + b"]*+")
        self._chunk = RowChunk()
        self._rest = b""  # the beginning of a row that has not ended yet
        self._is_skipping = False  # whether the rest of the line belongs to a row that was cut

    def feed(self, block: bytes, *, is_final: bool = False) -> Iterator[RowChunk]:
        """Yield the chunks that are full, and with `is_final` also the last chunk."""
        if self._is_skipping:
            skipped = block.find(b"\n") + 1
            if skipped > 0:
                self._line += 1
                self._is_skipping = False
                block = block[skipped:]
            else:
                block = b""
        text = self._rest + block
        start = 0
        if self._form.is_lines(text):
            start = len(text) if is_final else text.rfind(b"\n") + 1
            raws = _plain_lines(text[:start])
            if raws is None:
                start = 0
            else:
                yield from self._add_lines(raws)
        yield from self._cut(text, start, is_final=is_final)
        if is_final and len(self._chunk):
            yield self._chunk

    def _add_lines(self, raws: list[bytes]) -> Iterator[RowChunk]:
        lines: Sequence[int] = range(self._line, self._line + len(raws))
        self._line += len(raws)
        if self._form.is_blank is not is_blank:
            filled = [place for place, raw in enumerate(raws) if not self._form.is_blank(raw)]
            if len(filled) < len(raws):
                lines = [lines[place] for place in filled]
                raws = [raws[place] for place in filled]
        start = 0
        while start < len(raws):
            end = start + self._rows_per_chunk - len(self._chunk)
            self._chunk.add_lines(lines[start:end], raws[start:end])
            start = end
            yield from self._full()

    def _cut(self, text: bytes, start: int, *, is_final: bool) -> Iterator[RowChunk]:
        """Cut the text row by row, beginning at `start`."""
        while start < len(text):
            following = self._blank_lines_end(text, start)
            if following > start:
                self._line += text.count(b"\n", start, following)
                start = following
                continue
            end = self._form.end(text, start, is_final)
            if end < 0:
                break
            yield from self._add(text[start:end])
            start = end
        self._rest = text[start:]
        if len(self._rest) > MAX_ROW_BYTES:
            yield from self._add(self._rest)
            self._rest = b""
            self._is_skipping = True

    def _blank_lines_end(self, text: bytes, start: int) -> int:
        """Return the end of the blank lines that begin at `start`, including the last line end."""
        if text[start] not in self._form.blank_bytes:
            return start
        found = self._blank_run.match(text, start)
        end = found.end() if found else start
        return max(start, text.rfind(b"\n", start, end) + 1)

    def _add(self, row: bytes) -> Iterator[RowChunk]:
        raw = row.rstrip(b"\r\n")
        if self._line == 1:
            raw = raw.removeprefix(BOM)
        is_cut = len(raw) > MAX_ROW_BYTES
        if is_cut or not self._form.is_blank(raw):
            self._chunk.add(RawRow(self._line, raw[:KEPT_OF_A_LONG_ROW] if is_cut else raw, is_cut))
        self._line += row.count(b"\n")
        yield from self._full()

    def _full(self) -> Iterator[RowChunk]:
        if len(self._chunk) >= self._rows_per_chunk or self._chunk.size_bytes >= MAX_CHUNK_BYTES:
            yield self._chunk
            self._chunk = RowChunk()


def _plain_lines(text: bytes) -> list[bytes] | None:
    """Return the lines of a text, or None if one of them is blank, too long, or begins with a byte order mark."""
    if not text or len(text) < _SHORTEST_LINE_BYTES * text.count(b"\n"):
        return None
    raws = text.split(b"\n")
    if not raws[-1]:
        raws.pop()
    if b"\r" in text:
        raws = [raw.rstrip(b"\r") for raw in raws]
    if b"" in raws or any(map(bytes.isspace, raws)) or max(map(len, raws)) > MAX_ROW_BYTES:
        return None
    # Searching for one byte is much faster than for three.
    may_have_mark = BOM[:1] in text
    if may_have_mark and any(raw.startswith(BOM) for raw in raws):
        return None
    return raws
