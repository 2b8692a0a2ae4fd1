"""The index of a job's file: where the rows of each batch lie. It is kept beside the file and not in messages.

The index of a file of any size is read a window at a time: 32 bytes a batch.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import IO

from edugraph_common.platform.object_store import Blobs

BatchRange = tuple[int, int, int, int]  # (offset in bytes, length in bytes, first line, number of rows)

_ENTRY = struct.Struct(">QQQQ")  # one BatchRange


def index_key(job_id: str) -> str:
    # An index of releases before this name had no number of rows: its job is split again, into the same batches.
    return f"jobs/{job_id}/index"


def write_ranges(index: IO[bytes], ranges: Iterable[BatchRange]) -> None:
    for each in ranges:
        index.write(_ENTRY.pack(*each))


def count_ranges(blobs: Blobs, job_id: str) -> int:
    with blobs.open(index_key(job_id)) as index:
        return index.seek(0, 2) // _ENTRY.size


def read_ranges(blobs: Blobs, job_id: str, numbers: range) -> Iterator[BatchRange]:
    """Read the ranges of the batches with these numbers, which follow each other."""
    entries = blobs.read(index_key(job_id), numbers.start * _ENTRY.size, len(numbers) * _ENTRY.size)
    return _ENTRY.iter_unpack(entries)


def count_rows(blobs: Blobs, job_id: str) -> int:
    """Return the number of rows that the split saw in the whole file."""
    with blobs.open(index_key(job_id)) as index:
        return sum(rows for _, _, _, rows in _ENTRY.iter_unpack(index.read()))
