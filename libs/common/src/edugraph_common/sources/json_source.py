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
from edugraph_common.sources.chunking import (
    KEPT_OF_A_LONG_ROW,
    RawRow,
    RowChunk,
    chunked,
    row_chunks,
)
from edugraph_common.sources.ndjson import BOM, MAX_ROW_BYTES, EmptyFile, LineScan, MalformedFile
from edugraph_common.sources.rows import (
    Content,
    NotRelevant,
    as_invalid_record,
    check_timestamp,
    make_reject,
)
from edugraph_common.sources.students import People

Layout = Literal["lines", "values", "answers"]

_SEPARATORS = re.compile(r"[\s,\[\]\ufeff]*+")
# The answer of a receiver of statements: {"statements": [...], "more": "/xapi/statements?..."}.
_ANSWER = re.compile(rb'\{\s*+"(?:statements|more)"\s*+:')
# The characters around the statements of answers.
_AROUND_STATEMENTS = re.compile(
    r'(?:[\s,\[\]}\ufeff]|\{(?=\s*+"(?:statements|more)"\s*+:)|"statements"\s*+:|'
    r'"more"\s*+:\s*+(?:null|"(?:[^"\\\n]++|\\.)*+"))*+'
)
_LINK = '"more"'  # the name of the link to the next answer
_LONGEST_LINK = 10_000  # characters, with its name
_TOKEN = re.compile(r'"(?:[^"\\\n]++|\\.)*+"|[{}\[\]"]')
_OPENING = {"}": "{", "]": "["}
# Where the next value of an array or a sequence may begin.
_NEXT_VALUE = re.compile(r"[,\n}]\s{0,100}+(?=\{)")
_NEXT_OBJECT = re.compile(r"\s*+,?\s*+\{")
_COMMA = re.compile(r"\s*+,?\s*+")
_FIRST_KEY = re.compile(r'\{\s*+("(?:[^"\\\n]++|\\.)*+")\s*+:')
# Text that follows an object if a brace too many ended it early: a member, or the object's own brace. The second
# pattern is the beginning of such text.
_MEMBER = re.compile(r'\s{0,100}+,\s{0,100}+"([^"\\\n]{0,100}+)"\s{0,100}+:')
_BRACE = re.compile(r"\s{0,100}+\}")
_MEMBER_BEGIN = re.compile(r'\s{0,100}+(?:,\s{0,100}+(?:"[^"\\\n]{0,100}+(?:"\s{0,100}+)?)?)?\Z')
_NOT_CLOSED = -1
# The end of a broken value is searched by its brackets only this far, so that many broken values do not take long.
_MAX_BROKEN_CHARACTERS = 65_536
# The number of characters that are searched again with the next block, since a value may begin after the last comma.
_OVERLAP = 200
_MAX_VOTES = 100
# A search for the next value reads at most this number of characters, which takes a third of a second. A value that
# is nested too deeply takes as long as 150,000 characters. Line ends are counted 25 times as fast as JSON is read.
_MAX_SEARCHED_CHARACTERS = 32 << 20
_CHARACTERS_OF_DEEP_VALUE = 150_000
_CHARACTERS_COUNTED_AT_ONCE = 25
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


@dataclass(frozen=True)
class Values:
    """Values over any number of lines, in an array or one after another.

    A broken value is rejected alone if the beginning of the next value can be found. `in_answers`: the values are
    statements within answers of their receiver.
    """

    in_answers: bool = False

    def chunks(self, blocks: Iterable[bytes], rows_per_chunk: int) -> Iterator[RowChunk]:
        """Cut the text into its values, each on one line. Raises MalformedFile."""
        return chunked(self._cut(blocks), rows_per_chunk)

    def _cut(self, blocks: Iterable[bytes]) -> Iterator[RawRow]:
        """Yield the values. Raises MalformedFile for a text that is cut off."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        ends = ValueEnds()
        separators = _AROUND_STATEMENTS if self.in_answers else _SEPARATORS
        line = 1
        rest = ""
        # The first key of a value that was too long, while the next value is searched
        first_key = None
        has_text = False
        for block, is_final in chain(((block, False) for block in blocks), [(b"", True)]):
            text = rest + decoder.decode(block, final=is_final)
            has_text = has_text or bool(text.strip("\ufeff \t\r\n"))
            start = 0
            if first_key is not None:
                start = ends.next_value(text, 0, first_key, is_final)
                if start == _NOT_CLOSED:
                    rest = text[-_OVERLAP:]
                    line += text.count("\n") - rest.count("\n")
                    continue
                line += text.count("\n", 0, start)
                first_key = None
            while True:
                begin = _skip_separators(text, start, separators)
                line += text.count("\n", start, begin)
                start = begin
                if begin == len(text):
                    break
                if self.in_answers and not is_final and _is_begun_link(text, begin):
                    break
                end = ends.end(text, begin, is_final)
                if end == _NOT_CLOSED:
                    break
                value = text[begin:end]
                yield _row(line, value)
                line += value.count("\n")
                start = end
            rest = text[start:]
            if len(rest) > MAX_ROW_BYTES + _OVERLAP:
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
        raise InvalidRecord(
            "(line)", "one JSON object", shorten(text), "is not valid JSON"
        ) from None


def as_object(value: Any) -> dict[str, Any]:
    """Return a decoded value if it is a JSON object, and else an empty one."""
    if not isinstance(value, dict):
        return {}
    return value


def decode_text(raw: bytes) -> str:
    """Return the text of a row. Raises InvalidRecord."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        found = shorten(raw.decode(errors="replace"))
        raise InvalidRecord(
            "(row)", "characters in UTF-8", found, "holds a damaged character"
        ) from None


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
    if value and _is_json(value):
        return "values"
    return "lines"


def is_answer(head: bytes) -> bool:
    """Return whether a text that begins like this is an answer of a receiver of statements."""
    return _ANSWER.match(head.removeprefix(BOM).lstrip()) is not None


def first_value(head: bytes) -> bytes:
    """Return the first object of a text, alone or in an array, or empty bytes if it does not end within the head."""
    text = head.decode(errors="surrogateescape")
    begin = _skip_separators(text, 0, _SEPARATORS)
    end = _object_end(text, begin, len(text))
    return text[begin : max(begin, end)].encode(errors="surrogateescape")


class ValueEnds:
    """Finds where each value of a text ends.

    After a broken value the next one is found by the keys of a usual value. The usual value is like most of the whole
    values before: values that are like it vote for it, others vote against it.
    """

    def __init__(self) -> None:
        self._usual: dict[str, Any] = {}
        self._votes = 0

    def end(self, text: str, begin: int, is_final: bool) -> int:
        """Return the end of the value that begins at `begin`, or `_NOT_CLOSED` if more text is needed.

        Text that is not an object is one wrong row, up to the next object. A broken object ends where its brackets
        close, or before the next value. Raises MalformedFile if the text is cut off within the last object.
        """
        if text[begin] != "{":
            following = text.find("{", begin)
            if following >= 0:
                return following
            if is_final:
                return len(text)
            return _NOT_CLOSED
        value, end, _ = _whole_value(text, begin)
        # All values that may follow a broken one have to be seen, so that the rows do not depend on the blocks.
        is_decided = is_final or len(text) - begin > MAX_ROW_BYTES
        if end == _NOT_CLOSED:
            if is_decided:
                return self._broken_end(text, begin, is_final)
            return _NOT_CLOSED
        if not _NEXT_OBJECT.match(text, end):
            if not is_final and _MEMBER_BEGIN.match(text, end):
                return _NOT_CLOSED
            if self._ended_early(text, value, end):
                if is_decided:
                    return self._begin_of_next(text, begin, end, is_final)
                return _NOT_CLOSED
        self._vote(value)
        return end

    def _vote(self, value: dict[str, Any]) -> None:
        if self._is_usual(value):
            self._votes = min(self._votes + 1, _MAX_VOTES)
        elif self._votes > 0:
            self._votes -= 1
        else:
            self._usual = value
            self._votes = 1

    def _ended_early(self, text: str, value: dict[str, Any], end: int) -> bool:
        """Return whether a brace too many has ended an object. Another one or members that it lacks follow then."""
        if _BRACE.match(text, end):
            return True
        member = _MEMBER.match(text, end)
        return member is not None and member[1] in self._usual.keys() - value.keys()

    def _broken_end(self, text: str, begin: int, is_final: bool) -> int:
        limit = min(len(text), begin + _MAX_BROKEN_CHARACTERS)
        # The bracket that this value lacks may be too many in a later one, so the brackets count only up to the next.
        following = self._next_usual(text, begin + 1, limit)
        closed = _object_end(text, begin, limit if following == _NOT_CLOSED else following)
        if closed != _NOT_CLOSED:
            has_comma = text[closed : closed + _OVERLAP].lstrip().startswith(",")
            if has_comma or _is_followed(text, closed, is_final):
                return closed
        return self._begin_of_next(text, begin, begin + 1, is_final)

    def _begin_of_next(self, text: str, begin: int, start: int, is_final: bool) -> int:
        """Return the begin of the first value after `start`, for a broken value that begins at `begin`."""
        following = self.next_value(text, start, _first_key(text, begin), is_final)
        if following != _NOT_CLOSED:
            return following
        if not is_final:
            return _NOT_CLOSED
        if text.rstrip().endswith(("}", "]")):
            return len(text)
        raise MalformedFile(
            "the file ends in the middle of a JSON value: it is cut off; send the whole file"
        )

    def next_value(self, text: str, start: int, first_key: str, is_final: bool) -> int:
        """Return the begin of the next whole object, or `_NOT_CLOSED`.

        It is like the usual value, or has the first key of the broken value and is followed as a value is.
        """
        for begin, value, end in _whole_values(text, start, len(text)):
            if self._is_usual(value):
                return begin
            has_first_key = not first_key or _first_key(text, begin) == first_key
            if has_first_key and _is_followed(text, end, is_final):
                return begin
        return _NOT_CLOSED

    def _next_usual(self, text: str, start: int, end: int) -> int:
        """Return the begin of the next whole object that is like the usual value, or `_NOT_CLOSED`."""
        for begin, value, _ in _whole_values(text, start, end):
            if self._is_usual(value):
                return begin
        return _NOT_CLOSED

    def _is_usual(self, value: dict[str, Any]) -> bool:
        """Return whether an object has most of the keys of the usual value. Objects within a value have others."""
        common = value.keys() & self._usual.keys()
        return 2 * len(common) > len(self._usual)


def _whole_values(text: str, start: int, end: int) -> Iterator[tuple[int, dict[str, Any], int]]:
    """Yield the begin, the content and the end of each whole object between these places that may be a value.

    Objects within objects are read again and again, so the search gives up after `_MAX_SEARCHED_CHARACTERS`.
    """
    left = _MAX_SEARCHED_CHARACTERS
    for found in _NEXT_VALUE.finditer(text, start, end):
        value, value_end, characters = _whole_value(text, found.end())
        if value_end != _NOT_CLOSED:
            yield found.end(), value, value_end
        left -= characters
        if left < 0:
            return


def _whole_value(text: str, begin: int) -> tuple[dict[str, Any], int, int]:
    """Return the object that begins at `begin`, its end, and the number of characters that were read.

    The end is `_NOT_CLOSED` if the object is not valid JSON.
    """
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except json.JSONDecodeError as error:
        # The error has the number of its line, so it has counted the line ends of the text before.
        return {}, _NOT_CLOSED, error.pos - begin + error.pos // _CHARACTERS_COUNTED_AT_ONCE
    except (ValueError, RecursionError):
        return {}, _NOT_CLOSED, _CHARACTERS_OF_DEEP_VALUE
    return value, end, end - begin


def _is_followed(text: str, end: int, is_final: bool) -> bool:
    """Return whether another value, or the end of the array and the file, follows a value that ends at `end`."""
    comma = _COMMA.match(text, end)
    following = end
    if comma:
        following = comma.end()
    if text.startswith("{", following):
        return True
    return is_final and not text[following:].strip(" \t\r\n]")


def _first_key(text: str, begin: int) -> str:
    found = _FIRST_KEY.match(text, begin)
    if not found:
        return ""
    return found[1]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _skip_separators(text: str, start: int, separators: re.Pattern[str]) -> int:
    found = separators.match(text, start)
    if found:
        return found.end()
    return start


def _is_begun_link(text: str, begin: int) -> bool:
    """Return whether the link to the next answer begins here, and its end is not in the text yet."""
    link = text[begin : begin + _LONGEST_LINK]
    return len(link) < _LONGEST_LINK and (link.startswith(_LINK) or _LINK.startswith(link))


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
    around = " \t\r\n,[]"
    if value.startswith("{"):
        around = " \t\r\n,"
    text = value.strip(around)
    if "\n" in text:
        text = " ".join(part.strip() for part in text.split("\n"))
    raw = text.encode(errors="surrogateescape")
    if len(raw) > MAX_ROW_BYTES:
        return RawRow(line, raw[:KEPT_OF_A_LONG_ROW], is_cut=True)
    return RawRow(line, raw)
