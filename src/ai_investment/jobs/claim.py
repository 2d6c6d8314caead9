"""Claiming and releasing jobs: leases and fences, on the database's clock."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa

from ai_investment.compiled import Compiled
from ai_investment.db import Database, Db, db_now, outbox
from ai_investment.jobs.enqueue import Changed, Ring
from ai_investment.jobs.errors import LeaseLost
from ai_investment.jobs.models import (
    CANCELLED,
    FAILED,
    IS_QUEUED,
    IS_RUNNING,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Job,
)

# Whether a job may be what killed a worker. One that was in a crash is tried again at once, beside
# anything. If it was in two, or has only its last attempt left, it is run apart from all others that
# were in one: so a poisonous job never takes the last attempt of a job that it has harmed before.
CLEAR, SUSPECT, APART = 0, 1, 2
_CRASHES_APART = 2


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
    crashes: int
    traceparent: str | None
    created_at: datetime

    @property
    def suspicion(self) -> int:
        """CLEAR, SUSPECT or APART."""
        if self.crashes == 0:
            return CLEAR
        last = self.attempt >= self.max_attempts
        return APART if last or self.crashes >= _CRASHES_APART else SUSPECT


async def claim(
    database: Database, queue: str, kinds: Collection[str], limit: int, suspicion: int = APART
) -> list[Claimed]:
    """Claim up to `limit` due jobs of a queue in one statement: by priority, then by turn.

    None is more suspicious than `suspicion`: what may join the jobs that the worker runs already.

    A kind this worker does not know (it is older than the API during a rolling deploy) is left for
    a worker that knows it. Two claims at once never get the same job.
    """
    statement = _statement(database.engine.dialect, tuple(kinds))
    rows = await database.alone(statement, wanted=queue, free=limit, most=suspicion)
    return [Claimed(*row) for row in rows]


@cache
def _statement(dialect: sa.Dialect, kinds: tuple[str, ...]) -> Compiled:
    suspicion = _suspicion_of_next_run()
    due = (
        sa.select(Job.id, Job.priority, Job.turn, suspicion.label("suspicion"))
        .where(
            Job.queue == sa.bindparam("wanted", ""),
            IS_QUEUED,
            Job.kind.in_(kinds),
            Job.run_at <= db_now(),
            suspicion <= sa.bindparam("most", APART),
        )
        .order_by(Job.priority, Job.turn)
        .limit(sa.bindparam("free", 1))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    table: Any = Job.__table__
    claiming = (
        sa.update(table)
        .where(table.c.id.in_(_compatible(due)))
        .values(
            state=RUNNING,
            attempt=table.c.attempt + 1,
            fence=table.c.fence + 1,
            version=table.c.version + 1,
            lease_until=db_now(table.c.lease_seconds),
            started_at=db_now(),
        )
        .returning(*(table.c[field] for field in Claimed.__struct_fields__))
    )
    return Compiled(claiming, dialect)


def _suspicion_of_next_run() -> sa.ColumnElement[int]:
    """`Claimed.suspicion` as it will be, for a waiting row."""
    last = Job.attempt + 1 >= Job.max_attempts
    apart = sa.or_(last, Job.crashes >= _CRASHES_APART)
    return sa.case((Job.crashes == 0, CLEAR), (apart, APART), else_=SUSPECT)


def _compatible(due: sa.CTE) -> sa.Select[tuple[str]]:
    """Of the due jobs: the clear ones, and the first of the others with those that may run beside it."""
    first = sa.select(due.c.id, due.c.suspicion).where(due.c.suspicion > CLEAR)
    first_one = first.order_by(due.c.priority, due.c.turn).limit(1).cte("first_suspect")
    return sa.select(due.c.id).where(
        sa.or_(
            due.c.suspicion == CLEAR,
            due.c.id == sa.select(first_one.c.id).scalar_subquery(),
            sa.and_(
                due.c.suspicion == SUSPECT,
                sa.select(first_one.c.suspicion).scalar_subquery() == SUSPECT,
            ),
        )
    )


def held(claimed: Claimed) -> sa.ColumnElement[bool]:
    """True for the row only while this claim holds it."""
    return sa.and_(Job.id == claimed.id, Job.fence == claimed.fence, IS_RUNNING)


async def write(db: Db, claimed: Claimed, **values: Any) -> None:
    """Change the job row under its fence, in the caller's transaction; raises LeaseLost."""
    result: Any = await db.execute(
        sa.update(Job)
        .where(held(claimed))
        .values(version=Job.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:
        raise LeaseLost(claimed.id)
    outbox(db).append(Changed(claimed.id))


def back_in_queue() -> dict[str, Any]:
    """Columns of a running job that waits again, or is cancelled if that was asked for meanwhile."""
    asked = Job.cancel_requested
    return {
        "state": sa.case((asked, CANCELLED), else_=QUEUED),
        "finished_at": sa.case((asked, db_now()), else_=sa.null()),
        "lease_until": None,
    }


async def succeed(db: Db, claimed: Claimed, result: dict[str, Any] | None) -> None:
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


async def fail(db: Db, claimed: Claimed, error: dict[str, Any], *, dead: bool) -> None:
    """The job's end without a result. `dead`: out of attempts, for an operator to look at."""
    await write(
        db, claimed, state=FAILED, lease_until=None, finished_at=db_now(), error=error, dead=dead
    )


async def put_back(
    db: Db,
    claimed: Claimed,
    *,
    delay: float = 0,
    free: bool = False,
    error: dict[str, Any] | None = None,
) -> None:
    """Queue the job again after `delay` seconds; `free` gives the attempt back."""
    attempt = claimed.attempt - 1 if free else claimed.attempt
    values: dict[str, Any] = {"error": error} if error else {}
    await write(db, claimed, **back_in_queue(), attempt=attempt, run_at=db_now(delay), **values)
    outbox(db).append(Ring(claimed.queue, claimed.id, attempt + 1, delay))
