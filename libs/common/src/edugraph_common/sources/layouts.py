"""How JSON rows lie in a file: one a line, or as values over several lines (an array, or pretty-printed objects)."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from edugraph_common.sources.blanking import Span, blanked
from edugraph_common.sources.chunking import Piece, cut
from edugraph_common.sources.ndjson import BOM, LineScan, MalformedFile, numbered_lines

Layout = Literal["lines", "values"]

_BETWEEN = re.compile(rb"(?:[\s,\[\]]|\xef\xbb\xbf)*+")
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]]|"', re.DOTALL)
_DEPTH = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
_NOT_CLOSED = -1


def layout_of(head: bytes) -> Layout:
    """`head`: the first part of the text, UTF-8."""
    text = head.removeprefix(BOM).lstrip()
    if text.startswith(b"["):
        return "values"
    first_line = text.split(b"\n", 1)[0]
    if not text.startswith(b"{") or _is_json(first_line):
        return "lines"
    end = _closing(text, 0)
    return "values" if end != _NOT_CLOSED and _is_json(text[:end]) else "lines"


def first_value(head: bytes) -> bytes:
    """The first object of a text, alone or in an array; empty if it does not end in the head."""
    begin = _after_separators(head, 0)
    return head[begin : max(begin, _closing(head, begin))]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def line_end(text: bytes, start: int, final: bool) -> int:
    at = text.find(b"\n", start)
    if at >= 0:
        return at + 1
    return len(text) if final else -1


@dataclass(frozen=True)
class Lines:
    """`json_ends`: the last line is JSON as a whole, so that a file that is cut off can be told."""

    json_ends: bool = True

    def pieces(self, chunks: Iterable[bytes], rows_each: int) -> Iterator[Piece]:
        return cut(self._checked(chunks), rows_each, line_end)

    def raw_rows(self, text: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
        return numbered_lines(text, first_line)

    def blanked(self, text: bytes, chosen: Callable[[bytes], bool]) -> bytes:
        return blanked(text, (span for span in _line_spans(text) if chosen(text[slice(*span)])))

    def _checked(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        scan = LineScan()
        for chunk in chunks:
            scan.feed(chunk)
            yield chunk
        if self.json_ends:
            scan.finish()


class Values:
    """A broken value is set aside alone as long as its brackets close."""

    def pieces(self, chunks: Iterable[bytes], rows_each: int) -> Iterator[Piece]:
        return cut(chunks, rows_each, value_end)

    def raw_rows(self, text: bytes, first_line: int) -> Iterator[tuple[int, bytes]]:
        """Each value on one line, with the line of the file it started on."""
        start, line = 0, first_line
        while start < len(text):
            end = value_end(text, start, final=True)
            begin = _after_separators(text, start)
            line += text.count(b"\n", start, begin)
            if begin < end:
                yield line, _one_line(text[begin:end])
            line += text.count(b"\n", begin, end)
            start = end

    def blanked(self, text: bytes, chosen: Callable[[bytes], bool]) -> bytes:
        """The commas stay: several of them separate values as well as one."""
        return blanked(text, (span for span in _value_spans(text) if chosen(_one_line(text[slice(*span)]))))


def _line_spans(text: bytes) -> Iterator[Span]:
    start = len(BOM) if text.startswith(BOM) else 0
    while start < len(text):
        end = line_end(text, start, final=True)
        row = text[start:end].rstrip(b"\r\n")
        if row.strip():
            yield start, start + len(row)
        start = end


def _value_spans(text: bytes) -> Iterator[Span]:
    """Of the objects only: what else stands between them names nobody."""
    start = 0
    while start < len(text):
        begin, end = _after_separators(text, start), value_end(text, start, final=True)
        if text.startswith(b"{", begin):
            yield begin, end
        start = end


def value_end(text: bytes, start: int, final: bool) -> int:
    """Raises MalformedFile when the text ends within a value."""
    begin = _after_separators(text, start)
    if begin == len(text):
        return begin if final else -1
    if text[begin : begin + 1] != b"{":
        return _stray_end(text, begin, final)
    end = _closing(text, begin)
    if end == _NOT_CLOSED and final:
        raise MalformedFile("the file ends in the middle of a JSON value: it is cut off; send the whole file")
    return end


def _after_separators(text: bytes, start: int) -> int:
    found = _BETWEEN.match(text, start)
    return found.end() if found else start


def _stray_end(text: bytes, begin: int, final: bool) -> int:
    """Something that is no object: all of it up to the next one is one wrong row."""
    following = text.find(b"{", begin)
    if following >= 0:
        return following
    return len(text) if final else -1


def _closing(text: bytes, begin: int) -> int:
    """Where the object that begins here ends; `_NOT_CLOSED` if it does not."""
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
    """Outside of strings JSON takes any white space, and within them it allows no line end."""
    if b"\n" not in value:
        return value.strip(b" \t\r\n,[]")
    return b" ".join(part.strip() for part in value.strip(b" \t\r\n,").splitlines())
