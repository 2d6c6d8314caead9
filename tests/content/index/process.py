"""A worker of the index that can die at any point where it waits for a store, and start again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ai_investment.content.jobs import index_document, remove_vectors
from ai_investment.content.reindex import (
    check_index,
    drop_collection,
    follow_index,
    rebuild_index,
    worker_starts,
)
from ai_investment.content.vectors import Hit, Vectors, vectors_name
from ai_investment.db import Database, Db
from ai_investment.jobs.bell import Bell
from ai_investment.jobs.claim import claim
from ai_investment.jobs.declare import JobKind
from ai_investment.jobs.run import Runner
from tests.doubles.embedding import HashingEmbedder

KINDS: dict[str, list[JobKind[Any, ...]]] = {
    "embeddings": [index_document, rebuild_index, follow_index, check_index],
    "delivery": [remove_vectors, drop_collection],
}


class Died(BaseException):
    """The process is gone: nothing of it handles this."""


class Fate:
    """What happens to a process, counted in the points it reaches: its death, or something meanwhile."""

    def __init__(self) -> None:
        self.dies_in: int | None = None
        self.interrupted_in: int | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.dead = asyncio.Event()

    async def reached(self) -> None:
        """Before each transaction, before and after each write to the vector store."""
        if self.meanwhile is not None and self.interrupted_in is not None:
            self.interrupted_in -= 1
            if self.interrupted_in <= 0:
                meanwhile, self.meanwhile = self.meanwhile, None
                await meanwhile()
        self.step()

    def step(self) -> None:
        """Also before and after each commit."""
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in <= 0:
                self.dead.set()
        if self.dead.is_set():
            raise Died


class MortalDatabase(Database):
    def __init__(self, url: str, fate: Fate) -> None:
        super().__init__(url)
        self.fate = fate

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Db]:
        await self.fate.reached()
        async with super().transaction() as db:
            yield db
            self.fate.step()
        self.fate.step()


class MortalVectors:
    def __init__(self, store: Vectors, fate: Fate) -> None:
        self.store = store
        self.fate = fate

    async def upsert(
        self, collection: str, ids: Sequence[str], vectors: NDArray[np.float32]
    ) -> None:
        await self.fate.reached()
        await self.store.upsert(collection, ids, vectors)
        await self.fate.reached()

    async def query(self, collection: str, vector: NDArray[np.float32], limit: int) -> list[Hit]:
        await self.fate.reached()
        return await self.store.query(collection, vector, limit)

    async def scores(
        self, collection: str, vector: NDArray[np.float32], ids: Sequence[str]
    ) -> list[Hit]:
        await self.fate.reached()
        return await self.store.scores(collection, vector, ids)

    async def delete(self, collection: str, ids: Sequence[str]) -> None:
        await self.fate.reached()
        await self.store.delete(collection, ids)
        await self.fate.reached()

    async def drop(self, collection: str) -> None:
        await self.fate.reached()
        await self.store.drop(collection)
        await self.fate.reached()


class Process:
    """A worker with an embedding model; what its jobs use is itself."""

    def __init__(self, url: str, bell: Bell, embedder: HashingEmbedder, store: Vectors) -> None:
        self.embedder = embedder
        self.model = vectors_name(embedder)
        self.fate = Fate()
        self.database = MortalDatabase(url, self.fate)
        self.vectors = MortalVectors(store, self.fate)
        self._bell = bell

    async def start(self) -> None:
        """As the embeddings worker starts."""
        self.fate = self.database.fate = self.vectors.fate = Fate()
        async with self.database.transaction() as db:
            await worker_starts(db, self.embedder)

    async def work(self, queue: str = "embeddings", *kinds: JobKind[Any, ...]) -> bool:
        """Run one job if one is due; when the process dies, its job stays as it is."""
        names = [kind.name for kind in kinds or KINDS[queue]]
        claimed = await claim(self.database, queue, names, 1)
        if not claimed:
            return False
        runner = Runner(self.database, self._bell, self)
        running = asyncio.create_task(runner.run(claimed[0]))
        dying = asyncio.create_task(self.fate.dead.wait())
        await asyncio.wait({running, dying}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, dying):
            if not task.done():
                task.cancel()
        [outcome, _] = await asyncio.gather(running, dying, return_exceptions=True)
        await runner.close()
        if isinstance(outcome, Exception) and not self.fate.dead.is_set():
            raise outcome
        return True

    async def work_off(self, queue: str = "embeddings") -> bool:
        """Run what is due; whether anything was."""
        worked = False
        while await self.work(queue):
            worked = True
        return worked
