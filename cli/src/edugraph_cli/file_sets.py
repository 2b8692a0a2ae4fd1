"""Several files in one command: the files in folders and ZIP archives, each with its mapping."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple

from edugraph_common.contracts.messages import TABLE_FORMATS
from edugraph_common.sources.binary_files import is_archive
from edugraph_common.sources.detection import HEAD_BYTES, detect_file
from edugraph_common.sources.ndjson import MalformedFile, UnusableKind

MAX_FILES = 10_000
MAX_UNPACKED_BYTES = 16 << 30
_MAPPINGS = (".yaml", ".yml")
# The exceptions of `zipfile` for archives whose bytes are damaged or which need another program.
_ERRORS_OF_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    UnicodeDecodeError,
    NotImplementedError,
)


class FileOfSet(NamedTuple):
    """A file. `name` is its name in lists, `mapping` the file that maps its columns if it is a table."""

    name: str
    path: Path
    mapping: Path | None


def is_set(path: Path) -> bool:
    """Return whether a path is a folder or a ZIP archive of files. A workbook is a ZIP archive too, but not a set."""
    if path.is_dir():
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        is_table = detect_file(path.name, head).format in TABLE_FORMATS
        return is_archive(head) and not is_table
    except UnusableKind:
        return is_archive(head)
    except MalformedFile:
        return False


@contextmanager
def files_of(paths: Sequence[Path], mapping: Path | None) -> Iterator[list[FileOfSet]]:
    """Yield all files in these files, folders and archives. Archives are unpacked until the block ends.

    The mapping of a table is the file beside it with the same name, such as grades.yaml beside grades.xlsx. Tables
    without such a file get `mapping`. Raises MalformedFile.
    """
    with TemporaryDirectory(prefix="edugraph-import-") as unpacked:
        found: list[tuple[str, Path]] = []  # (name, path)
        for number, path in enumerate(paths):
            if path.is_dir():
                found += _in_folder(path, path.name)
            elif is_set(path):
                folder = Path(unpacked, str(number))
                _unpack(path, folder)
                found += _in_folder(folder, path.name)
            else:
                found.append((path.name, path))
        files = [(name, path) for name, path in found if path.suffix.lower() not in _MAPPINGS]
        if len(files) > MAX_FILES:
            raise MalformedFile(
                f"these are more than {MAX_FILES:,} files; import them in several parts"
            )
        yield [FileOfSet(name, path, _mapping_of(path, mapping)) for name, path in files]


def _in_folder(folder: Path, name: str) -> list[tuple[str, Path]]:
    """Return the files in a folder and below it, sorted. Hidden files and those that macOS adds are left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        is_left_out = any(part.startswith(".") or part == "__MACOSX" for part in relative.parts)
        if path.is_file() and not is_left_out:
            found.append((f"{name}/{relative.as_posix()}", path))
    return found


def _mapping_of(path: Path, given: Path | None) -> Path | None:
    """Return the mapping beside a table, or else the given one. None for a file that is not a table."""
    mapping = given
    for suffix in _MAPPINGS:
        beside = path.with_suffix(suffix)
        if beside.is_file():
            mapping = beside
            break
    if mapping is None:
        return None
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        is_table = detect_file(path.name, head).format in {"csv", *TABLE_FORMATS}
    except MalformedFile:
        return None
    if not is_table:
        return None
    return mapping


def _unpack(path: Path, folder: Path) -> None:
    """Unpack an archive. `zipfile` never writes more bytes than the archive says. Raises MalformedFile."""
    try:
        with _opened_archive(path) as archive:
            _extract_files(archive, folder)
    except _ERRORS_OF_DAMAGE:
        raise MalformedFile("the archive is damaged; pack the files again") from None
    except RuntimeError:
        raise MalformedFile("the archive has a password; unpack it and give its folder") from None
    except OSError as error:
        # The disk is full, a name is not allowed, a file stands where a folder must be, or bz2 finds damage.
        reason = error.strerror or "it is damaged"
        raise MalformedFile(f"the archive cannot be unpacked: {reason}") from None


def _opened_archive(path: Path) -> zipfile.ZipFile:
    """Open an archive. Chinese Windows writes names as GB 18030 if the archive does not say that they are UTF-8."""
    try:
        return zipfile.ZipFile(path, metadata_encoding="gb18030")
    except UnicodeDecodeError:
        return zipfile.ZipFile(path)


def _extract_files(archive: zipfile.ZipFile, folder: Path) -> None:
    """Write all files of an archive into a folder. Raises MalformedFile, and the errors of damage."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    unpacked_bytes = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES or unpacked_bytes > MAX_UNPACKED_BYTES:
        raise MalformedFile(
            f"it has {len(entries):,} files and {unpacked_bytes:,} bytes unpacked; unpack it in parts"
        )
    written: set[str] = set()
    for entry in entries:
        if PurePosixPath(entry.filename).name.startswith("."):
            continue
        # `extract` keeps a name such as ../x inside the folder.
        target = archive.extract(entry, folder)
        if target in written:
            # The second file has replaced the first one, whose rows would be lost.
            raise MalformedFile(
                "the archive has two files with one name; unpack it and give its folder"
            )
        written.add(target)
