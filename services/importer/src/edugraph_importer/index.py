"""Where the rows of each batch lie: kept beside the job's file, so that a message need not carry them.

The index of a file of any size is read a window at a time: 24 bytes a batch.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import IO

from edugraph_common.platform.object_store import Blobs

Place = tuple[int, int, int]
"""Offset and length in bytes, and the first line."""
_ENTRY = struct.Struct(">QQQ")


def index_key(job_id: str) -> str:
    return f"jobs/{job_id}/ranges"


def write_places(index: IO[bytes], places: Iterable[Place]) -> None:
    for place in places:
        index.write(_ENTRY.pack(*place))


def number_of_places(blobs: Blobs, job_id: str) -> int:
    with blobs.open(index_key(job_id)) as index:
        return index.seek(0, 2) // _ENTRY.size


def read_places(blobs: Blobs, job_id: str, numbers: range) -> Iterator[Place]:
    """Of the batches of these numbers, which follow each other."""
    entries = blobs.read(index_key(job_id), numbers.start * _ENTRY.size, len(numbers) * _ENTRY.size)
    return _ENTRY.iter_unpack(entries)
