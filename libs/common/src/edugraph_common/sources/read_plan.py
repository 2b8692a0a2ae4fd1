"""The read plan: how the rows of a file are read.

It is made once from the first bytes of a file, stored beside it, and the same for every batch.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import assert_never

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import TABLE_FORMATS, Compression, Format
from edugraph_common.contracts.records import parse_row
from edugraph_common.sources.binary_files import why_no_table, why_no_text
from edugraph_common.sources.compression import BLOCK_BYTES, Readable, decompressed_blocks
from edugraph_common.sources.csv_source import CsvSource, Header, read_header
from edugraph_common.sources.encoding import UTF8, encoding_mark, encoding_of, utf8
from edugraph_common.sources.json_source import JsonSource, Layout, Lines, Values, layout_of
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import MalformedFile, UnusableKind, check_lines_head
from edugraph_common.sources.openedx import decode_event, people_of_event, read_event
from edugraph_common.sources.platforms import UNKNOWN_PLATFORMS, Platforms
from edugraph_common.sources.rows import Source
from edugraph_common.sources.students import people_of_record
from edugraph_common.sources.table_files import sheet_rows
from edugraph_common.sources.table_rows import TableSource, check_columns, row_lines
from edugraph_common.sources.xapi import people_of_statement, read_statement

_NEEDS_A_MAPPING = "needs a mapping that says which column is which field; `edugraph import --dry-run` suggests one"


class ReadPlan(ContractModel):
    """A CSV has the `encoding` of the file as it came, a `header` and a `mapping`; JSON has a `layout`.

    A workbook and a Parquet file have a `mapping`.

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
    def is_converted(self) -> bool:
        """Whether batches are read from a text that was made of the file's rows once, and never from the file."""
        return self.format in TABLE_FORMATS or (self.mapping is not None and self.mapping.items is not None)

    @property
    def source(self) -> Source:
        """Raises MalformedFile for a table without a mapping."""
        platforms = self.ids
        if self.is_converted and self.mapping:
            return TableSource(self.mapping)
        match self.format:
            case "ndjson":
                return JsonSource(Lines(), parse_row, people_of_record)
            case "xapi":
                statements = Values() if self.layout == "values" else Lines()
                return JsonSource(
                    statements,
                    partial(read_statement, platforms=platforms),
                    partial(people_of_statement, platforms=platforms),
                )
            case "openedx":
                # A line of a log may have a prefix, and then is no JSON as a whole.
                events = Values() if self.layout == "values" else Lines(json_ends=False)
                return JsonSource(
                    events,
                    partial(read_event, platforms=platforms),
                    partial(people_of_event, platforms=platforms),
                    decode_event,
                )
            case "csv":
                if self.header is None or self.mapping is None:
                    raise MalformedFile(f"a CSV {_NEEDS_A_MAPPING}")
                return CsvSource(self.header, self.mapping)
            case "workbook" | "parquet":
                raise MalformedFile(f"a {self.format} {_NEEDS_A_MAPPING}")
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
    if file_format in ("workbook", "parquet"):
        if sentence := why_no_table(head, file_format):
            raise UnusableKind(sentence)
        plan = ReadPlan(format=file_format, mapping=mapping)
        _ = plan.source  # raises where there is no mapping
        return plan
    if file_format == "csv":
        if sentence := why_no_text(head):
            raise UnusableKind(sentence)
        encoding = encoding_mark(head) or (mapping and mapping.encoding) or encoding_of(head)
        header = read_header(in_utf8(head, encoding), mapping.delimiter if mapping else None)
        if mapping:
            check_columns(header.columns, mapping)
        return ReadPlan(format="csv", encoding=encoding, header=header, mapping=mapping)
    check_lines_head(head)
    if file_format == "ndjson":
        return ReadPlan()
    prefixes = dict(platforms.prefixes or {})
    return ReadPlan(format=file_format, layout=layout_of(head), platforms=prefixes, log_platform=platforms.log)


def in_utf8(head: bytes, encoding: str) -> bytes:
    """Return the first part of a text in UTF-8; its last character may be cut off. Raises MalformedFile."""
    return next(utf8((head,), encoding), b"")


def open_text(
    file: Readable,
    file_format: Format,
    compression: Compression | None,
    mapping: Mapping | None = None,
    platforms: Platforms = UNKNOWN_PLATFORMS,
) -> tuple[ReadPlan, Iterator[bytes]]:
    """Return how to read the file, and its text in UTF-8. The file need not be seekable. Raises MalformedFile.

    The text of a workbook, a Parquet file or a wide table is that of its rows; see `table_rows`.
    """
    blocks = decompressed_blocks(file, compression)
    head = bytearray()
    for block in blocks:  # A compressed file may begin with many small frames.
        head += block
        if len(head) >= BLOCK_BYTES:
            break
    plan = make_read_plan(bytes(head), file_format, mapping, platforms)
    whole = chain((bytes(head),), blocks)
    if mapping is None or not plan.is_converted:
        return plan, text_of(whole, plan)
    if plan.format in ("workbook", "parquet"):
        return plan, row_lines(sheet_rows(whole, plan.format, mapping.sheets), mapping)
    assert plan.header is not None  # noqa: S101 - every CSV has a header
    return plan, row_lines(CsvSource(plan.header, mapping).sheet_rows(text_of(whole, plan)), mapping)


def text_of(blocks: Iterable[bytes], plan: ReadPlan) -> Iterator[bytes]:
    """Yield the text of an uncompressed file in UTF-8. Raises MalformedFile."""
    return utf8(blocks, plan.encoding) if plan.format == "csv" else iter(blocks)
