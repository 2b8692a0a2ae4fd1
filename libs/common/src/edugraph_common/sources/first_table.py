"""The first rows of a table without a mapping. A mapping is suggested from them."""

import csv
import io
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from itertools import groupby, islice
from typing import IO, NamedTuple

from edugraph_common.sources.binary_files import TableFormat
from edugraph_common.sources.cells import cell_text
from edugraph_common.sources.compression import decompressed_blocks
from edugraph_common.sources.detection import DetectedFile
from edugraph_common.sources.mapping_suggestion import MappingSuggestion, suggest_mapping
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.read_plan import ReadPlan, open_text
from edugraph_common.sources.table_files import sheet_rows
from edugraph_common.sources.table_rows import HEADER_ROWS, found_header

_ROWS_FOR_A_SUGGESTION = 2_000  # a gradebook has its row of means at its end


class FirstTable(NamedTuple):
    """The first rows of a table. `sheet` is the sheet of a workbook, and `plan` the read plan of a CSV."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    sheet: str | None = None
    plan: ReadPlan | None = None

    def suggestion(
        self, file_name: str | None = None, today: date | None = None
    ) -> MappingSuggestion:
        return suggest_mapping(
            self.columns, self.rows, self.sheet, file_name=file_name, today=today
        )


def first_table(file: IO[bytes], detected: DetectedFile) -> FirstTable:
    """Return the columns and the first rows of a CSV, a workbook or a Parquet file. Raises MalformedFile."""
    if detected.format != "csv":
        return _of_sheets(file, detected)
    plan, text = open_text(file, "csv", detected.compression)
    header = plan.header
    assert header is not None  # noqa: S101 - every CSV has a header
    body = next(text, b"")[header.size :].decode(errors="replace")
    rows = list(
        islice(csv.reader(io.StringIO(body), delimiter=header.delimiter), _ROWS_FOR_A_SUGGESTION)
    )
    return FirstTable(header.columns, rows, plan=plan)


def _of_sheets(file: IO[bytes], detected: DetectedFile) -> FirstTable:
    """Read the first sheet with a table. Raises MalformedFile."""
    table_format: TableFormat = "parquet" if detected.format == "parquet" else "workbook"
    found = sheet_rows(decompressed_blocks(file, detected.compression), table_format)
    with closing(found):
        for sheet, group in groupby(found, key=lambda row: row.sheet):
            rows = [
                row
                for row in islice(group, HEADER_ROWS + _ROWS_FOR_A_SUGGESTION)
                if not row.is_blank
            ]
            header = found_header(rows[:HEADER_ROWS])
            if header is not None:
                cells = [list(map(cell_text, row.cells or ())) for row in rows[header.end :]]
                return FirstTable(header.columns, cells, sheet)
    raise MalformedFile("no sheet holds a table whose first rows name the columns")
