"""`python -m edugraph_cli.backups save|restore|list KIND --to URL`: what the chart's CronJobs run.

A backup is a folder `KIND/STAMP` below a URL: its files, and `complete.json`, which is written last. It holds the
size and the SHA-256 of each file. A folder without it is a backup that broke off, and is never restored.

A running Neo4j Community cannot be dumped from outside, and neither server should be open to the job. So the job
and the server share a folder of the server's volume. The job writes a request there (`dump-wanted` or
`load-wanted`). The server's start script does it, and answers with `done` or `failed`
(deploy/k8s/files/neo4j-start.sh and redis-start.sh).
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, NamedTuple

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.runtime.shared_state.object_store import ERASURES, UNDOS, BlobMissing, Blobs

# kind -> the file in the shared folder
SERVER_FILES = {"graph": "neo4j.dump", "redis": "dump.rdb"}
# kind -> folders of the blob store; "" is the whole store
BLOB_FOLDERS = {"objects": ("",), "erasures": (ERASURES, UNDOS)}
KINDS = (*SERVER_FILES, *BLOB_FOLDERS)
STAMP_FORMAT = "%Y%m%dT%H%M%SZ"
COMPLETE = "complete.json"
PART_BYTES = 1 << 20
LOOK_SECONDS = 2.0
# A run of each day may start up to an hour late (startingDeadlineSeconds in the chart).
NEXT_RUN = timedelta(hours=25)


class BackupError(Exception):
    """The backup or the restore failed. The text says what to do."""


class NoBackup(BackupError):
    """There is no complete backup of this kind."""


class Copied(NamedTuple):
    """The size and the SHA-256 of a file that was copied."""

    size: int
    sha256: str


class Clock(NamedTuple):
    """The time, and a way to wait."""

    now: Callable[[], datetime]
    sleep: Callable[[float], None]


class Backups:
    """The backups of one kind below a store."""

    def __init__(self, store: Blobs, kind: str) -> None:
        self.store = store
        self.kind = kind

    def stamps(self) -> list[str]:
        """Return the stamps of all backups, the oldest first, those that broke off included."""
        return self.store.folders(self.kind)

    def newest(self) -> str:
        """Return the stamp of the newest complete backup."""
        for stamp in reversed(self.stamps()):
            if self.store.exists(f"{self.kind}/{stamp}/{COMPLETE}"):
                return stamp
        raise NoBackup(f"there is no complete backup of {self.kind}")

    def end_old(self, now: datetime, days: int) -> list[str]:
        """Delete the backups that would be older than `days` before the next run, and return their stamps.

        The next run is expected within NEXT_RUN. The last good backup goes as well: it may hold persons who were
        erased since, and the deadline is theirs.
        """
        oldest = timedelta(days=days) - NEXT_RUN
        ended = []
        for stamp in self.stamps():
            made = datetime.strptime(stamp, STAMP_FORMAT).replace(tzinfo=UTC)
            if now - made > oldest:
                # Without this file nobody takes the rest for a backup, if the deletion breaks off.
                self.store.delete(f"{self.kind}/{stamp}/{COMPLETE}")
                self.store.delete(f"{self.kind}/{stamp}")
                ended.append(stamp)
        return ended

    def write(self, stamp: str, name: str, source: IO[bytes]) -> Copied:
        """Copy a file into a backup."""
        with self.store.write(f"{self.kind}/{stamp}/files/{name}") as target:
            return copy(source, target)

    def complete(self, stamp: str, files: dict[str, Copied]) -> None:
        """Say that the backup is whole."""
        lines = {name: copied._asdict() for name, copied in files.items()}
        with self.store.write(f"{self.kind}/{stamp}/{COMPLETE}") as target:
            target.write(json.dumps(lines).encode())

    def files(self, stamp: str) -> dict[str, Copied]:
        """Return name -> size and hash of the files of a complete backup."""
        if not self.store.exists(f"{self.kind}/{stamp}/{COMPLETE}"):
            raise BackupError(f"the backup {self.kind}/{stamp} is not complete, or there is none")
        with self.store.open(f"{self.kind}/{stamp}/{COMPLETE}") as file:
            return {name: Copied(**copied) for name, copied in json.load(file).items()}

    def read(self, stamp: str, name: str, target: IO[bytes], expected: Copied) -> None:
        """Copy a file out of a backup. Raises BackupError if it is not the file that was saved."""
        with self.store.open(f"{self.kind}/{stamp}/files/{name}") as source:
            copied = copy(source, target)
        if copied != expected:
            raise BackupError(f"a file of {self.kind}/{stamp} is damaged: take another backup")


def copy(source: IO[bytes], target: IO[bytes]) -> Copied:
    """Copy a file, and return its size and hash."""
    digest = hashlib.sha256()
    size = 0
    while part := source.read(PART_BYTES):
        target.write(part)
        digest.update(part)
        size += len(part)
    return Copied(size, digest.hexdigest())


class SharedFolder(NamedTuple):
    """The folder through which a job asks a server for a dump, or to load one."""

    path: Path
    file: Path
    clock: Clock
    seconds: float

    def ask(self, request: str) -> None:
        """Write a request, and wait until the server has done it."""
        for old in ("done", "failed"):
            (self.path / old).unlink(missing_ok=True)
        (self.path / request).touch()
        end = self.clock.now() + timedelta(seconds=self.seconds)
        while not (self.path / "done").exists():
            if (self.path / "failed").exists():
                raise BackupError(f"the server could not do {request}: its log says why")
            if self.clock.now() > end:
                (self.path / request).unlink(missing_ok=True)
                raise BackupError(
                    f"the server did not answer to {request} within {self.seconds:.0f} s"
                )
            self.clock.sleep(LOOK_SECONDS)


def save_server(backups: Backups, stamp: str, folder: SharedFolder) -> None:
    """Save a dump of a server. The dump does not stay on the server's volume, whatever happens."""
    try:
        folder.ask("dump-wanted")
        with folder.file.open("rb") as source:
            copied = backups.write(stamp, folder.file.name, source)
        backups.complete(stamp, {folder.file.name: copied})
    finally:
        folder.file.unlink(missing_ok=True)


def restore_server(backups: Backups, stamp: str, folder: SharedFolder) -> None:
    """Let a server load a dump. The file is checked before the server is asked."""
    (expected,) = backups.files(stamp).values()
    part = folder.file.with_suffix(".part")
    try:
        with part.open("wb") as target:
            backups.read(stamp, folder.file.name, target, expected)
            target.flush()
            os.fsync(target.fileno())
        part.replace(folder.file)
        folder.ask("load-wanted")
    finally:
        part.unlink(missing_ok=True)
        folder.file.unlink(missing_ok=True)


def save_blobs(backups: Backups, stamp: str, blobs: Blobs, with_fewer_notes: bool = False) -> None:
    """Save blobs. One that is deleted meanwhile is left out."""
    files = {}
    for key in _keys(blobs, backups.kind):
        try:
            with blobs.open(key) as source:
                files[key] = backups.write(stamp, key, source)
        except BlobMissing:
            continue
    if backups.kind == "erasures" and not with_fewer_notes:
        check_notes(backups, files)
    backups.complete(stamp, files)


def check_notes(backups: Backups, files: Collection[str]) -> None:
    """Raise BackupError if notes of the newest complete backup are missing.

    A store that was lost, or restored from an older backup, has fewer notes. If these were the newest backup,
    a restore would bring erased persons back.
    """
    try:
        before = backups.newest()
    except NoBackup:
        return
    missing = len(backups.files(before).keys() - files)
    if missing:
        raise BackupError(
            f"{missing} notes of erasures/{before} are not in the blob store: restore that backup, or, "
            "if persons were admitted again since, save once with --with-fewer-notes"
        )


def restore_blobs(backups: Backups, stamp: str, blobs: Blobs) -> int:
    """Bring back the blobs that are missing, and return how many. A blob that is there may be newer, and stays."""
    present = set(_keys(blobs, backups.kind))
    restored = 0
    for key, expected in backups.files(stamp).items():
        if key not in present:
            with blobs.write(key) as target:
                backups.read(stamp, key, target, expected)
            restored += 1
    return restored


def _keys(blobs: Blobs, kind: str) -> Iterator[str]:
    for folder in BLOB_FOLDERS[kind]:
        yield from blobs.keys(folder)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of the command."""
    parser = argparse.ArgumentParser(prog="python -m edugraph_cli.backups")
    parser.add_argument("action", choices=("save", "restore", "list"))
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--to", required=True, help="URL of the backups, as fsspec has it")
    parser.add_argument("--blobs", default="", help="URL of the blob store")
    parser.add_argument("--folder", type=Path, help="folder that is shared with the server")
    parser.add_argument("--keep-days", type=int, help="no backup is kept for longer")
    parser.add_argument("--stamp", default="", help="the backup to restore; default: the newest")
    parser.add_argument(
        "--with-fewer-notes",
        action="store_true",
        help="save erasures also if notes of the backup before are missing",
    )
    parser.add_argument("--wait-seconds", type=float, default=10_000)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace, clock: Clock) -> list[str]:
    """Do what the arguments say, and return the lines to print."""
    backups = Backups(Blobs(options.to), options.kind)
    if options.blobs and backups.store.overlaps(Blobs(options.blobs)):
        raise BackupError(
            "the backups and the blobs are below each other: a backup would copy the backups before it"
        )
    if options.action == "list":
        return [f"{options.kind}/{stamp}" for stamp in backups.stamps()]
    lines = []
    is_save = options.action == "save"
    if is_save:
        # The time of old backups ends also where no new one can be made.
        ended = backups.end_old(clock.now(), options.keep_days)
        lines = [f"deleted {options.kind}/{stamp}" for stamp in ended]
        stamp = clock.now().strftime(STAMP_FORMAT)
    else:
        stamp = options.stamp or backups.newest()
    if options.kind in BLOB_FOLDERS:
        blobs = Blobs(options.blobs)
        if is_save:
            save_blobs(backups, stamp, blobs, options.with_fewer_notes)
        else:
            restore_blobs(backups, stamp, blobs)
    else:
        file = options.folder / SERVER_FILES[options.kind]
        folder = SharedFolder(options.folder, file, clock, options.wait_seconds)
        work_on_server = save_server if is_save else restore_server
        work_on_server(backups, stamp, folder)
    done = "saved" if is_save else "restored"
    return [*lines, f"{done} {options.kind}/{stamp}"]


def main() -> int:
    """Run the command. A failure ends it with one sentence and the status 1."""
    clock = Clock(lambda: datetime.now(UTC), time.sleep)
    try:
        lines = run(parsed(sys.argv[1:]), clock)
    except (BackupError, Rejected, Retryable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for line in lines:
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
