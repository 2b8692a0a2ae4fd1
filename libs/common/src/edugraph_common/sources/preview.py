"""A preview of an import from the first part of a file: its format, and the outcomes of its rows."""

import io
from collections.abc import Callable
from datetime import datetime
from typing import Any

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import TABLE_FORMATS, Compression, Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record
from edugraph_common.sources.compression import decompressor
from edugraph_common.sources.detection import (
    HEAD_BYTES,
    DetectedFile,
    chosen_format,
    detect_file,
)
from edugraph_common.sources.dry_run import MarkAsRead, dry_run
from edugraph_common.sources.encoding import UTF8
from edugraph_common.sources.first_table import FirstTable, first_table
from edugraph_common.sources.mapping import parse_mapping, with_points
from edugraph_common.sources.mapping_form import MappingForm, mapping_form, with_answers
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.rows import MAX_FUTURE
from edugraph_common.sources.wide_tables import ItemPoints

_MOST_ROWS = 5_000  # they take a fraction of a second of one processor
_MOST_UNPACKED_BYTES = 16 << 20  # a file may unpack to a thousand times its size
_TOO_LARGE = "the file is too large for a preview; `edugraph import --dry-run` reads all of it"


class Preview(ContractModel):
    """A preview. `mapping` is the given one, or a suggested one whose open points a person must decide.

    `form` is the mapping as a form, for a mapping that a form can show. `layout` is the export that the names of the
    columns identify. `columns` are the columns of a CSV. `item_points` are the points of a suggested wide table's
    columns, which a person must confirm. `marks` are those of the first three students, with their outcomes. The
    numbers are for the rows that were read; with `complete` these are all rows. `problem` says why no rows were read.
    """

    format: Format
    compression: Compression | None = None
    encoding: str = UTF8
    delimiter: str | None = None
    columns: tuple[str, ...] = ()
    mapping: str | None = None
    form: MappingForm | None = None
    open_points: tuple[str, ...] = ()
    layout: str | None = None
    item_points: tuple[ItemPoints, ...] = ()
    marks: tuple[MarkAsRead, ...] = ()
    problem: str | None = None
    complete: bool = False
    read: int = 0
    valid: int = 0
    rejected: int = 0
    by_type: dict[str, int] = {}
    reasons: dict[str, int] = {}
    not_relevant: dict[str, int] = {}
    errors: tuple[Reject, ...] = ()


def preview(
    name: str,
    part: bytes,
    mapping: str | None,
    latest: datetime,
    *,
    is_whole: bool,
    points: str | None = None,
    answers: str | None = None,
    check: Callable[[Record], None] = lambda _: None,
) -> Preview:
    """Return the preview of a file from its first part, or from the whole file.

    A workbook or a Parquet file can only be read as a whole. `mapping` is the text of the mapping of a table. Without
    it, a mapping is suggested and used. `points` is a JSON object: column -> points of a right answer. `answers` is
    the JSON of a `MappingAnswers`. Both are put into the mapping. `check` raises InvalidRecord for a record that the
    caller of the import may not write.

    Raises MalformedFile for a file that cannot be imported.
    """
    detected = detect_file(name, part[:HEAD_BYTES])
    text, is_whole = unpacked(part, detected.compression, is_whole=is_whole)
    chosen = chosen_format(detected, None, has_mapping=mapping is not None)
    detected = detected.model_copy(update={"format": chosen})
    found = Preview.model_validate(
        detected.model_dump(exclude={"encoding_lead", "next_best_encoding"})
    )
    if chosen in TABLE_FORMATS and not is_whole:
        return found.model_copy(update={"mapping": mapping, "problem": _TOO_LARGE})
    try:
        table = None
        if chosen in ("csv", *TABLE_FORMATS):
            table = _table_of(text, detected, needed=mapping is None)
        if mapping is None and table is not None:
            now = latest - MAX_FUTURE
            suggestion = table.suggestion(name, now.date())
            mapping = suggestion.mapping
            asked = {
                "layout": suggestion.layout,
                "open_points": suggestion.open_points,
                "item_points": suggestion.item_points,
            }
            found = found.model_copy(update=asked)
        if points is not None:
            mapping = with_points(mapping or "", points)
        if answers is not None and table is not None:
            mapping = with_answers(mapping or "", answers, table.columns, table.rows)
        form = None
        if mapping is not None and table is not None:
            form = mapping_form(mapping, table.columns, table.rows)
        found = found.model_copy(update={"mapping": mapping, "form": form})
        report = dry_run(
            io.BytesIO(text),
            chosen,
            parse_mapping(mapping.encode()) if mapping else None,
            latest=latest,
            is_part=not is_whole,
            most_rows=_MOST_ROWS,
            check=check,
        )
    except MalformedFile as problem:
        return found.model_copy(update={"problem": str(problem)})
    update: dict[str, Any] = {each: value for each, value in report if each in Preview.model_fields}
    header = report.read_plan.header
    if header:
        update["columns"] = header.columns
    return found.model_copy(update=update)


def _table_of(text: bytes, detected: DetectedFile, *, needed: bool) -> FirstTable | None:
    """Return the first rows of a table.

    A mapping may say what cannot be detected, such as the delimiter. Then the table is read by it, and None is
    returned unless the table is `needed` for a suggestion. Raises MalformedFile.
    """
    try:
        return first_table(io.BytesIO(text), detected.model_copy(update={"compression": None}))
    except MalformedFile:
        if needed:
            raise
        return None


def unpacked(part: bytes, compression: Compression | None, *, is_whole: bool) -> tuple[bytes, bool]:
    """Return the beginning of the unpacked text, and whether it is the whole text. Raises MalformedFile."""
    stream = decompressor(compression or "identity")
    text = bytearray()
    for block in stream.feed(part):
        text += block
        if len(text) > _MOST_UNPACKED_BYTES:
            return bytes(text), False
    if is_whole:
        stream.finish()
    return bytes(text), is_whole
