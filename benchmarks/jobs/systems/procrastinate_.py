"""Procrastinate: jobs in PostgreSQL, with the rescue of stalled jobs that its manual describes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from procrastinate import App, PsycopgConnector
from procrastinate.types import JSONDict

from benchmarks.jobs.system import SLOTS, Client, Effects, Place, System, run_process

_HEARTBEAT = 1.0
_STALLED = 5.0
_RESCUE_EVERY = 2.0


def _app(place: Place) -> App:
    return App(connector=PsycopgConnector(conninfo=place.database_url))


@asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Client]:
    app = _app(place)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        work = app.configure_task("work")

        async def enqueue(number: int, seconds: float) -> None:
            await work.defer_async(number=number, seconds=seconds)

        async def enqueue_batch(numbers: Sequence[int], seconds: float) -> None:
            jobs: list[JSONDict] = [{"number": number, "seconds": seconds} for number in numbers]
            await work.batch_defer_async(*jobs)

        yield Client(enqueue, enqueue_batch)


async def _rescue(app: App) -> None:
    """The manual puts this into a periodic task; a loop needs no cron."""
    while True:
        await asyncio.sleep(_RESCUE_EVERY)
        stalled = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=_STALLED)
        for job in stalled:
            await app.job_manager.retry_job(job)


async def _worker(place: Place) -> None:
    effects = Effects(place.effects)
    app = _app(place)

    @app.task(name="work")
    async def work(number: int, seconds: float) -> dict[str, int]:
        return await effects.work(number, seconds)

    async with app.open_async(), asyncio.TaskGroup() as group:
        group.create_task(_rescue(app))
        await app.run_worker_async(
            concurrency=SLOTS,
            update_heartbeat_interval=_HEARTBEAT,
            stalled_worker_timeout=_STALLED,
        )


PROCRASTINATE = System(
    name="procrastinate",
    module=__name__,
    connect=connect,
    recovers_after=_STALLED + _RESCUE_EVERY,
    settings=f"{SLOTS} slots (stock 1), LISTEN/NOTIFY as stock, heartbeat {_HEARTBEAT:.0f} s "
    f"(stock 10 s), stalled after {_STALLED:.0f} s (stock 30 s), "
    f"stalled jobs retried every {_RESCUE_EVERY:.0f} s (stock: never)",
    database="postgresql",
)

if __name__ == "__main__":
    run_process({"worker": _worker})
