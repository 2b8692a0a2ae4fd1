"""A small TCP proxy that can do to connections what networks do to them."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

BLOCK = 65_536


@dataclass(eq=False)
class Link:
    """One connection through the proxy: the client's side and the server's."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    swallowed: bool = False
    left: int | None = None  # bytes of the server's that the client still gets


class Proxy:
    """Forwards a port of its own to the server at an address with a port, on a thread of its own."""

    def __init__(self, address: str) -> None:
        self._there = urlsplit(address)
        self._links: set[Link] = set()
        self._swallow_new = self._refuse_new = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay = 0.0
        self._cut_after: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0
        # Bytes that came in so far: from the clients, and from the server.
        self.from_clients = self.from_server = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def address(self) -> str:
        """The server's, by way of the proxy."""
        login, at, _ = self._there.netloc.rpartition("@")
        return self._there._replace(netloc=f"{login}{at}127.0.0.1:{self.port}").geturl()

    def swallow(self) -> None:
        """From now on nothing arrives on either side, and nothing is closed: a firewall that drops."""
        self._swallow_new = True
        self._do(self._swallow)

    def hold(self) -> None:
        """From now on nothing arrives on either side; all of it does when this is healed: packets are sent again."""
        self._do(self._flowing.clear)

    def refuse(self) -> None:
        """The server is away: connections end, and new ones do at once."""
        self._refuse_new = True
        self.cut()

    def half_open(self) -> None:
        """The clients see their connections end; the server hears nothing of it. New connections are good."""
        self._do(self._half_open)

    def cut(self) -> None:
        """Both sides see the end."""
        self._do(self._cut)

    def cut_after(self, sent: int) -> None:
        """From now on both sides of a new connection see its end once the server has sent so many bytes."""
        self._cut_after = sent

    def delay(self, seconds: float) -> None:
        """From now on every piece is so much later, in both directions; 0 ends it."""
        self._delay = seconds

    def heal(self) -> None:
        """New connections are good; what was swallowed stays lost."""
        self._swallow_new, self._refuse_new, self._delay, self._cut_after = False, False, 0.0, None
        self._do(self._flowing.set)

    def _do(self, change: Callable[[], None]) -> None:
        done = threading.Event()

        def do() -> None:
            change()
            done.set()

        self._loop.call_soon_threadsafe(do)
        done.wait(10)

    def _swallow(self) -> None:
        for link in self._links:
            link.swallowed = True

    def _half_open(self) -> None:
        for link in self._links:
            link.swallowed = True
            link.client.close()

    def _cut(self) -> None:
        for link in self._links:
            link.client.close()
            link.server.close()

    async def _end(self) -> None:
        self._server.close()
        # A connection that is still open when its loop is closed warns whichever test the garbage collector meets.
        sides = [side for link in self._links for side in (link.client, link.server)]
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for side in sides:
            side.transport.abort()
        await asyncio.gather(*(side.wait_closed() for side in sides), return_exceptions=True)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        if self._refuse_new:
            writer.close()
            return
        try:
            answers, server = await asyncio.open_connection(self._there.hostname, self._there.port)
        except OSError:
            writer.close()
            return
        link = Link(writer, server, swallowed=self._swallow_new, left=self._cut_after)
        self._links.add(link)
        # Cancelled at the end of the proxy: that is no error of the connection's.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._pump(reader, server, link), self._pump(answers, writer, link)
            )
            for side in (writer, server):
                side.close()
        self._links.discard(link)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: Link
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(BLOCK):
                if sink is link.server:
                    self.from_clients += len(data)
                else:
                    self.from_server += len(data)
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flowing.wait()
                if not link.swallowed:
                    sink.write(
                        data if link.left is None or sink is link.server else data[: link.left]
                    )
                    await sink.drain()
                if link.left is not None and sink is link.client:
                    link.left -= len(data)
                    if link.left <= 0:
                        link.server.close()
                        break
        await self._flowing.wait()
        if not link.swallowed:
            sink.close()
