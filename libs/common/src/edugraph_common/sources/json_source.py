"""JSON: the layout of rows in a file (one on each line, or values over several lines), and such files as sources."""

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Literal

from edugraph_common.contracts.records import InvalidRecord, Record, Withdrawal, shorten
from edugraph_common.sources.chunking import KEPT_OF_A_LONG_ROW, RawRow, RowChunk, chunked, row_chunks
from edugraph_common.sources.ndjson import BOM, MAX_ROW_BYTES, EmptyFile, LineScan, MalformedFile
from edugraph_common.sources.rows import Content, NotRelevant, as_invalid_record, check_timestamp, make_reject
from edugraph_common.sources.students import People

Layout = Literal["lines", "values"]

_SEPARATORS = re.compile(r"[\s,\[\]\ufeff]*+")
_TOKEN = re.compile(r'"(?:[^"\\\n]++|\\.)*+"|[{}\[\]"]')
_OPENING = {"}": "{", "]": "["}
# Where the next value of an array or a sequence may begin.
_NEXT_VALUE = re.compile(r"[,\n}]\s{0,100}+(?=\{)")
_COMMA = re.compile(r"\s*+,?\s*+")
_FIRST_KEY = re.compile(r'\{\s*+("(?:[^"\\\n]++|\\.)*+")')
_NOT_CLOSED = -1
# The end of a broken value is searched by its brackets only this far, so that many broken values do not take long.
_MAX_BROKEN_CHARACTERS = 65_536
# The number of characters that are searched again with the next block, since a value may begin after the last comma.
_OVERLAP = 200
# The end of a line within a string becomes a blank; see `_row`.
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class Lines:
    """One row on each line.

    With `json_ends` the last line must be complete JSON, to detect a file that is cut off.
    """

    json_ends: bool = True

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[RowChunk]:
        """Cut the text into its rows. Raises MalformedFile."""

        def checked() -> Iterator[bytes]:
            scan = LineScan(json_ends=self.json_ends)
            for block in blocks:
                scan.feed(block)
                yield block
            scan.finish()

        return row_chunks(checked(), rows_per_chunk)


class Values:
    """Values over any number of lines, in an array or one after another.

    A broken value is rejected alone if the beginning of the next value can be found.
    """

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[RowChunk]:
        """Cut the text into its values, each on one line. Raises MalformedFile."""
        return chunked(self._cut(blocks), rows_per_chunk)

    def _cut(self, blocks: Iterable[bytes]) -> Iterator[RawRow]:
        """Yield the values. Raises MalformedFile for a text that is cut off."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        line = 1
        rest = ""
        first_key = None  # the first key of a value that was too long, while the next value is searched
        has_text = False
        for block, is_final in chain(((block, False) for block in blocks), [(b"", True)]):
            text = rest + decoder.decode(block, final=is_final)
            has_text = has_text or bool(text.strip("\ufeff \t\r\n"))
            start = 0
            if first_key is not None:
                start = _next_value(text, 0, first_key, is_final)
                if start == _NOT_CLOSED:
                    rest = text[-_OVERLAP:]
                    line += text.count("\n") - rest.count("\n")
                    continue
                line += text.count("\n", 0, start)
                first_key = None
            while True:
                begin = _skip_separators(text, start)
                line += text.count("\n", start, begin)
                start = begin
                if begin == len(text):
                    break
                end = value_end(text, begin, is_final)
                if end == _NOT_CLOSED:
                    break
                value = text[begin:end]
                yield _row(line, value)
                line += value.count("\n")
                start = end
            rest = text[start:]
            if len(rest) > MAX_ROW_BYTES:
                yield _row(line, rest)
                first_key = _first_key(rest, 0)
                line += rest.count("\n")
                rest = ""
        if not has_text:
            raise EmptyFile("the file is empty: it holds no record")


def decode_json(raw: bytes) -> Any:
    """Return the JSON value of a row. Raises InvalidRecord."""
    try:
        return json.loads(decode_text(raw))
    except (ValueError, RecursionError):
        text = raw.decode(errors="replace")
        raise InvalidRecord("(line)", "one JSON object", shorten(text), "is not valid JSON") from None


def decode_text(raw: bytes) -> str:
    """Return the text of a row. Raises InvalidRecord."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        found = shorten(raw.decode(errors="replace"))
        raise InvalidRecord("(row)", "characters in UTF-8", found, "holds a damaged character") from None


@dataclass(frozen=True)
class JsonSource:
    """A source whose rows are JSON. The layout finds the rows, and `read_value` reads them.

    `read_value` and `decode` raise InvalidRecord. `people_in` returns the students that a decoded row names.
    """

    layout: Lines | Values
    read_value: Callable[[Any], Record | Withdrawal | NotRelevant]
    people_in: Callable[[Any], People]
    decode: Callable[[bytes], Any] = decode_json

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[RowChunk]:
        return self.layout.chunks(blocks, rows_per_chunk)

    def read(self, line: int, raw: bytes, latest: datetime | None = None) -> Content:
        try:
            return check_timestamp(self.read_value(self.decode(raw)), latest)
        except Exception as fault:  # noqa: BLE001 - the boundary of the row
            return make_reject(line, raw, as_invalid_record(fault))

    def people(self, raw: bytes) -> People:
        return self.people_in(self.decode(raw))


def layout_of(head: bytes) -> Layout:
    """Return the layout of a text from its first part, in UTF-8."""
    text = head.removeprefix(BOM).lstrip()
    if text.startswith(b"["):
        return "values"
    first_line = text.split(b"\n", 1)[0]
    if not text.startswith(b"{") or _is_json(first_line):
        return "lines"
    value = first_value(text)
    return "values" if value and _is_json(value) else "lines"


def first_value(head: bytes) -> bytes:
    """Return the first object of a text, alone or in an array, or empty bytes if it does not end within the head."""
    text = head.decode(errors="surrogateescape")
    begin = _skip_separators(text, 0)
    end = _object_end(text, begin, len(text))
    return text[begin : max(begin, end)].encode(errors="surrogateescape")


def value_end(text: str, begin: int, is_final: bool) -> int:
    """Return the end of the value that begins at `begin`, or `_NOT_CLOSED` if more text is needed.

    Text that is not an object is one wrong row, up to the next object. A broken object ends where its brackets close,
    or else before the next value. Raises MalformedFile if the text is cut off within the last object.
    """
    if text[begin] != "{":
        following = text.find("{", begin)
        if following >= 0:
            return following
        return len(text) if is_final else _NOT_CLOSED
    end = _whole_value_end(text, begin)
    return _broken_value_end(text, begin, is_final) if end == _NOT_CLOSED else end


def _whole_value_end(text: str, begin: int) -> int:
    try:
        _, end = _DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return _NOT_CLOSED
    return end


def _broken_value_end(text: str, begin: int, is_final: bool) -> int:
    is_decided = is_final or len(text) - begin > MAX_ROW_BYTES
    closed = _object_end(text, begin, min(len(text), begin + _MAX_BROKEN_CHARACTERS))
    if closed != _NOT_CLOSED:
        has_comma = text[closed : closed + _OVERLAP].lstrip().startswith(",")
        if has_comma or _is_followed(text, closed, is_final):
            return closed
    if not is_decided:
        return _NOT_CLOSED
    following = _next_value(text, begin + 1, _first_key(text, begin), is_final)
    if following != _NOT_CLOSED:
        return following
    if not is_final:
        return _NOT_CLOSED
    if text.rstrip().endswith(("}", "]")):
        return len(text)
    raise MalformedFile("the file ends in the middle of a JSON value: it is cut off; send the whole file")


def _next_value(text: str, start: int, first_key: str, is_final: bool) -> int:
    """Return the begin of the next complete object with the first key of a broken one, or `_NOT_CLOSED`."""
    for found in _NEXT_VALUE.finditer(text, start):
        if first_key and _first_key(text, found.end()) != first_key:
            continue
        end = _whole_value_end(text, found.end())
        if end != _NOT_CLOSED and _is_followed(text, end, is_final):
            return found.end()
    return _NOT_CLOSED


def _is_followed(text: str, end: int, is_final: bool) -> bool:
    """Return whether another value, or the end of the array and the file, follows a value that ends at `end`."""
    comma = _COMMA.match(text, end)
    following = comma.end() if comma else end
    if text.startswith("{", following):
        return True
    return is_final and not text[following:].strip(" \t\r\n]")


def _first_key(text: str, begin: int) -> str:
    found = _FIRST_KEY.match(text, begin)
    return found[1] if found else ""


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _skip_separators(text: str, start: int) -> int:
    found = _SEPARATORS.match(text, start)
    return found.end() if found else start


def _object_end(text: str, begin: int, end: int) -> int:
    """Return the end of the object at `begin` by its brackets, or `_NOT_CLOSED` if it does not end before `end`."""
    opened: list[str] = []
    for token in _TOKEN.finditer(text, begin, end):
        found = token.group()
        if found in ("{", "["):
            opened.append(found)
        elif found == '"':
            return _NOT_CLOSED
        elif found in _OPENING:
            if not opened or opened.pop() != _OPENING[found]:
                return _NOT_CLOSED
            if not opened:
                return token.end()
    return _NOT_CLOSED


def _row(line: int, value: str) -> RawRow:
    """Return a value on one line. JSON allows any white space outside of strings, and no line ends within them."""
    text = value.strip(" \t\r\n,[]") if not value.startswith("{") else value.strip(" \t\r\n,")
    if "\n" in text:
        text = " ".join(part.strip() for part in text.split("\n"))
    raw = text.encode(errors="surrogateescape")
    if len(raw) > MAX_ROW_BYTES:
        return RawRow(line, raw[:KEPT_OF_A_LONG_ROW], is_cut=True)
    return RawRow(line, raw)
