"""A real embeddings worker whose model takes its time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import uvloop
from numpy.typing import NDArray

from ai_investment.adapters.chroma import ChromaVectors
from ai_investment.adapters.redis import connect_redis
from ai_investment.content.reindex import rebuild_index
from ai_investment.db import Database
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.worker import QueueWorker
from ai_investment.logs import configure_logging
from tests.doubles.embedding import HashingEmbedder

SECONDS_A_BATCH = 0.1


class SlowEmbedder(HashingEmbedder):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        time.sleep(SECONDS_A_BATCH)
        return super().embed(texts)


@dataclass(frozen=True)
class Resources:
    embedder: SlowEmbedder
    vectors: ChromaVectors


@asynccontextmanager
async def _resources(name: str, dimension: int) -> AsyncIterator[Resources]:
    async with ChromaVectors(os.environ["CHROMA_URL"]) as vectors:
        yield Resources(SlowEmbedder(name, dimension), vectors)


def run_index_worker(name: str, dimension: int) -> None:
    """Build indexes with the model of this name until a signal says to stop."""
    configure_logging("INFO", "worker-embeddings")
    asyncio.set_event_loop(uvloop.new_event_loop())
    bell = Bell(connect_redis(os.environ["REDIS_URL"]))
    database = Database(os.environ["DATABASE_URL"], bell.publish)
    QueueWorker(
        "embeddings", [rebuild_index], database, bell, lambda: _resources(name, dimension), max_jobs=1
    ).run()  # fmt: skip
