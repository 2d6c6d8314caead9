"""The machine's steps in which time passes, the sweeper comes, and Redis is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ai_investment.db import db_now
from ai_investment.jobs.models import CANCELLED, FAILED, QUEUED, RUNNING, Job
from ai_investment.jobs.sweep import sweep
from tests.jobs.model.accepting import PICK
from tests.jobs.model.expected import Expected
from tests.jobs.model.working import Working


class Sweeping(Working):
    @rule(pick=PICK)
    def its_time_comes(self, pick: int) -> None:
        waiting = [item for item in self.model.values() if item.state == QUEUED and not item.due]
        if waiting:
            self.do(self._let_wait_long([waiting[pick % len(waiting)]]))

    async def _let_wait_long(self, items: Sequence[Expected]) -> None:
        """They have waited for so long that their messages count as lost if they are not there."""
        ids = [item.id for item in items if item.state == QUEUED]
        await self.stage.change(Job.id.in_(ids), run_at=db_now(-10))
        for job_id in ids:
            self.model[job_id].due = True

    @rule(redis=st.sampled_from(("there", "lost before", "lost after")), sweepers=st.integers(1, 2))
    def sweep(self, redis: str, sweepers: int) -> None:
        async def go() -> None:
            if redis == "lost before":
                await self._lose_redis()
                await self._ring_again()
            await self._sweep(sweepers)
            if redis == "lost after":
                await self._lose_redis()

        self.do(go())

    async def _sweep(self, sweepers: int = 1) -> None:
        before = await self.stage.messages()
        counts = await asyncio.gather(
            *(sweep(self.stage.database, self.stage.bell) for _ in range(sweepers))
        )
        buried, reclaimed = 0, 0
        for item in self.model.values():
            if item.state == RUNNING and item.expired:
                item.crashes += 1
                if item.attempt >= item.kind.attempts:
                    item.finish(FAILED, dead=True)
                    buried += 1
                else:
                    item.wait(item.attempt)
                    reclaimed += 1
                    # Its readers are not told: they look again by themselves.
                    self.stage.heard.add(item.id)
        assert sum(count["buried"] for count in counts) == buried
        assert sum(count["reclaimed"] for count in counts) == reclaimed
        for message in await self.stage.messages() - before:
            item = self.model[message.partition(":")[0]]
            assert item.message == message
            self._check_rung(item)
            item.rung = True

    def _check_rung(self, item: Expected) -> None:
        # One that was cancelled on its way back may be rung for: nobody claims it.
        assert (item.state == QUEUED and item.due) or (item.state == CANCELLED and item.cancelling)

    async def _lose_redis(self) -> None:
        await self.stage.bell.redis.flushall()
        for item in self.model.values():
            item.rung = False

    async def _ring_again(self) -> None:
        """After a loss, everything that is due gets its message back, and nothing else does."""
        await self._let_wait_long([item for item in self.model.values() if item.due])
        await self._sweep()
        rung = await self.stage.messages(time.time() * 1000)
        for item in self.model.values():
            if item.message in rung:
                self._check_rung(item)
            else:
                assert item.state != QUEUED or not item.due
