"""SAQ on Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from saq.queue.redis import RedisQueue
from saq.worker import Worker

from benchmarks.jobs.system import SLOTS, Client, Effects, Place, System, run_process

_TIMEOUT = 5
_SWEEP = 5
# With SAQ's default of one attempt the job of a killed worker is given up, not run again.
_ATTEMPTS = 5


@asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Client]:
    queue = RedisQueue.from_url(place.redis_url)
    await queue.connect()

    async def enqueue(number: int, seconds: float) -> None:
        await queue.enqueue(
            "work", number=number, seconds=seconds, timeout=_TIMEOUT, retries=_ATTEMPTS
        )

    try:
        yield Client(enqueue)
    finally:
        await queue.disconnect()


async def _worker(place: Place) -> None:
    effects = Effects(place.effects)

    async def work(ctx: Any, *, number: int, seconds: float) -> dict[str, int]:
        return await effects.work(number, seconds)

    queue = RedisQueue.from_url(place.redis_url)
    await queue.connect()
    worker = Worker(queue, [("work", work)], concurrency=SLOTS)
    worker.timers["sweep"] = _SWEEP
    await worker.start()


SAQ = System(
    name="saq",
    module=__name__,
    connect=connect,
    recovers_after=_TIMEOUT + _SWEEP,
    settings=f"{SLOTS} slots (stock 10), {_ATTEMPTS} attempts (stock 1), "
    f"timeout {_TIMEOUT} s (stock 10 s), sweep every {_SWEEP} s (stock 60 s); its sweep waits 5 s "
    "for each job of a dead worker, one after another: what is lost here comes back minutes later",
)

if __name__ == "__main__":
    run_process({"worker": _worker})
