"""Server-sent events over plain ASGI: a reader that does not read is evicted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

# A reader that has not taken an event for so long only holds our memory.
EVICT_AFTER = 20.0
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    # nginx: pass each event on at once
    (b"x-accel-buffering", b"no"),
]


def event(name: str, data: Any, event_id: str | None = None) -> bytes:
    """One event; `data` becomes one line of JSON."""
    head = f"id: {event_id}\nevent: {name}\ndata: " if event_id else f"event: {name}\ndata: "
    return head.encode() + msgspec.json.encode(data) + b"\n\n"


def comment(text: str, retry: int | None = None) -> bytes:
    """A line that only keeps the connection; `retry`: milliseconds to wait before a reconnect."""
    return f": {text}\n\n".encode() if retry is None else f"retry: {retry}\n: {text}\n\n".encode()


class EventStream(Response[None]):
    """Streams what `events` yields until it ends, the reader goes, or the reader stops reading."""

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(None)
        self._events = events

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **_: Any) -> ASGIApp:  # type: ignore[override]
        async def stream(scope: Scope, receive: Receive, send: Send) -> None:
            sending = asyncio.create_task(self._send(send))
            leaving = asyncio.create_task(_disconnected(receive))
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (sending, leaving):
                    task.cancel()
                await asyncio.gather(sending, leaving, return_exceptions=True)
            if not sending.cancelled() and (cause := sending.exception()):
                log.warning("stream broken off: %s", type(cause).__name__)

        return stream

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        async with contextlib.aclosing(self._events) as events:
            async for chunk in events:
                async with asyncio.timeout(EVICT_AFTER):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
