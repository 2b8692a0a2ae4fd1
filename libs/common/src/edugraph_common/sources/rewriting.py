"""A file as it came, with blanks in place of some of its rows."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from edugraph_common.contracts.messages import Compression
from edugraph_common.sources.encoding import UTF8
from edugraph_common.sources.frames import unpacked
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.read_plan import Reading, text_of

_ROWS = 1_000  # in memory at once
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def rewritten(
    file: IO[bytes], reading: Reading, compression: Compression | None, chosen: Callable[[bytes], bool]
) -> Iterator[bytes]:
    """The whole file, unpacked and in its own encoding; `chosen` is asked for each row. Raises MalformedFile."""
    source, original = reading.source, _Original(unpacked(file, compression), reading.encoding)
    head = _Head(reading.header.size if reading.header else 0)
    for piece in source.pieces(head.passing(text_of(original.chunks(), reading)), _ROWS):
        if head.text:
            yield original.take(head.text, head.text)
            head.text = b""
        yield original.take(piece.text, source.blanked(piece.text, chosen))


class _Head:
    """Keeps the header of a table, which is in none of its pieces."""

    def __init__(self, size: int) -> None:
        self._size, self.text = size, b""

    def passing(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        missing = self._size
        for chunk in chunks:
            self.text += chunk[:missing]
            missing -= min(missing, len(chunk))
            yield chunk


class _Original:
    """The bytes of a file beside its text in UTF-8, whose pieces are taken one after the other."""

    def __init__(self, chunks: Iterable[bytes], encoding: str) -> None:
        self._chunks, self._encoding, self._kept = chunks, encoding, b""

    def chunks(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if self._encoding != UTF8:
                self._kept += chunk
            yield chunk

    def take(self, text: bytes, changed: bytes) -> bytes:
        """The bytes of `text` in the file, or of what it was changed to. Raises MalformedFile."""
        if self._encoding == UTF8:
            return changed
        mark = next((mark for mark in _UTF16 if self._encoding == "utf-16" and self._kept.startswith(mark)), b"")
        if self._encoding == "utf-16":
            self._encoding = _UTF16.get(mark, "utf-16-le")
        raw = mark + text.decode().encode(self._encoding)
        if not self._kept.startswith(raw):
            raise MalformedFile(f"some characters of it have several forms in {self._encoding}")
        self._kept = self._kept[len(raw) :]
        return raw if changed == text else mark + changed.decode().encode(self._encoding)
