"""Clocks that are five minutes wrong: only the database's clock decides anything."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from ai_investment.db import db_now
from ai_investment.jobs.models import Job
from ai_investment.jobs.schedule import ScheduleFire
from ai_investment.jobs.upkeep import prune
from tests.faults import kinds
from tests.faults.ground import Ground, until
from tests.faults.promises import promises_kept
from tests.faults.seeds import seeded
from tests.services import Process, wait_until

_MINUTES = 5
# Far below the skew, far above what an idle machine needs.
_SOON = 30


class Skewed:
    """Starts processes whose clock is wrong: early for one database, late for the other, then swapped."""

    def __init__(self, ground: Ground, seed: int) -> None:
        self._ground = ground
        early = ground.database_url.startswith("sqlite") == (seed % 2 == 0)
        self.seconds = -60 * _MINUTES if early else 60 * _MINUTES
        self.processes: list[Process] = []

    def start(self, module: str, *arguments: str) -> Process:
        log = self._ground.folder / f"skewed-{len(self.processes)}.log"
        skew = {"PYTHONPATH": str(Path(__file__).parent / "skew"), "CLOCK_SKEW": str(self.seconds)}
        command = [sys.executable, "-m", module, *arguments]
        process = Process(command, log, {**self._ground.env, **skew})
        self.processes.append(process)
        wait_until(lambda: "worker ready" in process.text(), "a skewed process being ready", 60)
        return process


@pytest.fixture
def skewed(ground: Ground, seed: int) -> Iterator[Skewed]:
    skewed = Skewed(ground, seed)
    yield skewed
    for process in skewed.processes:
        process.kill()


@seeded
async def test_a_worker_with_a_wrong_clock_claims_and_keeps_leases_like_any_other(
    ground: Ground, skewed: Skewed
) -> None:
    """Row 24."""
    worker = skewed.start("tests.faults.worker", "delivery", str(ground.folder))
    held = await ground.put(kinds.held, "held", "gate")
    await until(lambda: ground.starts("held"), "a claim by the skewed worker", _SOON)

    async def renewed() -> bool:
        async with ground.database.reading() as read:
            past = Job.started_at < db_now(-2.5)  # longer ago than the lease
            return (await read.execute(sa.select(Job.id).where(past))).first() is not None

    await until(renewed, "a renewal")
    assert (await ground.job(held)).attempt == 1
    worker.kill()
    ground.worker()
    await until(lambda: len(ground.starts("held")) == 2, "the lease being lost", _SOON)
    ground.open_gate("gate")
    assert (await ground.ended(held)).attempt == 2
    await promises_kept(ground)


@seeded
async def test_a_worker_with_a_wrong_clock_runs_what_another_one_put_off_when_it_is_due(
    ground: Ground, skewed: Skewed
) -> None:
    """Row 24."""
    worker = skewed.start("tests.faults.worker", "delivery", str(ground.folder))
    worker.signal(signal.SIGSTOP)
    other = ground.worker()
    job_id = await ground.put(kinds.postponed, 2)
    await ground.started("postponed")

    async def put_off() -> bool:
        return bool((await ground.job(job_id)).state == "queued")

    await until(put_off, "the job being put off")
    other.kill()
    worker.signal(signal.SIGCONT)
    await until(lambda: len(ground.starts("postponed")) == 2, "the second start", _SOON)
    await promises_kept(ground)


@seeded
async def test_a_scheduler_with_a_wrong_clock_sweeps_rings_and_fires_at_the_right_time(
    ground: Ground, skewed: Skewed
) -> None:
    """Row 24."""
    ground.stop()
    first = ground.worker()
    await ground.put(kinds.held, "held", "gate")
    await ground.started("held")
    skewed.start("ai_investment", "worker", "scheduler")
    first.kill()
    ground.worker()
    await until(lambda: len(ground.starts("held")) == 2, "the bell rung by that scheduler", _SOON)
    ground.open_gate("gate")
    await _fired_once(ground)
    await promises_kept(ground)


async def _fired_once(ground: Ground) -> None:
    """As if the schedule had last fired two days ago: it fires for the latest time that has come."""
    async with ground.database.transaction() as db:
        await db.execute(sa.delete(ScheduleFire))
        db.add(ScheduleFire(schedule=prune.name, fire_time=db_now(-172800)))

    async def fires() -> list[ScheduleFire]:
        async with ground.database.transaction() as db:
            fired = ScheduleFire.job_id.is_not(None)
            return list((await db.scalars(sa.select(ScheduleFire).where(fired))).all())

    await until(fires, "a firing")
    [fire] = await fires()
    async with ground.database.reading() as read:
        now = (await read.execute(sa.select(db_now()))).scalar_one()
    assert now - timedelta(days=1) <= fire.fire_time <= now
    assert fire.job_id is not None
    ground.accepted.add(fire.job_id)
