"""Upkeep that makes the promise hold: expired leases are taken back, unheard bells rung again."""

from __future__ import annotations

import sqlalchemy as sa

from ai_investment.db import Database, db_now, outbox
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.claim import back_in_queue
from ai_investment.jobs.declare import QUEUES
from ai_investment.jobs.enqueue import Changed, Ring
from ai_investment.jobs.errors import Crashed
from ai_investment.jobs.models import FAILED, IS_QUEUED, IS_RUNNING, Job

# A job is normally claimed within milliseconds; after this many seconds its bell may be lost.
_UNHEARD_AFTER = 2
_BATCH = 1000


async def sweep(database: Database, bell: Bell) -> dict[str, int]:
    """One round; safe to run in any number of processes at once. Returns counts for the log."""
    return {
        "buried": await bury_crashed(database),
        "reclaimed": await take_back_expired(database),
        "republished": await republish_waiting(database, bell),
    }


async def bury_crashed(database: Database) -> int:
    """Jobs whose worker vanished on their last attempt go to the dead letter."""
    error = Crashed("The worker died while doing this, each time it was tried.").body()
    async with database.transaction() as db:
        rows = await db.execute(
            sa.update(Job)
            .where(_expired(Job.attempt >= Job.max_attempts))
            .values(
                state=FAILED,
                dead=True,
                lease_until=None,
                finished_at=db_now(),
                error=error,
                crashes=Job.crashes + 1,
                version=Job.version + 1,
            )
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        )
        buried = [Changed(row.id) for row in rows]
        outbox(db).extend(buried)
    return len(buried)


async def take_back_expired(database: Database) -> int:
    """Jobs whose worker stopped renewing wait again, for the next attempt."""
    async with database.transaction() as db:
        rows = await db.execute(
            sa.update(Job)
            .where(_expired(Job.attempt < Job.max_attempts))
            .values(
                **back_in_queue(),
                run_at=db_now(),
                crashes=Job.crashes + 1,
                version=Job.version + 1,
            )
            .returning(Job.queue, Job.id, Job.attempt)
            .execution_options(synchronize_session=False)
        )
        rings = [Ring(row.queue, row.id, row.attempt + 1) for row in rows]
        outbox(db).extend(rings)
    return len(rings)


def _expired(which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    # A worker may have been frozen while it wrote a row: that lock must not hold up all others.
    rows = sa.select(Job.id).where(IS_RUNNING, Job.lease_until < db_now(), which)
    return Job.id.in_(rows.with_for_update(skip_locked=True))


async def republish_waiting(database: Database, bell: Bell) -> int:
    """Due jobs without a message on their queue (Redis was lost, or the publisher crashed) get one."""
    count = 0
    for queue in QUEUES:
        async with database.reading() as db:
            rows = (
                await db.execute(
                    sa.select(Job.id, Job.attempt)
                    .where(
                        Job.queue == queue,
                        IS_QUEUED,
                        Job.run_at < db_now(-_UNHEARD_AFTER),
                    )
                    .order_by(Job.run_at)
                    .limit(_BATCH)
                )
            ).all()
        if not rows:
            continue
        known = await bell.waiting(queue, [f"{row.id}:{row.attempt + 1}" for row in rows])
        missing = [
            Ring(queue, row.id, row.attempt + 1)
            for row in rows
            if f"{row.id}:{row.attempt + 1}" not in known
        ]
        if missing:
            await bell.publish(missing)
        count += len(missing)
    return count
