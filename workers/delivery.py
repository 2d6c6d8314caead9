"""Delivery: effects on other systems; today the removal of vectors and of collections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ai_investment.adapters.chroma import ChromaVectors
from ai_investment.content.jobs import remove_vectors
from ai_investment.content.reindex import drop_collection
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.upkeep import prune
from ai_investment.jobs.worker import QueueWorker
from ai_investment.settings import Settings


@dataclass(frozen=True)
class Resources:
    vectors: ChromaVectors


@asynccontextmanager
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    async with ChromaVectors(settings.chroma_url) as vectors:
        yield Resources(vectors)


def build(settings: Settings, database: Database, bell: Bell) -> QueueWorker:
    return QueueWorker(
        "delivery",
        [remove_vectors, drop_collection, prune],
        database,
        bell,
        partial(resources, settings),
        max_jobs=10,
    )
