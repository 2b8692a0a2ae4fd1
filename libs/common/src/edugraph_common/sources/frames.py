"""Batches of a compressed file, each kept as a zstd frame of its own.

Neither gzip nor zstd lets a reader start in the middle: a gzip file has no restart points but its members, and the
usual zstd file is one single frame. So the one scan of such a file writes each batch as a frame, and a batch is read
by unpacking its own frame and nothing else: an import of n batches unpacks the file once, not n times.
"""

import sys
from collections.abc import Iterator
from typing import IO

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import Compression
from edugraph_common.sources.chunking import LARGEST_PIECE
from edugraph_common.sources.compression import unpacking
from edugraph_common.sources.ndjson import LONGEST_LINE

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK = 1 << 20  # bytes
_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_LEVEL = 3


def compression_of(head: bytes) -> Compression | None:
    """By the first bytes of a file."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def unpacked(file: IO[bytes], compression: Compression | None) -> Iterator[bytes]:
    """Chunks of the uncompressed bytes. The file need not be seekable. Raises MalformedFile."""
    unpacker = unpacking(compression or "identity")
    while chunk := file.read(CHUNK):
        yield from unpacker.feed(chunk)
    unpacker.finish()


def unpacked_head(head: bytes, compression: Compression | None) -> bytes:
    """As much of the text as the first bytes of a file give. Raises MalformedFile."""
    return b"".join(unpacking(compression or "identity").feed(head))


def frame(text: bytes) -> bytes:
    return zstd.compress(text, level=_LEVEL)


def unframe(data: bytes) -> bytes:
    """Raises Rejected for anything but one whole frame of a piece."""
    unpacker = zstd.ZstdDecompressor()
    try:
        text = unpacker.decompress(data, LARGEST_PIECE + LONGEST_LINE)
    except zstd.ZstdError:
        raise Rejected("the stored rows are damaged") from None
    if not unpacker.eof:
        raise Rejected("the stored rows are damaged")
    return text
