"""Keeping leases: one heartbeat for everything a worker runs, in one statement."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import sqlalchemy as sa

from ai_investment.db import Database, db_now
from ai_investment.jobs.claim import Claimed
from ai_investment.jobs.models import IS_RUNNING, Job

log = logging.getLogger(__name__)

# Fine enough for leases of a second, and a look at a dictionary costs nothing.
_TICK = 0.2
LOST, CANCEL = "lease lost", "cancel"


class Held:
    """A running job. `verdict` says why its task was cancelled; None: the worker stops."""

    def __init__(self, claimed: Claimed, task: asyncio.Task[Any]) -> None:
        self.claimed = claimed
        self.task = task
        self.verdict: str | None = None
        self.since = time.monotonic()
        self.renewed = self.since


class Keeper:
    """Renews leases every third of their length, and ends what lost its lease or shall be cancelled."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[str, Held] = {}
        self._beat: asyncio.Task[None] | None = None

    def hold(self, claimed: Claimed, task: asyncio.Task[Any]) -> Held:
        if self._beat is None:
            self._beat = asyncio.create_task(self._beats())
        held = Held(claimed, task)
        self._held[claimed.id] = held
        return held

    def let_go(self, held: Held) -> None:
        if self._held.get(held.claimed.id) is held:
            del self._held[held.claimed.id]

    async def stop(self) -> None:
        if self._beat:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            due = [
                held
                for held in self._held.values()
                if now - held.renewed >= held.claimed.lease_seconds / 3 - _TICK
            ]
            if not due:
                continue
            try:
                await self._renew(due)
            except Exception as cause:
                # The database may be away for a moment; a lease that nobody renewed in time is lost.
                log.warning("heartbeat missed: %s", type(cause).__name__)
                self._give_up_expired()

    async def _renew(self, due: list[Held]) -> None:
        started = time.monotonic()
        pairs = [(held.claimed.id, held.claimed.fence) for held in due]
        async with self._database.transaction() as db:
            rows = await db.execute(
                sa.update(Job)
                .where(sa.tuple_(Job.id, Job.fence).in_(pairs), IS_RUNNING)
                .values(lease_until=db_now(Job.lease_seconds))
                .returning(Job.id, Job.cancel_requested)
                .execution_options(synchronize_session=False)
            )
            found = {row.id: bool(row.cancel_requested) for row in rows}
        for held in due:
            if held.claimed.id not in found:
                self._end(held, LOST)
            elif found[held.claimed.id]:
                self._end(held, CANCEL)
            else:
                held.renewed = started

    def _give_up_expired(self) -> None:
        now = time.monotonic()
        for held in list(self._held.values()):
            if now - held.renewed >= held.claimed.lease_seconds:
                self._end(held, LOST)

    def _end(self, held: Held, verdict: str) -> None:
        # A job that has just ended by itself is no longer held: its row is right already.
        if self._held.get(held.claimed.id) is held:
            held.verdict = verdict
            held.task.cancel()
