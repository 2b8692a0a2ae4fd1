"""Compressed files as streams. A file is decompressed block by block, so that a small file cannot fill the memory."""

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
BLOCK_BYTES = 1 << 20  # the size of blocks that are read, and of decompressed blocks
MAX_WINDOW_LOG = 27  # a zstd frame may need 128 MiB of memory, which is also the limit of `zstd -d`
_MAGIC: dict[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
# A chunk ends with the row that makes it too large, and each row has a header.
MAX_FRAME_TEXT_BYTES = 2 * MAX_CHUNK_BYTES + MAX_ROW_BYTES
# A small log with equal lines may unpack to a few hundred times its size, which does no harm. A large one does not.
_BYTES_FREE_SMALL, _MAX_RATIO_SMALL = 8 << 20, 1_000
_BYTES_FREE_LARGE, _MAX_RATIO_LARGE = 64 << 20, 100


class RatioLimit:
    """Refuses a file that unpacks to far more than any table or log, before it costs much time and memory."""

    def __init__(self) -> None:
        self._packed_bytes = self._unpacked_bytes = 0

    def count_packed(self, number: int) -> None:
        self._packed_bytes += number

    def check(self, block: bytes) -> bytes:
        """Return the unpacked block. Raises MalformedFile."""
        self.count_unpacked(len(block))
        return block

    def count_unpacked(self, number: int) -> None:
        """Count unpacked bytes. Raises MalformedFile if they are too many for the packed bytes."""
        self._unpacked_bytes += number
        small = _BYTES_FREE_SMALL + _MAX_RATIO_SMALL * self._packed_bytes
        large = _BYTES_FREE_LARGE + _MAX_RATIO_LARGE * self._packed_bytes
        if self._unpacked_bytes > min(small, large):
            raise MalformedFile(
                f"the file unpacks to more than {_MAX_RATIO_LARGE} times its size, which no table or log does; "
                "send it uncompressed if it is one"
            )


class Readable(Protocol):
    """A file that can be read from beginning to end."""

    def read(self, size: int, /) -> bytes: ...


class Decompressor(Protocol):
    """A decompressor for a stream that comes in blocks of any size."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Yield decompressed blocks of at most `BLOCK_BYTES`. Raises MalformedFile."""

    def finish(self) -> None:
        """End the stream. Raises MalformedFile if the file is cut off."""


class Identity:
    """A file that is not compressed."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        yield block

    def finish(self) -> None:
        return


class Gzip:
    """A gzip file. It may have several members one after the other, as for `gzip -d`."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._inside = False
        self._limit = RatioLimit()

    def feed(self, block: bytes) -> Iterator[bytes]:
        self._limit.count_packed(len(block))
        while block:
            self._inside = True
            try:
                decompressed = self._member.decompress(block, BLOCK_BYTES)
            except zlib.error:
                raise _other_format("gzip") from None
            if decompressed:
                yield self._limit.check(decompressed)
            block = self._member.unconsumed_tail
            if self._member.eof:
                block = self._member.unused_data
                self._member = zlib.decompressobj(wbits=31)
                self._inside = False

    def finish(self) -> None:
        if self._inside:
            raise _cut_off("gzip")


class Zstd:
    """A zstd file. It may have several frames one after the other, as for `zstd -d`."""

    def __init__(self) -> None:
        self._frame = _frame_decompressor()
        self._inside = False
        self._limit = RatioLimit()

    def feed(self, block: bytes) -> Iterator[bytes]:
        self._limit.count_packed(len(block))
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
                self._frame = _frame_decompressor()
                self._inside = False

    def finish(self) -> None:
        if self._inside:
            raise _cut_off("zstd")


def decompressor(encoding: ContentEncoding) -> Decompressor:
    """Return a new decompressor for one file."""
    kinds: dict[ContentEncoding, type[Decompressor]] = {
        "identity": Identity,
        "gzip": Gzip,
        "zstd": Zstd,
    }
    return kinds[encoding]()


@contextmanager
def compressing(file: IO[bytes], encoding: ContentEncoding) -> Iterator[IO[bytes]]:
    """Yield a file whose content is compressed and written into `file`, which stays open."""
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
    """Return the compression of a blob from the end of its key."""
    for encoding, suffix in SUFFIXES.items():
        if suffix and key.endswith(suffix):
            return encoding
    return "identity"


def compression_of(head: bytes) -> Compression | None:
    """Return the compression of a file from its first bytes, or None."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    return None


def decompressed_blocks(file: Readable, compression: Compression | None) -> Iterator[bytes]:
    """Yield a file's uncompressed bytes. The file need not be seekable. Raises MalformedFile."""
    stream = decompressor(compression or "identity")
    while block := file.read(BLOCK_BYTES):
        yield from stream.feed(block)
    stream.finish()


def decompressed_head(head: bytes, compression: Compression | None) -> bytes:
    """Return the beginning of the text that the first bytes of a file contain. Raises MalformedFile."""
    return b"".join(decompressor(compression or "identity").feed(head))


def compress_frame(text: bytes, level: int) -> bytes:
    """Compress a text into one zstd frame."""
    return zstd.compress(text, level=level)


def decompress_frame(data: bytes) -> bytes:
    """Return the text of the frame at the beginning of the data. Raises Rejected if the frame is not complete."""
    frame = zstd.ZstdDecompressor()
    try:
        text = frame.decompress(data, MAX_FRAME_TEXT_BYTES)
    except zstd.ZstdError:
        raise Rejected("the stored rows are damaged") from None
    if not frame.eof:
        raise Rejected("the stored rows are damaged")
    return text


def _frame_decompressor() -> Any:
    return zstd.ZstdDecompressor(
        options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
    )


def _other_format(name: str) -> MalformedFile:
    return MalformedFile(f"the file is not {name}, although it was sent as such")


def _cut_off(name: str) -> MalformedFile:
    return MalformedFile(f"the {name} file is cut off; send the whole file")
