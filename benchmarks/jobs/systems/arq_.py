"""arq as it comes: its own poll of half a second and its own ten slots."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq.connections import RedisSettings, create_pool
from arq.worker import Worker, func

from benchmarks.jobs.system import Client, Effects, Place, System, run_process

# arq trusts a silent worker for this long and ten seconds more; its default of 300 has no end here.
_JOB_TIMEOUT = 5


@asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Client]:
    async with await create_pool(RedisSettings.from_dsn(place.redis_url)) as redis:

        async def enqueue(number: int, seconds: float) -> None:
            await redis.enqueue_job("work", number, seconds)

        yield Client(enqueue)


async def _worker(place: Place) -> None:
    effects = Effects(place.effects)

    async def work(ctx: dict[Any, Any], number: int, seconds: float) -> dict[str, int]:
        return await effects.work(number, seconds)

    await Worker(
        [func(work, name="work")],
        redis_settings=RedisSettings.from_dsn(place.redis_url),
        job_timeout=_JOB_TIMEOUT,
    ).async_run()


ARQ = System(
    name="arq",
    module=__name__,
    connect=connect,
    recovers_after=_JOB_TIMEOUT + 10,
    settings=f"stock (poll 0.5 s, 10 slots), but job_timeout {_JOB_TIMEOUT} s (stock 300 s), "
    f"so that its wait for a lost worker is {_JOB_TIMEOUT + 10} s and not 310 s",
)

if __name__ == "__main__":
    run_process({"worker": _worker})
