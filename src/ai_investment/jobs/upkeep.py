"""Retention: what is finished is kept for a while and then deleted."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import aliased

from ai_investment.db import db_now
from ai_investment.http.idempotency import IdempotencyKey
from ai_investment.jobs.declare import job
from ai_investment.jobs.models import TERMINAL, Job
from ai_investment.jobs.run import Run
from ai_investment.jobs.schedule import ScheduleFire, schedule

_DAY = 24 * 3600
KEEP_FINISHED = 30 * _DAY
# Somebody has to look at these.
KEEP_DEAD = 90 * _DAY
KEEP_KEYS = 1 * _DAY
_BATCH = 1000


class Pruned(msgspec.Struct, frozen=True):
    jobs: int
    idempotency_keys: int
    fires: int


@job("jobs.prune", queue="delivery", attempts=3, lease=60, priority=9)
async def prune(run: Run[object]) -> None:
    """Delete finished jobs, idempotency keys and firings that are past their time, in small batches."""
    keep = sa.case((Job.dead, db_now(-KEEP_DEAD)), else_=db_now(-KEEP_FINISHED))
    old_jobs = sa.select(Job.id).where(Job.state.in_(TERMINAL), Job.finished_at < keep)
    jobs = 0
    while True:
        async with run.database.transaction() as db:
            ids = (await db.scalars(old_jobs.limit(_BATCH))).all()
            await db.execute(sa.delete(Job).where(Job.id.in_(ids), Job.state.in_(TERMINAL)))
        jobs += len(ids)
        if len(ids) < _BATCH:
            break
        await run.progress("jobs", jobs)
    async with run.settle() as db:
        keys = await db.execute(
            sa.delete(IdempotencyKey).where(IdempotencyKey.created_at < db_now(-KEEP_KEYS))
        )
        # The last firing of a schedule stays: it says when the next one is due.
        later = aliased(ScheduleFire)
        latest = sa.select(sa.func.max(later.fire_time)).where(
            later.schedule == ScheduleFire.schedule
        )
        fires = await db.execute(
            sa.delete(ScheduleFire)
            .where(
                ScheduleFire.fire_time < db_now(-KEEP_DEAD),
                ScheduleFire.fire_time < latest.scalar_subquery(),
            )
            .execution_options(synchronize_session=False)
        )
        run.result = Pruned(jobs, keys.rowcount, fires.rowcount)  # type: ignore[attr-defined]


schedule("jobs.prune", "17 3 * * *", prune)
