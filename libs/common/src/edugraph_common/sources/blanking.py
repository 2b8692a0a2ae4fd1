"""Blanking: a file as it came, with blanks in the place of some of its rows."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from edugraph_common.contracts.messages import Compression
from edugraph_common.sources.compression import decompressed_blocks
from edugraph_common.sources.encoding import UTF8
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.read_plan import ReadPlan, text_of

_ROWS_PER_CHUNK = 1_000
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def blank_rows(
    file: IO[bytes], plan: ReadPlan, compression: Compression | None, chosen: Callable[[bytes], bool]
) -> Iterator[bytes]:
    """Yield the whole file, uncompressed and in its own encoding, with blanks in place of the chosen rows.

    `chosen` is asked for each row. Raises MalformedFile.
    """
    source, original = plan.source, _Original(decompressed_blocks(file, compression), plan.encoding)
    header, missing = b"", plan.header.size if plan.header else 0

    def keep_header(blocks: Iterable[bytes]) -> Iterator[bytes]:
        """The header of a table is in none of its chunks, so it is kept while the text passes by."""
        nonlocal header, missing
        for block in blocks:
            header += block[:missing]
            missing -= min(missing, len(block))
            yield block

    for chunk in source.chunks(keep_header(text_of(original.blocks(), plan)), _ROWS_PER_CHUNK):
        if header:
            yield original.take(header, header)
            header = b""
        yield original.take(chunk.text, source.blank(chunk.text, chosen))


class _Original:
    """The bytes of a file beside its text in UTF-8, from which chunks are taken one after the other."""

    def __init__(self, blocks: Iterable[bytes], encoding: str) -> None:
        self._blocks, self._encoding, self._kept = blocks, encoding, b""

    def blocks(self) -> Iterator[bytes]:
        for block in self._blocks:
            if self._encoding != UTF8:
                self._kept += block
            yield block

    def take(self, text: bytes, changed: bytes) -> bytes:
        """Return the bytes of `text` in the file, or of what it was changed to. Raises MalformedFile."""
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
