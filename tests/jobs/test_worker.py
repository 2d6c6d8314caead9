"""The worker process itself: stopping, with real signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from ai_investment.adapters.redis import connect_redis
from ai_investment.db import Database, db_now
from ai_investment.identity.models import UserRow
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.enqueue import cancel, enqueue
from ai_investment.jobs.models import Job
from ai_investment.jobs.worker import QueueWorker
from tests.jobs import kinds
from tests.jobs.kinds import Tools
from tests.services import RedisServer


@pytest.fixture
async def tools(database: Database) -> Tools:
    async with database.transaction() as db:
        db.add(UserRow(id="usr_effect", role="user", name="", created_at=db_now()))
    return Tools()


async def test_jobs_that_outlive_the_drain_are_all_given_back_at_no_cost(
    database_url: str, database: Database, redis_server: RedisServer, tools: Tools
) -> None:
    async with database.transaction() as db:
        for name in "abcde":
            await enqueue(db, None, kinds.held, name)
    await asyncio.to_thread(_run_and_stop, database_url, redis_server.url)
    async with database.reading() as read:
        rows = (
            await read.execute(sa.select(Job.state, Job.attempt, Job.fence, Job.lease_until))
        ).all()
    assert [tuple(row) for row in rows] == [("queued", 0, 1, None)] * 5


def _run_and_stop(database_url: str, redis_url: str) -> None:
    """A worker in a loop of its own: stopped as arq stops it, after a drain of a second."""

    async def go() -> None:
        held = Tools()

        @asynccontextmanager
        async def resources() -> AsyncIterator[Tools]:
            yield held

        redis = connect_redis(redis_url)
        bell = Bell(redis)
        database = Database(database_url, bell.publish)
        loop: Any = asyncio.get_running_loop()
        loop.add_signal_handler = lambda *_: None  # not the main thread
        worker = QueueWorker(
            "delivery", [kinds.held], database, bell, resources, max_jobs=10, drain=1
        )
        running = asyncio.create_task(worker.main())
        worker.main_task = running
        while len(held.ran) < 5:
            await asyncio.sleep(0.02)
        worker.handle_sig_wait_for_completion(signal.SIGTERM)
        await asyncio.gather(running, return_exceptions=True)
        await worker.close()
        await database.dispose()
        await redis.aclose()

    asyncio.run(go())


async def test_a_cancel_that_was_asked_for_holds_although_the_run_fails(
    database: Database, bell: Bell, tools: Tools
) -> None:
    from ai_investment.jobs.claim import claim, put_back

    async with database.transaction() as db:
        job_id = (await enqueue(db, None, kinds.effect, "a")).id
    [claimed] = await claim(database, "delivery", ["test.effect"], 1)
    async with database.transaction() as db:
        await cancel(db, job_id)
    async with database.transaction() as db:
        await put_back(db, claimed)
    async with database.reading() as read:
        row = (
            await read.execute(sa.select(Job.state, Job.finished_at).where(Job.id == job_id))
        ).one()
    assert row.state == "cancelled"
    assert row.finished_at is not None
