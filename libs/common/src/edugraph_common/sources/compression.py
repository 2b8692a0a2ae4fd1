"""Compressed files as streams: unpacked piece by piece, so that a small file cannot blow up memory."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Literal, Protocol, cast

from edugraph_common.sources.ndjson import MalformedFile

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Encoding = Literal["identity", "gzip", "zstd"]
SUFFIXES: dict[Encoding, str] = {"identity": "", "gzip": ".gz", "zstd": ".zst"}
PIECE = 1 << 20  # bytes of unpacked text handed on at once
LARGEST_WINDOW_LOG = 27  # a zstd frame may ask for 128 MiB of memory, what `zstd -d` itself allows


class Unpacking(Protocol):
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Unpacked pieces of at most `PIECE` bytes. Raises MalformedFile."""

    def finish(self) -> None:
        """Raises MalformedFile when the file is cut off."""


class Plain:
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk

    def finish(self) -> None:
        return


class Gzip:
    """Several members, one after the other, are one file, as for `gzip -d`."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._inside = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            self._inside = True
            try:
                piece = self._member.decompress(chunk, PIECE)
            except zlib.error:
                raise _other_form("gzip") from None
            if piece:
                yield piece
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if self._member.eof:
                self._member, self._inside = zlib.decompressobj(wbits=31), False

    def finish(self) -> None:
        if self._inside:
            raise _cut_off("gzip")


class Zstd:
    """Several frames, one after the other, are one file, as for `zstd -d`."""

    def __init__(self) -> None:
        self._frame = _frame()
        self._inside = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk or not self._frame.needs_input:
            self._inside = True
            try:
                piece = self._frame.decompress(chunk, PIECE)
            except zstd.ZstdError:
                raise _other_form("zstd") from None
            if piece:
                yield piece
            chunk = b""
            if self._frame.eof:
                chunk = self._frame.unused_data
                self._frame, self._inside = _frame(), False

    def finish(self) -> None:
        if self._inside:
            raise _cut_off("zstd")


def unpacking(encoding: Encoding) -> Unpacking:
    kinds: dict[Encoding, type[Unpacking]] = {"identity": Plain, "gzip": Gzip, "zstd": Zstd}
    return kinds[encoding]()


@contextmanager
def packing(file: IO[bytes], encoding: Encoding) -> Iterator[IO[bytes]]:
    """What is written goes packed into `file`, which stays open."""
    match encoding:
        case "identity":
            yield file
        case "gzip":
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
                yield cast("IO[bytes]", packed)
        case "zstd":
            with zstd.ZstdFile(file, "wb") as packed_file:
                yield cast("IO[bytes]", packed_file)


def encoding_of(key: str) -> Encoding:
    """By the end of a blob's key."""
    return next((encoding for encoding, suffix in SUFFIXES.items() if suffix and key.endswith(suffix)), "identity")


def _frame() -> Any:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: LARGEST_WINDOW_LOG})


def _other_form(name: str) -> MalformedFile:
    return MalformedFile(f"the file is not {name}, although it was sent as such")


def _cut_off(name: str) -> MalformedFile:
    return MalformedFile(f"the {name} file is cut off; send the whole file")
