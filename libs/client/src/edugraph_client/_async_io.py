"""Functions that wait, for the asynchronous client. `_sync_io.py` has the same names for the other client."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, cast

import anyio
import anyio.to_thread

Sleep = Callable[[float], Awaitable[None]]

sleep: Sleep = anyio.sleep


async def open_file(path: Path, mode: str) -> IO[bytes]:
    return cast("IO[bytes]", await anyio.to_thread.run_sync(path.open, mode))


async def read(file: IO[bytes], size: int) -> bytes:
    return await anyio.to_thread.run_sync(file.read, size)
