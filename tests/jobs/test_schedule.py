"""Schedules fire once a time, however many schedulers there are and however long they were away."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ai_investment.db import Database
from ai_investment.jobs import schedule as schedules
from ai_investment.jobs.declare import job
from ai_investment.jobs.models import Job
from ai_investment.jobs.run import Run
from ai_investment.jobs.schedule import Schedule, ScheduleFire, fire_due


@job("test.nightly", queue="delivery")
async def nightly(run: Run[object]) -> None: ...


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "SCHEDULES", {"test": Schedule("test", "* * * * *", nightly)})


async def jobs(database: Database) -> list[Any]:
    async with database.reading() as read:
        return list(
            (await read.execute(sa.select(Job.id).where(Job.kind == "test.nightly"))).scalars()
        )


async def go_back(database: Database, minutes: int) -> None:
    """As if the last firing had been so long ago."""
    async with database.transaction() as db:
        for fire in (await db.scalars(sa.select(ScheduleFire))).all():
            moved = fire.fire_time - timedelta(minutes=minutes)
            await db.execute(
                sa.update(ScheduleFire)
                .where(ScheduleFire.fire_time == fire.fire_time)
                .values(fire_time=moved)
            )


async def test_a_new_schedule_waits_for_its_first_time(database: Database) -> None:
    assert await fire_due(database) == 0
    assert await jobs(database) == []


async def test_a_due_time_fires_once(database: Database) -> None:
    await fire_due(database)
    await go_back(database, 1)
    assert await fire_due(database) == 1
    assert await fire_due(database) == 0
    assert len(await jobs(database)) == 1


async def test_many_schedulers_at_once_fire_once(database: Database) -> None:
    await fire_due(database)
    await go_back(database, 1)
    counts = await asyncio.gather(*(fire_due(database) for _ in range(8)))
    assert sum(counts) == 1
    assert len(await jobs(database)) == 1


async def test_after_downtime_the_latest_missed_time_fires_once(database: Database) -> None:
    await fire_due(database)
    await go_back(database, 600)
    assert await fire_due(database) == 1
    assert await fire_due(database) == 0
    assert len(await jobs(database)) == 1


def test_a_wrong_expression_fails_where_it_is_declared() -> None:
    with pytest.raises(Exception, match="Bad"):
        schedules.schedule("wrong", "61 * * * *", nightly)
