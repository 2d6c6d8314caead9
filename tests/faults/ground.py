"""Where faults happen: one database, one Redis, and processes that may die and start again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from ai_investment.adapters.redis import connect_redis
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.declare import JobKind
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.models import Job
from ai_investment.jobs.schedule import ScheduleFire
from tests.faults.forks import Fork
from tests.faults.waiting import until
from tests.faults.worker import run_scheduler, run_worker
from tests.services import Process, RedisServer

SECRETS = {
    "SECRET_KEY": "a-secret-for-tests-that-is-long-enough",
    "JWT_SECRET_KEY": "another-secret-for-tests-long-enough",
}


class Start(NamedTuple):
    """One start of a job function, as the job itself noted it."""

    name: str
    job_id: str
    attempt: int
    pid: int


class Ground:
    """Everything a fault needs. `accepted`: ids of the jobs whose acceptance was told to somebody."""

    bell: Bell
    database: Database

    def __init__(self, folder: Path, database_url: str, redis: RedisServer) -> None:
        self.folder = folder
        self.redis = redis
        self.database_url = database_url
        self.env = {"DATABASE_URL": database_url, "REDIS_URL": redis.url, **SECRETS}
        self.accepted: set[str] = set()
        self.forks: list[Fork] = []
        (folder / "gates").mkdir()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """The test's own connections, for the life of its event loop."""
        redis = connect_redis(self.redis.url)
        self.bell = Bell(redis)
        # Fifty people at once are as many processes: none of them waits for another's connection.
        self.database = Database(self.database_url, self.bell.publish, pool_size=50)
        try:
            yield
        finally:
            await self.database.dispose()
            await redis.aclose()

    def stop(self) -> None:
        for fork in self.forks:
            fork.kill()
        self.forks.clear()

    # Processes

    async def worker(self, queue: str = "delivery", **options: Any) -> Fork:
        """A worker with the tests' kinds, ready; options: kinds, slots, drain."""
        return await self._fork({}, run_worker, queue, str(self.folder), **options)

    async def scheduler(self, **env: str) -> Fork:
        return await self._fork(env, run_scheduler)

    async def _fork(
        self, env: dict[str, str], target: Callable[..., None], *args: Any, **options: Any
    ) -> Fork:
        log = self.folder / f"{target.__name__}-{time.monotonic_ns()}.log"
        fork = Fork(log, {**self.env, **env}, target, *args, **options)
        self.forks.append(fork)
        await fork.ready()
        return fork

    async def freeze(self, process: Fork | Process) -> None:
        """SIGSTOP, but not while the process holds locks in the database: that is another fault."""
        for _ in range(20):
            process.signal(signal.SIGSTOP)
            if not await self._locks_are_held():
                return
            process.signal(signal.SIGCONT)
            await asyncio.sleep(0.1)
        raise AssertionError("the process held locks each time")

    async def _locks_are_held(self) -> bool:
        try:
            async with self.database.transaction() as db:
                await db.execute(sa.select(Job.id).with_for_update(nowait=True))
        except sa.exc.DBAPIError:
            return True
        return False

    # Work

    async def put(self, kind: JobKind[Any, ...], *args: Any, owner: str | None = None) -> str:
        """Accept a job: once this returns, it has to end."""
        async with self.database.transaction() as db:
            job_id = (await enqueue(db, owner, kind, *args)).id
        self.accepted.add(job_id)
        return job_id

    async def job(self, job_id: str) -> Any:
        async with self.database.reading() as read:
            query = sa.select(Job.__table__).where(Job.id == job_id)
            return (await read.execute(query)).one()

    async def jobs(self, ids: Sequence[str] | None = None) -> list[Any]:
        query = sa.select(Job.__table__).order_by(Job.id)
        async with self.database.reading() as read:
            return list(
                (await read.execute(query if ids is None else query.where(Job.id.in_(ids)))).all()
            )

    async def in_state(self, state: str, ids: Sequence[str] | None = None) -> list[str]:
        return [row.id for row in await self.jobs(ids) if row.state == state]

    async def ended(self, job_id: str, state: str = "succeeded") -> Any:
        """The row of a job once it has ended, which has to be in this state."""

        async def terminal() -> bool:
            return (await self.job(job_id)).finished_at is not None

        await until(terminal, f"the end of {job_id}")
        row = await self.job(job_id)
        assert row.state == state, (row.state, row.error)
        return row

    async def knows_schedule(self, name: str) -> None:
        """Wait until a scheduler has written down from when on it knows a schedule.

        Time may be turned back then: one that had read that nothing is known would write it behind our back.
        """

        async def known() -> bool:
            query = sa.select(ScheduleFire.fire_time).where(ScheduleFire.schedule == name)
            async with self.database.reading() as read:
                return (await read.execute(query)).first() is not None

        await until(known, "the schedule being known")

    # Gates and starts

    def open_gate(self, gate: str) -> None:
        (self.folder / "gates" / gate).touch()

    def starts(self, name: str | None = None) -> list[Start]:
        """What job functions noted when they were started, oldest first."""
        path = self.folder / "started"
        lines = path.read_text().splitlines() if path.exists() else []
        words = [line.split() for line in lines]
        found = [Start(word[0], word[1], int(word[2]), int(word[3])) for word in words]
        return [start for start in found if name is None or start.name == name]

    async def started(self, name: str, times: int = 1) -> Start:
        """Wait until the named work has started so often; returns the latest start."""
        await until(lambda: len(self.starts(name)) >= times, f"start {times} of {name}")
        return self.starts(name)[-1]
