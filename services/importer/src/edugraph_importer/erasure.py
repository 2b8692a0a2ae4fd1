"""Takes a forgotten student out of the blob store: files that name them, and rejects that quote them.

A file is deleted whole: what of it is in the graph stays there, and the student's own export is the caller's to keep.
"""

import json
from collections.abc import Iterator

from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources.compression import encoding_of, unpacking

CHUNK = 1 << 20  # bytes


def erase_from_blobs(blobs: Blobs, student_id: str) -> dict[str, int]:
    """How many files were deleted, and how many rejects."""
    removed = {"files": 0, "rejects": 0}
    words = _spellings(student_id)
    for key in blobs.keys("jobs"):
        if "/rejects/" in key:
            removed["rejects"] += _erase_rejects(blobs, key, words)
        elif not key.endswith(("/ranges", "/reading.json", "/mapping.json")) and _names(blobs, key, words):
            blobs.delete(key)
            removed["files"] += 1
    return removed


def _spellings(student_id: str) -> tuple[bytes, ...]:
    """As it is, and as JSON may write it."""
    written = {student_id, json.dumps(student_id)[1:-1], json.dumps(student_id, ensure_ascii=False)[1:-1]}
    return tuple(word.encode() for word in written)


def _names(blobs: Blobs, key: str, words: tuple[bytes, ...]) -> bool:
    """A word that lies across two chunks is found too."""
    longest, tail = max(map(len, words)), b""
    for chunk in _text(blobs, key):
        text = tail + chunk
        if any(word in text for word in words):
            return True
        tail = text[-longest:]
    return False


def _text(blobs: Blobs, key: str) -> Iterator[bytes]:
    unpacked = unpacking(encoding_of(key))
    with blobs.open(key) as file:
        while chunk := file.read(CHUNK):
            yield from unpacked.feed(chunk)


def _erase_rejects(blobs: Blobs, key: str, words: tuple[bytes, ...]) -> int:
    lines = b"".join(_text(blobs, key)).splitlines(keepends=True)
    kept = [line for line in lines if not any(word in line for word in words)]
    if len(kept) < len(lines):
        with blobs.write(key) as file:
            file.writelines(kept)
    return len(lines) - len(kept)
