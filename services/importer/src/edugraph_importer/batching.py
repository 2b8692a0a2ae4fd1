"""Splitting a file into batches, and reading a batch.

A file is scanned once into byte ranges, which are kept in an index beside it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import assert_never

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import TABLE_FORMATS, ByteRange, Compression, ImportBatch, ImportJob
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record, Withdrawal, as_json
from edugraph_common.platform.object_store import Blobs, Gone
from edugraph_common.sources import (
    UTF8,
    Chunk,
    NotRelevant,
    Platforms,
    ReadPlan,
    Row,
    compress_frame,
    frames_key,
    load_mapping,
    load_read_plan,
    load_rows,
    open_text,
    read_plan_key,
    store_read_plan,
)
from edugraph_common.sources.compression import content_encoding_of
from edugraph_common.sources.rows import as_invalid_record, latest_timestamp, make_reject, parse_rows
from edugraph_importer.graph import RecordBatch, derive_facts
from edugraph_importer.range_index import BatchRange, count_ranges, count_rows, index_key, read_ranges, write_ranges

# Of a source as it is stored. One of this size is scanned in less time than a batch takes, also where it is packed
# and unpacks to ten times as much, as tables do.
SCANNED_AT_ONCE_BYTES = 1024**2
MAX_NAMES = 100  # names of rows that are not relevant, in one batch: they come from the file and may be many

_RANGE_FIELDS = ("offset", "length", "first_line")  # of a ByteRange, as in a BatchRange


@dataclass(frozen=True)
class ReadBatch:
    """`graph`: what the graph is to know. `not_relevant`: the number of rows of each name that mean nothing to it."""

    graph: RecordBatch
    not_relevant: dict[str, int]


def rejects_key(job_id: str, batch: int) -> str:
    return f"jobs/{job_id}/rejects/{batch:08d}.ndjson"


def is_long_to_scan(blobs: Blobs, job: ImportJob) -> bool:
    """Whether a job's source is still to be scanned and that takes longer than a batch does. Raises as `Blobs.open`.

    A file outside counts as well: its size does not say how long somebody else's server takes to give it. So does a
    table that is no text: a small one may unpack to a large one.
    """
    key = index_key(job.job_id)
    if job.source is None or blobs.exists(key):
        return False
    if job.outside is not None or job.format in TABLE_FORMATS:
        return True
    try:
        with blobs.open(job.source) as file:
            return file.seek(0, 2) > SCANNED_AT_ONCE_BYTES
    except Gone:
        if blobs.exists(key):  # It was split and deleted since this looked for its index.
            return False
        raise


def count_batches(blobs: Blobs, job: ImportJob, prefixes: Mapping[str, str] = MappingProxyType({})) -> int:
    """Return the number of batches of the whole job; the first call scans the file.

    `prefixes`: of the ids of each platform.

    Raises MalformedFile, Changed, Rejected or Retryable.
    """
    if job.source is None:
        return -(-len(job.records or ()) // job.batch_size)
    key = index_key(job.job_id)
    if not blobs.exists(key):
        try:
            plan = _split(blobs, job, job.source, prefixes)
        except Gone:
            # The same message, delivered twice: the other one has split the file and deleted it meanwhile.
            if not blobs.exists(key):
                raise
        else:
            if plan.is_converted and "://" not in job.source:
                # All that the mapping uses of it is in the rows now, so that the rest of it need not be kept, and an
                # erasure need not write workbooks (docs/adr/0041).
                blobs.delete(job.source)
    return count_ranges(blobs, job.job_id)


def _split(blobs: Blobs, job: ImportJob, source: str, prefixes: Mapping[str, str]) -> ReadPlan:
    """Scan the file, write the index of its batches, and return how it is read."""
    # The index appears only when the whole file was found to be usable, and all that it refers to is there.
    with blobs.write(index_key(job.job_id)) as index, blobs.open_unchanged(source, job.outside) as file:
        mapping = load_mapping(blobs, job.job_id)
        plan, text = open_text(file, job.format, _compression(job), mapping, Platforms(prefixes, job.platform))
        chunks = plan.source.chunks(text, job.batch_size)
        if _can_be_read_in_place(job, plan):
            ranges: Iterable[BatchRange] = (
                (chunk.offset, len(chunk.text), chunk.first_line, chunk.rows) for chunk in chunks
            )
        else:
            ranges = _write_frames(blobs, job, chunks)
        write_ranges(index, ranges)
        store_read_plan(blobs, job.job_id, plan)
    return plan


def expected_rows(blobs: Blobs, job: ImportJob) -> int:
    """Return the number of rows of the whole job, as the split saw them."""
    return len(job.records or ()) if job.source is None else count_rows(blobs, job.job_id)


def _write_frames(blobs: Blobs, job: ImportJob, chunks: Iterable[Chunk]) -> Iterator[BatchRange]:
    """Pack each batch into a compressed frame of its own, since its rows cannot be read where they are."""
    offset = 0
    with blobs.write(frames_key(job.job_id)) as file:
        for chunk in chunks:
            packed = compress_frame(chunk.text)
            file.write(packed)
            yield offset, len(packed), chunk.first_line, chunk.rows
            offset += len(packed)


def _can_be_read_in_place(job: ImportJob, plan: ReadPlan) -> bool:
    return _compression(job) is None and plan.encoding == UTF8 and not plan.is_converted


def _compression(job: ImportJob) -> Compression | None:
    """The gateway names a compressed file by its ending."""
    by_name = content_encoding_of(job.source or "")
    return job.compression or (None if by_name == "identity" else by_name)


def window(blobs: Blobs, job: ImportJob, end: int) -> list[ImportBatch]:
    """Return the batches from `job.next_batch` up to `end`, which is not among them."""
    numbers = range(job.next_batch, end)
    handed_on = (
        "job_id",
        "traceparent",
        "deadline",
        "analyze",
        "economy",
        "generation",
        "accepted_at",
        "acceptance",
        "changed_at",
    )
    common = {name: getattr(job, name) for name in handed_on}
    size = job.batch_size
    if job.source is None:
        records, starts = job.records or (), (number * size for number in numbers)
        return [
            ImportBatch(
                **common,
                batch=start // size,
                records=(part := records[start : start + size]),
                first_line=1 + start,
                expected=len(part),
            )
            for start in starts
        ]
    key = read_plan_key(job.job_id)
    in_place = _can_be_read_in_place(job, load_read_plan(blobs, key))
    whole = ByteRange(
        source=job.source if in_place else frames_key(job.job_id),
        offset=0,
        length=0,
        first_line=1,
        format=job.format,
        compression=None if in_place else "zstd",
        reading=None if job.format == "ndjson" else key,
        outside=job.outside if in_place else None,
    )
    return [
        ImportBatch(
            **common,
            batch=number,
            rows=whole.model_copy(update=dict(zip(_RANGE_FIELDS, place, strict=True))),
            expected=rows,
        )
        for number, (*place, rows) in zip(numbers, read_ranges(blobs, job.job_id, numbers), strict=True)
    ]


def read_batch(blobs: Blobs, message: ImportBatch) -> ReadBatch:
    """Raise Rejected for a message without rows, and for rows that are gone; Retryable if the store is away.

    Raises Changed for rows of a file outside that is not what it was.
    """
    if message.records is not None:
        numbered = enumerate(message.records, start=message.first_line)
        rows: Iterable[Row] = parse_rows(numbered, latest_timestamp(message.accepted_at))
    elif message.rows is not None:
        rows = load_rows(blobs, message.rows, message.accepted_at)
    else:
        raise Rejected("the message has neither rows nor records")
    records, rejects, names = list[tuple[int, Record]](), list[Reject](), Counter[str]()
    withdrawn = list[Withdrawal]()
    for line, row in rows:
        match row:
            case Record():
                record = _with_change_time(row, message)
                try:
                    derive_facts(record)
                except Exception as fault:  # noqa: BLE001 - this is the boundary of the row
                    rejects.append(make_reject(line, as_json(row.to_json()).encode(), as_invalid_record(fault)))
                else:
                    records.append((line, record))
            case Withdrawal():
                withdrawn.append(row)
            case Reject():
                rejects.append(row)
            case NotRelevant(name):
                names[name if name in names or len(names) < MAX_NAMES else "(other)"] += 1
            case _:
                assert_never(row)
    number = len(records) + len(withdrawn) + len(rejects) + names.total()
    batch = RecordBatch(
        message.job_id,
        message.batch,
        records,
        rejects,
        read=number,
        withdrawn=withdrawn,
        accepted=message.acceptance or 0,
    )
    return ReadBatch(batch, dict(names))


def _with_change_time(record: Record, message: ImportBatch) -> Record:
    """Return the record. Where the import is to be the newest state, it was changed when the job was accepted."""
    if message.changed_at == "record" or record.changed_at is not None:
        return record
    # The acceptance number is that moment in microseconds.
    accepted_at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=message.acceptance or 0)
    return record.model_copy(update={"changed_at": accepted_at})


def store_rejects(blobs: Blobs, job_id: str, batch: int, rejects: Iterable[Reject]) -> None:
    """Store all rejects of a batch, whole, one JSON a line. A redelivered batch writes the same again."""
    lines = [reject.model_dump_json() for reject in rejects]
    if lines:
        with blobs.write(rejects_key(job_id, batch)) as file:
            file.write(("\n".join(lines) + "\n").encode())
