"""Our engine: job rows in PostgreSQL or SQLite, Redis as the bell, a scheduler beside the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import sqlalchemy as sa

from ai_investment.adapters.redis import connect_redis
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.declare import job
from ai_investment.jobs.enqueue import enqueue, enqueue_many
from ai_investment.jobs.run import Run
from ai_investment.jobs.worker import QueueWorker, Scheduler
from ai_investment.migrations.upgrade import upgrade
from benchmarks.jobs.system import SLOTS, Client, Effects, Place, System, run_process

_OWNER = "usr_bench"
_LEASE = 5
# The scheduler looks for expired leases this often.
_SWEEP = 2
_EFFECTS = sa.table("bench_effects", sa.column("number", sa.Integer))


@job("bench.tiny", queue="delivery", lease=_LEASE)
async def tiny(run: Run[Effects], number: int, seconds: float) -> None:
    """No effect in SQL but its result: it is settled together with others."""
    run.result = await run.use.work(number, seconds)


@job("bench.settled", queue="delivery", lease=_LEASE)
async def settled(run: Run[Effects], number: int, seconds: float) -> None:
    """Also has an effect in SQL, in the transaction of its end. No key keeps it from being doubled."""
    result = await run.use.work(number, seconds)
    async with run.settle(result) as db:
        await db.execute(sa.insert(_EFFECTS).values(number=number))


def _open(place: Place) -> tuple[Database, Bell]:
    bell = Bell(connect_redis(place.redis_url))
    return Database(place.database_url, bell.publish), bell


@asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Client]:
    database, bell = _open(place)
    await upgrade(database)
    async with database.transaction() as db:
        await db.execute(sa.text("CREATE TABLE IF NOT EXISTS bench_effects (number INTEGER)"))

    async def one(number: int, seconds: float) -> None:
        async with database.transaction() as db:
            await enqueue(db, _OWNER, settled if seconds else tiny, number, seconds)

    async def many(numbers: Sequence[int], seconds: float) -> None:
        calls = [{"number": number, "seconds": seconds} for number in numbers]
        async with database.transaction() as db:
            await enqueue_many(db, _OWNER, settled if seconds else tiny, calls)

    async def effects() -> list[int]:
        async with database.reading() as read:
            return list((await read.scalars(sa.select(_EFFECTS.c.number))).all())

    try:
        yield Client(one, many, effects)
    finally:
        await database.dispose()
        await bell.redis.aclose()


async def _worker(place: Place) -> None:
    @asynccontextmanager
    async def resources() -> AsyncIterator[Effects]:
        yield Effects(place.effects)

    database, bell = _open(place)
    await QueueWorker(
        "delivery", [tiny, settled], database, bell, resources, max_jobs=SLOTS
    ).async_run()


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
