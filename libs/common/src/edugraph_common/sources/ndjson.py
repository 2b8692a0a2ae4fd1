"""NDJSON as bytes: checked while it streams in, and read line by line.

`LineScan` takes blocks of any size and says in one sentence what makes a whole file unusable (`MalformedFile`). A
single bad line is not its business: that line is rejected when the rows are read.
"""

import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any

from edugraph_common.sources.binary_files import why_no_text

MAX_ROW_BYTES = 1_048_576
BOM = codecs.BOM_UTF8


class MalformedFile(Exception):
    """The file as a whole cannot be imported. The message is a sentence for the user, without its full stop."""


class EmptyFile(MalformedFile):
    """The file holds no record at all."""


class UnusableKind(MalformedFile):
    """The file is of another kind than it was sent as, or of one that holds no records: a PDF document, an image."""


class LineScan:
    """Checks that a stream is UTF-8 and not empty, has no line over `MAX_ROW_BYTES`, and does not break off."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._tail = b""
        self._has_text = self._begun = False
        self.lines = 0

    def feed(self, block: bytes) -> None:
        """Raises MalformedFile."""
        if not self._begun and (sentence := why_no_text(block)):
            raise UnusableKind(sentence)
        self._begun = True
        try:
            self._decoder.decode(block)
        except UnicodeDecodeError:
            raise MalformedFile(
                f"the file is not UTF-8 (near line {self.lines + 1}); convert it to UTF-8 and send it again"
            ) from None
        self._has_text = self._has_text or not block.isspace()
        *whole, rest = block.split(b"\n")
        if whole:
            self._check_length(len(self._tail) + len(whole[0]))
            self._check_length(max((len(line) for line in whole[1:]), default=0))
            self.lines += len(whole)
            self._tail = b""
        self._tail += rest
        self._check_length(len(self._tail))

    def finish(self) -> None:
        """Check the end of the file. Raises MalformedFile."""
        if not self._has_text:
            raise EmptyFile("the file is empty: it holds no record")
        try:
            self._decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise MalformedFile("the file is cut off in the middle of a character; send the whole file") from None
        if not self._tail.strip():
            return
        self.lines += 1
        try:
            json.loads(self._tail.removeprefix(BOM))
        except RecursionError:
            return  # The line is nested too deeply to tell whether it ends; the import rejects it.
        except ValueError:
            raise MalformedFile(
                f"the file ends in the middle of line {self.lines}: it is cut off; send the whole file"
            ) from None

    def _check_length(self, length: int) -> None:
        if length > MAX_ROW_BYTES:
            raise MalformedFile(
                f"line {self.lines + 1} or one soon after it is longer than {MAX_ROW_BYTES:,} bytes: "
                "this is not one record a line"
            )


def numbered_lines(rows: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank with their numbers in the file, without a byte order mark at its start.

    A line of nothing but such a mark, as where files were put together, is blank.
    """
    for number, line in enumerate(rows.split(b"\n"), start=first_line):
        text = line.removeprefix(BOM) if number == 1 else line
        if text.removeprefix(BOM).strip():
            yield number, text


def as_ndjson(records: Iterable[dict[str, Any]]) -> bytes:
    """Write records that are decoded already, one a line, as `numbered_lines` reads them."""
    texts = (json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in records)
    # Half a surrogate pair, which no UTF-8 can hold, becomes the escape that JSON has for it.
    return "".join(f"{text}\n" for text in texts).encode(errors="backslashreplace")
