"""Compressed files as streams, and batches of them as zstd frames of their own.

A file is decompressed block by block, so that a small file cannot fill the memory. Neither gzip nor zstd lets a
reader start in the middle: a gzip file has no restart points but its members, and the usual zstd file is one single
frame. So the one scan of such a file writes each batch as a frame, and a batch is read by decompressing its own frame
and nothing else: an import of n batches decompresses the file once, not n times.
"""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal, Protocol, cast

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import Compression
from edugraph_common.sources.chunking import MAX_CHUNK_BYTES
from edugraph_common.sources.ndjson import MAX_ROW_BYTES, MalformedFile

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ContentEncoding = Literal["identity", "gzip", "zstd"]
SUFFIXES: dict[ContentEncoding, str] = {"identity": "", "gzip": ".gz", "zstd": ".zst"}
BLOCK_BYTES = 1 << 20  # how much is read from a file, and handed on decompressed, at a time
MAX_WINDOW_LOG = 27  # a zstd frame may ask for 128 MiB of memory, as much as `zstd -d` itself allows
_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_LEVEL = 3
# Logs of equal lines unpack to a few hundred times their size. What is small unpacked cannot do any harm.
MAX_RATIO = 1_000
UNPACKED_BYTES_FREE = 8 << 20


class _RatioLimit:
    """Refuses a file that unpacks to far more than any table or log does, before it has cost time and memory."""

    def __init__(self) -> None:
        self._packed_bytes = self._unpacked_bytes = 0

    def count_packed(self, block: bytes) -> None:
        self._packed_bytes += len(block)

    def check(self, block: bytes) -> bytes:
        """Return the unpacked block. Raises MalformedFile."""
        self._unpacked_bytes += len(block)
        if self._unpacked_bytes > UNPACKED_BYTES_FREE + MAX_RATIO * self._packed_bytes:
            raise MalformedFile(
                f"the file unpacks to more than {MAX_RATIO} times its size, which no table or log does; "
                "send it uncompressed if it is one"
            )
        return block


class Decompressor(Protocol):
    """Decompresses a stream that comes in blocks of any size."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Yield decompressed blocks of at most `BLOCK_BYTES`. Raises MalformedFile."""

    def finish(self) -> None:
        """Raises MalformedFile when the file is cut off."""


class Identity:
    """A file that is not compressed."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        yield block

    def finish(self) -> None:
        return


class Gzip:
    """A gzip file. Several members, one after the other, are one file, as for `gzip -d`."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._inside, self._limit = False, _RatioLimit()

    def feed(self, block: bytes) -> Iterator[bytes]:
        self._limit.count_packed(block)
        while block:
            self._inside = True
            try:
                decompressed = self._member.decompress(block, BLOCK_BYTES)
            except zlib.error:
                raise _other_format("gzip") from None
            if decompressed:
                yield self._limit.check(decompressed)
            block = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if self._member.eof:
                self._member, self._inside = zlib.decompressobj(wbits=31), False

    def finish(self) -> None:
        if self._inside:
            raise _cut_off("gzip")


class Zstd:
    """A zstd file. Several frames, one after the other, are one file, as for `zstd -d`."""

    def __init__(self) -> None:
        self._frame = _frame_decompressor()
        self._inside, self._limit = False, _RatioLimit()

    def feed(self, block: bytes) -> Iterator[bytes]:
        self._limit.count_packed(block)
        while block or not self._frame.needs_input:
            self._inside = True
            try:
                decompressed = self._frame.decompress(block, BLOCK_BYTES)
            except zstd.ZstdError:
                raise _other_format("zstd") from None
            if decompressed:
                yield self._limit.check(decompressed)
            block = b""
            if self._frame.eof:
                block = self._frame.unused_data
                self._frame, self._inside = _frame_decompressor(), False

    def finish(self) -> None:
        if self._inside:
            raise _cut_off("zstd")


def decompressor(encoding: ContentEncoding) -> Decompressor:
    """Return a new decompressor for one file."""
    kinds: dict[ContentEncoding, type[Decompressor]] = {"identity": Identity, "gzip": Gzip, "zstd": Zstd}
    return kinds[encoding]()


@contextmanager
def compressing(file: IO[bytes], encoding: ContentEncoding) -> Iterator[IO[bytes]]:
    """Yield a file whose content goes compressed into `file`, which stays open."""
    match encoding:
        case "identity":
            yield file
        case "gzip":
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as gzip_file:
                yield cast("IO[bytes]", gzip_file)
        case "zstd":
            with zstd.ZstdFile(file, "wb") as zstd_file:
                yield cast("IO[bytes]", zstd_file)


def content_encoding_of(key: str) -> ContentEncoding:
    """Tell how a blob is compressed from the end of its key."""
    return next((encoding for encoding, suffix in SUFFIXES.items() if suffix and key.endswith(suffix)), "identity")


def compression_of(head: bytes) -> Compression | None:
    """Tell how a file is compressed from its first bytes."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def decompressed_blocks(file: IO[bytes], compression: Compression | None) -> Iterator[bytes]:
    """Yield a file's uncompressed bytes. The file need not be seekable. Raises MalformedFile."""
    stream = decompressor(compression or "identity")
    while block := file.read(BLOCK_BYTES):
        yield from stream.feed(block)
    stream.finish()


def decompressed_head(head: bytes, compression: Compression | None) -> bytes:
    """Return as much of the text as the first bytes of a file give. Raises MalformedFile."""
    return b"".join(decompressor(compression or "identity").feed(head))


def compress_frame(text: bytes) -> bytes:
    """Compress the rows of a batch into a zstd frame of their own."""
    return zstd.compress(text, level=_LEVEL)


def decompress_frame(data: bytes) -> bytes:
    """Return the rows of a batch. Raises Rejected for anything but one whole frame."""
    frame = zstd.ZstdDecompressor()
    try:
        text = frame.decompress(data, MAX_CHUNK_BYTES + MAX_ROW_BYTES)
    except zstd.ZstdError:
        raise Rejected("the stored rows are damaged") from None
    if not frame.eof:
        raise Rejected("the stored rows are damaged")
    return text


def _frame_decompressor() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})


def _other_format(name: str) -> MalformedFile:
    return MalformedFile(f"the file is not {name}, although it was sent as such")


def _cut_off(name: str) -> MalformedFile:
    return MalformedFile(f"the {name} file is cut off; send the whole file")
