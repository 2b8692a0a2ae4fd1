"""A TCP proxy that can lose every packet or refuse connections: the faults that a real network has."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["none", "blackhole", "refuse"]


@dataclass
class Proxy:
    """Set `fault` at any time; it holds for connections that are open as well."""

    host: str
    target: int
    port: int = 0
    fault: Fault = "none"
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault == "refuse":
            writer.close()
            return
        try:
            await self._while_lost()
            far_reader, far_writer = await asyncio.open_connection(self.host, self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                if self.fault == "refuse":
                    break
                await self._while_lost()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def _while_lost(self) -> None:
        while self.fault == "blackhole":  # noqa: ASYNC110 - set from another thread
            await asyncio.sleep(0.02)


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    running, ready = Proxy(host, port), threading.Event()
    thread = threading.Thread(target=running.run, args=(ready,), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield running
    finally:
        running.stop()
        thread.join(5)
