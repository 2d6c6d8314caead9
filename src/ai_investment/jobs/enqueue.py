"""Accepting work: the job row, written in the caller's transaction; the bell rings after its commit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, ParamSpec

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from ai_investment.compiled import Compiled
from ai_investment.db import Db, db_epoch, db_now, outbox
from ai_investment.ids import new_id
from ai_investment.jobs.declare import JobKind
from ai_investment.jobs.errors import TooManyJobs
from ai_investment.jobs.models import (
    CANCELLED,
    FAILED,
    IS_LIVE,
    IS_LIVE_AND_UNIQUE,
    IS_QUEUED,
    QUEUED,
    Job,
)
from ai_investment.trace import current_traceparent

P = ParamSpec("P")

# Virtual seconds between the turns of one owner's waiting jobs.
_SPACING = 1.0
_PLAIN = (
    "id", "kind", "queue", "owner_id", "args", "state", "max_attempts", "lease_seconds", "priority",
    "unique_key", "traceparent",
)  # fmt: skip
_LOCK_OWNER = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:owner, 0))")
_BEGINNING = {
    "attempt": 0, "fence": 0, "crashes": 0, "version": 0, "dead": False, "cancel_requested": False,
}  # fmt: skip
_CLOCKED = {"run_at": db_now(), "created_at": db_now()}


class Ring(msgspec.Struct, frozen=True):
    """To publish: a job waits on `queue`; `attempt` is the number its next run will have."""

    queue: str
    job_id: str
    attempt: int
    delay: float = 0.0
    """Seconds until it may run."""


class Changed(msgspec.Struct, frozen=True):
    """To publish: something a reader of this job can see has changed."""

    job_id: str


class Forget(msgspec.Struct, frozen=True):
    """To publish: this job's events hold words that were deleted."""

    job_id: str


async def enqueue(
    db: Db, owner_id: str | None, kind: JobKind[Any, P], *args: P.args, **kwargs: P.kwargs
) -> Job:
    """Write a job row for `owner_id` (None: the system) and ring its queue once the transaction commits.

    When a live job with the same unique argument exists, that one is returned and nothing is written.
    Raises TooManyJobs when the owner's quota of live jobs is used up.
    """
    await _keep_quota(db, owner_id, kind, 1)
    packed = kind.pack(*args, **kwargs)
    values = _values(owner_id, kind, packed)
    dialect = db.get_bind().dialect
    insert = _insert(dialect, owned=owner_id is not None, unique=kind.unique is not None)
    await db.flush()
    connection = await db.connection()
    while True:
        if rows := await insert.run(connection, **values):
            outbox(db).append(Ring(kind.queue, values["id"], 1))
            return Job(**values, **_BEGINNING, created_at=rows[0][0])
        existing = await db.scalar(
            sa.select(Job).where(Job.unique_key == values["unique_key"], IS_LIVE)
        )
        # None: it ended between the two statements, so that a new one may be written now.
        if existing is not None:
            return existing


async def enqueue_many(
    db: Db, owner_id: str | None, kind: JobKind[Any, ...], calls: Sequence[dict[str, Any]]
) -> list[str]:
    """Many jobs of one kind at once; returns their ids. Not for unique kinds."""
    if kind.unique:
        raise ValueError(f"{kind.name} is unique by {kind.unique}: enqueue one by one")
    await _keep_quota(db, owner_id, kind, len(calls))
    turn = _next_turn(owner_id, kind.queue) if owner_id else db_epoch()
    first = await db.scalar(sa.select(turn))
    rows = []
    for number, call in enumerate(calls):
        row = _values(owner_id, kind, kind.pack(**call))
        row["turn"] = (first or 0) + (number * _SPACING if owner_id else 0)
        rows.append(row)
    if rows:
        await db.execute(sa.insert(Job).values(**_CLOCKED), rows)
    ids = [row["id"] for row in rows]
    outbox(db).extend(Ring(kind.queue, job_id, 1) for job_id in ids)
    return ids


def _values(owner_id: str | None, kind: JobKind[Any, ...], args: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": new_id("job"),
        "kind": kind.name,
        "queue": kind.queue,
        "owner_id": owner_id,
        "args": args,
        "state": QUEUED,
        "max_attempts": kind.attempts,
        "lease_seconds": kind.lease,
        "priority": kind.priority,
        "unique_key": f"{kind.name}:{owner_id or ''}:{args[kind.unique]}"[:300]
        if kind.unique
        else None,
        "traceparent": current_traceparent(),
    }


def _next_turn(owner: Any, queue: Any) -> sa.ColumnElement[float]:
    last = sa.select(sa.func.max(Job.turn)).where(
        Job.owner_id == owner, Job.queue == queue, IS_QUEUED
    )
    behind = sa.func.coalesce(last.scalar_subquery() + _SPACING, 0.0)
    return sa.case((behind > db_epoch(), behind), else_=db_epoch())


@cache
def _insert(dialect: sa.Dialect, *, owned: bool, unique: bool) -> Compiled:
    table: Any = Job.__table__
    columns = {name: sa.bindparam(name, None, table.c[name].type) for name in _PLAIN}
    turn = _next_turn(columns["owner_id"], columns["queue"]) if owned else db_epoch()
    build = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    insert: Any = build(table).values(**columns, **_BEGINNING, **_CLOCKED, turn=turn)
    if unique:
        insert = insert.on_conflict_do_nothing(
            index_elements=[Job.unique_key], index_where=IS_LIVE_AND_UNIQUE
        )
    return Compiled(insert.returning(table.c.created_at), dialect)


async def _keep_quota(db: Db, owner_id: str | None, kind: JobKind[Any, ...], more: int) -> None:
    if owner_id is None or kind.quota is None:
        return
    if db.get_bind().dialect.name == "postgresql":
        # One after the other, so that each counts what the others have written. SQLite has one writer.
        await db.execute(_LOCK_OWNER, {"owner": owner_id})
    live = sa.select(sa.func.count()).where(
        Job.owner_id == owner_id, Job.kind == kind.name, IS_LIVE
    )
    if (await db.scalar(live) or 0) + more > kind.quota:
        raise TooManyJobs(
            f"You have {kind.quota} of these waiting already; ask again when some are done.",
            retry_after=5,
        )


async def cancel(db: Db, job_id: str) -> None:
    """Cancel a live job: at once while it waits, at its next heartbeat while it runs."""
    # One statement: between two, a running job could go back to waiting and miss both.
    waits = IS_QUEUED
    await db.execute(
        sa.update(Job)
        .where(Job.id == job_id, IS_LIVE)
        .values(
            state=sa.case((waits, CANCELLED), else_=Job.state),
            finished_at=sa.case((waits, db_now()), else_=Job.finished_at),
            version=sa.case((waits, Job.version + 1), else_=Job.version),
            cancel_requested=sa.case((waits, Job.cancel_requested), else_=sa.true()),
        )
        .execution_options(synchronize_session=False)
    )
    outbox(db).append(Changed(job_id))


async def retry(db: Db, job_id: str) -> bool:
    """An operator's retry: a failed or cancelled job is accepted anew, with all its attempts.

    False: it is neither, or a live job has its unique key.
    """
    again = (
        sa.update(Job)
        .where(Job.id == job_id, Job.state.in_((FAILED, CANCELLED)))
        .values(
            state=QUEUED, attempt=0, dead=False, cancel_requested=False, error=None, progress=None,
            finished_at=None, run_at=db_now(), created_at=db_now(), turn=db_epoch(), version=Job.version + 1,
        )
        .returning(Job.queue)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    try:
        async with db.begin_nested():
            row = (await db.execute(again)).one_or_none()
    except IntegrityError:  # a newer job does the same thing already
        return False
    if row is not None:
        outbox(db).extend((Ring(row.queue, job_id, 1), Changed(job_id)))
    return row is not None
