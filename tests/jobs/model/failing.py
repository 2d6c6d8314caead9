"""The machine's steps in which workers crash or stop, and people cancel or try again."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy.exc import IntegrityError

from ai_investment.db import db_now
from ai_investment.jobs.enqueue import cancel, retry
from ai_investment.jobs.errors import NotRetried
from ai_investment.jobs.keep import LOST
from ai_investment.jobs.models import CANCELLED, FAILED, QUEUED, RUNNING, TERMINAL, Job
from tests.jobs.model.accepting import PICK, WORKER, WORKERS
from tests.jobs.model.expected import Expected
from tests.jobs.model.stage import Running
from tests.jobs.model.sweeping import Sweeping
from tests.jobs.model.told import LONG, WORDS, told_raced


class Failing(Sweeping):
    @rule(pick=PICK, swept=st.booleans())
    def lose_lease(self, pick: int, swept: bool) -> None:
        """A worker did not renew it in time; it may well live on."""

        async def go() -> None:
            await self._expire(await self._run(pick), swept)

        self.do(go())

    async def _expire(self, run: Running, swept: bool) -> None:
        if not self._holds(run):
            return
        await self.stage.change(Job.id == run.claimed.id, lease_until=db_now(-1))
        self.model[run.claimed.id].expired = True
        if swept:
            await self._sweep()

    @rule(
        pick=PICK,
        worker=WORKER,
        late=st.sampled_from((*WORDS, "stop", "heartbeat", "heartbeat", None)),
        new=st.sampled_from((*WORDS, "stop", None)),
    )
    def overtake(self, pick: int, worker: int, late: str | None, new: str | None) -> None:
        """Swept and claimed again while the old run goes on; both may end, at once."""

        async def go() -> None:
            run = await self._run(pick, overtaken=True)
            await self._expire(run, swept=True)
            started = await self._claim({worker: 100})
            ends = dict.fromkeys(started, new) if new else {}
            if late == "heartbeat":
                await self._heartbeat(run.worker)
            elif late:
                ends[run] = late
            await self._end(ends)

        self.do(go())

    @rule(worker=WORKER)
    def heartbeat(self, worker: int) -> None:
        self.do(self._heartbeat(worker))

    async def _heartbeat(self, worker: int) -> None:
        """Renews what the worker holds, and ends what it has lost or shall cancel."""
        keeper = self.workers[worker]._keeper
        await keeper._renew(list(keeper._held.values()))
        for run in [run for (where, _), run in self.keepers.items() if where == worker]:
            item = self.model[run.claimed.id]
            if not self._holds(run):
                assert await run.outcome() == LOST
                self._ended(run)
            elif item.cancelling:
                assert await run.outcome() == "cancelled"
                self._ended(run)
                item.finish(CANCELLED)
            else:
                assert not run.task.done()
                item.expired = False

    @rule(
        pick=PICK,
        then=st.sampled_from((None, "heartbeat", "heartbeat", "crash", "stop", *WORDS)),
        retried=st.booleans(),
    )
    def cancel(self, pick: int, then: str | None, retried: bool) -> None:
        async def go() -> None:
            item = self._job(pick, (RUNNING,))
            async with self.stage.database.transaction() as db:
                await cancel(db, item.id)
            if item.state == QUEUED:
                item.finish(CANCELLED)
            elif item.state == RUNNING:
                item.cancelling = True
            await self._go_on(item, then)
            if retried:
                await self._retry(item)

        self.do(go())

    async def _go_on(self, item: Expected, then: str | None) -> None:
        """What may happen to a running job that shall stop."""
        holders = [run for run in self.running if run.claimed.id == item.id and self._holds(run)]
        if then == "heartbeat":
            for worker in WORKERS:
                await self._heartbeat(worker)
        elif then == "crash":
            for run in holders:
                await self._expire(run, swept=True)
        elif then:
            await self._end(dict.fromkeys(holders, then))

    @rule(pick=PICK)
    def operator_retries(self, pick: int) -> None:
        self.do(self._retry(self._job(pick, (FAILED, CANCELLED))))

    async def _retry(self, item: Expected) -> None:
        taken = item.key is not None and self._holder(item.key) is not None
        try:
            async with self.stage.database.transaction() as db:
                retried = await retry(db, item.id)
        except (IntegrityError, NotRetried):
            assert taken
            retried = False
        assert retried == (item.state in (FAILED, CANCELLED) and not taken)
        if retried:
            item.dead = item.cancelling = False
            item.wait(0)
            self.retried.add(item.id)

    @precondition(lambda self: self.raced < 2)
    @rule(word=st.sampled_from(WORDS), worker=WORKER, tenths=st.integers(0, 60))
    def stop_in_the_middle_of_an_end(self, word: str, worker: int, tenths: int) -> None:
        """Whichever comes first: row, effects and outcome tell one story."""
        self.raced += 1
        self.do(self._race(word, worker, tenths / 10_000))

    async def _race(self, word: str, worker: int, seconds: float) -> None:
        await self._accept(told_raced, None, "x")
        [run] = await self._claim({worker: 1}, [told_raced.name])
        item = self.model[run.claimed.id]
        run.tell(word)
        await asyncio.sleep(seconds)
        run.tell("stop")
        outcome = await run.outcome()
        self._ended(run)
        row = (await self.stage.look())[0][item.id]
        outcomes = item.end("stop" if outcome == "released" else word)
        if outcome == LOST:  # its end had been written already, and nobody was told
            assert row.state in TERMINAL
            self.stage.heard.add(item.id)
        else:
            assert outcome in outcomes
        if row.state == QUEUED:  # out of the way of other claims
            await self.stage.change(Job.id == item.id, run_at=db_now(LONG))
            item.due = False
