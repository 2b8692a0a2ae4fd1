"""An uploaded file goes through the check into the blob store, piece by piece, and is there only if all of it is."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress
from typing import IO, Protocol

import anyio.to_thread
from anyio import CancelScope

from edugraph_common.contracts.messages import Format
from edugraph_common.platform.object_store import Blobs
from edugraph_common.sources import Mapping, plan_reading
from edugraph_common.sources.compression import Encoding, unpacking
from edugraph_common.sources.ndjson import LineScan, MalformedFile
from edugraph_gateway.problems import Problem

LONGEST_HEAD = 1 << 20  # bytes


class Scan(Protocol):
    """Both raise MalformedFile for what makes the whole file unusable."""

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> None: ...


class HeadScan:
    """Of formats that only the import itself can read through: their beginning must tell how they are read."""

    def __init__(self, file_format: Format, mapping: Mapping | None) -> None:
        self._format, self._mapping = file_format, mapping
        self._head, self._planned = bytearray(), False

    def feed(self, chunk: bytes) -> None:
        if not self._planned:
            self._head += chunk
            if len(self._head) >= LONGEST_HEAD:
                self._plan()

    def finish(self) -> None:
        if not self._planned:
            self._plan()

    def _plan(self) -> None:
        if not self._head.strip():
            raise MalformedFile("the file is empty: it holds no record")
        plan_reading(bytes(self._head), self._format, self._mapping)
        self._planned, self._head = True, bytearray()


def scan_of(file_format: Format, mapping: Mapping | None) -> Scan:
    return LineScan() if file_format == "ndjson" else HeadScan(file_format, mapping)


class Upload:
    """The blocking half: runs in threads, one call at a time. A compressed file is checked unpacked, kept packed."""

    def __init__(self, blobs: Blobs, key: str, encoding: Encoding, scan: Scan, largest: int) -> None:
        self._blob: AbstractContextManager[IO[bytes]] = blobs.write(key)
        self._unpacking, self._scan, self._digest = unpacking(encoding), scan, hashlib.sha256()
        self._unpacked, self._largest = 0, largest
        self._file: IO[bytes] | None = None

    def put(self, piece: bytes) -> None:
        """Raises MalformedFile, Problem 413, Retryable."""
        if self._file is None:
            self._file = self._blob.__enter__()
        for text in self._unpacking.feed(piece):
            self._unpacked += len(text)
            if self._unpacked > self._largest:
                raise Problem(413, "too-large", f"The file has more than {self._largest:,} bytes unpacked; split it.")
            self._scan.feed(text)
        self._digest.update(piece)
        self._file.write(piece)

    def keep(self) -> str:
        """Check the end and make the blob appear. Returns the SHA-256 of the body as it came."""
        self._unpacking.finish()
        self._scan.finish()
        self._blob.__exit__(None, None, None)
        return self._digest.hexdigest()

    def forget(self, error: BaseException) -> None:
        """Leave nothing behind. The first error is the one to tell, not one of the tidying."""
        if self._file is not None:
            with suppress(Exception):
                self._blob.__exit__(type(error), error, error.__traceback__)


async def store_upload(upload: Upload, pieces: AsyncIterator[bytes]) -> str:
    """The SHA-256 of the body. Raises MalformedFile, Problem, Retryable; then there is no blob."""
    try:
        async for piece in pieces:
            await anyio.to_thread.run_sync(upload.put, piece)
        return await anyio.to_thread.run_sync(upload.keep)
    except BaseException as error:
        with CancelScope(shield=True):
            await anyio.to_thread.run_sync(upload.forget, error)
        raise
