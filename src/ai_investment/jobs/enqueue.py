"""Accepting work: the job row, written in the caller's transaction; the bell rings after its commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ParamSpec

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ai_investment.db import Db, db_epoch, db_now, outbox
from ai_investment.ids import new_id
from ai_investment.jobs.declare import JobKind
from ai_investment.jobs.errors import TooManyJobs
from ai_investment.jobs.models import CANCELLED, IS_LIVE_AND_UNIQUE, LIVE, QUEUED, RUNNING, Job
from ai_investment.trace import current_traceparent

P = ParamSpec("P")

# Virtual seconds between the turns of one owner's waiting jobs.
_SPACING = 1.0


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
    while True:
        insert = _insert(db).values(**values, turn=_next_turn(owner_id, kind.queue))
        if values["unique_key"]:
            insert = insert.on_conflict_do_nothing(
                index_elements=[Job.unique_key], index_where=IS_LIVE_AND_UNIQUE
            )
        row = (await db.execute(insert.returning(Job.created_at))).one_or_none()
        if row is not None:
            outbox(db).append(Ring(kind.queue, values["id"], 1))
            given = {
                key: value for key, value in values.items() if key not in ("run_at", "created_at")
            }
            return Job(**given, created_at=row.created_at, attempt=0)
        existing = await db.scalar(
            sa.select(Job).where(Job.unique_key == values["unique_key"], Job.state.in_(LIVE))
        )
        # None: it ended between the two statements, so that a new one may be written now.
        if existing is not None:
            return existing


async def enqueue_many(
    db: Db, owner_id: str | None, kind: JobKind[Any, ...], calls: Sequence[dict[str, Any]]
) -> list[str]:
    """Many jobs of one kind, one statement a thousand; returns their ids. Not for unique kinds."""
    if kind.unique:
        raise ValueError(f"{kind.name} is unique by {kind.unique}: enqueue one by one")
    await _keep_quota(db, owner_id, kind, len(calls))
    first = await db.scalar(sa.select(_next_turn(owner_id, kind.queue)))
    ids = []
    for start in range(0, len(calls), 1000):
        rows = []
        for number, call in enumerate(calls[start : start + 1000], start):
            spaced = (first or 0) + (number * _SPACING if owner_id else 0)
            rows.append(_values(owner_id, kind, kind.pack(**call)) | {"turn": spaced})
        clock = {"run_at": db_now(), "created_at": db_now()}
        plain = [{key: value for key, value in row.items() if key not in clock} for row in rows]
        await db.execute(sa.insert(Job).values([row | clock for row in plain]))
        ids += [row["id"] for row in plain]
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
        "unique_key": f"{kind.name}:{args[kind.unique]}"[:300] if kind.unique else None,
        "run_at": db_now(),
        "created_at": db_now(),
        "traceparent": current_traceparent(),
    }


def _next_turn(owner_id: str | None, queue: str) -> sa.ColumnElement[float]:
    if owner_id is None:
        return db_epoch()
    last = sa.select(sa.func.max(Job.turn)).where(
        Job.owner_id == owner_id, Job.queue == queue, Job.state == QUEUED
    )
    behind = sa.func.coalesce(last.scalar_subquery() + _SPACING, 0.0)
    return sa.case((behind > db_epoch(), behind), else_=db_epoch())


async def _keep_quota(db: Db, owner_id: str | None, kind: JobKind[Any, ...], more: int) -> None:
    if owner_id is None or kind.quota is None:
        return
    live = sa.select(sa.func.count()).where(
        Job.owner_id == owner_id, Job.kind == kind.name, Job.state.in_(LIVE)
    )
    if (await db.scalar(live) or 0) + more > kind.quota:
        raise TooManyJobs(
            f"You have {kind.quota} of these waiting already; ask again when some are done.",
            retry_after=5,
        )


def _insert(db: Db) -> Any:
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    return dialect.insert(Job)


async def cancel(db: Db, job_id: str) -> None:
    """Cancel a live job: at once while it waits, at its next heartbeat while it runs."""
    ended = {"state": CANCELLED, "finished_at": db_now(), "version": Job.version + 1}
    for state, values in ((QUEUED, ended), (RUNNING, {"cancel_requested": True})):
        await db.execute(
            sa.update(Job)
            .where(Job.id == job_id, Job.state == state)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
    outbox(db).append(Changed(job_id))


async def retry(db: Db, job_id: str) -> bool:
    """An operator's retry: a failed or cancelled job waits again with all its attempts. False: it is neither."""
    row = (
        await db.execute(
            sa.update(Job)
            .where(Job.id == job_id, Job.state.in_(("failed", CANCELLED)))
            .values(
                state=QUEUED, attempt=0, dead=False, cancel_requested=False, error=None, progress=None,
                finished_at=None, run_at=db_now(), turn=db_epoch(), version=Job.version + 1,
            )
            .returning(Job.queue)
            .execution_options(synchronize_session=False)
        )
    ).one_or_none()  # fmt: skip
    if row is not None:
        outbox(db).extend((Ring(row.queue, job_id, 1), Changed(job_id)))
    return row is not None
