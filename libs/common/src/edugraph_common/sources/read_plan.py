"""The read plan: how the rows of a file are read.

It is made once from the first bytes of a file, stored beside it, and the same for every batch.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import IO, assert_never

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import Compression, Format
from edugraph_common.contracts.records import parse_row
from edugraph_common.sources.compression import BLOCK_BYTES, decompressed_blocks
from edugraph_common.sources.csv_source import CsvSource, Header, check_header, read_header
from edugraph_common.sources.encoding import UTF8, encoding_mark, encoding_of, utf8
from edugraph_common.sources.json_source import JsonSource, Layout, Lines, Values, layout_of
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.openedx import decode_event, read_event, students_of_event
from edugraph_common.sources.platforms import UNKNOWN_PLATFORMS, Platforms
from edugraph_common.sources.rows import Source
from edugraph_common.sources.students import students_of_record
from edugraph_common.sources.xapi import read_statement, students_of_statement


class ReadPlan(ContractModel):
    """A CSV has the `encoding` of the file as it came, a `header` and a `mapping`; JSON has a `layout`.

    `platforms` are the prefixes of ids as they were set when the plan was made, None in plans of older releases;
    `log_platform` is the one that wrote a log.
    """

    format: Format = "ndjson"
    encoding: str = UTF8
    layout: Layout = "lines"
    header: Header | None = None
    mapping: Mapping | None = None
    platforms: dict[str, str] | None = None
    log_platform: str | None = None

    @property
    def ids(self) -> Platforms:
        return Platforms(self.platforms, self.log_platform)

    @property
    def source(self) -> Source:
        """Raises MalformedFile for a CSV without a mapping."""
        platforms = self.ids
        match self.format:
            case "ndjson":
                return JsonSource(Lines(), parse_row, students_of_record)
            case "xapi":
                statements = Values() if self.layout == "values" else Lines()
                return JsonSource(
                    statements,
                    partial(read_statement, platforms=platforms),
                    partial(students_of_statement, platforms=platforms),
                )
            case "openedx":
                # A line of a log may have a prefix, and then is no JSON as a whole.
                events = Values() if self.layout == "values" else Lines(json_ends=False)
                return JsonSource(
                    events,
                    partial(read_event, platforms=platforms),
                    partial(students_of_event, platforms=platforms),
                    decode_event,
                )
            case "csv":
                if self.header is None or self.mapping is None:
                    raise MalformedFile(
                        "a CSV needs a mapping that says which column is which field; "
                        "`edugraph import --dry-run` suggests one"
                    )
                return CsvSource(self.header, self.mapping)
        assert_never(self.format)


def make_read_plan(
    head: bytes,
    file_format: Format,
    mapping: Mapping | None = None,
    platforms: Platforms = UNKNOWN_PLATFORMS,
) -> ReadPlan:
    """Plan how to read a file from its first part, which is uncompressed and has the whole header of a table.

    Raises MalformedFile.
    """
    if file_format == "csv":
        encoding = encoding_mark(head) or (mapping and mapping.encoding) or encoding_of(head)
        header = read_header(in_utf8(head, encoding), mapping.delimiter if mapping else None)
        if mapping:
            check_header(header, mapping)
        return ReadPlan(format="csv", encoding=encoding, header=header, mapping=mapping)
    if file_format == "ndjson":
        return ReadPlan()
    prefixes = dict(platforms.prefixes or {})
    return ReadPlan(format=file_format, layout=layout_of(head), platforms=prefixes, log_platform=platforms.log)


def in_utf8(head: bytes, encoding: str) -> bytes:
    """Return the first part of a text in UTF-8; its last character may be cut off. Raises MalformedFile."""
    return next(utf8((head,), encoding), b"")


def open_text(
    file: IO[bytes],
    file_format: Format,
    compression: Compression | None,
    mapping: Mapping | None = None,
    platforms: Platforms = UNKNOWN_PLATFORMS,
) -> tuple[ReadPlan, Iterator[bytes]]:
    """Return how to read the file, and its text in UTF-8. The file need not be seekable. Raises MalformedFile."""
    blocks = decompressed_blocks(file, compression)
    head = bytearray()
    for block in blocks:  # A compressed file may begin with many small frames.
        head += block
        if len(head) >= BLOCK_BYTES:
            break
    plan = make_read_plan(bytes(head), file_format, mapping, platforms)
    return plan, text_of(chain((bytes(head),), blocks), plan)


def text_of(blocks: Iterable[bytes], plan: ReadPlan) -> Iterator[bytes]:
    """Yield the text of an uncompressed file in UTF-8. Raises MalformedFile.

    Lines of JSON pass unchanged: `LineScan` checks that they are UTF-8.
    """
    checked_later = plan.format != "csv" and plan.layout == "lines"
    return iter(blocks) if checked_later else utf8(blocks, plan.encoding)
