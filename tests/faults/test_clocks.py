"""Clocks that are five minutes wrong: only the database's clock and that of Redis decide anything."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from ai_investment.db import db_now
from ai_investment.jobs.models import Job
from ai_investment.jobs.schedule import ScheduleFire
from ai_investment.jobs.upkeep import prune
from tests.faults import kinds
from tests.faults.both import on_both_databases
from tests.faults.ground import Ground
from tests.faults.promises import promises_kept
from tests.faults.seeds import COUNT
from tests.faults.waiting import until
from tests.services import Process

_SKEW = 300
# Far below the skew, far above what an idle machine needs.
_SOON = 30
# The clock is slow beside one database and fast beside the other; with more than one seed both ways.
skewed_clocks = pytest.mark.parametrize("slow_beside", ["sqlite", "postgresql"][:COUNT])


@asynccontextmanager
async def skewed(
    ground: Ground, slow_beside: str, module: str, *arguments: str
) -> AsyncIterator[Process]:
    """A process with a wrong clock, ready, while the block runs."""
    skew = -_SKEW if ground.database_url.startswith(slow_beside) else _SKEW
    wrong = {"PYTHONPATH": str(Path(__file__).parent / "skew"), "CLOCK_SKEW": str(skew)}
    command = [sys.executable, "-m", module, *arguments]
    process = Process(command, ground.folder / "skewed.log", {**ground.env, **wrong})
    try:
        await until(lambda: "worker ready" in process.text(), "a skewed process being ready")
        yield process
    finally:
        process.kill()


@skewed_clocks
@on_both_databases
async def test_a_worker_with_a_wrong_clock_claims_and_keeps_leases_like_any_other(
    ground: Ground, slow_beside: str
) -> None:
    """Row 24."""
    arguments = ("tests.faults.worker", "delivery", str(ground.folder))
    async with skewed(ground, slow_beside, *arguments) as worker:
        await _runs_what_another_one_put_off(ground, worker)
        held = await ground.put(kinds.held, "held", "gate")
        await until(lambda: ground.starts("held"), "a claim by the skewed worker", _SOON)
        await until(lambda: _renewed(ground), "a renewal")
        assert (await ground.job(held)).attempt == 1
    await ground.worker()
    await until(lambda: len(ground.starts("held")) == 2, "the lease being lost", _SOON)
    ground.open_gate("gate")
    assert (await ground.ended(held)).attempt == 2
    await promises_kept(ground)


async def _runs_what_another_one_put_off(ground: Ground, worker: Process) -> None:
    """Put off by the right clock, due by the right clock, taken by the wrong one."""
    await ground.freeze(worker)
    other = await ground.worker()
    job_id = await ground.put(kinds.postponed, 2)
    await ground.started("postponed")

    async def put_off() -> bool:
        return bool((await ground.job(job_id)).state == "queued")

    await until(put_off, "the job being put off")
    other.kill()
    worker.signal(signal.SIGCONT)
    await until(lambda: len(ground.starts("postponed")) == 2, "the second start", _SOON)


async def _renewed(ground: Ground) -> bool:
    """Started longer ago than its lease, and still running."""
    running = sa.and_(Job.state == "running", Job.started_at < db_now(-2.5))
    async with ground.database.reading() as read:
        return (await read.execute(sa.select(Job.id).where(running))).first() is not None


@skewed_clocks
@on_both_databases
async def test_a_scheduler_with_a_wrong_clock_sweeps_rings_and_fires_at_the_right_time(
    ground: Ground, slow_beside: str
) -> None:
    """Row 24."""
    ground.stop()
    first = await ground.worker()
    await ground.put(kinds.held, "held", "gate")
    await ground.started("held")
    async with skewed(ground, slow_beside, "ai_investment", "worker", "scheduler"):
        first.kill()
        await ground.worker()
        await until(lambda: len(ground.starts("held")) == 2, "that scheduler's bell", _SOON)
        ground.open_gate("gate")
        await _fires_once(ground)
        await promises_kept(ground)


async def _fires_once(ground: Ground) -> None:
    """As if the schedule had last fired two days ago: it fires for the latest time that has come."""
    await ground.knows_schedule(prune.name)
    async with ground.database.transaction() as db:
        await db.execute(sa.delete(ScheduleFire))
        db.add(ScheduleFire(schedule=prune.name, fire_time=db_now(-172800)))

    async def fires() -> list[ScheduleFire]:
        async with ground.database.transaction() as db:
            # Another schedule, whose jobs nobody here runs, fires every minute.
            fired = sa.select(ScheduleFire).where(
                ScheduleFire.schedule == prune.name, ScheduleFire.job_id.is_not(None)
            )
            return list((await db.scalars(fired)).all())

    await until(fires, "a firing")
    [fire] = await fires()
    async with ground.database.reading() as read:
        now = (await read.execute(sa.select(db_now()))).scalar_one()
    assert now - timedelta(days=1) <= fire.fire_time <= now
    assert fire.job_id is not None
    ground.accepted.add(fire.job_id)
