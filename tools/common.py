"""Common parts of these modules: messages, the error that ends the start of one server, and small file helpers."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path


class ServerError(Exception):
    """A server or program cannot be provided. The text says why, for the person at the terminal."""


def say(text: str, about: str = "servers") -> None:
    """Print a message to stderr, because stdout is for the output of `env` and `ctl`."""
    # The line is written in one piece, since several servers report at the same time.
    sys.stderr.write(f"{about}: {text}\n")
    sys.stderr.flush()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read. A reader sees the whole old or the whole new text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}.half")
    half.unlink(missing_ok=True)
    # The mode is set before the text is written, so that others can never read it.
    half.touch(mode=0o600, exist_ok=False)
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def last_lines(path: Path, count: int = 30) -> str:
    """Return the end of a log, indented to distinguish it from our own messages."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "    (no log was written)"
    # The colours are removed.
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-count:])
