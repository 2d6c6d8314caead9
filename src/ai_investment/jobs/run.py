"""Running claimed jobs to their outcomes, and what a job function may do (`Run`)."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
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
from ai_investment.jobs.keep import CANCEL, LOST, Keeper
from ai_investment.jobs.models import CANCELLED
from ai_investment.jobs.settle import Settler

log = logging.getLogger(__name__)

U = TypeVar("U")
# A stage change is written at once, counts within a stage at most this often.
_PROGRESS_EVERY = 0.5
_RETRY_BASE, _RETRY_CAP = 2.0, 300.0
# A job that keeps saying "later" is given up at this age.
_LATER_UNTIL = timedelta(hours=6)


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
    async def step(self, stage: str, done: int, total: int | None = None) -> AsyncIterator[Db]:
        """One transaction for a part of a long job's effects, with its progress.

        As in `settle` the job row is written last: of a job that another claim holds nothing is kept.
        """
        data = {"stage": stage, "done": done, "total": total}
        async with self.database.transaction() as db:
            yield db
            await claims.write(db, self.job, progress=data)
        self._stage, self._progress_at = stage, time.monotonic()
        await self._bell.emit(self.job.id, "progress", data)

    @asynccontextmanager
    async def settle(self, result: Any = None) -> AsyncIterator[Db]:
        """One transaction for the job's effects and its success.

        `result` becomes a JSON object; what is known only inside the block is assigned to `run.result`.
        The job row is written last: when another claim holds it, LeaseLost undoes all effects.
        A job without effects of its own returns instead, with `run.result` set or not.
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


class Runner:
    """Runs the claimed jobs of one worker, any number at once."""

    def __init__(self, database: Database, bell: Bell, use: Any) -> None:
        self._database = database
        self._bell = bell
        self._use = use
        self._keeper = Keeper(database)
        self._settler = Settler(database)

    async def run(self, claimed: Claimed) -> str:
        """Run a job to an outcome, which is written to its row and returned as a word for logs.

        Cancelling this coroutine (the worker stops) puts the job back without costing an attempt.
        """
        trace.continue_trace(claimed.traceparent)
        trace.job_id.set(claimed.id)
        started = time.monotonic()
        try:
            outcome = await self._attempt(Run(claimed, self._database, self._bell, self._use))
        except LeaseLost:
            outcome = LOST
        words = {"kind": claimed.kind, "attempt": claimed.attempt, "outcome": outcome}
        log.info("job", extra={**words, "ms": round((time.monotonic() - started) * 1000)})
        return outcome

    async def close(self) -> None:
        await self._keeper.stop()

    async def _attempt(self, run: Run[Any]) -> str:
        try:
            return await self._call(run)
        except LeaseLost:
            raise
        except Later as later:
            return await _through(self._put_off(run.job, later))
        except Problem as problem:
            return await _through(self._fail(run.job, problem))
        except Exception as cause:
            words = {"kind": run.job.kind, "attempt": run.job.attempt}
            log.exception("attempt failed", extra=words)
            return await _through(self._retry_or_bury(run.job, cause))

    async def _call(self, run: Run[Any]) -> str:
        """The function under its lease, then its end if it has not settled itself."""
        kind = KINDS[run.job.kind]
        task = asyncio.current_task()
        assert task is not None
        held = self._keeper.hold(run.job, task)
        try:
            await kind.function(run, **kind.unpack(run.job.args))
            if not run.settled:
                await self._settler.succeed(run.job, run.result)
        except asyncio.CancelledError:
            if run.settled:
                return "succeeded"
            return await _through(self._end_cancelled(run.job, held.verdict))
        finally:
            self._keeper.let_go(held)
        return "succeeded"

    async def _end_cancelled(self, job: Claimed, verdict: str | None) -> str:
        if verdict == LOST:
            raise LeaseLost(job.id)
        async with self._database.transaction() as db:
            if verdict == CANCEL:
                ended = {"state": CANCELLED, "lease_until": None, "finished_at": db_now()}
                await claims.write(db, job, **ended)
                return "cancelled"
            await claims.put_back(db, job, free=True)
        return "released"

    async def _fail(self, job: Claimed, problem: Problem) -> str:
        async with self._database.transaction() as db:
            await claims.fail(db, job, problem.body(), dead=False)
        return "failed"

    async def _put_off(self, job: Claimed, later: Later) -> str:
        async with self._database.transaction() as db:
            if datetime.now(UTC) - job.created_at > _LATER_UNTIL:
                error = Crashed("What this needs was not available for hours.").body()
                await claims.fail(db, job, error, dead=True)
                return "dead"
            await claims.put_back(db, job, delay=later.seconds, free=True)
        return "later"

    async def _retry_or_bury(self, job: Claimed, cause: Exception) -> str:
        text = f"The work failed ({type(cause).__name__}) in attempt {job.attempt}."
        error = Crashed(text).body()
        async with self._database.transaction() as db:
            if job.attempt >= job.max_attempts:
                await claims.fail(db, job, error, dead=True)
                return "dead"
            ceiling = min(_RETRY_CAP, _RETRY_BASE * 2 ** (job.attempt - 1))
            delay = random.uniform(ceiling / 2, ceiling)
            await claims.put_back(db, job, delay=delay, error=error)
        return "retry"


async def _through(outcome: Coroutine[Any, Any, str]) -> str:
    """Write an outcome to its end, also when the worker is stopped meanwhile."""
    writing = asyncio.ensure_future(outcome)
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        return await writing
