"""The read plan: the rules for reading the rows of a file.

It is made once from the first bytes of a file and stored beside it. All batches use the same plan.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import assert_never

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import (
    CURRICULUM_FORMATS,
    TABLE_FORMATS,
    Compression,
    Format,
)
from edugraph_common.contracts.records import parse_row
from edugraph_common.sources.binary_files import why_no_table, why_no_text
from edugraph_common.sources.compression import BLOCK_BYTES, Readable, decompressed_blocks
from edugraph_common.sources.csv_source import CsvSource, Header, read_header
from edugraph_common.sources.curriculum import CurriculumSource
from edugraph_common.sources.curriculum_case import read_case
from edugraph_common.sources.curriculum_coherence import read_coherence_map
from edugraph_common.sources.curriculum_openstax import read_openstax
from edugraph_common.sources.curriculum_table import read_table
from edugraph_common.sources.encoding import UTF8, encoding_mark, encoding_of, utf8
from edugraph_common.sources.json_source import (
    JsonSource,
    Layout,
    Lines,
    Values,
    is_answer,
    layout_of,
)
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import MalformedFile, UnusableKind, check_lines_head
from edugraph_common.sources.openedx import decode_event, people_of_event, read_event
from edugraph_common.sources.platforms import UNKNOWN_PLATFORMS, Platforms
from edugraph_common.sources.rows import Source
from edugraph_common.sources.students import people_of_record
from edugraph_common.sources.table_files import sheet_rows
from edugraph_common.sources.table_rows import TableSource, check_columns, row_lines
from edugraph_common.sources.xapi import StatementSource, people_of_statement, read_statement

# The sign that stands for bytes that are not valid in the encoding.
_REPLACED = "\ufffd"
_NEEDS_A_MAPPING = "needs a mapping that says which column is which field; `edugraph import --dry-run` suggests one"


class ReadPlan(ContractModel):
    """The plan for a file. A CSV has the `encoding` of the file as it was sent, a `header` and a `mapping`.

    An outline of a curriculum has no mapping. JSON has a `layout`. Workbooks and Parquet files have a `mapping`.

    `platforms` are the prefixes of ids in the settings when the plan was made.
    `log_platform` is the platform that wrote a log.
    """

    format: Format = "ndjson"
    encoding: str = UTF8
    layout: Layout = "lines"
    header: Header | None = None
    mapping: Mapping | None = None
    platforms: dict[str, str] = {}
    log_platform: str | None = None

    @property
    def ids(self) -> Platforms:
        return Platforms(self.platforms, self.log_platform)

    @property
    def is_converted(self) -> bool:
        """Whether the split converts the file's rows into text, from which batches are read."""
        return self.format in TABLE_FORMATS or (
            self.mapping is not None and self.mapping.items is not None
        )

    @property
    def source(self) -> Source:
        """The source of the rows. Raises MalformedFile for a table without a mapping."""
        platforms = self.ids
        if self.is_converted and self.mapping:
            return TableSource(self.mapping)
        match self.format:
            case "ndjson":
                return JsonSource(Lines(), parse_row, people_of_record)
            case "xapi":
                statements = (
                    Lines()
                    if self.layout == "lines"
                    else Values(in_answers=self.layout == "answers")
                )
                return StatementSource(
                    statements,
                    partial(read_statement, platforms=platforms),
                    partial(people_of_statement, platforms=platforms),
                )
            case "openedx":
                # A line of a log may have a prefix, so the whole line need not be JSON.
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
            case "case" | "outline" | "openstax" | "coherence_map":
                return CurriculumSource()
            case "workbook" | "parquet":
                raise MalformedFile(f"a {self.format} {_NEEDS_A_MAPPING}")
        assert_never(self.format)


def make_read_plan(
    head: bytes,
    file_format: Format,
    mapping: Mapping | None = None,
    platforms: Platforms = UNKNOWN_PLATFORMS,
) -> ReadPlan:
    """Return the read plan of a file.

    `head` is the first part of the file, uncompressed, with the complete header of a table. Raises MalformedFile.
    """
    if file_format in ("workbook", "parquet"):
        if sentence := why_no_table(head, file_format):
            raise UnusableKind(sentence)
        plan = ReadPlan(format=file_format, mapping=mapping)
        _ = plan.source  # raises if there is no mapping
        return plan
    if file_format in ("case", "coherence_map"):
        check_lines_head(head)
        return ReadPlan(format=file_format)
    if file_format == "openstax":
        return ReadPlan(format=file_format)
    if file_format in ("csv", "outline"):
        if sentence := why_no_text(head):
            raise UnusableKind(sentence)
        encoding = encoding_mark(head) or (mapping and mapping.encoding) or encoding_of(head)
        header = _header_of(head, encoding, mapping)
        if mapping:
            check_columns(header.columns, mapping)
        return ReadPlan(format=file_format, encoding=encoding, header=header, mapping=mapping)
    check_lines_head(head)
    if file_format == "ndjson":
        return ReadPlan()
    prefixes = dict(platforms.prefixes)
    layout = layout_of(head)
    if file_format == "xapi" and is_answer(head):
        layout = "answers"
    return ReadPlan(
        format=file_format, layout=layout, platforms=prefixes, log_platform=platforms.log
    )


def _header_of(head: bytes, encoding: str, mapping: Mapping | None) -> Header:
    """Return the header of a table. Raises MalformedFile, also if the header has bytes of another encoding."""
    text = in_utf8(head, encoding)
    delimiter = None
    wanted: list[str] = []
    if mapping:
        delimiter = mapping.delimiter
        wanted = [column for column in mapping.columns if column]
    header = read_header(text, delimiter, wanted)
    has_replaced_bytes = _REPLACED in header.raw and not _is_utf8(text[: header.size])
    if has_replaced_bytes:
        raise MalformedFile(
            f"the header has bytes that are not {encoding}: name the encoding of the file in the mapping, as in "
            "`encoding: gb18030`, or mend the header"
        )
    return header


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def in_utf8(head: bytes, encoding: str) -> bytes:
    """Return the first part of a text in UTF-8. The last character may be cut off. Raises MalformedFile."""
    return next(utf8((head,), encoding), b"")


def open_text(
    file: Readable,
    file_format: Format,
    compression: Compression | None,
    mapping: Mapping | None = None,
    platforms: Platforms = UNKNOWN_PLATFORMS,
) -> tuple[ReadPlan, Iterator[bytes]]:
    """Return the read plan of a file and its text in UTF-8. The file need not be seekable. Raises MalformedFile.

    A workbook, a Parquet file and a wide table are converted into the text of `table_rows`, a curriculum into that of
    `curriculum`.
    """
    blocks = decompressed_blocks(file, compression)
    head = bytearray()
    for block in blocks:  # A compressed file may begin with many small frames.
        head += block
        if len(head) >= BLOCK_BYTES:
            break
    plan = make_read_plan(bytes(head), file_format, mapping, platforms)
    whole = chain((bytes(head),), blocks)
    if plan.format in CURRICULUM_FORMATS:
        return plan, _curriculum_lines(whole, plan)
    if mapping is None or not plan.is_converted:
        return plan, text_of(whole, plan)
    if plan.format in ("workbook", "parquet"):
        return plan, row_lines(sheet_rows(whole, plan.format, mapping.sheets), mapping)
    assert plan.header is not None  # noqa: S101 - every CSV has a header
    return plan, row_lines(
        CsvSource(plan.header, mapping).sheet_rows(text_of(whole, plan)), mapping
    )


def _curriculum_lines(blocks: Iterable[bytes], plan: ReadPlan) -> Iterator[bytes]:
    """Yield the text of a curriculum. Raises MalformedFile."""
    match plan.format:
        case "case":
            outline = read_case(blocks)
        case "openstax":
            outline = read_openstax(blocks)
        case "coherence_map":
            outline = read_coherence_map(blocks)
        case _:
            assert plan.header is not None  # noqa: S101 - every outline has a header
            outline = read_table(utf8(blocks, plan.encoding), plan.header)
    yield from outline.lines()


def text_of(blocks: Iterable[bytes], plan: ReadPlan) -> Iterator[bytes]:
    """Yield the text of an uncompressed file in UTF-8. Raises MalformedFile."""
    if plan.format == "csv":
        return utf8(blocks, plan.encoding)
    return iter(blocks)
