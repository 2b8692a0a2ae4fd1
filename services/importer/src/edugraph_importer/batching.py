"""Splitting a file into batches, and reading a batch.

The split reads a file once and writes its rows in frames of one form. All later readers read the rows from the frames
and not from the file.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import assert_never

from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.live_days import live_batch_number, live_job_id
from edugraph_common.contracts.messages import (
    TABLE_FORMATS,
    ByteRange,
    Compression,
    ImportBatch,
    ImportJob,
    LiveBatch,
)
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record, Withdrawal, as_json
from edugraph_common.runtime.messaging.packed_rows import rows_of
from edugraph_common.runtime.shared_state.object_store import BlobMissing, Blobs
from edugraph_common.sources import (
    NotRelevant,
    Platforms,
    Row,
    frames_key,
    load_mapping,
    load_rows,
    open_text,
    read_plan_key,
    store_read_plan,
)
from edugraph_common.sources.chunking import RowChunk
from edugraph_common.sources.compression import content_encoding_of
from edugraph_common.sources.keyed import keyed
from edugraph_common.sources.live_statements import read_statement_row
from edugraph_common.sources.rights import check_rights, check_withdrawal
from edugraph_common.sources.rows import (
    as_invalid_record,
    latest_timestamp,
    make_reject,
    parse_rows,
    read_values,
)
from edugraph_common.sources.split_budget import CountedFile, SplitBudget
from edugraph_common.sources.stored import (
    count_ranges,
    count_rows,
    index_key,
    read_ranges,
    write_frames,
)
from edugraph_importer.graph import RecordBatch, derive_facts

# A file of this unpacked size is split in less time than it takes to write a batch.
SPLIT_AT_ONCE_BYTES = 1024**2
# Names of rows that are not relevant are counted up to this number for each batch. They come from the file.
MAX_NAMES = 100
# The fields that each batch has from its job.
_HANDED_ON = (
    "job_id",
    "traceparent",
    "deadline",
    "analyze",
    "economy",
    "generation",
    "accepted_at",
    "acceptance",
    "changed_at",
    "rights",
)


@dataclass(frozen=True)
class ReadBatch:
    """A batch whose rows are parsed.

    `graph` is written to the graph. `not_relevant` counts, by their name, the rows that have no place in the graph.
    """

    graph: RecordBatch
    not_relevant: dict[str, int]


def rejects_key(job_id: str, batch: int) -> str:
    return f"jobs/{job_id}/rejects/{batch:08d}.ndjson"


def is_long_to_split(blobs: Blobs, job: ImportJob) -> bool:
    """Return whether a job's source has yet to be split and whether the split takes longer than writing a batch.

    The unpacked size, which the gateway has counted, decides. A file on another server always counts as long, since
    nobody knows how fast that server answers. A workbook or Parquet file counts as long as well: a small file may
    unpack to a large table.
    """
    if job.source is None or is_split(blobs, job):
        return False
    if job.outside is not None or job.format in TABLE_FORMATS:
        return True
    size = job.unpacked_bytes
    if size is None and _compression(job) is None:
        with (
            suppress(BlobMissing),
            blobs.open(job.source) as file,
        ):  # BlobMissing: it was split and deleted after `is_split`.
            size = file.seek(0, 2)
    return size is None or size > SPLIT_AT_ONCE_BYTES


def is_split(blobs: Blobs, job: ImportJob) -> bool:
    """Return whether the rows of a job's source are stored."""
    return blobs.exists(index_key(job.job_id))


def count_batches(
    blobs: Blobs,
    job: ImportJob,
    prefixes: Mapping[str, str] = MappingProxyType({}),
    go_on: Callable[[], None] = lambda: None,
    *,
    keeps_upload: bool = False,
) -> int:
    """Return the number of batches of the whole job; the first call splits the file.

    `prefixes` has the prefix of the ids of each platform. `go_on` is called for each batch of a split; an exception
    of `go_on` ends the split. `keeps_upload` says whether the uploaded file is kept after the split.

    Raises MalformedFile, Changed, Rejected or Retryable.
    """
    if job.source is None:
        return -(-len(job.records or ()) // job.batch_size)
    key = index_key(job.job_id)
    if not blobs.exists(key):
        try:
            _split(blobs, job, job.source, prefixes, go_on)
        except BlobMissing:
            # The message was delivered twice, and the other delivery has split and deleted the file meanwhile.
            if not blobs.exists(key):
                raise
        else:
            if not keeps_upload:
                delete_upload(blobs, job)
    return count_ranges(blobs, job.job_id)


def delete_upload(blobs: Blobs, job: ImportJob) -> None:
    """Delete the uploaded file of a job, which nobody reads any more. A file on another server is left alone."""
    if job.source is not None and "://" not in job.source:
        blobs.delete(job.source)


def _split(
    blobs: Blobs,
    job: ImportJob,
    source: str,
    prefixes: Mapping[str, str],
    go_on: Callable[[], None],
) -> None:
    """Read the file once, and write its rows as frames, from which everything else reads them."""
    with blobs.open_unchanged(source, job.outside) as file:
        budget = SplitBudget()
        mapping = load_mapping(blobs, job.job_id)
        counted = CountedFile(file, budget)
        plan, text = open_text(
            counted, job.format, _compression(job), mapping, Platforms(prefixes, job.platform)
        )
        # `plan.source` raises if the plan cannot be used. Such a plan is not stored, since rejects are read by it.
        rows = plan.source
        store_read_plan(blobs, job.job_id, plan)
        chunks = rows.chunks(budget.checked(text), job.batch_size)
        write_frames(blobs, job.job_id, _watched(chunks, budget, go_on))


def _watched(
    chunks: Iterable[RowChunk], budget: SplitBudget, go_on: Callable[[], None]
) -> Iterator[RowChunk]:
    for chunk in chunks:
        go_on()
        budget.count_rows(len(chunk))
        yield chunk


def expected_rows(blobs: Blobs, job: ImportJob) -> int:
    """Return the number of rows of the whole job, as the split saw them."""
    if job.source is None:
        return len(job.records or ())
    return count_rows(blobs, job.job_id)


def _compression(job: ImportJob) -> Compression | None:
    """Return the compression that the job names, or else the one of the file's ending, which the gateway has set."""
    if job.compression:
        return job.compression
    by_name = content_encoding_of(job.source or "")
    if by_name == "identity":
        return None
    return by_name


def window(blobs: Blobs, job: ImportJob, end: int) -> list[ImportBatch]:
    """Return the batches from `job.next_batch` up to `end`. `end` is excluded."""
    numbers = range(job.next_batch, end)
    common = {name: getattr(job, name) for name in _HANDED_ON}
    batches: list[ImportBatch] = []
    size = job.batch_size
    if job.source is None:
        records = job.records or ()
        for number in numbers:
            start = number * size
            part = records[start : start + size]
            batches.append(
                ImportBatch(
                    **common, batch=number, records=part, first_line=1 + start, expected=len(part)
                )
            )
        return batches
    reading = None
    if job.format != "ndjson":
        reading = read_plan_key(job.job_id)
    for number, found in zip(numbers, read_ranges(blobs, job.job_id, numbers), strict=True):
        rows = ByteRange(
            source=frames_key(job.job_id),
            offset=found.offset,
            length=found.length,
            first_line=found.first_line,
            source_name=job.rights.source,
            format=job.format,
            reading=reading,
        )
        batches.append(ImportBatch(**common, batch=number, rows=rows, expected=found.rows))
    return batches


def batches_of(message: LiveBatch) -> list[ImportBatch]:
    """Return the parts of a live batch as batches of the jobs of their sources and days.

    Raises Rejected for packed records that cannot be read.
    """
    batches = []
    for part in message.parts:
        records = rows_of(part)
        batch = ImportBatch(
            job_id=live_job_id(part.rights.source, part.acceptance),
            batch=live_batch_number(part.acceptance),
            records=records,
            expected=len(records),
            traceparent=message.traceparent,
            deadline=message.deadline,
            accepted_at=message.accepted_at,
            acceptance=part.acceptance,
            rights=part.rights,
            platforms=part.platforms,
            analyze=part.texts is not None,
            texts=part.texts,
        )
        batches.append(batch)
    return batches


def read_batch(blobs: Blobs, message: ImportBatch) -> ReadBatch:
    """Read and parse the rows of a batch.

    Raises Rejected if the message has no rows or if its rows were deleted, and Retryable if the store is away.
    """
    records: list[tuple[int, Record]] = []
    withdrawn: list[tuple[int, Withdrawal]] = []
    rejects: list[Reject] = []
    not_relevant: Counter[str] = Counter()
    for line, row in _rows_of(blobs, message):
        match row:
            case Record() | Withdrawal():
                try:
                    allowed = _allowed(row, message)
                except Exception as fault:  # noqa: BLE001 - this is the boundary of the row
                    rejects.append(make_reject(line, _as_sent(row), as_invalid_record(fault)))
                    continue
                if isinstance(allowed, Withdrawal):
                    withdrawn.append((line, allowed))
                else:
                    records.append((line, allowed))
            case Reject():
                rejects.append(row)
            case NotRelevant(name):
                is_new = name not in not_relevant
                if is_new and len(not_relevant) >= MAX_NAMES:
                    not_relevant["(other)"] += 1
                else:
                    not_relevant[name] += 1
            case _:
                assert_never(row)
    number = len(records) + len(withdrawn) + len(rejects) + not_relevant.total()
    batch = RecordBatch(
        message.job_id,
        message.batch,
        records,
        rejects,
        read=number,
        withdrawn=withdrawn,
        accepted=message.acceptance or 0,
        rights=message.rights,
    )
    return ReadBatch(batch, dict(not_relevant))


def _rows_of(blobs: Blobs, message: ImportBatch) -> Iterable[Row]:
    """Return the lines of a batch with their rows. Raises Rejected and Retryable like `read_batch`."""
    if message.records is not None:
        numbered = enumerate(message.records, start=message.first_line)
        latest = latest_timestamp(message.accepted_at)
        if message.platforms is None:
            return parse_rows(numbered, latest)
        read = partial(read_statement_row, platforms=message.platforms)
        return read_values(numbered, read, latest)
    if message.rows is not None:
        return load_rows(blobs, message.rows, message.accepted_at)
    raise Rejected("the message has neither rows nor records")


def _allowed(row: Record | Withdrawal, message: ImportBatch) -> Record | Withdrawal:
    """Return the row with the keys of its source. Raises InvalidRecord if the import may not write it."""
    source_name = message.rights.source
    if isinstance(row, Withdrawal):
        check_withdrawal(message.rights)
        return keyed(row, source_name)
    record = keyed(_with_change_time(row, message), source_name)
    check_rights(record, message.rights, message.job_id)
    derive_facts(record)
    return record


def _as_sent(row: Record | Withdrawal) -> bytes:
    """Return a row as JSON with the ids that its source sent, so that it can be corrected and sent again."""
    if isinstance(row, Record):
        return as_json(row.to_json()).encode()
    sent = {"withdrawn": True, **row.model_dump(mode="json", exclude_none=True)}
    return as_json(sent).encode()


def _with_change_time(record: Record, message: ImportBatch) -> Record:
    """Return the record with its time of change.

    If the import counts as the newest state, a record without such a time was changed when the job was accepted.
    """
    if message.changed_at == "record" or record.changed_at is not None:
        return record
    # The acceptance number is the moment of acceptance in microseconds since 1970.
    accepted_at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=message.acceptance or 0)
    return record.model_copy(update={"changed_at": accepted_at})


def store_rejects(blobs: Blobs, job_id: str, batch: int, rejects: Iterable[Reject]) -> None:
    """Store all rejects of a batch in full, one JSON object a line. A redelivered batch writes the same file."""
    lines = [reject.model_dump_json() for reject in rejects]
    if lines:
        with blobs.write(rejects_key(job_id, batch)) as file:
            file.write(("\n".join(lines) + "\n").encode())
