"""Running one claimed job: heartbeat, outcome, and what a job function may do (`Run`)."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import msgspec

from ai_investment import trace
from ai_investment.db import Database, Db, db_now
from ai_investment.errors import Problem
from ai_investment.jobs import claim as claims
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.claim import Claimed
from ai_investment.jobs.declare import KINDS
from ai_investment.jobs.errors import Crashed, Later, LeaseLost
from ai_investment.jobs.models import CANCELLED

log = logging.getLogger(__name__)

U = TypeVar("U")
# A stage change is written at once, counts within a stage at most this often.
_PROGRESS_EVERY = 0.5
_RETRY_BASE, _RETRY_CAP = 2.0, 300.0


class _CancelRequested(Exception):
    """The heartbeat saw that somebody asked this job to stop."""


class Run(Generic[U]):
    """What a job function gets: its worker's resources, progress, deltas and the one settle."""

    def __init__(self, claimed: Claimed, database: Database, bell: Bell, use: U) -> None:
        self.job = claimed
        self.database = database
        self.use = use
        self.settled = False
        self.result: Any = None
        self._bell = bell
        self._stage: str | None = None
        self._progress_at = 0.0

    async def progress(self, stage: str, done: int = 0, total: int | None = None) -> None:
        """Tell readers how far the work is. Raises LeaseLost when another run has taken over."""
        now = time.monotonic()
        if stage == self._stage and now - self._progress_at < _PROGRESS_EVERY and done != total:
            return
        self._stage, self._progress_at = stage, now
        data = {"stage": stage, "done": done, "total": total}
        async with self.database.transaction() as db:
            await claims.write(db, self.job, progress=data)
        await self._bell.emit(self.job.id, "progress", data)

    async def delta(self, text: str) -> None:
        """Stream a piece of the result; the pieces of a lost run are superseded by `done`."""
        await self._bell.emit(self.job.id, "delta", {"text": text, "attempt": self.job.attempt})

    @asynccontextmanager
    async def settle(self, result: Any = None) -> AsyncIterator[Db]:
        """One transaction for the job's effects and its success.

        `result` becomes a JSON object; what is known only inside the block is assigned to `run.result`.
        The job row is written last: when another claim holds it, LeaseLost undoes all effects.
        """
        self.result = result
        async with self.database.transaction() as db:
            yield db
            await claims.succeed(db, self.job, msgspec.to_builtins(self.result))
        self.settled = True

    @asynccontextmanager
    async def fail(self, problem: Problem) -> AsyncIterator[Db]:
        """As `settle`, for a job that ends with a problem and leaves a mark elsewhere too."""
        async with self.database.transaction() as db:
            yield db
            await claims.fail(db, self.job, problem.body(), dead=False)
        self.settled = True


async def run_claimed(claimed: Claimed, database: Database, bell: Bell, use: Any) -> str:
    """Run a claimed job to an outcome, which is written to its row and returned as a word for logs.

    Cancelling this coroutine (the worker stops) puts the job back without costing an attempt.
    """
    trace.continue_trace(claimed.traceparent)
    trace.job_id.set(claimed.id)
    run = Run(claimed, database, bell, use)
    started = time.monotonic()
    try:
        outcome = await _attempt(run)
    except LeaseLost:
        outcome = "lease lost"
    log.info(
        "job",
        extra={
            "kind": claimed.kind,
            "attempt": claimed.attempt,
            "outcome": outcome,
            "ms": round((time.monotonic() - started) * 1000),
        },
    )
    return outcome


async def _attempt(run: Run[Any]) -> str:
    claimed, database = run.job, run.database
    try:
        await _with_heartbeat(run)
    except asyncio.CancelledError:
        async with database.transaction() as db:
            await claims.put_back(db, claimed, free=True)
        return "released"
    except LeaseLost:
        raise
    except _CancelRequested:
        async with database.transaction() as db:
            await claims.write(db, claimed, state=CANCELLED, lease_until=None, finished_at=db_now())
        return "cancelled"
    except Later as later:
        async with database.transaction() as db:
            await claims.put_back(db, claimed, delay=later.seconds, free=True)
        return "later"
    except Problem as problem:
        async with database.transaction() as db:
            await claims.fail(db, claimed, problem.body(), dead=False)
        return "failed"
    except Exception as cause:
        log.exception("attempt failed", extra={"kind": claimed.kind, "attempt": claimed.attempt})
        return await _retry_or_bury(run, cause)
    return "succeeded"


async def _with_heartbeat(run: Run[Any]) -> None:
    """The function and its heartbeat; whichever fails first ends the other."""
    work = asyncio.create_task(_call(run))
    beat = asyncio.create_task(_beat(run))
    try:
        done, _ = await asyncio.wait({work, beat}, return_when=asyncio.FIRST_COMPLETED)
        first = work if work in done else beat
        await first
    finally:
        for task in (work, beat):
            task.cancel()
        await asyncio.gather(work, beat, return_exceptions=True)


async def _call(run: Run[Any]) -> None:
    kind = KINDS[run.job.kind]
    await kind.function(run, **kind.unpack(run.job.args))
    if not run.settled:
        async with run.settle():
            pass


async def _beat(run: Run[Any]) -> None:
    failures = 0
    while True:
        await asyncio.sleep(run.job.lease_seconds / 3)
        try:
            stop = await claims.renew(run.database, run.job)
            failures = 0
        except LeaseLost:
            raise
        except Exception as cause:
            # The database may be away for a moment; after three missed beats the lease is over anyway.
            failures += 1
            log.warning("heartbeat missed: %s", type(cause).__name__)
            if failures >= 3:
                raise LeaseLost(run.job.id) from cause
            continue
        if stop:
            raise _CancelRequested


async def _retry_or_bury(run: Run[Any], cause: Exception) -> str:
    claimed = run.job
    error = Crashed(
        f"The work failed ({type(cause).__name__}) in attempt {claimed.attempt}."
    ).body()
    async with run.database.transaction() as db:
        if claimed.attempt >= claimed.max_attempts:
            await claims.fail(db, claimed, error, dead=True)
            return "dead"
        ceiling = min(_RETRY_CAP, _RETRY_BASE * 2 ** (claimed.attempt - 1))
        await claims.put_back(db, claimed, delay=random.uniform(ceiling / 2, ceiling), error=error)
        return "retry"
