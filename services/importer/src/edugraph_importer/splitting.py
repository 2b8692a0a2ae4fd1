"""A file is scanned once into byte ranges, which are kept in an index beside it."""

from collections.abc import Iterable, Iterator

from edugraph_common.contracts.messages import ByteRange, Compression, ImportBatch, ImportJob
from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources import (
    UTF8,
    Chunk,
    ReadPlan,
    compress_frame,
    frames_key,
    load_mapping,
    load_read_plan,
    open_text,
    read_plan_key,
    store_read_plan,
)
from edugraph_common.sources.compression import content_encoding_of
from edugraph_importer.index import Place, index_key, number_of_places, read_places, write_places

_PLACE = ("offset", "length", "first_line")


def count_batches(blobs: Blobs, job: ImportJob) -> int:
    """Batches of the whole job; the file is scanned at the first call. Raises MalformedFile, Rejected, Retryable."""
    if job.source is None:
        return -(-len(job.records or ()) // job.batch_size)
    if not blobs.exists(index_key(job.job_id)):
        _scan(blobs, job)
    return number_of_places(blobs, job.job_id)


def window(blobs: Blobs, job: ImportJob, end: int) -> list[ImportBatch]:
    """The batches from `job.next_batch` up to `end`."""
    numbers = range(job.next_batch, end)
    if job.source is None:
        return [_inline(job, number) for number in numbers]
    whole = _whole(blobs, job)
    places = (dict(zip(_PLACE, place, strict=True)) for place in read_places(blobs, job.job_id, numbers))
    ranges = [whole.model_copy(update=place) for place in places]
    return [_batch(job, number, rows) for number, rows in zip(numbers, ranges, strict=True)]


def _scan(blobs: Blobs, job: ImportJob) -> None:
    """The index appears only when the whole file was found to be usable, and all that it refers to is there."""
    with blobs.open(job.source or "") as file, blobs.write(index_key(job.job_id)) as index:
        mapping = load_mapping(blobs, job.job_id)
        reading, text = open_text(file, job.format, _compression(job), mapping)
        pieces = reading.source.chunks(text, job.batch_size)
        places = _places(pieces) if _in_place(job, reading) else _frames(blobs, job, pieces)
        write_places(index, places)
        store_read_plan(blobs, job.job_id, reading)


def _places(pieces: Iterable[Chunk]) -> Iterator[Place]:
    for piece in pieces:
        yield piece.offset, len(piece.text), piece.first_line


def _frames(blobs: Blobs, job: ImportJob, pieces: Iterable[Chunk]) -> Iterator[Place]:
    """Rows that cannot be read where they are: each batch goes into a frame of its own."""
    offset = 0
    with blobs.write(frames_key(job.job_id)) as file:
        for piece in pieces:
            packed = compress_frame(piece.text)
            file.write(packed)
            yield offset, len(packed), piece.first_line
            offset += len(packed)


def _whole(blobs: Blobs, job: ImportJob) -> ByteRange:
    """What all ranges of the job have in common."""
    key = read_plan_key(job.job_id)
    in_place = _in_place(job, load_read_plan(blobs, key))
    return ByteRange(
        source=(job.source or "") if in_place else frames_key(job.job_id),
        offset=0,
        length=0,
        first_line=1,
        format=job.format,
        compression=None if in_place else "zstd",
        reading=None if job.format == "ndjson" else key,
    )


def _in_place(job: ImportJob, reading: ReadPlan) -> bool:
    return _compression(job) is None and reading.encoding == UTF8


def _compression(job: ImportJob) -> Compression | None:
    """The gateway names a packed file by its ending."""
    by_name = content_encoding_of(job.source or "")
    return job.compression or (None if by_name == "identity" else by_name)


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
