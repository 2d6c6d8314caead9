"""The whole machine: its steps, and what has to hold after each of them and at the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from hypothesis.stateful import invariant

from ai_investment.db import db_now
from ai_investment.jobs.models import FAILED, QUEUED, RUNNING, SUCCEEDED, TERMINAL, Job
from ai_investment.jobs.routes import COLUMNS
from tests.jobs.model.expected import LIVE, Expected
from tests.jobs.model.failing import Failing
from tests.jobs.model.told import NAMES, told_raced

VISIBLE = [column.key for column in COLUMNS if column.key != "version"]


class EngineMachine(Failing):
    """Takes steps in the model and in the engine. A test's subclass says on which stage."""

    @invariant()
    def agree(self) -> None:
        self.do(self._agree())
        self.agreed = True

    async def _agree(self) -> None:
        rows, found = await self.stage.look()
        assert rows.keys() == self.model.keys()
        for job_id, item in self.model.items():
            self._check_row(item, rows[job_id])
            if job_id in self.before:
                self._check_change(self.before[job_id], rows[job_id])
        live = [row.unique_key for row in rows.values() if row.unique_key and row.state in LIVE]
        assert len(live) == len(set(live))
        marks = {item.id: item.marks for item in self.model.values()}
        marks |= {f"{item.id} regretted": item.regrets for item in self.model.values()}
        assert found == Counter(marks)
        messages = await self.stage.messages()
        for item in self.model.values():
            assert item.message in messages or item.state != QUEUED or not item.rung
        self.before, self.retried = rows, set()
        self.stage.heard.clear()

    def _check_row(self, item: Expected, row: Any) -> None:
        assert (row.state, row.attempt, row.fence) == (item.state, item.attempt, item.fence)
        assert row.crashes == item.crashes
        assert (row.dead, row.cancel_requested) == (item.dead, item.cancelling)
        assert 0 <= row.attempt <= row.max_attempts == item.kind.attempts
        assert (row.state == RUNNING) == (row.lease_until is not None)
        assert (row.state in TERMINAL) == (row.finished_at is not None)
        assert item.marks <= (row.state == SUCCEEDED)
        assert row.result == ({"fence": row.fence} if row.state == SUCCEEDED else None)
        if row.state in (SUCCEEDED, FAILED):
            assert (row.error is None) == (row.state == SUCCEEDED)
        if row.state == QUEUED:
            assert row.is_due == item.due
        if row.state == RUNNING:
            assert row.is_expired == item.expired

    def _check_change(self, old: Any, new: Any) -> None:
        assert new.fence >= old.fence
        assert new.version >= old.version
        if any(getattr(old, name) != getattr(new, name) for name in VISIBLE):
            assert new.version > old.version
            assert new.id in self.stage.heard
        if old.state in TERMINAL and new.state != old.state:
            assert new.id in self.retried

    def teardown(self) -> None:
        """Everything that was accepted comes to an end, and what lost its job changes nothing."""
        try:
            if self.agreed:
                self.do(self._drain())
                self.agree()
        finally:
            self.do(self._close())

    async def _drain(self) -> None:
        await self._end(dict.fromkeys(self.running, "return"))
        await self.stage.change(Job.state == RUNNING, lease_until=db_now(-1))
        for item in self.model.values():
            item.expired = item.state == RUNNING
        await self._sweep()
        await self._let_wait_long(list(self.model.values()))
        await self._lose_redis()
        await self._ring_again()
        while started := await self._claim({0: 1000}, [*NAMES, told_raced.name]):
            await self._end(dict.fromkeys(started, "return"))
        assert {item.state for item in self.model.values()} <= set(TERMINAL)

    async def _close(self) -> None:
        for run in self.running:
            run.task.cancel()
        await asyncio.gather(*(run.task for run in self.running), return_exceptions=True)
        for worker in self.workers:
            await worker.close()
