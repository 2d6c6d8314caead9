"""Single steps of the engine, as tests take them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ai_investment.db import Database, db_now
from ai_investment.jobs.claim import APART, Claimed, claim
from ai_investment.jobs.declare import KINDS
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.models import Job
from tests.jobs import kinds  # noqa: F401 - declares them

KIND_NAMES = [name for name in KINDS if name.startswith("test.")]


async def put(database: Database, kind: Any, *args: Any) -> str:
    async with database.transaction() as db:
        return (await enqueue(db, None, kind, *args)).id


async def row(database: Database, job_id: str) -> Any:
    async with database.reading() as read:
        return (await read.execute(sa.select(Job.__table__).where(Job.id == job_id))).one()


async def take(database: Database, limit: int = 100, suspicion: int = APART) -> list[Claimed]:
    return await claim(database, "delivery", KIND_NAMES, limit, suspicion)


async def expire_lease(database: Database, job_id: str) -> None:
    async with database.transaction() as db:
        await db.execute(sa.update(Job).where(Job.id == job_id).values(lease_until=db_now(-1)))
