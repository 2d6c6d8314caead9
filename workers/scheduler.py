"""Scheduler: arq's cron; it inserts jobs and sweeps. Two may run at once."""

from __future__ import annotations

from ai_investment.content import reindex
from ai_investment.content.sources import due
from ai_investment.db import Database
from ai_investment.jobs import upkeep
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.worker import Scheduler
from ai_investment.settings import Settings


def build(settings: Settings, database: Database, bell: Bell) -> Scheduler:
    return Scheduler(database, bell)


# The schedules live beside their jobs: known here by being imported.
SCHEDULED = (upkeep, due, reindex)
