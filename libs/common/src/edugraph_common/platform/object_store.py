"""The blob store: big bodies and rejects, behind fsspec: a folder, or any URL that fsspec knows.

Files outside of it are read where they are, by their URL, if the operator has allowed what it begins with.
"""

import io
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractBufferedFile

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.contracts.messages import OutsideFile
from edugraph_common.platform.s3_upload import S3Upload

EXPORTS = "exports"  # the folder with the exports of persons that wait to be fetched
EXPORT_KEPT_SECONDS = 86_400
ERASURES = "erasures"  # the folder with one blob for each erased student
# A listing that another process disturbs begins anew so many times.
LISTINGS = 20
# So does a deletion: each that fails was overtaken by another at one entry, of which a folder may have many.
DELETIONS = 500
# How much is fetched at a time of a file that is read from its beginning to its end.
READ_BYTES = 8 << 20
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\\]|::|(^|/)\.\.?(/|$)")  # fsspec chains filesystems by `::`


class Gone(Rejected):
    """There is no such blob, or there is none any more."""


class Changed(Rejected):
    """A file outside is not what it was when its job was accepted."""


class Redirected(Rejected):
    """fsspec makes a FileNotFoundError of it while a file is opened."""


async def _refuse_redirects(answer: Any) -> None:
    if 300 <= answer.status < 400:
        raise Redirected("a file outside redirects to another place; give that one, if it is allowed")


# Another process may write, so a listing that was kept would hide what is there by now.
_FRESH = {"use_listings_cache": False}
# What was allowed is the place that was named, and not the one that its server sends us to: that may be inside.
_NO_REDIRECTS = {"allow_redirects": False, "client_kwargs": {"raise_for_status": _refuse_redirects}}

# An etag and the time of the last change, as the filesystems of fsspec call them: HTTP, S3, Google, Azure, a folder.
_TOLD_AS = (("ETag", "etag"), ("Last-Modified", "LastModified", "last_modified", "mtime"))


class Blobs:
    """Keys are relative paths below `url`. Raises Retryable when the store does not answer.

    `open` and `read` take the URL of a file outside as well, if it is below one of `imports_from`.
    """

    def __init__(self, url: str, imports_from: Sequence[str] = ()) -> None:
        self._imports_from = tuple(imports_from)
        self._fs, root = url_to_fs(url, **_FRESH)
        self._root = str(root).rstrip("/")

    @contextmanager
    def write(self, key: str) -> Iterator[IO[bytes]]:
        """The blob appears under its key only when the block ends without an error.

        In a folder it is on disk then, and would outlive a power cut; so it does where an object store answers.
        """
        if "s3" in self._fs.protocol:
            with _store_errors(), self._upload(key) as upload:
                yield cast("IO[bytes]", upload)
            return
        path, part = self._path(key), self._path(f"{key}.part-{secrets.token_hex(4)}")
        folder, local = path.rsplit("/", 1)[0], isinstance(self._fs, LocalFileSystem)
        with _store_errors():
            # A name stands in the folder above it, and that of a new folder does too.
            above = (Path(folder), *Path(folder).parents) if local else ()
            changed = {Path(folder), *(new.parent for new in above if not new.exists())} if local else set()
            self._fs.makedirs(folder, exist_ok=True)
            try:
                with self._fs.open(part, "wb") as file:
                    yield cast("IO[bytes]", file)
                    if local:
                        file.flush()
                        os.fsync(file.fileno())
                self._fs.mv(part, path)
                for each in changed:
                    handle = os.open(each, os.O_RDONLY)
                    try:
                        os.fsync(handle)
                    finally:
                        os.close(handle)
            finally:
                # The part is there only after an error; a deletion of the whole folder may be faster.
                with suppress(FileNotFoundError):
                    if self._fs.exists(part):
                        self._fs.rm(part)

    @contextmanager
    def _upload(self, key: str) -> Iterator[S3Upload]:
        """Write the object at once: a part under another name would have to be copied, and could be listed."""
        upload = S3Upload(self._fs, self._path(key))
        try:
            yield upload
            upload.complete()
        except BaseException:
            upload.abort()
            raise

    def open(self, key: str) -> IO[bytes]:
        """Open a blob to read it through. A range of it is read by `read`.

        Raises Gone when there is no such blob, Rejected when it is outside and not allowed.
        """
        return self._open(key, READ_BYTES)

    @contextmanager
    def open_unchanged(self, key: str, outside: OutsideFile | None) -> Iterator[IO[bytes]]:
        """Open a file outside that is `outside` before the block and still is after it. Raises Changed.

        Of other blobs, and of files outside of which nothing was noted, nothing is compared.
        """
        with self.open(key) as file, self._unchanged(key, outside):
            yield file

    def read(self, key: str, offset: int, length: int, outside: OutsideFile | None = None) -> bytes:
        """Raises Changed as `open_unchanged` does."""
        # Without a buffer nothing beyond the range is fetched.
        with self._open(key, 1) as file, self._unchanged(key, outside), _store_errors():
            if offset:  # A stream of HTTP, which cannot seek, can at least be read from its beginning.
                file.seek(offset)
            return file.read(length)

    def look_outside(self, url: str) -> OutsideFile:
        """Return what the place of a file outside tells of it now. Raises as `open` does."""
        with _present(url):
            fs, path = self._place(url)
            told = fs.info(path)
        etag, modified = (next((str(told[name]) for name in names if told.get(name)), None) for names in _TOLD_AS)
        return OutsideFile(size=told.get("size"), etag=etag, modified=modified)

    def _open(self, key: str, block_bytes: int) -> IO[bytes]:
        """Open a blob or a file outside. `block_bytes` are fetched at a time, if fewer are asked for."""
        with _present(key):
            fs, path = self._place(key)
            # The buffer is Python's own: that of fsspec reads ahead, and fetches a block anew for each line.
            file = fs.open(path, "rb", block_size=block_bytes, cache_type="none")
        if isinstance(file, AbstractBufferedFile):
            return cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", file), block_bytes))
        return cast("IO[bytes]", file)

    @contextmanager
    def _unchanged(self, key: str, outside: OutsideFile | None) -> Iterator[None]:
        self._compare(key, outside)
        try:
            yield
        finally:  # A change meanwhile is told as such, also where it made the block fail.
            self._compare(key, outside)

    def _compare(self, key: str, outside: OutsideFile | None) -> None:
        change = outside.change(self.look_outside(key)) if outside else None
        if change:
            raise Changed(f"{shown(key)} was changed after its job was accepted: {change}; import the file again")

    def exists(self, key: str) -> bool:
        """The own `exists` of fsspec answers no where the store does not answer at all."""
        with _store_errors():
            try:
                self._fs.info(self._path(key))
            except FileNotFoundError:
                return False
            return True

    def keys(self, prefix: str) -> list[str]:
        """Return all keys below a folder, sorted. Raises Retryable where the folder changes too fast to be listed."""
        # A local folder is listed entry by entry. By default fsspec leaves out the whole folder of an entry that
        # vanishes meanwhile, and its blobs would be overlooked; so it must raise, and the listing begins anew.
        options = {"on_error": "raise"} if isinstance(self._fs, LocalFileSystem) else {}
        with _store_errors():
            for _ in range(LISTINGS):
                try:
                    found = (
                        self._fs.find(self._path(prefix), **options) if self._fs.exists(self._path(prefix)) else []
                    )
                except FileNotFoundError:
                    continue
                return sorted(str(path).removeprefix(self._root + "/") for path in found)
        raise Retryable("the blob store changed each time it was listed")

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        with _store_errors():
            try:
                found = self._fs.ls(self._path(prefix), detail=True, refresh=True)
            except FileNotFoundError:
                return []
        names = (str(entry["name"]).rstrip("/") for entry in found if entry["type"] == "directory")
        return sorted(name.rsplit("/", 1)[-1] for name in names)

    def written(self, prefix: str) -> dict[str, datetime | None]:
        """Return when each blob below a folder was written; None where the store does not tell."""
        found = {}
        for key in self.keys(prefix):
            with _store_errors(), suppress(FileNotFoundError):
                info = self._fs.info(self._path(key))
                told = next((info[name] for name in _TOLD_AS[1] if info.get(name)), None)
                found[key] = datetime.fromtimestamp(told, UTC) if isinstance(told, int | float) else told
        return {key: told if isinstance(told, datetime) and told.tzinfo else None for key, told in found.items()}

    def delete_empty(self, prefix: str) -> None:
        """Delete a folder that holds nothing. An object store has none."""
        if isinstance(self._fs, LocalFileSystem):
            with suppress(OSError):  # something is in it, or it is gone
                Path(self._path(prefix)).rmdir()

    def delete(self, prefix: str) -> None:
        """Delete a blob, or all below a folder. What is gone already is no error."""
        with _store_errors():
            for _ in range(DELETIONS):
                if not self._fs.exists(self._path(prefix)):
                    return
                # Somebody else may delete a part of the same folder: then the rest of it is still there.
                with suppress(FileNotFoundError):
                    self._fs.rm(self._path(prefix), recursive=True)
        raise Retryable("the blob store changed each time a folder of it was deleted")

    def _place(self, key: str) -> tuple[Any, str]:
        if "://" not in key:
            return self._fs, self._path(key)
        if not is_below(key, self._imports_from):
            raise Rejected(f"{shown(key)} is not below any of EDUGRAPH_IMPORTS_FROM")
        try:
            options = _NO_REDIRECTS if key.startswith(("http://", "https://")) else {}
            fs, path = url_to_fs(key, **_FRESH, **options)
        except (ImportError, ValueError):
            raise Rejected(f"no installed package of fsspec reads {key.split('://', maxsplit=1)[0]}://") from None
        if isinstance(fs, LocalFileSystem) and not self._leads_inside(Path(path)):
            raise Rejected(f"{shown(key)} is a link to a place that is not below any of EDUGRAPH_IMPORTS_FROM")
        return fs, str(path)

    def _leads_inside(self, path: Path) -> bool:
        """Whether the file is below an allowed folder when all links are followed, those of the folder included."""
        allowed = (url.removeprefix("file://") for url in self._imports_from if url.startswith("file://"))
        return any(path.resolve().is_relative_to(Path(folder).resolve()) for folder in allowed)

    def _path(self, key: str) -> str:
        if ".." in key.split("/") or key.startswith("/") or "://" in key:
            raise Rejected("a blob's key must be a relative path below the store")
        return f"{self._root}/{key}"


def is_below(url: str, prefixes: Sequence[str]) -> bool:
    """A prefix ends where a folder does: s3://exports allows nothing of s3://exports-of-others."""
    plain = unquote(unquote(url))
    usable = not any(_UNUSABLE.search(text) for text in (url, plain.split("?")[0].split("#")[0]))
    return usable and any(url.startswith(f"{prefix.rstrip('/')}/") for prefix in prefixes)


def cancelled_key(job_id: str) -> str:
    """The blob that says that a job was cancelled, for the case that Redis forgets it while messages of it wait."""
    return f"jobs/{job_id}/cancelled"


def export_key(request_id: str, now: datetime) -> str:
    return f"{EXPORTS}/{int(now.timestamp())}-{request_id}.zip"


def delete_old_exports(blobs: Blobs, now: datetime) -> int:
    """Delete what nobody has fetched for a day, and return how many there were."""
    old = []
    for key in blobs.keys(EXPORTS):
        made = key.removeprefix(f"{EXPORTS}/").partition("-")[0]
        if not made.isdigit() or int(made) < now.timestamp() - EXPORT_KEPT_SECONDS:
            old.append(key)
            blobs.delete(key)
    return len(old)


def erasure_key(tombstone: str) -> str:
    """The blob that says that somebody was erased, for the case that the graph comes back from an older backup."""
    return f"{ERASURES}/{tombstone.replace(':', '-')}.json"


def tombstone_of(key: str) -> str:
    """Return the tombstone of an erasure's blob."""
    return key.removeprefix(f"{ERASURES}/").removesuffix(".json").replace("-", ":", 1)


def shown(key: str) -> str:
    """Without what may be a secret: the query of a signed URL."""
    return key.split("?", maxsplit=1)[0]


@contextmanager
def _present(key: str) -> Iterator[None]:
    with _store_errors():
        try:
            yield
        except FileNotFoundError as error:
            if isinstance(error.__cause__, Redirected):
                raise error.__cause__ from None
            raise Gone(f"the blob {shown(key)} is gone") from None


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, fsspec.exceptions.FSTimeoutError, *_of_s3()) as error:
        raise Retryable(f"the blob store does not answer ({type(error).__name__})") from error


def _of_s3() -> tuple[type[Exception], ...]:
    """What s3fs does not turn into an OSError: no connection, no credentials. A folder does not need it loaded."""
    botocore = sys.modules.get("botocore.exceptions")
    return (botocore.BotoCoreError,) if botocore else ()
