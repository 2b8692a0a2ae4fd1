"""A cache of programs for all checkouts.

Two checkouts may fill it at the same time, and a build may be interrupted.
"""

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
    """Return the cache folder. It is outside of the checkout, so that a second clone starts in seconds."""
    chosen = os.environ.get("EDUGRAPH_SERVERS_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "edugraph" / "servers"


@contextlib.contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[int]:
    """Hold a lock file and yield its descriptor. The system releases the lock when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for {waiting_for}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def built(name: str, build: Build) -> Path:
    """Return a folder of the cache. If it is missing, build it first. An unfinished build never gets the name."""
    target, half = folder() / name, folder() / f"{name}.half"
    if target.is_dir():
        return target
    # The first lock is for other threads of this process, which need no message. The second is for other checkouts.
    with (
        _in_this_process[name],
        locked(folder() / f"{name}.lock", f"{name}, which is being made already") as lock,
    ):
        if not target.is_dir():
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            build(half, lock)
            half.rename(target)
    return target


def run_logged(command: list[str], log: Path, lock: int) -> None:
    """Run one step of a build. The step inherits the lock, so that it stays locked if only this process is killed."""
    with log.open("w", encoding="utf-8") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
                check=False,
            )
        except OSError as error:
            raise ServerError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise ServerError(f"{command[0]} failed; the end of {log}:\n{last_lines(log)}")
