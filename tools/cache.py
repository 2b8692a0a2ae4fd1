"""The programs, kept once for all checkouts. Safe when two checkouts fill it together, or when one is interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.common import ServerError, last_lines, say

_in_this_process: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

Build = Callable[[Path, int], None]


def folder() -> Path:
    """Return the cache folder: outside of the checkout, so that a second clone starts in seconds."""
    chosen = os.environ.get("EDUGRAPH_SERVERS_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "edugraph" / "servers"


@contextlib.contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[int]:
    """Hold a lock file and give its descriptor; the system releases it when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {waiting_for}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def built(name: str, build: Build) -> Path:
    """Return a folder of the cache and build it first where it is missing. Half a build never gets its name."""
    target, half = folder() / name, folder() / f"{name}.half"
    if target.is_dir():
        return target
    # Within one process another thread may be at it, which is nothing to tell; then there may be another checkout.
    with _in_this_process[name], locked(folder() / f"{name}.lock", f"{name}, which is being made already") as lock:
        if not target.is_dir():
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            build(half, lock)
            half.rename(target)
    return target


def run_logged(command: list[str], log: Path, lock: int) -> None:
    """Run one step of a build. It inherits the lock: when only we are killed, nobody starts over underneath it."""
    with log.open("w", encoding="utf-8") as output:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(lock,), check=False
            )
        except OSError as error:
            raise ServerError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise ServerError(f"{command[0]} failed; the end of {log}:\n{last_lines(log)}")
