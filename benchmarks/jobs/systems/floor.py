"""The floor: a Redis list and a loop on BLPOP. It keeps no promise; nothing simpler is a queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import Redis

from benchmarks.jobs.system import SLOTS, Client, Effects, Place, System, run_process

_LIST = "jobs"


@asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Client]:
    async with Redis.from_url(place.redis_url) as redis:

        async def enqueue(number: int, seconds: float) -> None:
            await cast("Awaitable[int]", redis.rpush(_LIST, json.dumps([number, seconds])))

        async def enqueue_batch(numbers: Sequence[int], seconds: float) -> None:
            jobs = [json.dumps([number, seconds]) for number in numbers]
            await cast("Awaitable[int]", redis.rpush(_LIST, *jobs))

        yield Client(enqueue, enqueue_batch)


async def _worker(place: Place) -> None:
    effects = Effects(place.effects)
    redis = Redis.from_url(place.redis_url)
    slots = asyncio.Semaphore(SLOTS)
    running: set[asyncio.Task[Any]] = set()

    def ended(task: asyncio.Task[Any]) -> None:
        running.discard(task)
        slots.release()

    while True:
        await slots.acquire()
        _, payload = await cast("Awaitable[tuple[bytes, bytes]]", redis.blpop([_LIST]))
        number, seconds = json.loads(payload)
        task = asyncio.create_task(effects.work(number, seconds))
        running.add(task)
        task.add_done_callback(ended)


REDIS_FLOOR = System(
    name="redis-floor",
    module=__name__,
    connect=connect,
    recovers_after=0,
    settings=f"RPUSH and BLPOP, {SLOTS} slots; what a killed worker held is gone by design",
)

if __name__ == "__main__":
    run_process({"worker": _worker})
