"""Starting the sources whose time has come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from ai_investment.content.sources.define import next_fire
from ai_investment.content.sources.models import Source
from ai_investment.content.sources.sync import sync_source
from ai_investment.db import db_now
from ai_investment.jobs.declare import job
from ai_investment.jobs.enqueue import enqueue
from ai_investment.jobs.run import Run
from ai_investment.jobs.schedule import schedule


class Started(msgspec.Struct, frozen=True):
    """The result of the job: how many sources were due."""

    sources: int


@job("sources.start_due", queue="pipeline", attempts=3, lease=30, priority=1)
async def start_due(run: Run[Any]) -> None:
    """Start a run of each source whose time has come, once for each time."""
    async with run.settle() as db:
        due = (
            sa.select(Source)
            .where(Source.state == "active", Source.next_run_at <= db_now())
            .order_by(Source.next_run_at)
            .limit(100)
            .with_for_update(skip_locked=True)
        )
        sources = (await db.scalars(due)).all()
        for source in sources:
            await enqueue(db, None, sync_source, source_id=source.id)
            source.next_run_at = next_fire(source.schedule, datetime.now(UTC))
        run.result = Started(len(sources))


schedule("sources.start_due", "* * * * *", start_due)
