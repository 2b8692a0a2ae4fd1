"""A stream of text is cut into pieces of whole rows, in one pass, holding one piece at most."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from edugraph_common.sources.ndjson import BOM, LONGEST_LINE, EmptyFile, MalformedFile

LARGEST_PIECE = 8 << 20  # bytes: a batch of long texts is cut short here, so that a worker's memory has a bound

RowEnd = Callable[[bytes, int, bool], int]
"""(text, start of a row, no more text follows) -> where the row ends, or -1 if more text is needed to tell."""


@dataclass(frozen=True)
class Piece:
    """`offset` counts bytes of the uncompressed UTF-8 text; `first_line` counts from 1."""

    offset: int
    first_line: int
    text: bytes


def cut(
    chunks: Iterable[bytes], rows_each: int, row_end: RowEnd, *, offset: int = 0, first_line: int = 1
) -> Iterator[Piece]:
    """At most `rows_each` rows in a piece. Raises MalformedFile for a row over `LONGEST_LINE`, and where none is."""
    cutter = _Cutter(rows_each, row_end, offset, first_line)
    for chunk in chunks:
        yield from cutter.feed(chunk)
    yield from cutter.finish()


class _Cutter:
    def __init__(self, rows_each: int, row_end: RowEnd, offset: int, first_line: int) -> None:
        self._rows_each, self._row_end = rows_each, row_end
        self._offset, self._line = offset, first_line
        self._kept: list[bytes] = []
        self._size = self._rows = 0
        self._tail = b""
        self._filled = False

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[Piece]:
        text = self._tail + chunk
        self._filled = self._filled or bool(text.removeprefix(BOM).strip())
        start = position = 0
        while position < len(text) and (end := self._row_end(text, position, final)) >= 0:
            self._check_length(end - position)
            position, self._rows = end, self._rows + 1
            if self._rows == self._rows_each or self._size + position - start >= LARGEST_PIECE:
                yield self._piece(text[start:position])
                start = position
        self._keep(text[start:position])
        self._tail = text[position:]
        self._check_length(len(self._tail))

    def finish(self) -> Iterator[Piece]:
        yield from self.feed(b"", final=True)
        if not self._filled:
            raise EmptyFile("the file is empty: it holds no record")
        if self._size:
            yield self._piece(b"")

    def _keep(self, rows: bytes) -> None:
        self._kept.append(rows)
        self._size += len(rows)

    def _piece(self, last: bytes) -> Piece:
        piece = Piece(self._offset, self._line, b"".join([*self._kept, last]))
        self._offset += len(piece.text)
        self._line += piece.text.count(b"\n")
        self._kept, self._size, self._rows = [], 0, 0
        return piece

    def _check_length(self, length: int) -> None:
        if length > LONGEST_LINE:
            line = self._line + sum(rows.count(b"\n") for rows in self._kept)
            raise MalformedFile(f"a row at or after line {line} is longer than {LONGEST_LINE:,} bytes")
