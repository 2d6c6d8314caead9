"""A TCP proxy that can cut connections, or keep it to itself that something was committed."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# The end of a transaction, or of a statement that was one, which has written something.
_WRITTEN = re.compile(rb"COMMIT\0|UPDATE [1-9]")
_IDLE_AGAIN = b"Z\x00\x00\x00\x05I"


class Proxy:
    """In front of PostgreSQL, in a thread of its own. Harmless until told otherwise."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target_port: int) -> None:
        self._loop = loop
        self._target_port = target_port
        self._open: set[asyncio.StreamWriter] = set()
        self._to_swallow = 0
        self.swallowed = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self._cut()
        await self._server.wait_closed()

    def swallow_commits(self, times: int) -> None:
        """The next commits happen, and nobody hears of it: the connection is cut instead."""
        self._to_swallow = times

    def cut(self) -> None:
        """End every connection, as a restarted router does."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, to_them = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, to_them}
        self._open |= both
        pumps = {
            asyncio.create_task(self._ask(reader, to_them)),
            asyncio.create_task(self._answer(theirs, writer)),
        }
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for end in both:
            end.transport.abort()
        self._open -= both

    async def _ask(self, reader: asyncio.StreamReader, to_them: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            to_them.write(data)
            await to_them.drain()

    async def _answer(self, theirs: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await theirs.read(65536):
            if self._to_swallow and data.endswith(_IDLE_AGAIN) and _WRITTEN.search(data):
                self._to_swallow -= 1
                self.swallowed += 1
                break
            writer.write(data)
            await writer.drain()


@contextmanager
def proxied(target_port: int) -> Iterator[Proxy]:
    """Runs while the block does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    proxy = Proxy(loop, target_port)
    try:
        asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(10)
        yield proxy
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
