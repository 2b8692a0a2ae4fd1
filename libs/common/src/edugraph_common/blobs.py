"""The blob store: big bodies and rejects, behind fsspec: a folder, or any URL that fsspec knows."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

import fsspec
from fsspec.core import url_to_fs

from edugraph_common.failures import Rejected, Retryable


class Blobs:
    """Keys are relative paths below `url`. Raises Retryable when the store does not answer."""

    def __init__(self, url: str) -> None:
        self._fs, root = url_to_fs(url)
        self._root = str(root).rstrip("/")

    @contextmanager
    def write(self, key: str) -> Iterator[IO[bytes]]:
        """The blob appears under its key only when the block ends without an error."""
        path, part = self._path(key), self._path(f"{key}.part-{secrets.token_hex(4)}")
        with _store_errors():
            self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            try:
                with self._fs.open(part, "wb") as file:
                    yield cast("IO[bytes]", file)
                self._fs.mv(part, path)
            finally:
                if self._fs.exists(part):
                    self._fs.rm(part)

    def open(self, key: str) -> IO[bytes]:
        """Raises Rejected when there is no such blob."""
        with _store_errors():
            try:
                return cast("IO[bytes]", self._fs.open(self._path(key), "rb"))
            except FileNotFoundError:
                raise Rejected(f"the blob {key} is gone") from None

    def read(self, key: str, offset: int, length: int) -> bytes:
        with self.open(key) as file, _store_errors():
            file.seek(offset)
            return file.read(length)

    def exists(self, key: str) -> bool:
        with _store_errors():
            return bool(self._fs.exists(self._path(key)))

    def keys(self, prefix: str) -> list[str]:
        """All keys below a folder, sorted."""
        with _store_errors():
            if not self._fs.exists(self._path(prefix)):
                return []
            found = self._fs.find(self._path(prefix))
        return sorted(str(path).removeprefix(self._root + "/") for path in found)

    def delete(self, prefix: str) -> None:
        with _store_errors():
            if self._fs.exists(self._path(prefix)):
                self._fs.rm(self._path(prefix), recursive=True)

    def _path(self, key: str) -> str:
        if ".." in key.split("/") or key.startswith("/"):
            raise Rejected("a blob's key must be a relative path below the store")
        return f"{self._root}/{key}"


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, fsspec.exceptions.FSTimeoutError) as error:
        raise Retryable(f"the blob store does not answer ({type(error).__name__})") from error
