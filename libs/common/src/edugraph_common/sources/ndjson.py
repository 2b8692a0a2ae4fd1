"""Checks of NDJSON files as bytes. They find errors that make a whole file unusable (`MalformedFile`).

A single bad line is not checked here: it is rejected when the rows are read.
"""

import codecs
import json
from collections.abc import Iterable
from typing import Any

from edugraph_common.sources.binary_files import why_no_text

MAX_ROW_BYTES = 1_048_576
CUT_OFF = "the file is cut off in the middle of a character; send the whole file"
BOM = codecs.BOM_UTF8
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class MalformedFile(Exception):
    """The whole file cannot be imported. The message is a sentence for the user, without its full stop."""


class EmptyFile(MalformedFile):
    """The file has no records."""


class UnusableKind(MalformedFile):
    """The file is not of the kind that it was sent as, or its kind has no records, such as a PDF document or an
    image.
    """


class LineScan:
    """Checks that a stream of lines is text, has at least one readable line, and is not cut off in its last line.

    With `json_ends` the last line must be complete JSON. Lines of logs may have a prefix, so they are not checked.
    """

    def __init__(self, *, json_ends: bool = True) -> None:
        self._json_ends = json_ends
        self._has_text = False
        self._has_readable_line = False
        self._is_begun = False
        self._last_line = b""
        self._is_last_line_cut = False

    def feed(self, block: bytes) -> None:
        """Check the next block. Raises MalformedFile."""
        if not self._is_begun:
            check_lines_head(block)
            self._is_begun = True
        self._has_text = self._has_text or (bool(block) and not block.isspace())
        last_end = block.rfind(b"\n")
        if not self._has_readable_line and last_end >= 0:
            first, *others = (self._last_line + block[:last_end]).split(b"\n")
            lines = others if self._is_last_line_cut else [first, *others]
            self._has_readable_line = any(map(_is_readable, lines))
        if last_end >= 0:
            self._last_line = block[last_end + 1 :]
            self._is_last_line_cut = False
        elif not self._is_last_line_cut:
            self._last_line += block
        if len(self._last_line) > MAX_ROW_BYTES:
            # A row that is too long is rejected alone, so its end does not matter.
            self._last_line = b""
            self._is_last_line_cut = True

    def finish(self) -> None:
        """Check the end of the file. Raises MalformedFile."""
        if not self._has_text:
            raise EmptyFile("the file is empty: it holds no record")
        if not self._is_last_line_cut and self._last_line.strip():
            check_last_line(self._last_line, json_ends=self._json_ends)
        if self._has_readable_line or _is_readable(self._last_line):
            return
        raise MalformedFile(
            f"no line of the file is UTF-8 and not longer than {MAX_ROW_BYTES:,} bytes; write one record on each "
            "line, in UTF-8"
        )


def _is_readable(line: bytes) -> bool:
    """Return whether a line is text in UTF-8 and not too long for a row."""
    if not line.strip() or len(line) > MAX_ROW_BYTES:
        return False
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_lines_head(head: bytes) -> None:
    """Check the first bytes of a file of lines. Raises MalformedFile if the file cannot be UTF-8."""
    sentence = why_no_text(head)
    if sentence:
        raise UnusableKind(sentence)
    is_utf16 = head.startswith(_UTF16_MARKS) or head[:4].count(0) == 2
    if is_utf16:
        raise MalformedFile(
            "the file is not UTF-8 but UTF-16; convert it to UTF-8 and send it again"
        )


def check_last_line(line: bytes, *, json_ends: bool) -> None:
    """Check that a last line without a line end is complete. Raises MalformedFile for a file that is cut off."""
    if ends_within_character(line):
        raise MalformedFile(CUT_OFF)
    if not json_ends:
        return
    try:
        # A damaged character makes the row wrong, but does not mean that the file is cut off.
        json.loads(line.removeprefix(BOM).decode(errors="replace"))
    except RecursionError:
        return  # The line is nested too deeply to check its end. The import rejects it.
    except ValueError:
        if line.rstrip().endswith((b"}", b"]")):
            return  # The line has an end, so it is one wrong row.
        raise MalformedFile(
            "the file ends in the middle of its last line: it is cut off; send the whole file"
        ) from None


def ends_within_character(text: bytes) -> bool:
    """Return whether the last bytes are an incomplete but valid beginning of a UTF-8 character."""
    for length in (1, 2, 3):
        tail = text[-length:]
        if len(tail) < length:
            return False
        if tail[0] >= 0xC0:
            decoder = codecs.getincrementaldecoder("utf-8")()
            try:
                return decoder.decode(tail) == ""
            except UnicodeDecodeError:
                return False
    return False


def as_ndjson(records: Iterable[dict[str, Any]]) -> bytes:
    """Return decoded records as NDJSON, one on each line."""
    texts = (json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in records)
    # UTF-8 cannot encode a lone surrogate, so it is written as its JSON escape.
    return "".join(f"{text}\n" for text in texts).encode(errors="backslashreplace")
