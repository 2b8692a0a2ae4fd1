"""How one file is read: decided once from its first bytes, kept beside it, and the same for every batch."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, assert_never

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.messages import Compression, Format
from edugraph_common.contracts.records import parse_record
from edugraph_common.sources.encoding import UTF8, encoding_mark, encoding_of, utf8
from edugraph_common.sources.frames import unpacked
from edugraph_common.sources.json_source import JsonSource
from edugraph_common.sources.layouts import Layout, Lines, Values, layout_of
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.openedx import decode_event, read_event, students_of_event
from edugraph_common.sources.people import students_of_record
from edugraph_common.sources.source import Source
from edugraph_common.sources.table_header import Header, check_header, read_header
from edugraph_common.sources.table_source import TableSource
from edugraph_common.sources.xapi import read_statement, students_of_statement


class Reading(Frozen):
    """Of a CSV: `encoding` of the file as it came, `header` and `mapping`. Of JSON: `layout`."""

    format: Format = "ndjson"
    encoding: str = UTF8
    layout: Layout = "lines"
    header: Header | None = None
    mapping: Mapping | None = None

    @property
    def source(self) -> Source:
        match self.format:
            case "ndjson":
                return JsonSource(Lines(), parse_record, students_of_record)
            case "xapi":
                return JsonSource(self._layout(json_ends=True), read_statement, students_of_statement)
            case "openedx":
                return JsonSource(self._layout(json_ends=False), read_event, students_of_event, decode_event)
            case "csv":
                return self._table()
        assert_never(self.format)

    def _layout(self, *, json_ends: bool) -> Lines | Values:
        return Values() if self.layout == "values" else Lines(json_ends=json_ends)

    def _table(self) -> Source:
        if self.header is None or self.mapping is None:
            raise MalformedFile(
                "a CSV needs a mapping that says which column is which field; "
                "`edugraph import --dry-run` suggests one"
            )
        return TableSource(self.header, self.mapping)


def plan_reading(head: bytes, file_format: Format, mapping: Mapping | None = None) -> Reading:
    """`head`: the first part of the file, unpacked, with its whole header. Raises MalformedFile."""
    if file_format == "csv":
        return _plan_table(head, mapping)
    if file_format == "ndjson":
        return Reading()
    return Reading(format=file_format, layout=layout_of(head))


def _plan_table(head: bytes, mapping: Mapping | None) -> Reading:
    encoding = encoding_mark(head) or (mapping and mapping.encoding) or encoding_of(head)
    header = read_header(in_utf8(head, encoding), mapping.delimiter if mapping else None)
    if mapping:
        check_header(header, mapping)
    return Reading(format="csv", encoding=encoding, header=header, mapping=mapping)


def in_utf8(head: bytes, encoding: str) -> bytes:
    """A head, whose last character may be cut off. Raises MalformedFile."""
    return next(utf8((head,), encoding), b"")


def open_text(
    file: IO[bytes], file_format: Format, compression: Compression | None, mapping: Mapping | None = None
) -> tuple[Reading, Iterator[bytes]]:
    """How to read the file, and its text in UTF-8. The file need not be seekable. Raises MalformedFile."""
    chunks = unpacked(file, compression)
    head = next(chunks, b"")
    reading = plan_reading(head, file_format, mapping)
    return reading, text_of(chain((head,), chunks), reading)


def text_of(chunks: Iterable[bytes], reading: Reading) -> Iterator[bytes]:
    """The text of an unpacked file in UTF-8. Raises MalformedFile.

    Lines of JSON are checked to be UTF-8 where they are cut.
    """
    checked_later = reading.format != "csv" and reading.layout == "lines"
    return iter(chunks) if checked_later else utf8(chunks, reading.encoding)
