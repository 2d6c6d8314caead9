"""Our engine: job rows in PostgreSQL or SQLite, Redis as the bell, a scheduler beside the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ai_investment.adapters.redis import connect_redis
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.declare import job
from ai_investment.jobs.enqueue import enqueue, enqueue_many
from ai_investment.jobs.run import Run
from ai_investment.jobs.worker import QueueWorker, Scheduler
from benchmarks.jobs.system import SLOTS, Client, Effects, Place, System, run_process

_OWNER = "usr_bench"
_LEASE = 5
# The scheduler looks for expired leases this often.
_SWEEP = 2


@job("bench.tiny", queue="delivery", lease=_LEASE)
async def tiny(run: Run[Effects], number: int, seconds: float) -> None:
    """Its effect in SQL is its result, written with the job's end."""
    run.result = await run.use.work(number, seconds)


def _open(place: Place) -> tuple[Database, Bell]:
    bell = Bell(connect_redis(place.redis_url))
    return Database(place.database_url, bell.publish), bell


@asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Client]:
    # Here and not above: workers import no Alembic, and their memory is measured.
    from ai_investment.migrations.upgrade import upgrade

    database, bell = _open(place)
    await upgrade(database)

    async def one(number: int, seconds: float) -> None:
        async with database.transaction() as db:
            await enqueue(db, _OWNER, tiny, number, seconds)

    async def many(numbers: Sequence[int], seconds: float) -> None:
        calls = [{"number": number, "seconds": seconds} for number in numbers]
        async with database.transaction() as db:
            await enqueue_many(db, _OWNER, tiny, calls)

    try:
        yield Client(one, many)
    finally:
        await database.dispose()
        await bell.redis.aclose()


async def _worker(place: Place) -> None:
    @asynccontextmanager
    async def resources() -> AsyncIterator[Effects]:
        yield Effects(place.effects)

    database, bell = _open(place)
    await QueueWorker("delivery", [tiny], database, bell, resources, max_jobs=SLOTS).async_run()


async def _scheduler(place: Place) -> None:
    await Scheduler(*_open(place)).async_run()


def _ours(database: str, durable: str) -> System:
    return System(
        name=f"ours-{database}",
        module=__name__,
        connect=connect,
        recovers_after=_LEASE + _SWEEP,
        settings=f"{SLOTS} slots, lease {_LEASE} s (default 60 s), its scheduler beside it; {durable}",
        database=database,
        helpers=("scheduler",),
    )


OURS_POSTGRESQL = _ours("postgresql", "every commit is on the disk")
OURS_SQLITE = _ours("sqlite", "a commit survives the process, the last ones not a power cut")

if __name__ == "__main__":
    run_process({"worker": _worker, "scheduler": _scheduler})
