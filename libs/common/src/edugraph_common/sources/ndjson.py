"""NDJSON as bytes: checked while it streams in, and read line by line.

`LineScan` is fed chunks of any size. What makes a whole file unusable is said in one sentence (`MalformedFile`);
a single bad line is not its business.
"""

import codecs
import json
from collections.abc import Iterator

LONGEST_LINE = 1_048_576  # bytes
BOM = codecs.BOM_UTF8


class MalformedFile(Exception):
    """The file as a whole cannot be taken."""


class EmptyFile(MalformedFile):
    """It holds no record at all."""


class LineScan:
    """Checks a stream: UTF-8, no line over `LONGEST_LINE`, not empty, the last line not cut off."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._tail = b""
        self._filled = False
        self.lines = 0

    def feed(self, chunk: bytes) -> None:
        """Raises MalformedFile."""
        try:
            self._decoder.decode(chunk)
        except UnicodeDecodeError:
            raise MalformedFile(self._not_utf8()) from None
        self._filled = self._filled or not chunk.isspace()
        *whole, rest = chunk.split(b"\n")
        if whole:
            self._check_length(len(self._tail) + len(whole[0]))
            self._check_length(max((len(line) for line in whole[1:]), default=0))
            self.lines += len(whole)
            self._tail = b""
        self._tail += rest
        self._check_length(len(self._tail))

    def finish(self) -> None:
        """Raises MalformedFile."""
        if not self._filled:
            raise EmptyFile("the file is empty: it holds no record")
        try:
            self._decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise MalformedFile("the file is cut off in the middle of a character; send the whole file") from None
        if self._tail.strip():
            self.lines += 1
            self._check_last(self._tail)

    def _check_last(self, line: bytes) -> None:
        try:
            json.loads(line.removeprefix(BOM))
        except RecursionError:
            return  # nested too deeply to tell whether it ends; the import sets it aside
        except ValueError:
            raise MalformedFile(
                f"the file ends in the middle of line {self.lines}: it is cut off; send the whole file"
            ) from None

    def _check_length(self, length: int) -> None:
        if length > LONGEST_LINE:
            raise MalformedFile(
                f"line {self.lines + 1} or one soon after it is longer than {LONGEST_LINE:,} bytes: "
                "this is not one record a line"
            )

    def _not_utf8(self) -> str:
        return f"the file is not UTF-8 (near line {self.lines + 1}); convert it to UTF-8 and send it again"


def numbered_lines(rows: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, each with its number in the file. A byte order mark at its start is skipped."""
    for number, line in enumerate(rows.split(b"\n"), start=first_line):
        text = line.removeprefix(BOM) if number == 1 else line
        if text.strip():
            yield number, text
