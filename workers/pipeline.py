"""Pipeline: fetches from the web and reads what came in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ai_investment.adapters.reader import ReaderProcess
from ai_investment.adapters.web import WebFetcher
from ai_investment.content.fetch import fetch_document
from ai_investment.content.jobs import extract_document
from ai_investment.content.objects import Objects
from ai_investment.content.reading import Reader
from ai_investment.content.sources.due import start_due
from ai_investment.content.sources.fetching import Fetcher
from ai_investment.content.sources.sync import backfill_source, sync_source
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.worker import QueueWorker
from ai_investment.settings import Settings


@dataclass(frozen=True)
class Resources:
    objects: Objects
    reader: Reader
    fetch: Fetcher
    folders: Path


@asynccontextmanager
async def resources(settings: Settings, bell: Bell) -> AsyncIterator[Resources]:
    fetcher = WebFetcher(
        bell.redis, contact=settings.fetch_contact, private_hosts=settings.private_hosts
    )
    reader = ReaderProcess()
    try:
        yield Resources(
            Objects(settings.object_directory), reader, fetcher, settings.source_folders
        )
    finally:
        await reader.close()
        await fetcher.close()


def build(settings: Settings, database: Database, bell: Bell) -> QueueWorker:
    return QueueWorker(
        "pipeline",
        [extract_document, fetch_document, sync_source, backfill_source, start_due],
        database,
        bell,
        partial(resources, settings, bell),
        # They mostly wait: for sites, and for the one reader.
        max_jobs=12,
    )
