"""The upload of one S3 object in parts. The object appears as a whole when the upload is completed."""

import io
import tempfile
from contextlib import suppress
from threading import BoundedSemaphore
from typing import Any

from fsspec.asyn import sync

MEBIBYTE = 1 << 20
# A part that is being filled is kept in memory up to this size. Beyond it, an unnamed temporary file is used, which
# ends with the process.
IN_MEMORY_BYTES = MEBIBYTE
# S3 refuses smaller parts, except the last one.
FIRST_PART_BYTES = 5 * MEBIBYTE
# S3 accepts 10,000 parts of an object. Their size doubles after each thousand, so that the largest object (5 TiB)
# fits.
PARTS_OF_ONE_SIZE = 1_000
# The number of parts that a process sends at the same time. Each is in memory meanwhile, in two copies.
PARTS_AT_ONCE = 2

_sending = BoundedSemaphore(PARTS_AT_ONCE)


class S3Upload(io.RawIOBase):
    """A writable file that uploads one object. The object appears only if `complete` is called; `abort` drops it."""

    def __init__(self, fs: Any, path: str) -> None:
        """`fs` is an s3fs.S3FileSystem."""
        self._fs = fs
        self._bucket, self._key, _ = fs.split_path(path)
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._part_bytes = FIRST_PART_BYTES
        self._part = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - `complete` or `abort` closes it
        self._filled_bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        given = memoryview(data).cast("B")
        rest = given
        while rest:
            room = self._part_bytes - self._filled_bytes
            fitting = rest[:room]
            self._part.write(fitting)
            self._filled_bytes += len(fitting)
            rest = rest[room:]
            if self._filled_bytes == self._part_bytes:
                self._send_part()
        return len(given)

    def complete(self) -> None:
        if self._upload_id is None:
            with _sending:
                self._send("put_object")
        else:
            if self._filled_bytes:
                self._send_part()
            self._call(
                "complete_multipart_upload",
                UploadId=self._upload_id,
                MultipartUpload={"Parts": self._parts},
            )
        self._part.close()

    def abort(self) -> None:
        """Tell the server to delete the parts. If it does not answer, a rule of the bucket must end the upload."""
        self._part.close()
        if self._upload_id is not None:
            with suppress(Exception):
                self._call("abort_multipart_upload", UploadId=self._upload_id)

    def _send_part(self) -> None:
        if self._upload_id is None:
            self._upload_id = self._call("create_multipart_upload")["UploadId"]
        number = len(self._parts) + 1
        with _sending:
            answer = self._send("upload_part", UploadId=self._upload_id, PartNumber=number)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        if number % PARTS_OF_ONE_SIZE == 0:
            self._part_bytes *= 2
        self._part.seek(0)
        self._filled_bytes = 0

    def _send(self, operation: str, **arguments: Any) -> Any:
        """Send the part. The client's own thread reads it, because each thread that reads keeps memory for it."""

        async def send() -> Any:
            self._part.seek(0)
            body = self._part.read(self._filled_bytes)
            call = self._fs._call_s3  # noqa: SLF001 - fsspec's name for the form of `call_s3` that is awaited
            return await call(operation, Bucket=self._bucket, Key=self._key, Body=body, **arguments)

        return sync(self._fs.loop, send)

    def _call(self, operation: str, **arguments: Any) -> Any:
        return self._fs.call_s3(operation, Bucket=self._bucket, Key=self._key, **arguments)
