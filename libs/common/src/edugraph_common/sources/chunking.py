"""Chunking: a stream of text is cut into chunks of whole rows, in one pass that holds one chunk at most."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from edugraph_common.sources.ndjson import BOM, MAX_ROW_BYTES, EmptyFile, MalformedFile

MAX_CHUNK_BYTES = 8 << 20  # a chunk of long rows ends here, so that a worker's memory has a bound

BLANK = b" \t\r\n\v\f"  # the bytes of a line that holds no row

RowEnd = Callable[[bytes, int, bool], int]
"""(text, start of a row, no more text follows) -> where the row ends, or -1 if more text is needed to tell."""


@dataclass(frozen=True)
class Chunk:
    """Whole rows of a file. `offset` counts bytes of the uncompressed UTF-8 text; `first_line` counts from 1.

    `rows` is how many rows will be read from it: blank ones are none.
    """

    offset: int
    first_line: int
    text: bytes
    rows: int


def is_blank(row: bytes, blank: bytes = BLANK) -> bool:
    """Say whether a row has no other bytes than these."""
    return not row.removeprefix(BOM).strip(blank)


def split_rows(
    blocks: Iterable[bytes],
    rows_per_chunk: int,
    row_end: RowEnd,
    *,
    blank: Callable[[bytes], bool] = is_blank,
    offset: int = 0,
    first_line: int = 1,
) -> Iterator[Chunk]:
    """Cut the text, which comes in blocks of any size, into chunks of at most `rows_per_chunk` rows.

    A row that is `blank` counts for the size of a chunk, but not as a row of it.

    Raises MalformedFile for a row longer than `MAX_ROW_BYTES`, EmptyFile for a text without a row.
    """
    line, has_text = first_line, False
    kept: list[bytes] = []  # the rows of the chunk from earlier blocks
    kept_bytes = rows = blank_rows = 0
    rest = b""  # the beginning of a row whose end has not come yet

    def check_length(length: int) -> None:
        if length > MAX_ROW_BYTES:
            near = line + sum(text.count(b"\n") for text in kept)
            raise MalformedFile(f"a row at or after line {near} is longer than {MAX_ROW_BYTES:,} bytes")

    for block, final in chain(((block, False) for block in blocks), [(b"", True)]):
        text = rest + block
        has_text = has_text or bool(text.removeprefix(BOM).strip())
        start = position = 0
        while position < len(text) and (end := row_end(text, position, final)) >= 0:
            check_length(end - position)
            blank_rows += blank(text[position:end])
            position, rows = end, rows + 1
            if rows == rows_per_chunk or kept_bytes + position - start >= MAX_CHUNK_BYTES:
                chunk = Chunk(offset, line, b"".join([*kept, text[start:position]]), rows - blank_rows)
                yield chunk
                offset, line = offset + len(chunk.text), line + chunk.text.count(b"\n")
                kept, kept_bytes, rows, blank_rows, start = [], 0, 0, 0, position
        kept.append(text[start:position])
        kept_bytes += position - start
        rest = text[position:]
        check_length(len(rest))
    if not has_text:
        raise EmptyFile("the file is empty: it holds no record")
    if kept_bytes:
        yield Chunk(offset, line, b"".join(kept), rows - blank_rows)
