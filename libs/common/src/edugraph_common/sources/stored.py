"""The blobs of a job beside its file: rows, index, mapping and read plan. Batches read their rows from them."""

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ByteRange
from edugraph_common.runtime.shared_state.object_store import BlobMissing, Blobs, shown
from edugraph_common.sources.chunking import RowChunk
from edugraph_common.sources.frames import pack_rows, unpack_rows
from edugraph_common.sources.mapping import Mapping, parse_mapping
from edugraph_common.sources.ndjson import MAX_ROW_BYTES, as_ndjson
from edugraph_common.sources.persons import FORM_BYTES, PersonIndexBuilder, is_current
from edugraph_common.sources.read_plan import ReadPlan
from edugraph_common.sources.rows import Row, latest_timestamp, read_rows

_ENTRY = struct.Struct(">QQQQ")  # one BatchRange
# The gateway accepts fewer records in one request.
MAX_ROWS_INLINE = 100_000


class BatchRange(NamedTuple):
    """The position of a batch's frame.

    `first_line` is a line of the file as it was sent. `rows` is the number of rows at the split.
    """

    offset: int
    length: int
    first_line: int
    rows: int


def source_key(job_id: str, ending: str) -> str:
    """Return the key of a job's file. `ending` is made of its format and compression."""
    return f"jobs/{job_id}/source.{ending}"


def mapping_key(job_id: str) -> str:
    """Return the key of the mapping that the user sent. It is written with the file, before the job is accepted."""
    return f"jobs/{job_id}/mapping.json"


def read_plan_key(job_id: str) -> str:
    return f"jobs/{job_id}/reading.json"


def frames_key(job_id: str) -> str:
    """Return the key of a file's rows, with one frame for each batch."""
    return f"jobs/{job_id}/rows.zst"


def index_key(job_id: str) -> str:
    """Return the key of the index with the position of each batch's frame."""
    return f"jobs/{job_id}/index"


def persons_key(job_id: str) -> str:
    """Return the key of the index of persons in the rows."""
    return f"jobs/{job_id}/persons"


def write_frames(blobs: Blobs, job_id: str, chunks: Iterable[RowChunk]) -> None:
    """Store chunks of rows and their index. The index is written last, when its frames are there."""
    offset = 0
    with blobs.write(index_key(job_id)) as index, blobs.write(frames_key(job_id)) as file:
        for rows in chunks:
            frame = pack_rows(rows)
            file.write(frame)
            index.write(_ENTRY.pack(offset, len(frame), rows.lines[0], len(rows)))
            offset += len(frame)


def index_persons(blobs: Blobs, job_id: str, go_on: Callable[[], None] = lambda: None) -> None:
    """Write the index of persons in the stored rows of a job, unless there is one.

    `go_on` is called for each batch.
    """
    if has_person_index(blobs, job_id):
        return
    persons = PersonIndexBuilder(stored_read_plan(blobs, job_id) or ReadPlan())
    for rows in stored_rows(blobs, job_id):
        go_on()
        persons.add(rows)
    write_persons(blobs, job_id, persons)


def has_person_index(blobs: Blobs, job_id: str) -> bool:
    """Return whether there is an index of persons that this release can use."""
    try:
        return is_current(blobs.read(persons_key(job_id), 0, FORM_BYTES))
    except BlobMissing:
        return False


def write_persons(blobs: Blobs, job_id: str, persons: PersonIndexBuilder) -> None:
    with blobs.write(persons_key(job_id)) as file:
        file.write(persons.to_bytes())


def write_index(blobs: Blobs, job_id: str, ranges: Iterable[BatchRange]) -> None:
    with blobs.write(index_key(job_id)) as index:
        for each in ranges:
            index.write(_ENTRY.pack(*each))


def count_ranges(blobs: Blobs, job_id: str) -> int:
    """Return the number of batches of a split file."""
    with blobs.open(index_key(job_id)) as index:
        return index.seek(0, 2) // _ENTRY.size


def read_ranges(blobs: Blobs, job_id: str, numbers: range) -> Iterator[BatchRange]:
    """Yield the ranges of the batches with these numbers."""
    entries = blobs.read(index_key(job_id), numbers.start * _ENTRY.size, len(numbers) * _ENTRY.size)
    return (BatchRange(*entry) for entry in _ENTRY.iter_unpack(entries))


def all_ranges(blobs: Blobs, job_id: str) -> list[BatchRange]:
    return list(read_ranges(blobs, job_id, range(count_ranges(blobs, job_id))))


def count_rows(blobs: Blobs, job_id: str) -> int:
    """Return the number of rows that the split saw in the whole file."""
    return sum(each.rows for each in all_ranges(blobs, job_id))


def stored_rows(blobs: Blobs, job_id: str) -> Iterator[RowChunk]:
    """Yield the rows of each batch of a split file. Raises BlobMissing and Rejected."""
    ranges = all_ranges(blobs, job_id)
    with blobs.open(frames_key(job_id)) as file:
        for each in ranges:
            yield unpack_rows(file.read(each.length))


def store_records(blobs: Blobs, job_id: str, records: Iterable[dict[str, Any]]) -> str:
    """Store inline records as the file of an import, and return its key.

    Raises Rejected for a record that is longer than the longest row of a file.
    """
    text, key = as_ndjson(records), source_key(job_id, "ndjson")
    _check_lengths(text)
    with blobs.write(key) as file:
        file.write(text)
    return key


def store_rows(blobs: Blobs, job_id: str, records: Iterable[dict[str, Any]]) -> ByteRange:
    """Store inline records as the rows of one batch, and return their position.

    Raises Rejected for a record that is longer than the longest row of a file.
    """
    text = as_ndjson(records)
    _check_lengths(text)
    write_frames(blobs, job_id, ReadPlan().source.chunks([text], MAX_ROWS_INLINE))
    index_persons(blobs, job_id)
    [found] = all_ranges(blobs, job_id)
    return ByteRange(source=frames_key(job_id), offset=0, length=found.length, first_line=1)


def _check_lengths(text: bytes) -> None:
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > MAX_ROW_BYTES:
            raise Rejected(
                f"record {number} has more than {MAX_ROW_BYTES:,} bytes; leave it out, or split it"
            )


def store_mapping(blobs: Blobs, job_id: str, mapping: Mapping) -> None:
    with blobs.write(mapping_key(job_id)) as file:
        file.write(mapping.model_dump_json(exclude_defaults=True).encode())


def load_mapping(blobs: Blobs, job_id: str) -> Mapping | None:
    """Return the mapping of a job, or None if it has none. Raises MalformedFile."""
    if not blobs.exists(mapping_key(job_id)):
        return None
    with blobs.open(mapping_key(job_id)) as file:
        return parse_mapping(file.read())


def store_read_plan(blobs: Blobs, job_id: str, plan: ReadPlan) -> str:
    """Store the plan and return its key."""
    with blobs.write(read_plan_key(job_id)) as file:
        file.write(plan.model_dump_json(exclude_defaults=True).encode())
    return read_plan_key(job_id)


def load_read_plan(blobs: Blobs, key: str) -> ReadPlan:
    """Return the read plan in a blob. Raises Rejected if the blob is gone."""
    with blobs.open(key) as file:
        return ReadPlan.model_validate_json(file.read())


def stored_read_plan(blobs: Blobs, job_id: str) -> ReadPlan | None:
    """Return the read plan of a job, or None if none is stored. Inline rows have no read plan."""
    key = read_plan_key(job_id)
    if not blobs.exists(key):
        return None
    return load_read_plan(blobs, key)


def load_rows(blobs: Blobs, rows: ByteRange, accepted_at: float | None = None) -> Iterator[Row]:
    """Yield the rows of a batch of a job that was accepted at `accepted_at`, in seconds since 1970.

    Raises Rejected if a blob is gone or shorter than before, Retryable if the store does not answer.
    """
    plan = load_read_plan(blobs, rows.reading) if rows.reading else ReadPlan(format=rows.format)
    frame = blobs.read(rows.source, rows.offset, rows.length)
    if len(frame) < rows.length:
        raise Rejected(
            f"the blob {shown(rows.source)} ends before these rows do: it is not what was split"
        )
    return read_rows(plan.source, unpack_rows(frame), latest_timestamp(accepted_at))
