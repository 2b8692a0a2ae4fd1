"""An uploaded file goes through a check into the blob store, piece by piece, and is there only if all of it is."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import IO, NamedTuple, Protocol

import anyio.to_thread
from anyio import CancelScope, CapacityLimiter

from edugraph_common.contracts.messages import Format
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.sources import Mapping, make_read_plan
from edugraph_common.sources.compression import ContentEncoding, decompressor
from edugraph_common.sources.ndjson import LineScan, MalformedFile

MAX_HEAD_BYTES = 1 << 20


class Scan(Protocol):
    """Both methods raise MalformedFile for what makes the whole file unusable."""

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> None: ...


class HeadScan:
    """Checks formats that only the import itself can read through: the head of a file must tell how it is read."""

    def __init__(self, file_format: Format, mapping: Mapping | None) -> None:
        self._format = file_format
        self._mapping = mapping
        self._head = bytearray()
        self._planned = False

    def feed(self, chunk: bytes) -> None:
        if not self._planned:
            self._head += chunk
            if len(self._head) >= MAX_HEAD_BYTES:
                self._plan()

    def finish(self) -> None:
        if not self._planned:
            self._plan()

    def _plan(self) -> None:
        if not self._head.strip():
            raise MalformedFile("the file is empty: it holds no record")
        make_read_plan(bytes(self._head), self._format, self._mapping)
        self._planned = True
        self._head = bytearray()


def scan_of(file_format: Format, mapping: Mapping | None) -> Scan:
    if file_format == "ndjson":
        return LineScan()
    return HeadScan(file_format, mapping)


class Stored(NamedTuple):
    """An upload that was stored: the SHA-256 of the body as it came, and the size of the uncompressed file."""

    digest: str
    unpacked_bytes: int


class Upload:
    """The blocking half of an upload: it runs in threads, one call at a time.

    A compressed file is checked decompressed and kept compressed.
    """

    def __init__(
        self, blobs: Blobs, key: str, encoding: ContentEncoding, scan: Scan, max_unpacked_bytes: int
    ) -> None:
        self._blob: AbstractContextManager[IO[bytes]] = blobs.write(key)
        self._unpacking = decompressor(encoding)
        self._scan = scan
        self._digest = hashlib.sha256()
        self._unpacked_bytes = 0
        self._max_unpacked_bytes = max_unpacked_bytes
        self._file: IO[bytes] | None = None

    def put(self, piece: bytes) -> None:
        """Raises MalformedFile, Problem 413, Retryable."""
        if self._file is None:
            self._file = self._blob.__enter__()
        for text in self._unpacking.feed(piece):
            self._unpacked_bytes += len(text)
            if self._unpacked_bytes > self._max_unpacked_bytes:
                words = (
                    f"The file has more than {self._max_unpacked_bytes:,} bytes unpacked; split it."
                )
                raise Problem(413, "too-large", words)
            self._scan.feed(text)
        self._digest.update(piece)
        self._file.write(piece)

    def keep(self) -> Stored:
        """Check the end and make the blob appear."""
        self._unpacking.finish()
        self._scan.finish()
        self._blob.__exit__(None, None, None)
        return Stored(self._digest.hexdigest(), self._unpacked_bytes)

    def forget(self, error: BaseException) -> None:
        """Leave nothing behind. The first error is the one to tell, not one that clearing away may raise."""
        if self._file is not None:
            with suppress(Exception):
                self._blob.__exit__(type(error), error, error.__traceback__)


async def store_upload(upload: Upload, pieces: AsyncIterator[bytes]) -> Stored:
    """Raises MalformedFile, Problem, Retryable; then there is no blob."""
    try:
        async for piece in pieces:
            await anyio.to_thread.run_sync(upload.put, piece)
        return await anyio.to_thread.run_sync(upload.keep)
    except BaseException as error:
        with CancelScope(shield=True):
            await anyio.to_thread.run_sync(upload.forget, error)
        raise


@dataclass(frozen=True)
class UploadSlots:
    """Limits the number of concurrent uploads."""

    slots: CapacityLimiter
    broker_answers: Callable[[], Awaitable[bool]]

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Raises Problem 503 before a large body comes in, not after, where it could not be accepted anyway."""
        if not await self.broker_answers():
            raise Problem(
                503, "unavailable", "The broker does not answer; nothing was taken.", retry_after=5
            )
        if self.slots.available_tokens < 1:
            raise Problem(
                503, "busy", "As many uploads as the gateway takes are under way.", retry_after=5
            )
        async with self.slots:
            yield
