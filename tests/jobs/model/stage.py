"""Where the machine plays: one database, one bell, and the runs under way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ai_investment.db import Database, db_now
from ai_investment.identity.models import UserRow
from ai_investment.jobs.bell import Bell, queue_key
from ai_investment.jobs.claim import Claimed
from ai_investment.jobs.enqueue import Changed, Ring
from ai_investment.jobs.models import Job
from tests.jobs.model.told import QUEUE, Seat


@dataclass(eq=False)
class Running:
    """A run under way in a worker; it may have lost its job without knowing."""

    claimed: Claimed
    worker: int
    seat: Seat
    suspicion: int
    task: asyncio.Task[str]

    def tell(self, word: str) -> None:
        if word == "stop":  # said to the worker
            self.task.cancel()
        else:
            self.seat.idle.clear()
            self.seat.words.put_nowait(word)

    async def outcome(self) -> str:
        await asyncio.wait((self.task,), timeout=10)
        assert self.task.done(), "it goes on"
        return self.task.result()

    async def settled_down(self) -> None:
        """It has ended, or waits for a word."""
        idle = asyncio.create_task(self.seat.idle.wait())
        await asyncio.wait((self.task, idle), return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()


class Stage:
    """One database and one bell for all examples, and a loop that runs only during a step."""

    def __init__(self, database_url: str, bell: Bell, loop: asyncio.Runner) -> None:
        self.bell = bell
        self.loop = loop
        self.database = Database(database_url, self._publish)
        self.heard: set[str] = set()
        """Jobs whose readers were told of a change."""

    async def _publish(self, messages: Sequence[Ring | Changed]) -> None:
        self.heard |= {message.job_id for message in messages if isinstance(message, Changed)}
        await self.bell.publish(messages)

    async def empty(self) -> None:
        async with self.database.transaction() as db:
            await db.execute(sa.delete(Job))
            await db.execute(sa.delete(UserRow))
        await self.bell.redis.flushall()

    async def look(self) -> tuple[dict[str, Any], Counter[str]]:
        """Every job, with what the clock says about it, and all marks."""
        query = sa.select(
            Job.__table__,
            (Job.run_at <= db_now()).label("is_due"),
            (Job.lease_until < db_now()).label("is_expired"),
        )
        async with self.database.reading() as read:
            rows = {row.id: row for row in await read.execute(query)}
            return rows, Counter(await read.scalars(sa.select(UserRow.name)))

    async def now(self) -> datetime:
        async with self.database.reading() as read:
            now: datetime = (await read.execute(sa.select(db_now()))).scalar_one()
        return now

    async def change(self, where: sa.ColumnElement[bool], **values: Any) -> None:
        """Time passes for some jobs: written by hand."""
        async with self.database.transaction() as db:
            await db.execute(sa.update(Job).where(where).values(**values))

    async def messages(self, until: float | str = "+inf") -> set[str]:
        ids = await self.bell.redis.zrangebyscore(queue_key(QUEUE), "-inf", until)
        return {item.decode() for item in ids}
