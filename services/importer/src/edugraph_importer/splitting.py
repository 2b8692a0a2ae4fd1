"""A file is scanned once into byte ranges; the ranges are kept beside it, so that a message need not carry them.

The index of a file of any size is read a window at a time: 24 bytes a batch.
"""

import struct
from collections.abc import Iterator
from typing import IO

from edugraph_common.blobs import Blobs
from edugraph_common.messages import ByteRange, ImportBatch, ImportJob
from edugraph_common.ndjson import LineScan, byte_ranges

CHUNK = 1 << 20  # bytes
_ENTRY = struct.Struct(">QQQ")  # offset, length, first line


def index_key(job_id: str) -> str:
    return f"jobs/{job_id}/ranges"


def count_batches(blobs: Blobs, job: ImportJob) -> int:
    """Batches of the whole job; the file is scanned at the first call. Raises MalformedFile, Rejected, Retryable."""
    if job.source is None:
        return -(-len(job.records or ()) // job.batch_size)
    if not blobs.exists(index_key(job.job_id)):
        _scan(blobs, job)
    with blobs.open(index_key(job.job_id)) as index:
        return index.seek(0, 2) // _ENTRY.size


def window(blobs: Blobs, job: ImportJob, end: int) -> list[ImportBatch]:
    """The batches from `job.next_batch` up to `end`."""
    numbers = range(job.next_batch, end)
    if job.source is None:
        return [_inline(job, number) for number in numbers]
    entries = blobs.read(index_key(job.job_id), numbers.start * _ENTRY.size, len(numbers) * _ENTRY.size)
    ranges = [_range(job.source, *entry) for entry in _ENTRY.iter_unpack(entries)]
    return [_batch(job, number, rows) for number, rows in zip(numbers, ranges, strict=True)]


def _scan(blobs: Blobs, job: ImportJob) -> None:
    """The index appears only when the whole file was found to be usable."""
    source = job.source or ""
    with blobs.open(source) as file, blobs.write(index_key(job.job_id)) as index:
        for rows in byte_ranges(_checked(file), source, job.batch_size):
            index.write(_ENTRY.pack(rows.offset, rows.length, rows.first_line))


def _checked(file: IO[bytes]) -> Iterator[bytes]:
    scan = LineScan()
    while chunk := file.read(CHUNK):
        scan.feed(chunk)
        yield chunk
    scan.finish()


def _range(source: str, offset: int, length: int, first_line: int) -> ByteRange:
    return ByteRange(source=source, offset=offset, length=length, first_line=first_line)


def _batch(job: ImportJob, number: int, rows: ByteRange) -> ImportBatch:
    return ImportBatch(
        job_id=job.job_id,
        traceparent=job.traceparent,
        deadline=job.deadline,
        batch=number,
        rows=rows,
        analyze=job.analyze,
    )


def _inline(job: ImportJob, number: int) -> ImportBatch:
    rows = (job.records or ())[number * job.batch_size : (number + 1) * job.batch_size]
    return ImportBatch(
        job_id=job.job_id,
        traceparent=job.traceparent,
        deadline=job.deadline,
        batch=number,
        records=rows,
        first_line=1 + number * job.batch_size,
        analyze=job.analyze,
    )
