"""Schedules: a job at each time of a cron expression, once, however many schedulers run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from cronsim import CronSim
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from ai_investment.db import Base, Database, db_now
from ai_investment.jobs.declare import JobKind
from ai_investment.jobs.enqueue import enqueue


class ScheduleFire(Base):
    """One firing. The primary key is what makes it happen once."""

    __tablename__ = "schedule_fires"

    schedule: Mapped[str] = mapped_column(sa.String(80), primary_key=True)
    fire_time: Mapped[datetime] = mapped_column(primary_key=True)
    job_id: Mapped[str | None] = mapped_column(sa.String(40))
    """Null for the first row, which only says from when on the schedule is known."""


@dataclass(frozen=True)
class Schedule:
    name: str
    cron: str
    """Five fields, in UTC."""
    kind: JobKind[Any, []]


SCHEDULES: dict[str, Schedule] = {}


def schedule(name: str, cron: str, kind: JobKind[Any, []]) -> None:
    """Declare a schedule beside its job. A wrong expression fails here."""
    CronSim(cron, datetime(2026, 1, 1))  # noqa: DTZ001 - parsed, not asked
    SCHEDULES[name] = Schedule(name, cron, kind)


async def fire_due(database: Database) -> int:
    """Fire every schedule whose time has come; returns how many.

    After downtime a schedule fires once, for the latest time it missed: its job does what is due
    now, and would do the same again for each earlier time.
    """
    return sum([await _fire(database, item) for item in SCHEDULES.values()])


async def _fire(database: Database, item: Schedule) -> int:
    async with database.reading() as read:
        query = sa.select(db_now(), sa.func.max(ScheduleFire.fire_time)).where(
            ScheduleFire.schedule == item.name
        )
        row: Any = (await read.execute(query)).one()
    now, last = row
    latest = next(CronSim(item.cron, now, reverse=True))
    if last is not None and latest <= last:
        return 0
    try:
        async with database.transaction() as db:
            fire = ScheduleFire(schedule=item.name, fire_time=latest)
            db.add(fire)
            await db.flush()  # another scheduler that was first ends it here
            if last is not None:
                fire.job_id = (await enqueue(db, None, item.kind)).id
    except IntegrityError:
        return 0
    return 1 if last is not None else 0
