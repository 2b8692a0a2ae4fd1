"""JSON: how rows lie in a file (one on each line, or values over several lines), and such a file as a source."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal, shorten
from edugraph_common.sources.chunking import BLANK, Chunk, is_blank, split_rows
from edugraph_common.sources.ndjson import BOM, LineScan, MalformedFile, numbered_lines
from edugraph_common.sources.rows import (
    NotRelevant,
    Row,
    Span,
    as_invalid_record,
    blank_spans,
    check_timestamp,
    make_reject,
)

Layout = Literal["lines", "values"]

_SEPARATORS = re.compile(rb"(?:[\s,\[\]]|\xef\xbb\xbf)*+")
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]]|"', re.DOTALL)
_DEPTH = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
_NOT_CLOSED = -1


@dataclass(frozen=True)
class Lines:
    """One row on each line. With `json_ends` the last line must be whole JSON, which shows a file that is cut off."""

    json_ends: bool = True

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[Chunk]:
        def checked() -> Iterator[bytes]:
            scan = LineScan()
            for block in blocks:
                scan.feed(block)
                yield block
            if self.json_ends:
                scan.finish()

        return split_rows(checked(), rows_per_chunk, line_end)

    def raw_rows(self, text: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
        """Yield each row with its line of the file."""
        return numbered_lines(text, first_line)

    def blank(self, text: bytes, chosen: Callable[[bytes], bool]) -> bytes:
        spans: list[Span] = []
        start = len(BOM) if text.startswith(BOM) else 0
        while start < len(text):
            end = line_end(text, start, final=True)
            row = text[start:end].rstrip(b"\r\n")
            if row.strip() and chosen(row):
                spans.append((start, start + len(row)))
            start = end
        return blank_spans(text, spans)


class Values:
    """Values over any number of lines: an array, or one after the other.

    A broken value is rejected alone as long as its brackets close.
    """

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[Chunk]:
        return split_rows(blocks, rows_per_chunk, value_end, blank=_holds_no_value)

    def raw_rows(self, text: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
        """Yield each value on one line, with the line of the file on which it starts."""
        start, line = 0, first_line
        while start < len(text):
            end = value_end(text, start, final=True)
            begin = _skip_separators(text, start)
            line += text.count(b"\n", start, begin)
            if not _holds_no_value(text[begin:end]):
                yield line, _one_line(text[begin:end])
            line += text.count(b"\n", begin, end)
            start = end

    def blank(self, text: bytes, chosen: Callable[[bytes], bool]) -> bytes:
        """The commas stay, since several of them separate values as well as one.

        Only objects are looked at: what else stands between them names no student.
        """
        spans: list[Span] = []
        start = 0
        while start < len(text):
            begin, end = _skip_separators(text, start), value_end(text, start, final=True)
            if text.startswith(b"{", begin) and chosen(_one_line(text[begin:end])):
                spans.append((begin, end))
            start = end
        return blank_spans(text, spans)


def decode_json(raw: bytes) -> Any:
    """Raises InvalidRecord."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        text = raw.decode(errors="replace")
        raise InvalidRecord("(line)", "one JSON object", shorten(text), "is not valid JSON") from None


@dataclass(frozen=True)
class JsonSource:
    """A source whose rows are JSON: the layout says where they are, `read` what they mean.

    `read` and `decode` raise InvalidRecord. `student_ids` yields the ids of the students in a decoded row; an empty
    id counts for nothing.
    """

    layout: Lines | Values
    read: Callable[[Any], Record | Withdrawal | NotRelevant]
    student_ids: Callable[[Any], Iterable[str]]
    decode: Callable[[bytes], Any] = decode_json

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[Chunk]:
        return self.layout.chunks(blocks, rows_per_chunk)

    def rows(self, text: bytes, first_line: int, latest: datetime | None = None) -> Iterator[Row]:
        for line, raw in self.layout.raw_rows(text, first_line):
            row: Record | Withdrawal | NotRelevant | Reject
            try:
                row = check_timestamp(self.read(self.decode(raw)), latest)
            except Exception as fault:  # noqa: BLE001 - the boundary of the row
                row = make_reject(line, raw, as_invalid_record(fault))
            yield line, row

    def students(self, raw: bytes) -> frozenset[str]:
        return frozenset(self.student_ids(self.decode(raw))) - {""}

    def blank(self, text: bytes, chosen: Callable[[bytes], bool]) -> bytes:
        return self.layout.blank(text, chosen)


def layout_of(head: bytes) -> Layout:
    """Tell the layout from the first part of a text, in UTF-8."""
    text = head.removeprefix(BOM).lstrip()
    if text.startswith(b"["):
        return "values"
    first_line = text.split(b"\n", 1)[0]
    if not text.startswith(b"{") or _is_json(first_line):
        return "lines"
    end = _object_end(text, 0)
    return "values" if end != _NOT_CLOSED and _is_json(text[:end]) else "lines"


def first_value(head: bytes) -> bytes:
    """Return the first object of a text, alone or in an array, or nothing if it does not end in the head."""
    begin = _skip_separators(head, 0)
    return head[begin : max(begin, _object_end(head, begin))]


def line_end(text: bytes, start: int, final: bool) -> int:
    """Return where the line ends; see `RowEnd`."""
    at = text.find(b"\n", start)
    if at >= 0:
        return at + 1
    return len(text) if final else -1


def value_end(text: bytes, start: int, final: bool) -> int:
    """Return where the value ends; see `RowEnd`.

    Raises MalformedFile when the text ends within an object. Something that is no object is one wrong row, up to the
    next object.
    """
    begin = _skip_separators(text, start)
    if begin == len(text):
        return begin if final else -1
    if text[begin : begin + 1] != b"{":
        following = text.find(b"{", begin)
        return following if following >= 0 else len(text) if final else -1
    end = _object_end(text, begin)
    if end == _NOT_CLOSED and final:
        raise MalformedFile("the file ends in the middle of a JSON value: it is cut off; send the whole file")
    return end


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _holds_no_value(text: bytes) -> bool:
    """Say whether no value is left behind what separates them.

    Splitting and reading both ask this, so that as many rows are read as were expected.
    """
    return is_blank(text[_skip_separators(text, 0) :], blank=BLANK + b",[]")


def _skip_separators(text: bytes, start: int) -> int:
    found = _SEPARATORS.match(text, start)
    return found.end() if found else start


def _object_end(text: bytes, begin: int) -> int:
    """Return where the object that begins here ends, or `_NOT_CLOSED`."""
    depth = 0
    for token in _TOKEN.finditer(text, begin):
        found = token.group()
        if found == b'"':
            return _NOT_CLOSED
        depth += _DEPTH.get(found, 0)
        if depth == 0:
            return token.end()
    return _NOT_CLOSED


def _one_line(value: bytes) -> bytes:
    """Join the lines of a value: outside of strings JSON takes any white space, and within them no line end."""
    if b"\n" not in value:
        return value.strip(b" \t\r\n,[]")
    return b" ".join(part.strip() for part in value.strip(b" \t\r\n,").splitlines())
