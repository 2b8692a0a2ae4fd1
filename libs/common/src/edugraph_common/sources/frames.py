"""Frames: the form in which the rows of any file are stored after its split.

A frame has the rows of one batch, compressed with zstd, so that a batch is read by decompressing only its own frame.
Rows are in UTF-8, whatever the file's own encoding was, and have the line of the file on which they begin. A row can
be removed from a frame without changing the others.

The text of a frame: the number of rows; for each row its line, its number of bytes, and whether it is cut; then the
bytes of all rows. Numbers are little-endian.
"""

import struct
import sys
from array import array

from edugraph_common.contracts.errors import Rejected
from edugraph_common.sources.chunking import RowChunk
from edugraph_common.sources.compression import compress_frame, decompress_frame

_COUNT = struct.Struct("<Q")
# Level 1 makes frames of made-up rows 4 % longer than level 3, and packs them in 15 % less time.
_LEVEL = 1
_SMALLEST_LEVEL = 19


def pack_rows(rows: RowChunk, level: int = _LEVEL) -> bytes:
    """Return the frame of these rows."""
    count = len(rows)
    is_cut = bytearray(count)
    for place in rows.cut:
        is_cut[place] = 1
    lengths = array("I", map(len, rows.raws))
    columns = [_COUNT.pack(count), _as_bytes(rows.lines), _as_bytes(lengths), bytes(is_cut)]
    return compress_frame(b"".join([*columns, *rows.raws]), level)


def unpack_rows(frame: bytes) -> RowChunk:
    """Return the rows of a frame. Bytes after the frame are ignored. Raises Rejected for a damaged frame."""
    text = memoryview(decompress_frame(frame))
    rows = RowChunk()
    try:
        (count,) = _COUNT.unpack_from(text)
        lines_end = _COUNT.size + count * rows.lines.itemsize
        lengths = array("I")
        lengths_end = lines_end + count * lengths.itemsize
        rows.lines = _from_bytes("Q", text[_COUNT.size : lines_end])
        lengths = _from_bytes("I", text[lines_end:lengths_end])
        start = lengths_end + count
        rows.cut = {place for place, mark in enumerate(text[lengths_end:start]) if mark}
    except (struct.error, ValueError):
        raise Rejected("the stored rows are damaged") from None
    for length in lengths:
        rows.raws.append(bytes(text[start : start + length]))
        start += length
    if start != len(text):
        raise Rejected("the stored rows are damaged")
    rows.size_bytes = sum(lengths)
    return rows


def pack_fewer_rows(rows: RowChunk, length: int) -> bytes:
    """Return a frame of `length` bytes if the rows fit into it, else a longer one.

    `length` is the size of the old frame, from which rows were removed. With the same size, the frames after it need
    not move.
    """
    frame = pack_rows(rows)
    if len(frame) > length:
        frame = pack_rows(rows, _SMALLEST_LEVEL)
    return frame.ljust(length, b"\0")


def _as_bytes(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _from_bytes(typecode: str, data: memoryview) -> "array[int]":
    numbers: array[int] = array(typecode)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
