"""Starts server processes that outlive the terminal, and ends exactly these processes. It reads Linux' /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

STATE, SESSION, START_TIME = 0, 3, 19  # places in /proc/PID/stat after the command name


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _identity(stat: list[str]) -> str:
    """Return a text that differs for two processes with the same pid, also after a reboot."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{boot}/{stat[START_TIME]}"


def spawn(command: list[str], env: dict[str, str], log: Path) -> dict[str, Any]:
    """Start a command in its own session, and return the note with which it is found again."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            cwd="/",
            start_new_session=True,
        )
    stat = _stat(process.pid)  # exists even if the command has failed, since it was not waited for
    return {"pid": process.pid, "identity": _identity(stat) if stat else ""}


def members(record: dict[str, Any]) -> list[int]:
    """Return the live processes of a server. All processes of its session count, since some servers start helpers."""
    leader = _stat(record["pid"])
    if leader and _identity(leader) != record["identity"]:
        return []  # another program got the pid after ours had ended
    found = []
    for entry in Path("/proc").iterdir():
        stat = _stat(int(entry.name)) if entry.name.isdigit() else None
        if stat and stat[SESSION] == str(record["pid"]) and stat[STATE] not in "ZX":
            found.append(int(entry.name))
    return found


def send(record: dict[str, Any], what: signal.Signals) -> None:
    """Send a signal to every process of a server."""
    for pid in members(record):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def gone(record: dict[str, Any], seconds: float) -> bool:
    """Wait until a server has no process left. Return False if it still has one after `seconds`."""
    deadline = time.monotonic() + seconds
    while members(record):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def kill(record: dict[str, Any]) -> None:
    """Kill a server, as a power cut would end it."""
    send(record, signal.SIGKILL)
    gone(record, 10)


def end(record: dict[str, Any], patience: float = 30) -> None:
    """Ask a server to end, and kill it if it has not ended in time."""
    send(record, signal.SIGTERM)
    if not gone(record, patience):
        kill(record)
