"""Accepting work: the job row, written in the caller's transaction; the bell rings after its commit."""

from __future__ import annotations

from typing import Any, ParamSpec

import msgspec
import sqlalchemy as sa

from ai_investment.db import Db, db_now, outbox
from ai_investment.ids import new_id
from ai_investment.jobs.declare import JobKind
from ai_investment.jobs.models import QUEUED, Job
from ai_investment.trace import current_traceparent

P = ParamSpec("P")


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
    """Write a job row for `owner_id` (None: the system) and ring its queue once the transaction commits."""
    job = Job(
        id=new_id("job"),
        kind=kind.name,
        queue=kind.queue,
        owner_id=owner_id,
        args=kind.pack(*args, **kwargs),
        state=QUEUED,
        max_attempts=kind.attempts,
        lease_seconds=kind.lease,
        run_at=db_now(),
        created_at=db_now(),
        traceparent=current_traceparent(),
    )
    db.add(job)
    await db.flush()
    await db.refresh(job, ["created_at", "run_at"])
    outbox(db).append(Ring(kind.queue, job.id, 1))
    return job


async def cancel(db: Db, job_id: str) -> None:
    """Cancel a live job: at once while it waits, at its next heartbeat while it runs."""
    await db.execute(
        sa.update(Job)
        .where(Job.id == job_id, Job.state == QUEUED)
        .values(state="cancelled", finished_at=db_now(), version=Job.version + 1)
        .execution_options(synchronize_session=False)
    )
    await db.execute(
        sa.update(Job)
        .where(Job.id == job_id, Job.state == "running")
        .values(cancel_requested=True)
        .execution_options(synchronize_session=False)
    )
    outbox(db).append(Changed(job_id))
