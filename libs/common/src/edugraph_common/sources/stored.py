"""What is kept of a file beside it in the blob store, and how the rows of a batch are read from there."""

from collections.abc import Iterator

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ByteRange
from edugraph_common.platform.object_store import Blobs, shown
from edugraph_common.sources.frames import unframe
from edugraph_common.sources.mapping import Mapping, parse_mapping
from edugraph_common.sources.read_plan import Reading
from edugraph_common.sources.source import Row


def mapping_key(job_id: str) -> str:
    """The mapping as the user sent it: written with the file, before its job is accepted."""
    return f"jobs/{job_id}/mapping.json"


def reading_key(job_id: str) -> str:
    return f"jobs/{job_id}/reading.json"


def frames_key(job_id: str) -> str:
    """The rows of a file that cannot be read in place, a frame for each batch."""
    return f"jobs/{job_id}/rows.zst"


def store_mapping(blobs: Blobs, job_id: str, mapping: Mapping) -> None:
    with blobs.write(mapping_key(job_id)) as file:
        file.write(mapping.model_dump_json(exclude_defaults=True).encode())


def stored_mapping(blobs: Blobs, job_id: str) -> Mapping | None:
    """Raises MalformedFile."""
    if not blobs.exists(mapping_key(job_id)):
        return None
    with blobs.open(mapping_key(job_id)) as file:
        return parse_mapping(file.read())


def store_reading(blobs: Blobs, job_id: str, reading: Reading) -> str:
    """Returns its key."""
    with blobs.write(reading_key(job_id)) as file:
        file.write(reading.model_dump_json(exclude_defaults=True).encode())
    return reading_key(job_id)


def stored_reading(blobs: Blobs, key: str) -> Reading:
    """Raises Rejected when the blob is gone."""
    with blobs.open(key) as file:
        return Reading.model_validate_json(file.read())


def stored_rows(blobs: Blobs, rows: ByteRange) -> Iterator[Row]:
    """Raises Rejected when a blob is gone or shorter than it was, Retryable when the store does not answer."""
    reading = stored_reading(blobs, rows.reading) if rows.reading else Reading(format=rows.format)
    data = blobs.read(rows.source, rows.offset, rows.length)
    if len(data) < rows.length:
        raise Rejected(f"the blob {shown(rows.source)} ends before these rows do: it is not what was split")
    text = unframe(data) if rows.compression else data
    return reading.source.rows(text, rows.first_line)
