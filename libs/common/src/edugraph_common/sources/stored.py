"""What is stored of a file beside it in the blob store, and how the rows of a batch are read from there."""

from collections.abc import Iterable, Iterator
from typing import Any

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.messages import ByteRange
from edugraph_common.platform.object_store import Blobs, shown
from edugraph_common.sources.compression import decompress_frame
from edugraph_common.sources.mapping import Mapping, parse_mapping
from edugraph_common.sources.ndjson import MAX_ROW_BYTES, as_ndjson
from edugraph_common.sources.read_plan import ReadPlan
from edugraph_common.sources.rows import Row, latest_timestamp


def source_key(job_id: str, ending: str) -> str:
    """Return the key of a job's file. `ending` is its format, and how it is compressed."""
    return f"jobs/{job_id}/source.{ending}"


def mapping_key(job_id: str) -> str:
    """Return the key of the mapping as the user sent it. It is written with the file, before the job is accepted."""
    return f"jobs/{job_id}/mapping.json"


def read_plan_key(job_id: str) -> str:
    return f"jobs/{job_id}/reading.json"


def frames_key(job_id: str) -> str:
    """Return the key of the rows of a file that cannot be read in place: one zstd frame for each batch."""
    return f"jobs/{job_id}/rows.zst"


def store_records(blobs: Blobs, job_id: str, records: Iterable[dict[str, Any]]) -> ByteRange:
    """Store records that came inline as the job's file. Return where they are.

    Raises Rejected for a record that is longer than a row of a file may be.
    """
    text, key = as_ndjson(records), source_key(job_id, "ndjson")
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > MAX_ROW_BYTES:
            raise Rejected(f"record {number} has more than {MAX_ROW_BYTES:,} bytes; leave it out, or split it")
    with blobs.write(key) as file:
        file.write(text)
    return ByteRange(source=key, offset=0, length=len(text), first_line=1)


def store_mapping(blobs: Blobs, job_id: str, mapping: Mapping) -> None:
    with blobs.write(mapping_key(job_id)) as file:
        file.write(mapping.model_dump_json(exclude_defaults=True).encode())


def load_mapping(blobs: Blobs, job_id: str) -> Mapping | None:
    """Raises MalformedFile."""
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
    """Raises Rejected when the blob is gone."""
    with blobs.open(key) as file:
        return ReadPlan.model_validate_json(file.read())


def load_rows(blobs: Blobs, rows: ByteRange, accepted_at: float | None = None) -> Iterator[Row]:
    """Read the rows of a batch of a job that was accepted then.

    Raises Rejected when a blob is gone or shorter than it was, Changed when a file outside is not what it was,
    Retryable when the store does not answer.
    """
    plan = load_read_plan(blobs, rows.reading) if rows.reading else ReadPlan(format=rows.format)
    data = blobs.read(rows.source, rows.offset, rows.length, rows.outside)
    if len(data) < rows.length:
        raise Rejected(f"the blob {shown(rows.source)} ends before these rows do: it is not what was split")
    text = decompress_frame(data) if rows.compression else data
    return plan.source.rows(text, rows.first_line, latest_timestamp(accepted_at))
