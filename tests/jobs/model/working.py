"""The machine's steps that claim work and bring it to an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from ai_investment.db import db_now
from ai_investment.jobs.claim import Claimed, claim
from ai_investment.jobs.keep import LOST
from ai_investment.jobs.models import QUEUED, RUNNING, Job
from tests.jobs.model.accepting import PICK, WORKER, WORKERS, Accepting
from tests.jobs.model.stage import Running
from tests.jobs.model.told import KINDS, LONG, NAMES, QUEUE, WORDS, Kind, told


class Working(Accepting):
    async def _run(self, pick: int, *, overtaken: bool = False) -> Running:
        """A run by number; `overtaken`: one that another run can still take over from. There is always one to be had."""

        def found() -> list[Running]:
            return [run for run in self.running if self._can_be_overtaken(run) or not overtaken]

        if not found():
            await self._accept(told, None, "x")
            await self._claim({pick % len(WORKERS): 100})
        return found()[pick % len(found())]

    def _can_be_overtaken(self, run: Running) -> bool:
        return self._holds(run) and run.claimed.attempt < run.claimed.max_attempts

    @initialize(
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4), limit=st.integers(0, 4)
    )
    def some_wait_and_some_run(self, kinds: list[Kind], limit: int) -> None:
        for kind in kinds:
            self.do(self._accept(kind, None, "x"))
        self.do(self._claim({0: limit}))

    @rule(limits=st.fixed_dictionaries({worker: st.integers(0, 3) for worker in WORKERS}))
    def claim(self, limits: dict[int, int]) -> None:
        """Both workers at once."""
        self.do(self._claim(limits))

    async def _claim(self, limits: dict[int, int], names: Sequence[str] = NAMES) -> list[Running]:
        """As workers do: take messages, claim rows, start to run them."""
        limits = {worker: limit for worker, limit in limits.items() if limit}
        total = sum(limits.values())
        await self._take(total)
        waiting = await self._waiting(names)
        if any(self.model[job_id].crashes for job_id in waiting):
            # Who gets which when both ask at once is then a matter of luck.
            return [
                run
                for worker, limit in limits.items()
                for run in await self._claim_among_suspects(worker, limit, names)
            ]
        claims = await asyncio.gather(
            *(claim(self.stage.database, QUEUE, names, limit) for limit in limits.values())
        )
        started = []
        for worker, claimed in zip(limits, claims, strict=True):
            assert len(claimed) <= limits[worker]
            started += [await self._start(worker, item) for item in claimed]
        ranks = sorted(waiting[run.claimed.id] for run in started)
        assert ranks == list(waiting.values())[:total]
        return started

    async def _waiting(self, names: Sequence[str]) -> dict[str, tuple[int, float]]:
        """Priority and turn of the jobs that could be claimed, in that order."""
        rows, _ = await self.stage.look()
        ranks = {
            job_id: (row.priority, row.turn)
            for job_id, row in rows.items()
            if row.kind in names and row.state == QUEUED and self.model[job_id].due
        }
        return dict(sorted(ranks.items(), key=lambda item: item[1]))

    async def _claim_among_suspects(
        self, worker: int, limit: int, names: Sequence[str]
    ) -> list[Running]:
        """One worker's claim when jobs wait that were in a crash."""
        waiting = list(await self._waiting(names))
        for place, job_id in enumerate(waiting):  # no two with the same turn
            await self.stage.change(Job.id == job_id, turn=place)
        held = [run.suspicion for run in self.running if run.worker == worker]
        most = 2 - max(held, default=0)
        claimed = await claim(self.stage.database, QUEUE, names, limit, most)
        suspicion = {job_id: self.model[job_id].suspicion for job_id in waiting}
        seen = [job_id for job_id in waiting if suspicion[job_id] <= most][:limit]
        suspects = [job_id for job_id in seen if suspicion[job_id]]
        together = [job_id for job_id in suspects if suspicion[job_id] == 1]
        if suspects and suspects[0] not in together:
            together = suspects[:1]
        wanted = {job_id for job_id in seen if not suspicion[job_id]} | set(together)
        assert {item.id for item in claimed} == wanted
        started = [await self._start(worker, item) for item in claimed]
        doubtful = [run for run in self.running if run.worker == worker and run.suspicion]
        assert len(doubtful) <= 1 or all(run.suspicion == 1 for run in doubtful)
        return started

    async def _take(self, limit: int) -> None:
        all_of_them = await self.stage.messages()
        certain = await self.stage.messages(time.time() * 1000 - 1)
        count = await self.stage.bell.take(QUEUE, limit) if limit else 0
        gone = all_of_them - await self.stage.messages()
        assert len(gone) == count >= min(limit, len(certain))
        for item in self.model.values():
            item.rung &= item.message not in gone

    async def _start(self, worker: int, claimed: Claimed) -> Running:
        item = self.model[claimed.id]
        assert (item.state, item.due) == (QUEUED, True)
        item.state, suspicion = RUNNING, item.suspicion
        item.attempt += 1
        item.fence += 1
        assert (claimed.attempt, claimed.fence) == (item.attempt, item.fence)
        task = asyncio.create_task(self.workers[worker].run(claimed))
        run = Running(claimed, worker, self.seats.of(claimed), suspicion, task)
        self.keepers[worker, claimed.id] = run
        self.running.append(run)
        await run.settled_down()
        self.stage.heard.add(item.id)  # the worker itself tells of what it has started
        assert not task.done()
        return run

    def _holds(self, run: Running) -> bool:
        item = self.model[run.claimed.id]
        return item.state == RUNNING and item.fence == run.claimed.fence

    @rule(ends=st.lists(st.tuples(PICK, st.sampled_from((*WORDS, "stop"))), min_size=1, max_size=3))
    def end(self, ends: list[tuple[int, str]]) -> None:
        """Some end at once; each in its own way, and not twice."""

        async def go() -> None:
            chosen: dict[Running, str] = {}
            for pick, word in ends:
                chosen.setdefault(await self._run(pick), word)
            await self._end(chosen)

        self.do(go())

    @rule(worker=WORKER, words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    def work(self, worker: int, words: list[str]) -> None:
        """As most jobs go: claimed and brought to an end."""

        async def go() -> None:
            started = await self._claim({worker: len(words)})
            await self._end(dict(zip(started, words, strict=False)))

        self.do(go())

    async def _end(self, ends: dict[Running, str]) -> None:
        holding = {run for run in ends if self._holds(run)}
        since = await self.stage.now()
        for run, word in ends.items():
            run.tell(word)
        for run, word in ends.items():
            outcome = await run.outcome()
            self._ended(run)
            if run in holding:
                assert outcome in self.model[run.claimed.id].end(word)
                await self._check_delay(run.claimed, word, since)
            elif outcome != LOST:
                # Only a word for the log: its own end was written by nobody.
                assert (word, outcome) == ("return", "succeeded")
                assert run.claimed.id in {end.claimed.id for end in holding if ends[end] == word}

    def _ended(self, run: Running) -> None:
        self.running.remove(run)
        if self.keepers.get((run.worker, run.claimed.id)) is run:
            del self.keepers[run.worker, run.claimed.id]

    async def _check_delay(self, claimed: Claimed, word: str, since: datetime) -> None:
        """A job put off waits as long as was promised; from then on until the machine lets it."""
        item = self.model[claimed.id]
        if item.state != QUEUED or item.due:
            return
        (rows, _), now = await self.stage.look(), await self.stage.now()
        low, high = (
            (60, 60) if word == "later" else (2 ** (claimed.attempt - 1), 2**claimed.attempt)
        )
        rounding = timedelta(milliseconds=2)
        assert rows[claimed.id].run_at >= since + timedelta(seconds=low) - rounding
        assert rows[claimed.id].run_at <= now + timedelta(seconds=high) + rounding
        await self.stage.change(Job.id == claimed.id, run_at=db_now(LONG))

    @rule(pick=PICK)
    def report_progress(self, pick: int) -> None:
        async def go() -> None:
            run = await self._run(pick)
            holds = self._holds(run)
            run.tell("progress")
            await run.settled_down()
            if holds:
                assert not run.task.done()
            else:
                assert await run.outcome() == LOST
                self._ended(run)

        self.do(go())
