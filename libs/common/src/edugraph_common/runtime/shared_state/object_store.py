"""The blob store for files, large bodies and rejects. Gateway, importer and analyzer write and read it.

It is a folder, or any URL that fsspec supports.

A file outside the store can be read by its URL, if the operator has allowed a prefix of the URL.
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
from edugraph_common.runtime.shared_state.s3_upload import S3Upload

EXPORTS = "exports"  # the folder with the exports of persons that wait to be fetched
EXPORT_KEPT_SECONDS = 86_400
ERASURES = "erasures"  # the folder with one blob for each erased student
UNDOS = "undos"  # the folder with one blob for each import that was undone
# The number of tries of a listing that another process disturbs.
LISTINGS = 20
# The number of tries of a deletion. Each try fails if another process deletes one of the folder's entries meanwhile.
DELETIONS = 500
# The size of one fetch when a file is read from beginning to end.
READ_BYTES = 8 << 20
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\\]|::|(^|/)\.\.?(/|$)")  # fsspec chains filesystems by `::`


class BlobMissing(Rejected):
    """The blob does not exist, or not any more."""


class Changed(Rejected):
    """A file outside has changed since its job was accepted."""


class Redirected(Rejected):
    """A server redirects to another address. While a file is opened, fsspec turns it into a FileNotFoundError."""


async def _refuse_redirects(answer: Any) -> None:
    if 300 <= answer.status < 400:
        raise Redirected(
            "a file outside redirects to another place; give that one, if it is allowed"
        )


# Listings are not cached, because other processes write to the store.
_FRESH = {"use_listings_cache": False}
# Redirects are refused: the operator allowed the named address, and its server could redirect into our own network.
_NO_REDIRECTS = {"allow_redirects": False, "client_kwargs": {"raise_for_status": _refuse_redirects}}

# The names that filesystems of fsspec give etag and time of the last change: HTTP, S3, Google, Azure, a folder.
_ETAGS = ("ETag", "etag")
_CHANGE_TIMES = ("Last-Modified", "LastModified", "last_modified", "mtime")


class Blobs:
    """The blob store at `url`. Keys are relative paths below it. Raises Retryable when the store does not answer.

    `open` and `read` also take the URL of a file outside the store, if it is below one of `imports_from`.
    """

    def __init__(self, url: str, imports_from: Sequence[str] = ()) -> None:
        self._imports_from = tuple(imports_from)
        self._fs, root = url_to_fs(url, **_FRESH)
        self._root = str(root).rstrip("/")

    def overlaps(self, other: "Blobs") -> bool:
        """Return whether one of the two stores is the other one, or is below it."""
        kind, folder = self.place
        other_kind, other_folder = other.place
        is_nested = folder.startswith(other_folder) or other_folder.startswith(folder)
        return kind is other_kind and is_nested

    @property
    def place(self) -> tuple[type, str]:
        """Return the kind of the filesystem, and the folder in it, with a slash at its end."""
        return type(self._fs), f"{self._root}/"

    @contextmanager
    def write(self, key: str) -> Iterator[IO[bytes]]:
        """Write a blob. It appears under its key only when the block ends without an error.

        Then it also survives a power cut: a file in a folder was synced to disk, and an object store has confirmed
        it. Raises Retryable if another process deletes the folder meanwhile.
        """
        if "s3" in self._fs.protocol:
            with _store_errors(), self._upload(key) as upload:
                yield cast("IO[bytes]", upload)
            return
        path = self._path(key)
        part = self._path(f"{key}.part-{secrets.token_hex(4)}")
        folder = path.rsplit("/", 1)[0]
        is_local = isinstance(self._fs, LocalFileSystem)
        with _store_errors():
            changed_folders = set[Path]()
            if is_local:
                changed_folders = _folders_that_change(Path(folder))
            self._fs.makedirs(folder, exist_ok=True)
            try:
                with self._fs.open(part, "wb") as file:
                    yield cast("IO[bytes]", file)
                    if is_local:
                        file.flush()
                        os.fsync(file.fileno())
                try:
                    self._fs.mv(part, path)
                except FileNotFoundError:
                    reason = "a folder of the blob store was deleted while a blob was written there"
                    raise Retryable(reason) from None
                for changed in changed_folders:
                    _sync(changed)
            finally:
                # The part exists only after an error. Another process may delete the whole folder meanwhile.
                with suppress(FileNotFoundError):
                    if self._fs.exists(part):
                        self._fs.rm(part)

    @contextmanager
    def _upload(self, key: str) -> Iterator[S3Upload]:
        """Write the object under its own key: one with another name would have to be copied, and could be listed."""
        upload = S3Upload(self._fs, self._path(key))
        try:
            yield upload
            upload.complete()
        except BaseException:
            upload.abort()
            raise

    def open(self, key: str) -> IO[bytes]:
        """Open a blob to read it from beginning to end. Use `read` for a range of it.

        Raises BlobMissing when there is no such blob, and Rejected for a file outside that is not allowed.
        """
        return self._open(key, READ_BYTES)

    @contextmanager
    def open_unchanged(self, key: str, outside: OutsideFile | None) -> Iterator[IO[bytes]]:
        """Open a file outside. Raise Changed if it does not match `outside` before or after the block.

        If `outside` is None, nothing is compared.
        """
        with self.open(key) as file, self._unchanged(key, outside):
            yield file

    def read(self, key: str, offset: int, length: int, outside: OutsideFile | None = None) -> bytes:
        """Return `length` bytes from `offset`. Raises Changed if a file outside does not match `outside`."""
        # Without a buffer nothing beyond the range is fetched.
        with self._open(key, 1) as file, self._unchanged(key, outside), _store_errors():
            if offset:  # An HTTP stream that cannot seek can be read from its beginning only.
                file.seek(offset)
            return file.read(length)

    def look_outside(self, url: str) -> OutsideFile:
        """Return the current facts about a file outside. Raises BlobMissing and Rejected like `open`."""
        with _present(url):
            fs, path = self._located(url)
            info = fs.info(path)
        return _facts_of(info)

    def _open(self, key: str, block_bytes: int) -> IO[bytes]:
        """Open a blob or a file outside. At least `block_bytes` are fetched at a time."""
        with _present(key):
            fs, path = self._located(key)
            # Python's own buffer is used: fsspec's buffer reads ahead, and fetches a block again for each line.
            file = fs.open(path, "rb", block_size=block_bytes, cache_type="none")
        if isinstance(file, AbstractBufferedFile):
            return cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", file), block_bytes))
        return cast("IO[bytes]", file)

    @contextmanager
    def _unchanged(self, key: str, outside: OutsideFile | None) -> Iterator[None]:
        self._compare(key, outside)
        try:
            yield
        finally:  # If the block failed because the file changed meanwhile, Changed is raised instead.
            self._compare(key, outside)

    def _compare(self, key: str, outside: OutsideFile | None) -> None:
        if outside is None:
            return
        change = outside.change(self.look_outside(key))
        if change:
            raise Changed(
                f"{shown(key)} was changed after its job was accepted: {change}; import the file again"
            )

    def exists(self, key: str) -> bool:
        """Return whether there is such a blob. Raises Retryable when the store does not answer."""
        with _store_errors():
            # The `exists` of fsspec is not used: it also returns False when the store does not answer.
            try:
                self._fs.info(self._path(key))
            except FileNotFoundError:
                return False
            return True

    def keys(self, prefix: str) -> list[str]:
        """Return all keys below a folder, sorted. Raises Retryable if the folder changes too fast to be listed."""
        return sorted(self._listed(prefix))

    def facts(self, prefix: str) -> dict[str, OutsideFile]:
        """Return key -> facts for the regular files below a folder. Raises Retryable like `keys`.

        Pipes and other special files are left out, since reading one may never end.
        """
        found = {}
        for key, info in sorted(self._listed(prefix).items()):
            if info["type"] == "file":
                found[key] = _facts_of(info)
        return found

    def _listed(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Return key -> the facts of the filesystem, for the files below a folder."""
        # A local folder is listed entry by entry. If an entry vanishes meanwhile, fsspec by default leaves out its
        # whole folder, and the other blobs in it would be missed. So it must raise, and the listing begins again.
        options: dict[str, Any] = {"detail": True}
        if isinstance(self._fs, LocalFileSystem):
            options["on_error"] = "raise"
        folder = self._path(prefix)
        with _store_errors():
            for _ in range(LISTINGS):
                try:
                    found = {}
                    if self._fs.exists(folder):
                        found = self._fs.find(folder, **options)
                except FileNotFoundError:
                    continue
                return {
                    str(path).removeprefix(f"{self._root}/"): info for path, info in found.items()
                }
        raise Retryable("the blob store changed each time it was listed")

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        with _store_errors():
            try:
                found = self._fs.ls(self._path(prefix), detail=True, refresh=True)
            except FileNotFoundError:
                return []
        names = []
        for entry in found:
            if entry["type"] == "directory":
                path = str(entry["name"]).rstrip("/")
                names.append(path.rsplit("/", 1)[-1])
        return sorted(names)

    def written(self, prefix: str) -> dict[str, datetime | None]:
        """Return key -> time of writing for the blobs below a folder. The time is None if the store does not know."""
        times: dict[str, datetime | None] = {}
        for key in self.keys(prefix):
            with _store_errors(), suppress(FileNotFoundError):
                facts = self._fs.info(self._path(key))
                time = _first_of(facts, _CHANGE_TIMES)
                if isinstance(time, int | float):
                    time = datetime.fromtimestamp(time, UTC)
                times[key] = None
                if isinstance(time, datetime) and time.tzinfo is not None:
                    times[key] = time
        return times

    def delete_empty(self, prefix: str) -> None:
        """Delete a folder if it is empty. An object store has no folders."""
        if isinstance(self._fs, LocalFileSystem):
            with suppress(OSError):  # the folder is not empty, or it does not exist
                Path(self._path(prefix)).rmdir()

    def delete(self, prefix: str) -> None:
        """Delete a blob, or all blobs below a folder. A missing blob is not an error."""
        with _store_errors():
            for _ in range(DELETIONS):
                if not self._fs.exists(self._path(prefix)):
                    return
                # Another process may delete a part of the same folder. Then the rest is deleted by the next try.
                with suppress(FileNotFoundError):
                    self._fs.rm(self._path(prefix), recursive=True)
        raise Retryable("the blob store changed each time a folder of it was deleted")

    def _located(self, key: str) -> tuple[Any, str]:
        """Return the filesystem of a blob or of a file outside, and the path in it."""
        if "://" not in key:
            return self._fs, self._path(key)
        if not is_below(key, self._imports_from):
            raise Rejected(f"{shown(key)} is not below any of EDUGRAPH_IMPORTS_FROM")
        try:
            options: dict[str, Any] = {}
            if key.startswith(("http://", "https://")):
                options = _NO_REDIRECTS
            fs, path = url_to_fs(key, **_FRESH, **options)
        except (ImportError, ValueError):
            raise Rejected(
                f"no installed package of fsspec reads {key.split('://', maxsplit=1)[0]}://"
            ) from None
        if isinstance(fs, LocalFileSystem) and not self._leads_inside(Path(path)):
            raise Rejected(
                f"{shown(key)} is a link to a place that is not below any of EDUGRAPH_IMPORTS_FROM"
            )
        return fs, str(path)

    def _leads_inside(self, path: Path) -> bool:
        """Return whether the file is below an allowed folder, after all links in both paths are resolved."""
        real_path = path.resolve()
        for url in self._imports_from:
            if url.startswith("file://"):
                allowed = Path(url.removeprefix("file://")).resolve()
                if real_path.is_relative_to(allowed):
                    return True
        return False

    def _path(self, key: str) -> str:
        if ".." in key.split("/") or key.startswith("/") or "://" in key:
            raise Rejected("a blob's key must be a relative path below the store")
        return f"{self._root}/{key}"


def is_below(url: str, prefixes: Sequence[str]) -> bool:
    """Return whether a URL is below one of the prefixes. s3://exports does not allow s3://exports-of-others."""
    plain = unquote(unquote(url))
    path = plain.split("?")[0].split("#")[0]
    if _UNUSABLE.search(url) or _UNUSABLE.search(path):
        return False
    return any(url.startswith(f"{prefix.rstrip('/')}/") for prefix in prefixes)


def _folders_that_change(folder: Path) -> set[Path]:
    """Return the folders to sync after a file was written to `folder`, which need not exist yet.

    The name of a new file or folder is stored in its parent, so each changed parent must be synced too.
    """
    changed = {folder}
    for each in (folder, *folder.parents):
        if not each.exists():
            changed.add(each.parent)
    return changed


def _sync(folder: Path) -> None:
    """Write the names in a folder to disk, so that they survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _facts_of(info: dict[str, Any]) -> OutsideFile:
    etag = _first_of(info, _ETAGS)
    modified = _first_of(info, _CHANGE_TIMES)
    return OutsideFile(
        size=info.get("size"),
        etag=None if etag is None else str(etag),
        modified=None if modified is None else str(modified),
    )


def _first_of(facts: dict[str, Any], names: Sequence[str]) -> Any:
    """Return the first of these facts that is there, or None."""
    for name in names:
        if facts.get(name):
            return facts[name]
    return None


def cancelled_key(job_id: str) -> str:
    """Return the key of the blob that marks a cancelled job.

    Workers read it if Redis has lost the job while its messages wait.
    """
    return f"jobs/{job_id}/cancelled"


def export_key(request_id: str, now: datetime) -> str:
    return f"{EXPORTS}/{int(now.timestamp())}-{request_id}.zip"


def delete_old_exports(blobs: Blobs, now: datetime) -> int:
    """Delete exports that are older than a day, and return their number."""
    old = []
    for key in blobs.keys(EXPORTS):
        made = key.removeprefix(f"{EXPORTS}/").partition("-")[0]
        if not made.isdigit() or int(made) < now.timestamp() - EXPORT_KEPT_SECONDS:
            old.append(key)
            blobs.delete(key)
    return len(old)


def erasure_key(tombstone: str) -> str:
    """Return the key of the blob that notes an erasure. It is read if the graph was restored from an older backup."""
    return f"{ERASURES}/{tombstone.replace(':', '-')}.json"


def tombstone_of(key: str) -> str:
    """Return the tombstone in the key of an erasure's blob."""
    return key.removeprefix(f"{ERASURES}/").removesuffix(".json").replace("-", ":", 1)


def undo_key(job_id: str) -> str:
    """Return the key of the blob that says that an import was undone. A restored graph may be older than the undo."""
    return f"{UNDOS}/{job_id}.json"


def undone_job_of(key: str) -> str:
    """Return the id of the job of an undo's blob."""
    return key.removeprefix(f"{UNDOS}/").removesuffix(".json")


def shown(key: str) -> str:
    """Return a key without the query of a signed URL, which may be a secret."""
    return key.split("?", maxsplit=1)[0]


@contextmanager
def _present(key: str) -> Iterator[None]:
    """Raise BlobMissing if the block finds no such file, and Retryable if the store does not answer."""
    with _store_errors():
        try:
            yield
        except FileNotFoundError as error:
            if isinstance(error.__cause__, Redirected):
                raise error.__cause__ from None
            raise BlobMissing(f"the blob {shown(key)} is gone") from None


@contextmanager
def _store_errors() -> Iterator[None]:
    """Raise Retryable in place of the errors of a store that does not answer. FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, fsspec.exceptions.FSTimeoutError, *_s3_errors()) as error:
        raise Retryable(f"the blob store does not answer ({type(error).__name__})") from error


def _s3_errors() -> tuple[type[Exception], ...]:
    """Return the errors of S3 that s3fs does not turn into an OSError: no connection, no credentials.

    A store in a folder has not loaded the package, so it has none of them.
    """
    botocore = sys.modules.get("botocore.exceptions")
    if not botocore:
        return ()
    return (botocore.BotoCoreError,)
