"""A dry run: it reads a file like an import, without a server and without writing anything."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO

from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import Compression, Format
from edugraph_common.contracts.outcomes import WITHDRAWAL, Reject
from edugraph_common.contracts.records import Record, Withdrawal
from edugraph_common.sources.chunking import RowChunk
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.read_plan import ReadPlan, open_text
from edugraph_common.sources.row_numbers import MOST_LOOKED_AT, are_row_numbers
from edugraph_common.sources.rows import NotRelevant, read_rows

SHOWN_REJECTS = 20
_LENGTH_OF_A_HASH = 64  # hexadecimal digits of SHA-256
_ROWS_OF_A_CHUNK, _ROWS_OF_A_CHUNK_OF_A_PART = 1_000, 100


class DryRun(ContractModel):
    """The result of a dry run. `valid`, `rejected` and `not_relevant` add up to `read`.

    `by_type` counts the valid rows. `complete`: whether all rows of the file were read.
    """

    read_plan: ReadPlan = Field(serialization_alias="reading")
    read: int
    valid: int
    rejected: int
    by_type: dict[str, int]
    reasons: dict[str, int]
    not_relevant: dict[str, int]
    errors: tuple[Reject, ...]
    complete: bool = True


def dry_run(
    file: IO[bytes],
    file_format: Format,
    mapping: Mapping | None = None,
    compression: Compression | None = None,
    *,
    shown_rejects: int = SHOWN_REJECTS,
    latest: datetime | None = None,
    is_part: bool = False,
    most_rows: int | None = None,
) -> DryRun:
    """Read a file once, like the import, and keep the first `shown_rejects` rejects.

    `latest`: the latest timestamp that a record may have. `is_part`: only the first part of a file is given, so its
    last chunk is left out. `most_rows`: reading ends soon after this number of rows.

    Raises MalformedFile, also if the mapping uses row numbers as ids of records, because the next file with the same
    numbers would replace these records.
    """
    plan, text = open_text(file, file_format, compression, mapping)
    types = Counter[str]()
    reasons = Counter[str]()
    not_relevant = Counter[str]()
    errors: list[Reject] = []
    given_ids: set[str] = set()
    source = plan.source
    complete = not is_part
    read = 0
    rows_of_a_chunk = _ROWS_OF_A_CHUNK_OF_A_PART if is_part else _ROWS_OF_A_CHUNK
    chunks = source.chunks(text, rows_of_a_chunk)
    for chunk in _without_cut(chunks) if is_part else chunks:
        if most_rows is not None and read >= most_rows:
            complete = False
            break
        read += len(chunk)
        for _, row in read_rows(source, chunk, latest):
            match row:
                case Record():
                    types[row.type] += 1
                    if len(given_ids) < MOST_LOOKED_AT and not _has_no_id_of_its_own(row):
                        given_ids.add(row.record_id)
                case Withdrawal():
                    types[WITHDRAWAL] += 1
                    given_ids.add(row.record_id)
                case NotRelevant():
                    not_relevant[row.name] += 1
                case Reject():
                    reasons[row.reason] += 1
                    if len(errors) < shown_rejects:
                        errors.append(row)
    _refuse_row_numbers(mapping, given_ids)
    valid = types.total()
    rejected = reasons.total()
    return DryRun(
        read_plan=plan,
        read=valid + rejected + not_relevant.total(),
        valid=valid,
        rejected=rejected,
        by_type=dict(sorted(types.items())),
        reasons=dict(reasons.most_common()),
        not_relevant=dict(not_relevant.most_common()),
        errors=tuple(errors),
        complete=complete,
    )


def _has_no_id_of_its_own(record: Record) -> bool:
    """Return whether the id of a record is the hash of its content, because it has no id of its own."""
    return len(record.record_id) == _LENGTH_OF_A_HASH and record.record_id == record.content_hash


def _refuse_row_numbers(mapping: Mapping | None, given_ids: set[str]) -> None:
    """Raise MalformedFile if the mapping uses row numbers as ids of records."""
    columns = mapping.columns if mapping else {}
    for column, field in columns.items():
        if field == "record_id" and given_ids and are_row_numbers(column, given_ids):
            raise MalformedFile(
                f"the column {column} numbers the rows, which other files do too, so it cannot be the record_id: "
                f"leave record_id out (map {column} to null), or map a column whose values are unique over all files"
            )


def _without_cut(chunks: Iterable[RowChunk]) -> Iterator[RowChunk]:
    """Leave out the last chunk of a text that was cut off. Raises MalformedFile if it is the only chunk."""
    before: RowChunk | None = None
    try:
        for chunk in chunks:
            if before:
                yield before
            before = chunk
    except MalformedFile:
        # The text was cut within a packed frame, a character or a quoted cell. The chunk before it is complete.
        if before is None:
            raise
        yield before
