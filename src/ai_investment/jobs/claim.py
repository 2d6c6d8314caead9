"""Claiming and releasing jobs: leases and fences, on the database's clock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ai_investment.db import Database, db_now, outbox
from ai_investment.jobs.enqueue import Changed, Ring
from ai_investment.jobs.errors import LeaseLost
from ai_investment.jobs.models import FAILED, QUEUED, RUNNING, SUCCEEDED, Job


class Claimed(msgspec.Struct, frozen=True):
    """A job this process holds while its lease lasts; `fence` proves it on every write."""

    id: str
    kind: str
    queue: str
    owner_id: str | None
    args: dict[str, Any]
    attempt: int
    max_attempts: int
    lease_seconds: int
    fence: int
    traceparent: str | None


async def claim(
    database: Database, messages: Sequence[tuple[str, int]], kinds: Collection[str]
) -> list[Claimed]:
    """Claim those of the messages' jobs that still wait, in one statement.

    A message for another attempt, a job that is not due, running or finished elsewhere, or of a kind
    this worker does not know (an older release during a rolling deploy) claims nothing.
    """
    if not messages:
        return []
    statement = (
        sa.update(Job)
        .where(
            sa.tuple_(Job.id, Job.attempt + 1).in_(messages),
            Job.kind.in_(kinds),
            Job.state == QUEUED,
            Job.run_at <= db_now(),
        )
        .values(
            state=RUNNING,
            attempt=Job.attempt + 1,
            fence=Job.fence + 1,
            version=Job.version + 1,
            lease_until=db_now(Job.lease_seconds),
            started_at=db_now(),
        )
        .returning(*(getattr(Job, field) for field in Claimed.__struct_fields__))
        .execution_options(synchronize_session=False)
    )
    async with database.transaction() as db:
        rows = (await db.execute(statement)).all()
        outbox(db).extend(Changed(row.id) for row in rows)
    return [Claimed(*row) for row in rows]


def held(claimed: Claimed) -> sa.ColumnElement[bool]:
    """True for the row only while this claim holds it."""
    return sa.and_(Job.id == claimed.id, Job.fence == claimed.fence, Job.state == RUNNING)


async def write(db: Any, claimed: Claimed, **values: Any) -> None:
    """Change the job row under its fence, in the caller's transaction; raises LeaseLost."""
    result = await db.execute(
        sa.update(Job)
        .where(held(claimed))
        .values(version=Job.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:
        raise LeaseLost(claimed.id)
    outbox(db).append(Changed(claimed.id))


async def renew(database: Database, claimed: Claimed) -> bool:
    """Heartbeat: extend the lease. True when the job was asked to stop; raises LeaseLost."""
    async with database.transaction() as db:
        row = (
            await db.execute(
                sa.update(Job)
                .where(held(claimed))
                .values(lease_until=db_now(claimed.lease_seconds))
                .returning(Job.cancel_requested)
                .execution_options(synchronize_session=False)
            )
        ).one_or_none()
    if row is None:
        raise LeaseLost(claimed.id)
    return bool(row.cancel_requested)


async def succeed(db: Any, claimed: Claimed, result: dict[str, Any] | None) -> None:
    """The job's end, in the transaction of its effects."""
    await write(
        db,
        claimed,
        state=SUCCEEDED,
        lease_until=None,
        finished_at=db_now(),
        result=result,
        error=None,
    )


async def fail(db: Any, claimed: Claimed, error: dict[str, Any], *, dead: bool) -> None:
    """The job's end without a result. `dead`: out of attempts, for an operator to look at."""
    await write(
        db, claimed, state=FAILED, lease_until=None, finished_at=db_now(), error=error, dead=dead
    )


async def put_back(
    db: Any,
    claimed: Claimed,
    *,
    delay: float = 0,
    free: bool = False,
    error: dict[str, Any] | None = None,
) -> None:
    """Queue the job again after `delay` seconds; `free` gives the attempt back."""
    attempt = claimed.attempt - 1 if free else claimed.attempt
    values: dict[str, Any] = {"error": error} if error else {}
    await write(
        db, claimed, state=QUEUED, lease_until=None, attempt=attempt, run_at=db_now(delay), **values
    )
    outbox(db).append(Ring(claimed.queue, claimed.id, attempt + 1, delay))
