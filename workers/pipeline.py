"""Pipeline: reads what came in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ai_investment.adapters.files import extract
from ai_investment.content.extraction import Extractor
from ai_investment.content.jobs import extract_document
from ai_investment.content.objects import Objects
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.worker import QueueWorker
from ai_investment.settings import Settings


@dataclass(frozen=True)
class Resources:
    objects: Objects
    extract: Extractor


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    yield Resources(Objects(settings.object_directory), extract)


def build(settings: Settings, database: Database, bell: Bell) -> QueueWorker:
    return QueueWorker(
        "pipeline", [extract_document], database, bell, partial(resources, settings), max_jobs=4
    )
