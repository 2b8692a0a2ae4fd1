"""A dry run: what an import of a file would do, found out without a server."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO

from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import Compression, Format
from edugraph_common.contracts.outcomes import WITHDRAWAL, Reject
from edugraph_common.contracts.records import Record, Withdrawal
from edugraph_common.sources.chunking import Chunk
from edugraph_common.sources.mapping import Mapping
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.read_plan import ReadPlan, open_text
from edugraph_common.sources.rows import NotRelevant

SHOWN_REJECTS = 20
_ROWS_OF_A_CHUNK, _ROWS_OF_A_CHUNK_OF_A_PART = 1_000, 100


class DryRun(ContractModel):
    """`valid`, `rejected` and `not_relevant` add up to `read`. `by_type` counts the valid rows.

    `complete`: whether all rows of the file were read.
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
    """Read a file once, as the import would, and keep the first `shown_rejects` rejects.

    `latest`: the latest timestamp that a record may have. `is_part`: the file was cut off somewhere, and what stands
    there counts for nothing. `most_rows`: a little after so many rows the rest is not read.

    Raises MalformedFile.
    """
    plan, text = open_text(file, file_format, compression, mapping)
    types, reasons, not_relevant = Counter[str](), Counter[str](), Counter[str]()
    errors: list[Reject] = []
    source, complete, read = plan.source, not is_part, 0
    chunks = source.chunks(text, _ROWS_OF_A_CHUNK_OF_A_PART if is_part else _ROWS_OF_A_CHUNK)
    for chunk in _without_cut(chunks) if is_part else chunks:
        if most_rows is not None and read >= most_rows:
            complete = False
            break
        read += chunk.rows
        for _, row in source.rows(chunk.text, chunk.first_line, latest):
            match row:
                case Record():
                    types[row.type] += 1
                case Withdrawal():
                    types[WITHDRAWAL] += 1
                case NotRelevant():
                    not_relevant[row.name] += 1
                case Reject():
                    reasons[row.reason] += 1
                    if len(errors) < shown_rejects:
                        errors.append(row)
    valid, rejected = types.total(), reasons.total()
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


def _without_cut(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Leave out the last chunk of a text that was cut off. Raises MalformedFile where there is no chunk before it."""
    before: Chunk | None = None
    try:
        for chunk in chunks:
            if before:
                yield before
            before = chunk
    except MalformedFile:
        # The cut is in a packed frame, a character or a quoted cell: the chunk before it is whole.
        if before is None:
            raise
        yield before
