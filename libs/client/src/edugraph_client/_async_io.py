"""What waits, for the client that is awaited. `_sync_io.py` has the same names; nothing else differs by hand."""

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
