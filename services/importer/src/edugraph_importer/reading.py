"""A batch's rows, as what the graph writes and what is set aside."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ImportBatch
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record, as_json
from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources import NotRelevant, Row, load_rows
from edugraph_common.sources.rows import as_invalid_record, make_reject, parse_rows
from edugraph_importer.graph import RecordBatch, derive

MOST_NAMES = 100  # of what is not relevant, in one batch: names come from the file


@dataclass(frozen=True)
class ReadBatch:
    """`graph` is what the graph is to know. `not_relevant`: how many rows of each name are nothing for it."""

    graph: RecordBatch
    not_relevant: dict[str, int]


def read_batch(blobs: Blobs, message: ImportBatch) -> ReadBatch:
    """Raises Rejected for a message without rows, and for rows that are gone; Retryable for a store that is."""
    records, rejects, names = list[tuple[int, Record]](), list[Reject](), Counter[str]()
    for line, row in _rows(blobs, message):
        match row:
            case Record():
                try:
                    derive(row)
                except Exception as fault:  # noqa: BLE001 - the boundary of the row
                    rejects.append(make_reject(line, as_json(row.to_json()).encode(), as_invalid_record(fault)))
                else:
                    records.append((line, row))
            case Reject():
                rejects.append(row)
            case NotRelevant(name):
                names[name if name in names or len(names) < MOST_NAMES else "(other)"] += 1
            case _:
                assert_never(row)
    read = len(records) + len(rejects) + names.total()
    batch = RecordBatch(job_id=message.job_id, batch=message.batch, records=records, rejects=rejects, read=read)
    return ReadBatch(batch, dict(names))


def _rows(blobs: Blobs, message: ImportBatch) -> Iterable[Row]:
    if message.records is not None:
        return parse_rows(enumerate(message.records, start=message.first_line))
    if message.rows is not None:
        return load_rows(blobs, message.rows)
    raise Rejected("the message has neither rows nor records")


def rejects_key(job_id: str, batch: int) -> str:
    return f"jobs/{job_id}/rejects/{batch:08d}.ndjson"


def store_rejects(blobs: Blobs, job_id: str, batch: int, rejects: Iterable[Reject]) -> None:
    """All rejects of a batch, whole, one JSON a line. A redelivered batch writes the same again."""
    lines = [reject.model_dump_json() for reject in rejects]
    if lines:
        with blobs.write(rejects_key(job_id, batch)) as file:
            file.write(("\n".join(lines) + "\n").encode())
