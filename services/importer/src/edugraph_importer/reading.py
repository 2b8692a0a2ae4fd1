"""A batch's rows, as what the graph writes and what is set aside."""

from collections.abc import Iterable
from typing import Any

from edugraph_common.blobs import Blobs
from edugraph_common.failures import Rejected
from edugraph_common.messages import ImportBatch
from edugraph_common.outcomes import Reject
from edugraph_common.records import Record
from edugraph_common.rows import parse_rows, stored_rows
from edugraph_importer.graph import RecordBatch


def read_batch(blobs: Blobs, message: ImportBatch) -> RecordBatch:
    if message.records is not None:
        rows: Iterable[tuple[int, Any]] = enumerate(message.records, start=message.first_line)
    elif message.rows is not None:
        rows = stored_rows(blobs, message.rows)
    else:
        raise Rejected("the message has neither rows nor records")
    parsed = list(parse_rows(rows))
    return RecordBatch(
        job_id=message.job_id,
        batch=message.batch,
        records=[(line, row) for line, row in parsed if isinstance(row, Record)],
        rejects=[row for _, row in parsed if isinstance(row, Reject)],
        read=len(parsed),
    )


def rejects_key(job_id: str, batch: int) -> str:
    return f"jobs/{job_id}/rejects/{batch:08d}.ndjson"


def store_rejects(blobs: Blobs, job_id: str, batch: int, rejects: Iterable[Reject]) -> None:
    """All rejects of a batch, whole, one JSON a line. A redelivered batch writes the same again."""
    lines = [reject.model_dump_json() for reject in rejects]
    if lines:
        with blobs.write(rejects_key(job_id, batch)) as file:
            file.write(("\n".join(lines) + "\n").encode())
