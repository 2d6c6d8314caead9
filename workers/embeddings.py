"""Embeddings: bound by the processor, so few at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from ai_investment.adapters.chroma import ChromaVectors
from ai_investment.adapters.minilm import MiniLM, load_minilm
from ai_investment.content.dense import LocalDense
from ai_investment.content.jobs import index_document
from ai_investment.content.reindex import check_index, follow_index, rebuild_index, worker_starts
from ai_investment.content.remembering import Remembering
from ai_investment.content.remote import BUDGET, answer_searches
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.worker import QueueWorker
from ai_investment.settings import Settings


@dataclass(frozen=True)
class Resources:
    embedder: MiniLM
    vectors: ChromaVectors


@asynccontextmanager
async def resources(settings: Settings, database: Database, bell: Bell) -> AsyncIterator[Resources]:
    embedder = load_minilm(settings.model_cache)
    async with database.transaction() as db:
        await worker_starts(db, embedder)
    async with ChromaVectors(settings.chroma_url) as vectors:
        await vectors.load()
        dense = LocalDense(database, Remembering(embedder), vectors, seconds=BUDGET)
        answering = asyncio.create_task(answer_searches(bell.redis, dense))
        try:
            yield Resources(embedder, vectors)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


def build(settings: Settings, database: Database, bell: Bell) -> QueueWorker:
    return QueueWorker(
        "embeddings",
        [index_document, rebuild_index, follow_index, check_index],
        database,
        bell,
        partial(resources, settings, database, bell),
        max_jobs=2,
    )
