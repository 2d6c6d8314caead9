"""Pipeline: fetches from the web and reads what came in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ai_investment.adapters.files import extract
from ai_investment.adapters.web import WebFetcher
from ai_investment.content.extraction import Extractor
from ai_investment.content.fetch import fetch_document
from ai_investment.content.jobs import extract_document
from ai_investment.content.objects import Objects
from ai_investment.content.sources.fetching import Fetcher
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.worker import QueueWorker
from ai_investment.settings import Settings


@dataclass(frozen=True)
class Resources:
    objects: Objects
    extract: Extractor
    fetch: Fetcher


@asynccontextmanager
async def resources(settings: Settings, bell: Bell) -> AsyncIterator[Resources]:
    fetcher = WebFetcher(
        bell.redis, contact=settings.fetch_contact, private_hosts=settings.private_hosts
    )
    try:
        yield Resources(Objects(settings.object_directory), extract, fetcher)
    finally:
        await fetcher.close()


def build(settings: Settings, database: Database, bell: Bell) -> QueueWorker:
    return QueueWorker(
        "pipeline",
        [extract_document, fetch_document],
        database,
        bell,
        partial(resources, settings, bell),
        max_jobs=4,
    )
