"""Functions that wait, for the client that blocks. `_async_io.py` has the same names for the other client."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

Sleep = Callable[[float], None]

sleep: Sleep = time.sleep


def open_file(path: Path, mode: str) -> IO[bytes]:
    return cast("IO[bytes]", path.open(mode))


def read(file: IO[bytes], size: int) -> bytes:
    return file.read(size)
