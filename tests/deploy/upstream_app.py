"""What stands behind the edge in its tests: our event stream on Granian, and an echo of what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Litestar, Request, get, post

from ai_investment.http.sse import EventStream, comment, event

WORDS, SECONDS_BETWEEN = 20, 0.25


@get("/api/v1/jobs/{job_id:str}/events")
async def stream(job_id: str) -> EventStream:
    async def words() -> AsyncGenerator[bytes]:
        yield comment("open")
        for number in range(WORDS):
            yield event("delta", {"text": f"word{number} "}, f"{number + 1}-0")
            await asyncio.sleep(SECONDS_BETWEEN)
        yield event("done", {})

    return EventStream(words())


@get(["/echo", "/metrics", "/health/detailed"], sync_to_thread=False)
def echo(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return {"headers": dict(request.headers), "filling": "x" * 2000}


@post(["/api/v1/chat/messages", "/api/v1/content/documents"], request_max_body_size=None)
async def receive(request: Request[Any, Any, Any]) -> dict[str, int]:
    return {"bytes": len(await request.body())}


app = Litestar([stream, echo, receive])
