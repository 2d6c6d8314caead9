"""A local HTTP server that speaks the streaming chat completions protocol from a script.

    async with OpenAIServer(streamed("Hello ", "world"), failing(500, {})) as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key="any")

Each request gets the next reply; the last reply also answers every request after it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self


class Cut(Enum):
    """A step that breaks the connection in the middle of the reply."""

    CUT = "cut"


CUT = Cut.CUT
# Text is sent at once, a number is a pause in seconds, an event is a gate to wait at.
Step = str | float | asyncio.Event | Cut


@dataclass(frozen=True)
class Reply:
    """What one request is answered with; the status and the headers are sent before the first step."""

    steps: Sequence[Step] = ()
    status: int = 200
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"content-type": "text/event-stream"}
    )


@dataclass(frozen=True)
class Received:
    """One request as it came in; header names in lower case, `at` on the monotonic clock."""

    path: str
    headers: Mapping[str, str]
    body: Any
    at: float


def event(payload: object) -> str:
    """A payload as one server-sent event."""
    return f"data: {json.dumps(payload)}\n\n"


DONE = "data: [DONE]\n\n"


def chunk(content: str | None = None, *, finish: str | None = None, **more: Any) -> str:
    """One chat completion chunk with one choice; `more` are fields of the chunk (`usage`, …)."""
    delta = {} if content is None else {"content": content}
    return event(
        _chunk([{"index": 0, "delta": delta, "finish_reason": finish}]) | more,
    )


def usage_chunk(prompt_tokens: int, completion_tokens: int) -> str:
    """The chunk without choices that ends a stream with `include_usage`."""
    return event(_chunk([]) | {"usage": usage(prompt_tokens, completion_tokens)})


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def streamed(*contents: str) -> Reply:
    """A complete reply: one chunk for each content, then the end, the usage 100/20, and [DONE]."""
    ending = (chunk(finish="stop"), usage_chunk(100, 20), DONE)
    return Reply([*(chunk(content) for content in contents), *ending])


def failing(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON body with a status, as errors come."""
    return Reply(
        [json.dumps(body)], status, {"content-type": "application/json", **(headers or {})}
    )


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1717000000,
        "model": "stand-in",
        "choices": choices,
    }


class OpenAIServer:
    """Listens on a free port of `host` while entered; `received` holds the requests so far."""

    def __init__(self, *replies: Reply, host: str = "127.0.0.1") -> None:
        self._host = host
        self.received: list[Received] = []
        self.base_url = ""
        self._replies: list[Reply] = list(replies)
        self._turn = 0
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0)
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://{self._host}:{port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def answer_with(self, *replies: Reply) -> None:
        """A new script from the next request on."""
        self._replies, self._turn = list(replies), 0

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that goes away early is no fault of the server.
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                self.received.append(await _request(reader))
                reply = self._replies[min(self._turn, len(self._replies) - 1)]
                self._turn += 1
                await _play(reply, writer)
            finally:
                writer.close()


async def _request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(first.split()[1], headers, json.loads(body or b"null"), time.monotonic())


async def _play(reply: Reply, writer: asyncio.StreamWriter) -> None:
    # Chunked, so that a cut connection differs from an end; one request a connection keeps it simple.
    headers = {**reply.headers, "transfer-encoding": "chunked", "connection": "close"}
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    for step in reply.steps:
        await writer.drain()
        if isinstance(step, str):
            data = step.encode()
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        elif isinstance(step, asyncio.Event):
            await step.wait()
        elif isinstance(step, Cut):
            writer.transport.abort()
            return
        else:
            await asyncio.sleep(step)
    writer.write(b"0\r\n\r\n")
    await writer.drain()
