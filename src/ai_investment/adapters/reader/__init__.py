"""A `Reader` in a process of its own: a file that eats memory, hangs or crashes ends only that process.

The child keeps no secret (its environment is empty), has hard limits on memory and written files, and is
ended when a file takes too long. It is used again and again: starting one costs a second of imports.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypeVar

import msgspec

from ai_investment.content.extraction import Extracted, Unreadable
from ai_investment.content.reading import Feed, Sitemap, Study

T = TypeVar("T")

# With the worker itself (about 100 MB) below 500 MB.
MEMORY = 380 * 1024 * 1024
# Memory that libraries keep for good stays small.
_FILES_PER_CHILD = 300
_TOO_LONG = "Reading the file took longer than {:.0f} seconds."
_CRASHED = "The file cannot be read: it needs too much memory or makes the reader crash."


class Request(msgspec.Struct, array_like=True):
    op: str
    data: bytes
    options: dict[str, str | None]
    seconds: float


class Reply(msgspec.Struct, array_like=True):
    value: msgspec.Raw
    unreadable: str | None


class ReaderProcess:
    """One child, one file at a time; others wait for their turn."""

    def __init__(self, *, seconds: float = 60.0, memory: int = MEMORY) -> None:
        self._seconds = seconds
        self._memory = memory
        self._turn = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None
        self._served = 0

    async def extract(self, data: bytes, *, media_type: str, name: str) -> Extracted:
        return await self._ask(Extracted, "extract", data, media_type=media_type, name=name)

    async def feed(self, data: bytes, *, url: str, media_type: str | None) -> Feed:
        return await self._ask(Feed, "feed", data, url=url, media_type=media_type)

    async def sitemap(self, data: bytes) -> Sitemap:
        return await self._ask(Sitemap, "sitemap", data)

    async def study(self, text: str) -> Study:
        return await self._ask(Study, "study", text.encode())

    async def close(self) -> None:
        if self._child is not None and self._child.returncode is None:
            self._child.kill()
            await self._child.wait()
        self._child = None

    async def _ask(self, kind: type[T], op: str, data: bytes, **options: str | None) -> T:
        request = msgspec.msgpack.encode(Request(op, data, options, self._seconds))
        async with self._turn:
            worn = self._served > 0
            reply = await self._exchange(request)
            if reply is None and worn:
                # It may have been the files before this one.
                reply = await self._exchange(request)
        if reply is None:
            raise Unreadable(_CRASHED)
        if reply.unreadable is not None:
            raise Unreadable(reply.unreadable)
        return msgspec.msgpack.decode(reply.value, type=kind)

    async def _exchange(self, request: bytes) -> Reply | None:
        """The child's reply; None when it died over the file. Whatever goes wrong, it is not used again."""
        try:
            child = self._child or await self._start()
            self._child = child
            async with asyncio.timeout(self._seconds):
                reply = await _converse(child, request)
            self._served += 1
            if self._served >= _FILES_PER_CHILD:
                await self._drop()
            return reply
        except TimeoutError:
            await self._drop()
            raise Unreadable(_TOO_LONG.format(self._seconds)) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            await self._drop()
            return None
        except BaseException:
            await self._drop()
            raise

    async def _start(self) -> asyncio.subprocess.Process:
        self._served = 0
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ai_investment.adapters.reader.child",
            str(self._memory),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"OPENBLAS_NUM_THREADS": "1", "LANG": "C.UTF-8"},
        )

    async def _drop(self) -> None:
        await asyncio.shield(self.close())
        self._served = 0


async def _converse(child: asyncio.subprocess.Process, request: bytes) -> Reply:
    stdin: Any = child.stdin
    stdout: Any = child.stdout
    stdin.write(len(request).to_bytes(8, "big") + request)
    await stdin.drain()
    size = int.from_bytes(await stdout.readexactly(8), "big")
    return msgspec.msgpack.decode(await stdout.readexactly(size), type=Reply)
